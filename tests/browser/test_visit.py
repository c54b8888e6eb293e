"""The first visit in a real browser: nothing moves or is covered, the keyboard is enough, it is remembered."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator

import pytest

from browser.conftest import Window, served, shows
from browser.test_looks import OVERFLOW, SPILLED, contrast
from engine.home import Home

pytestmark = pytest.mark.browser
PLACES = (".st-key-run", ".st-key-story", ".st-key-chart_packed_bytes", ".st-key-chart_latency_ms")


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an app on a home that nobody has used yet, where nothing runs."""
    home = Home.locate(tmp_path_factory.mktemp("fresh"))
    with home.lock("runner").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with served(home) as address:
            yield address


def places(window: Window) -> list[dict[str, float]]:
    window.settled()
    return [box for name in PLACES if (box := window.page.locator(name).first.bounding_box())]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("spoken", ["en", "zh"])
def test_it_takes_no_room_from_the_page(seeded: str, opened: Callable[..., Window], scheme: str, spoken: str) -> None:
    window = opened(f"{seeded}/?visit=1&lang={spoken}", scheme=scheme)
    during = places(window)
    for number in range(1, 7):
        shows(window.page.locator(".sh-visit b").get_by_text(str(number)), 1)
        assert window.page.evaluate(OVERFLOW) <= 0
        assert window.page.evaluate(SPILLED) == []
        for selector in (".sh-visit", ".sh-visit b", ".st-key-visit_next button p"):
            assert contrast(window, selector) >= 4.5, selector
        window.page.locator(".st-key-visit_next button").click()
    shows(window.page.locator(".sh-visit"), 0)
    assert len(during) == len(PLACES)
    # a lead of two lines is a little higher than the visit
    assert all(then["y"] <= now["y"] <= then["y"] + 3 for then, now in zip(during, places(window), strict=True))
    assert window.errors == []


def test_the_place_is_outlined_and_the_line_stays_in_sight(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/?visit=5")
    window.settled()
    style = "e => getComputedStyle(e).outlineStyle"
    assert window.page.locator(".st-key-what_if").evaluate(style) == "solid"
    assert window.page.locator(".st-key-soft").evaluate(style) == "none"
    window.page.locator(".st-key-what_if").scroll_into_view_if_needed()
    window.page.wait_for_function("document.querySelector('.st-key-run').getBoundingClientRect().bottom < 0")
    box = window.page.locator(".st-key-visit").bounding_box()
    assert box
    assert 0 < box["y"] < 120


def test_by_keyboard_and_once(fresh: str, opened: Callable[..., Window]) -> None:
    window = opened(fresh)
    window.settled()
    window.page.locator(".st-key-visit_next button").focus()
    for number in range(1, 7):
        shows(window.page.locator(".sh-visit b").get_by_text(f"{number} of 6"), 1)
        window.settled()
        window.page.keyboard.press("Enter")
    shows(window.page.locator(".sh-visit"), 0)
    assert "visit" not in window.page.url
    again = opened(fresh)
    again.settled()
    shows(again.page.locator(".sh-visit"), 0)
    again.page.locator(".st-key-visit_again button").first.click()
    shows(again.page.locator(".sh-visit b").get_by_text("1 of 6"), 1)
    assert window.errors == again.errors == []
