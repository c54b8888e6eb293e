"""The page answers at once: soft targets, what-if, a clicked point, few labels; every number was measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from browser.conftest import PATIENCE, Window
from browser.seeded import LOSS_BY_BITS, SPARSITIES, TASK
from engine.preview import preview
from engine.units import format_share

pytestmark = pytest.mark.browser
WHAT_IF = ".st-key-what_if .sh-story"


def expect(thing: Any) -> Any:
    """Playwright's assertion, which waits; imported late, since playwright may be missing."""
    from playwright.sync_api import expect as waiting

    waiting.set_options(timeout=PATIENCE)
    return waiting(thing)


def slide(window: Window, name: str, presses: int) -> None:
    """Move a slider by keys, as a person without a mouse does."""
    handle = window.page.locator(f".st-key-{name} input[type=range]")
    handle.focus()
    for _ in range(abs(presses)):
        handle.press("ArrowRight" if presses > 0 else "ArrowLeft")


def shares(temperature: float, image: int = 0) -> list[str]:
    """The teacher's softened probabilities as the page writes them."""
    logits = preview(TASK).teacher_logits[image].astype(np.float64) / temperature
    powers = np.exp(logits - logits.max())
    return [format_share(p) for p in powers / powers.sum()]


def bars(window: Window) -> list[str]:
    return [t for t in window.page.locator(".sh-bars > span").all_inner_texts() if "%" in t]


def test_the_temperature_redraws_the_soft_targets(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    window.settled()
    page = window.page
    assert bars(window) == shares(4.0)
    slide(window, "temperature", 2)
    expect(page.locator(".sh-bars")).to_contain_text(max(shares(6.0), key=lambda s: float(s[:-2])))
    assert bars(window) == shares(6.0)
    page.locator(".st-key-image_next button").first.click()
    expect(page).to_have_url(re.compile("image=1"))
    expect(page.locator(".sh-bars")).to_contain_text(max(shares(6.0, 1), key=lambda s: float(s[:-2])))
    assert bars(window) == shares(6.0, 1)
    page.locator(".st-key-image_previous button").first.click()
    expect(page).not_to_have_url(re.compile("image="))


def test_what_if_follows_both_sliders_at_once(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/?bits=4")
    window.settled()
    said = window.page.locator(WHAT_IF)
    expect(said).to_contain_text("50 % zeros at 4 bits")
    before = said.inner_text().partition(":")[2]
    slide(window, "bits", -1)
    expect(said).to_contain_text("50 % zeros at 3 bits")
    assert said.inner_text().partition(":")[2] != before
    slide(window, "sparsity", 4)  # faster than the page answers: no press is lost
    expect(said).to_contain_text("70 % zeros at 3 bits")
    assert len(SPARSITIES) * len(LOSS_BY_BITS) == 72
    expect(window.page.locator(".st-key-what_if")).to_contain_text("72 of 72 measured")
    # the charts and the answer talk about that point too, which nobody ran
    expect(window.page.locator(".st-key-story")).to_contain_text("70 % zeros at once")
    assert window.errors == []


def test_a_click_on_a_point_shows_its_recipe(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    window.settled()
    page = window.page
    page.mouse.click(*place_of(window, "chart_packed_bytes", "dense", "plain_150k"))
    expect(page).to_have_url(re.compile("point=[0-9a-f]{12}"))
    story = page.locator(".st-key-story")
    expect(story).to_contain_text("plain 150k")
    expect(story).to_contain_text("no pruning")
    story.get_by_role("button", name="Details").click()
    popover = page.locator('[data-testid="stPopoverBody"]')
    expect(popover.locator("code").last).to_contain_text('"student": "plain_150k"')
    page.locator(".st-key-use_settings button").first.click()
    expect(page).to_have_url(re.compile("student=plain_150k"))


PLACE = """([chart, group, student]) => { const graph = document.querySelector(`.st-key-${chart} .js-plotly-plot`);
  const { xaxis, yaxis } = graph._fullLayout, box = graph.getBoundingClientRect();
  for (const trace of graph._fullData) if (trace.legendgroup === group)
    for (let i = 0; i < trace.x.length; i++) if (trace.hovertext[i].includes(student))
      return [box.left + xaxis._offset + xaxis.d2p(trace.x[i]), box.top + yaxis._offset + yaxis.d2p(trace.y[i])] }"""


def place_of(window: Window, chart: str, group: str, student: str) -> tuple[float, float]:
    """Where the first point of a student in a group is drawn, in pixels of the window."""
    found = window.page.evaluate(PLACE, [chart, group, student])
    assert found, f"no point of {student} among {group}"
    return float(found[0]), float(found[1])


def test_few_labels_say_that_the_teacher_saw_all(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    window.settled()
    note = window.page.get_by_text("The teacher saw all labels")
    expect(note).to_have_count(0)
    slide(window, "labels", -2)
    expect(note).to_be_visible()
    expect(window.page).to_have_url(re.compile("labels=5000"))
    expect(window.page.locator(".st-key-group_teaching")).to_contain_text("5,000 labels")


def test_shipped_points_are_labelled_and_can_be_timed_again(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(seeded)
    window.settled()
    button = window.page.get_by_role("button", name="Time these again")
    if "came with the project" not in window.text(".sh-key"):
        expect(button).to_have_count(0)
        return
    expect(window.page.get_by_text("Their times are not yours")).to_be_visible()
    expect(button).to_be_enabled()
