"""Run and Cancel with real trials: progress that moves, a point on the charts, a sentence; and a run withdrawn."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from browser.conftest import Window
from browser.test_answers import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TINY = "student=plain_1k5&epochs=1"
FAILED = '[data-testid="stAlertContentError"]'
RUN_MS = 120_000  # a quarter of a minute on an idle machine


def test_a_run_is_shown_while_it_runs_and_when_it_is_measured(working: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{working}/?{TINY}")
    window.settled()
    page = window.page
    expect(page.locator(".st-key-run_bar")).to_contain_text(re.compile(r"About [\d.]+ s"))
    page.locator(".st-key-run button").first.click()
    progress = page.locator(".st-key-progress")
    expect(progress).to_contain_text("Your student")
    expect(progress.get_by_role("progressbar")).to_be_visible()
    story = page.locator(".st-key-story")
    expect(story).to_contain_text("These settings, measured", timeout=RUN_MS)
    expect(story).to_contain_text(re.compile(r"\d\d\.\d\s%\sright in\s[\d.]+\sk?B"))
    expect(page.locator(".st-key-run_bar")).to_contain_text("Already measured")
    page.wait_for_function(DRAWN)  # its point is ringed on both charts, which are drawn after the sentence
    # its dense student and the grid may still be at work: withdraw what nobody in this test waits for
    cancel = page.get_by_role("button", name="Cancel").first
    if cancel.is_visible():
        cancel.click()
    expect(progress).to_have_count(0)
    assert window.errors == []


DRAWN = """() => ['packed_bytes', 'latency_ms'].every(name => {
  const graph = document.querySelector(`.st-key-chart_${name} .js-plotly-plot`);
  return graph._fullData.some(t => t.marker && t.marker.symbol === 'circle-open' && t.marker.size === 22) })"""


def test_cancel_withdraws_a_run_with_its_companions(working: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{working}/?student=plain_29k&epochs=40")
    window.settled()
    page = window.page
    page.locator(".st-key-run button").first.click()
    progress = page.locator(".st-key-progress")
    expect(progress).to_contain_text("training")
    page.get_by_role("button", name="Cancel").first.click()
    expect(progress).to_contain_text("Cancelled", timeout=5000)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.locator(".st-key-story")).to_contain_text("have not been measured yet")
    assert window.errors == []


def test_shipped_points_are_timed_again_at_a_click(working: str, opened: Callable[..., Window]) -> None:
    window = opened(working)
    window.settled()
    button = window.page.get_by_role("button", name="Time these again")
    if not button.count():
        pytest.skip("no shipped results in this checkout")
    button.click()
    expect(window.page.locator(".st-key-progress")).to_contain_text("Shipped files")
    expect(window.page.locator(".st-key-progress")).to_have_count(0, timeout=RUN_MS)
    expect(window.page.locator(FAILED)).to_have_count(0)
