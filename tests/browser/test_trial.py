"""The page Trial in a browser: reached by a link and by a click, every part of it, and one point really taken apart."""

from __future__ import annotations

import fcntl
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser.conftest import PATIENCE, Window, served
from browser.test_answers import expect
from engine import api
from engine.home import Home
from engine.recipe import Recipe

pytestmark = pytest.mark.browser
DEFAULT = Recipe.from_json(api.default_recipe("fashion_mnist"))
KEY = DEFAULT.key[:12]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SPILLED = """() => { const edge = document.querySelector('[data-testid=stMain]').getBoundingClientRect().right + 1;
  return [...document.querySelectorAll('[data-testid=stMain] *:not(svg *)')]
    .filter(e => e.offsetParent && e.getBoundingClientRect().right > edge).map(e => e.outerHTML.slice(0, 90)) }"""
SIZES = ((1280, 720), (1920, 1080))
INSPECTING_MS = 240_000  # trains the student where nothing is kept; the machine may be busy


def at_rest(window: Window) -> None:
    window.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE)


def part(window: Window, name: str) -> None:
    """Choose a part of the page as a person does."""
    window.page.locator(".st-key-trial_view button", has_text=re.compile(f"^{name}$")).click()


def come_back_if_lost(window: Window, name: str, selector: str) -> None:
    """The part is drawn. Once, on a busy machine, it was chosen and not drawn, for a reason not found: chosen again."""
    from playwright.sync_api import TimeoutError as TooLate  # imported late, since playwright may be missing

    found = window.page.locator(selector).first
    try:
        found.wait_for(timeout=15_000)
    except TooLate:
        part(window, "How sure")
        part(window, name)
    expect(found).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_part_fits_and_nothing_complains(
    seeded: str, opened: Callable[..., Window], scheme: str, width: int, height: int
) -> None:
    window = opened(f"{seeded}/trial?key={KEY}", width, height, scheme)
    page = window.page
    expect(page.locator(".sh-story")).to_contain_text("right in")
    expect(page.locator(".st-key-chart_steps .point").first).to_be_visible()
    head = page.locator(".st-key-trial_head").bounding_box()
    assert head["y"] + head["height"] < height, "what the point is stands on the first screen"
    parts = {
        "Inside": "[data-testid=stCaptionContainer]:has-text('layers appear here')",
        "Layer by layer": ".st-key-sense_measure",
        "Time": ".st-key-trial_times .sh-table",
        "Mistakes": ".sh-cards",
        "Try an image": ".sh-pixels",
        "Record": ".st-key-trial_recipe",
        "Step by step": ".st-key-chart_steps",
    }
    for name, selector in parts.items():
        part(window, name)
        come_back_if_lost(window, name, selector)
        at_rest(window)
        assert page.evaluate(OVERFLOW) <= 0, name
        assert page.evaluate(SPILLED) == [], name
    assert window.errors == []


def test_a_cell_of_the_matrix_chooses_the_images_and_stands_in_the_address(
    seeded: str, opened: Callable[..., Window]
) -> None:
    window = opened(f"{seeded}/trial?key={KEY}&view=mistakes")
    page = window.page
    expect(page.locator(".st-key-chart_mixed .point").first).to_be_attached()
    # row and column of a cell: made-up answers that are wrong are one class further
    page.locator(".st-key-chart_mixed .point").nth(0 * 10 + 1).click(force=True)
    expect(page).to_have_url(re.compile("label=0&answer=1|answer=1&label=0"))
    expect(page.locator(".st-key-trial_images")).to_contain_text("label T-shirt/top and answer Trouser")
    first = page.locator(".sh-card small").first.inner_text()
    page.locator(".st-key-mistakes_next button").first.click()
    expect(page.locator(".sh-card small").first).not_to_have_text(first)
    page.reload()
    expect(page.locator(".st-key-trial_images")).to_contain_text("label T-shirt/top and answer Trouser")
    expect(page.locator(".st-key-trial_images")).to_contain_text("13 to")


def test_from_explore_to_the_point_and_back(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/?point={KEY}")
    window.settled()
    page = window.page
    page.get_by_role("link", name="Open its page").click()
    expect(page).to_have_url(re.compile(f"/trial\\?key={KEY}"))
    expect(page.locator(".st-key-trial_head .sh-story")).to_contain_text("right in")
    page.locator(".st-key-trial_ways").get_by_role("link", name="Dense student").click()
    expect(page).to_have_url(re.compile(f"key={DEFAULT.dense().key[:12]}"))
    expect(page.locator(".st-key-trial_head")).to_contain_text("Dense student: plain 10k")
    page.go_back()
    expect(page.locator(".st-key-trial_head")).to_contain_text("50 % zeros")
    page.locator(".st-key-trial_ways").get_by_role("link", name="Show on Explore").click()
    expect(page.locator(".st-key-story")).to_contain_text("right in")
    assert window.errors == []


def test_two_quick_changes_are_both_kept(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/trial?key={KEY}")
    page = window.page
    expect(page.locator(".st-key-chart_steps .point").first).to_be_visible()
    part(window, "Inside")
    part(window, "Mistakes")
    expect(page).to_have_url(re.compile("view=mistakes"))
    expect(page.locator(".sh-cards")).to_be_visible()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[str]:
    """A server that nobody has opened yet, on an empty home where no runner starts."""
    home = Home.locate(tmp_path)
    with home.lock("runner").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with served(home) as address:
            yield address


def test_the_first_visitor_of_a_server_may_come_by_a_link_to_a_point(fresh: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{fresh}/trial?key={KEY}")
    expect(window.page.locator(".st-key-trial_head")).to_contain_text("results that come with the project")
    window.page.goto(f"{fresh}/trial?key=ffffffffffff")
    expect(window.page.locator(".st-key-trial_pick")).to_contain_text("Choose a point")


def test_a_shipped_point_is_taken_apart_and_answers_a_picture_of_ones_own(
    working: str, opened: Callable[..., Window]
) -> None:
    window = opened(f"{working}/trial?key={KEY}")
    page = window.page
    expect(page.locator(".st-key-trial_head")).to_contain_text("right in")
    page.wait_for_selector(".st-key-inspecting, .st-key-trial_table .sh-table tbody tr:nth-child(4)")
    page.wait_for_selector(".st-key-trial_table .sh-table tbody tr:nth-child(3)", timeout=INSPECTING_MS)
    expect(page.locator(".st-key-trial_table")).to_contain_text("rounded to 8 bits")
    part(window, "Inside")
    expect(page.locator(".st-key-chart_layers .point").first).to_be_attached()
    expect(page.locator(".st-key-chart_filters")).to_be_visible()
    part(window, "Try an image")
    page.locator(".st-key-trial_upload input[type=file]").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": trousers()}
    )
    expect(page.locator(".st-key-trial_picture")).to_contain_text("What the networks see")
    answers = page.locator(".st-key-trial_answers .sh-bars")
    expect(answers).to_have_count(3)
    expect(page.locator(".sh-verdict")).to_have_text(["Trouser"] * 3)  # those for the image before say "right"
    page.locator(".st-key-trial_upload input[type=file]").set_input_files(
        {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(page.get_by_role("alert")).to_contain_text("PNG or JPEG")
    assert window.errors == []


def trousers() -> bytes:
    """A photograph-like picture, dark on light and larger than the data set's: two legs that hang from a waistband."""
    picture: Any = np.full((280, 220), 240, np.uint8)
    picture[20:60, 60:160] = 40
    picture[60:260, 62:104] = 50
    picture[60:260, 116:158] = 50
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
