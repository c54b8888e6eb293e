"""A room full of people in real browsers: the join code, one's name, the host, and one link that several run."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window, served
from browser.seeded import seed
from engine import api, api_people, store_read
from engine.api_home import store_of
from engine.home import Home

CODE, TOKEN = "tasting", "a-token-for-this-test"
LINK = "/?student=plain_1k5&epochs=1&seed=31"
RUNNING = '[data-testid="stApp"][data-test-script-state="notRunning"]'


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Home]]:
    """The address of a workshop's app on a home full of results, where nothing runs, and that home."""
    home = Home.locate(tmp_path_factory.mktemp("room"))
    seed(home)
    with pytest.MonkeyPatch.context() as patch, home.lock("runner").open("a") as lock:
        patch.setenv("STILLHOUSE_HOST_TOKEN", TOKEN)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with served(home, "--join-code", CODE) as address:
            yield address, home


def join(window: Window, code: str) -> None:
    window.page.fill("#code", code)
    window.page.click("button")


def come_in(opened: Callable[..., Window], address: str, **look: Any) -> Window:
    window = opened(address, **look)
    join(window, CODE)
    window.page.wait_for_selector(".st-key-person")
    window.page.wait_for_selector(RUNNING)
    return window


def wanted(window: Window, home: Home, key: str, count: int) -> None:
    """Wait until ``count`` people want the trial; its progress shows before one's own press is read."""
    for _ in range(PATIENCE // 200):
        if len(api_people.wanted_by(home, key)) == count:
            break
        window.page.wait_for_timeout(200)
    assert len(api_people.wanted_by(home, key)) == count


def badge(window: Window) -> str:
    """The name at the top of the page; the button has an icon beside it."""
    return window.text(".st-key-person button p")


def test_the_code_opens_the_page_that_was_asked_for(room: tuple[str, Home], opened: Callable[..., Window]) -> None:
    window = opened(f"{room[0]}/front")
    assert "/join" in window.page.url
    assert window.page.locator("#code").evaluate("e => e === document.activeElement")
    join(window, "testing")
    window.page.wait_for_selector("[role=alert]")
    assert window.page.locator("#code").get_attribute("aria-invalid") == "true"
    join(window, CODE)
    window.page.wait_for_selector(".st-key-person")
    assert window.page.url == f"{room[0]}/front"
    # the browser itself says of the wrong code that it was answered 401
    assert [e for e in window.errors if "401" not in e] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (360, 640)])
def test_the_form_fits_and_can_be_read(
    room: tuple[str, Home], opened: Callable[..., Window], width: int, height: int, scheme: str
) -> None:
    window = opened(room[0], width=width, height=height, scheme=scheme)
    wide = window.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert wide[0] <= width
    assert wide[1] <= height
    colours = window.page.evaluate("['color', 'backgroundColor'].map(n => getComputedStyle(document.body)[n])")
    light, dark = (sum(int(v) for v in re.findall(r"\d+", c)[:3]) for c in reversed(colours))
    assert (light > dark) == (scheme == "light")
    assert window.errors == []


def test_two_people_are_two_and_each_may_type_a_name(room: tuple[str, Home], opened: Callable[..., Window]) -> None:
    first, second = come_in(opened, room[0]), come_in(opened, room[0])
    assert badge(first) != badge(second)
    first.page.click(".st-key-person button")
    first.page.fill(".st-key-person_name input", "Ada *Lovelace*")
    first.page.keyboard.press("Enter")
    first.page.wait_for_function("document.querySelector('.st-key-person button p').innerText === 'Ada *Lovelace*'")
    assert "Ada *Lovelace*" in api_people.names(room[1]).values()
    second.page.reload()
    second.page.wait_for_selector(".st-key-person")
    assert "guest" in badge(second)
    assert first.errors == second.errors == []


def test_the_hosts_link_makes_the_host_and_hides_its_token(
    room: tuple[str, Home], opened: Callable[..., Window]
) -> None:
    window = opened(f"{room[0]}/?host={TOKEN}")
    window.page.wait_for_selector(".st-key-person")
    window.page.wait_for_selector(RUNNING)
    assert TOKEN not in window.page.url
    window.page.click(".st-key-person button")
    assert "You are the host" in window.page.locator('[data-testid="stPopoverBody"]').inner_text()
    assert window.errors == []


def test_people_who_run_one_link_share_one_trial_and_each_takes_back_their_own_wish(
    room: tuple[str, Home], opened: Callable[..., Window]
) -> None:
    address, home = room
    windows = [come_in(opened, address) for _ in range(3)]
    for window in windows:
        window.page.goto(address + LINK)
        window.page.wait_for_selector(".st-key-run button")
        window.page.wait_for_selector(RUNNING)
        window.page.click(".st-key-run button")
        window.page.wait_for_selector(".st-key-progress", timeout=PATIENCE)
    (key,) = {
        w.id
        for w in store_read.unfinished(store_of(home))
        if w.kind == "trial" and w.body["seed"] == 31 and w.id != w.dense_key and w.body["phases"][0].get("teachers")
    }
    wanted(windows[0], home, key, 3)
    assert api.status(home, key)["attempt"] == 1
    windows[0].page.locator("[class*=st-key-cancel] button").first.click()
    wanted(windows[0], home, key, 2)
    assert api.status(home, key)["state"] == "queued"
    assert all(not w.errors for w in windows)
