"""A copied link opens the same state in a fresh browser, on every page; what it locks or hides is locked or hidden."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window
from browser.test_answers import expect, slide
from browser.test_looks import OVERFLOW, SPILLED
from browser.test_trial import KEY

pytestmark = pytest.mark.browser
STILL = '[data-testid="stApp"][data-test-script-state="notRunning"]'
# what every control shows, by its key: words of sliders, fields and boxes, pressed buttons
SHOWN = """() => Object.fromEntries([...document.querySelectorAll('[class*="st-key-"]')].map(e => [
  [...e.classList].find(c => c.startsWith('st-key-')),
  [...e.querySelectorAll('input, textarea, [role=radio], [role=checkbox]')].map(i =>
    i.getAttribute('aria-valuetext') ?? i.getAttribute('aria-checked')
      ?? (i.type === 'checkbox' ? i.checked : i.value))]))"""


def _settled(window: Window) -> Any:
    window.page.wait_for_selector(STILL, timeout=PATIENCE)
    window.page.wait_for_timeout(1200)
    window.page.wait_for_selector(STILL, timeout=PATIENCE)
    return window.page


def _explore(window: Window) -> None:
    slide(window, "temperature", 3)
    slide(window, "bits", -2)
    window.page.locator(".st-key-seeds label").first.click()


def _front(window: Window) -> None:
    window.page.locator(".st-key-front_view").get_by_text("Which settings matter").or_(
        window.page.locator(".st-key-front_view button, .st-key-front_view [role=radio]").nth(2)
    ).first.click()


def _methods(window: Window) -> None:
    slide(window, "methods_value", 1)


def _results(window: Window) -> None:
    window.page.locator(".st-key-results_find input").fill("plain")
    window.page.locator(".st-key-results_find input").press("Enter")


def _sweep(window: Window) -> None:
    window.page.locator('[class*="st-key-ready_"] button:visible').nth(1).click()


def _trial(window: Window) -> None:
    window.page.locator(".st-key-trial_view button", has_text=re.compile("^Time$")).click()


def _learn(window: Window) -> None:
    slide(window, "live_temperature", 4)


def _predict(window: Window) -> None:
    window.page.locator(".st-key-learn_choice label").nth(2).click()
    window.page.locator(".st-key-learn_seed input").fill("7")
    window.page.locator(".st-key-learn_seed input").press("Enter")


CHANGES: list[tuple[str, Callable[[Window], None], str]] = [
    ("", _explore, "temperature=.*bits=.*seeds=true|seeds=true"),
    ("front", _front, "view="),
    ("methods?method=kd", _methods, "value="),
    ("results", _results, "find=plain"),
    ("sweep", _sweep, "ready=|spec="),
    (f"trial?key={KEY}", _trial, "view=time"),
    ("learn?lesson=temperature", _learn, "temperature="),
    ("learn?lesson=temperature&step=predict", _predict, "seed=7"),
]


IDS = ("explore", "front", "methods", "results", "sweep", "trial", "learn", "predict")


@pytest.mark.parametrize(("page", "change", "said"), CHANGES, ids=IDS)
def test_a_copied_link_shows_the_same_in_a_fresh_browser(
    seeded: str, opened: Callable[..., Window], page: str, change: Callable[[Window], None], said: str
) -> None:
    first = opened(f"{seeded}/{page}")
    _settled(first)
    change(first)
    expect(first.page).to_have_url(re.compile(said), timeout=PATIENCE)
    _settled(first)
    second = opened(first.page.url)
    _settled(second)
    end = time.monotonic() + PATIENCE / 1000
    while second.page.evaluate(SHOWN) != first.page.evaluate(SHOWN) and time.monotonic() < end:
        second.page.wait_for_timeout(300)  # widgets are there as soon as their scripts have come
    assert second.page.evaluate(SHOWN) == first.page.evaluate(SHOWN)
    assert second.page.url == first.page.url


def test_what_a_link_locks_cannot_be_moved_by_mouse_or_keyboard_and_goes_along(
    seeded: str, opened: Callable[..., Window]
) -> None:
    window = opened(f"{seeded}/?lock=temperature&hide=what_if&temperature=8")
    window.settled()
    page = window.page
    slider = page.locator(".st-key-temperature input[type=range]")
    expect(slider).to_be_disabled()
    assert not page.locator(".st-key-what_if").is_visible()
    page.keyboard.press("Tab")
    slider.evaluate("e => e.focus()")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert str(slider.get_attribute("aria-valuetext")).startswith("8")
    page.get_by_role("link", name="Methods").first.click()
    page.wait_for_selector(".sh-method")
    expect(page).to_have_url(re.compile("hide=what_if.*lock=temperature|lock=temperature.*hide=what_if"))


def test_the_dialog_makes_a_link_that_locks(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    window.settled()
    page = window.page
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("code")).to_have_text(re.compile("^http://127.0.0.1"))
    dialog.locator(".st-key-share_find input").fill("temper")
    dialog.locator(".st-key-share_find input").press("Enter")
    dialog.locator(".st-key-share_temperature").get_by_text("Locked").click()
    expect(dialog.locator("code")).to_have_text(re.compile(r"lock=temperature$"), timeout=PATIENCE)
    other = opened(dialog.locator("code").inner_text())
    other.settled()
    expect(other.page.locator(".st-key-temperature input[type=range]")).to_be_disabled()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize("address", ["?present=1", "?present=1&figure=what_if", "front?present=1"])
def test_a_projector_shows_one_figure_that_fits(
    seeded: str, opened: Callable[..., Window], address: str, width: int, height: int
) -> None:
    window = opened(f"{seeded}/{address}", width, height)
    page = _settled(window)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=PATIENCE)
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SPILLED) == []
    box = page.locator(".js-plotly-plot").first.bounding_box()
    assert box["height"] > 0.33 * height
    assert box["y"] + box["height"] <= height + 1
    assert not page.locator('[data-testid="stSidebar"]').is_visible()
    assert float(page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")) >= 20
