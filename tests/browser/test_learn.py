"""A lesson as a learner plays it: by keyboard alone, with real runs, to a verdict; and what fits on the screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window
from browser.test_answers import expect
from browser.test_looks import OVERFLOW, SPILLED
from engine import lessons

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RUN_MS = 240_000  # half a minute on an idle machine
MOST_TABS = 80
STILL = '[data-testid="stApp"][data-test-script-state="notRunning"]'
FOCUSED = "inside => !!document.activeElement.closest(inside)"


def reach(page: Any, inside: str) -> None:
    """Press Tab until something in there has the focus."""
    for _ in range(MOST_TABS):
        if page.evaluate(FOCUSED, inside):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{inside} cannot be reached with Tab")


def still(page: Any) -> None:
    page.wait_for_selector(STILL, timeout=PATIENCE)
    page.wait_for_timeout(300)
    page.wait_for_selector(STILL, timeout=PATIENCE)


@pytest.mark.parametrize("name", list(lessons.known()))
def test_a_lesson_has_its_figure_and_fits_the_width(seeded: str, opened: Callable[..., Window], name: str) -> None:
    window = opened(f"{seeded}/learn?lesson={name}")
    page = window.page
    expect(page.locator(".sh-question")).to_have_text(lessons.known()[name].say("en").question, timeout=PATIENCE)
    still(page)
    expect(page.locator(".sh-live svg")).to_be_visible()
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SPILLED) == []
    box = page.locator(".st-key-learn_to_predict button").first.bounding_box()
    assert box
    assert box["y"] + box["height"] <= 760, "the way on is seen without scrolling, or nearly"
    assert window.errors == []


def test_a_lesson_is_played_by_keyboard_alone_to_its_verdict(working: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{working}/learn?lesson=losses")
    page = window.page
    expect(page.locator(".sh-question")).to_be_visible(timeout=PATIENCE)
    still(page)
    reach(page, ".st-key-learn_to_predict")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-learn_choice")).to_be_visible()
    still(page)
    assert page.locator(".st-key-learn_go button").first.is_disabled()
    reach(page, ".st-key-learn_choice [role=radiogroup]")
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile("choice="), timeout=PATIENCE)
    still(page)
    reach(page, ".st-key-learn_go")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-learn_work, .st-key-learn_verdict").first).to_be_visible()
    expect(page.locator(".sh-verdict")).to_contain_text(re.compile("held|decide"), timeout=RUN_MS)
    expect(page.locator(".st-key-learn_reasons .sh-reason").first).to_be_visible()
    expect(page.locator(".st-key-learn_chart .main-svg").first).to_be_visible()
    assert "step=check" in page.url
    again = opened(page.url).page
    expect(again.locator(".sh-verdict")).to_have_text(page.locator(".sh-verdict").inner_text(), timeout=PATIENCE)
    assert window.errors == []


def test_wrong_addresses_are_told_and_shown_as_usual(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/learn?lesson=temprature&step=runs&seed=-3&temperature=900&colour=red")
    page = window.page
    expect(page.locator('[data-testid="stAlertContentWarning"]')).to_have_count(5, timeout=PATIENCE)
    expect(page.locator('[data-testid="stAlertContentWarning"]').first).to_contain_text("temperature")
    expect(page.locator(".sh-question")).to_have_text(next(iter(lessons.known().values())).say("en").question)
