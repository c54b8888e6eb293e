"""The page Front as people see it: limits typed and slid, the answer in words, views, a click, what is taken away."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window, foreign, shows
from browser.test_looks import OVERFLOW, SPILLED, contrast

pytestmark = pytest.mark.browser
CHART = ".st-key-chart_front"
ANSWER = ".st-key-front_answer .sh-story"


def expect(thing: Any) -> Any:
    """Playwright's assertion, which waits; imported late, since playwright may be missing."""
    from playwright.sync_api import expect as waiting

    waiting.set_options(timeout=PATIENCE)
    return waiting(thing)


def drawn(window: Window) -> Any:
    """Wait for the chart; the page."""
    window.page.wait_for_selector(f"{CHART} .main-svg", timeout=PATIENCE)
    window.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE)
    return window.page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_how_it_looks(seeded: str, opened: Callable[..., Window], scheme: str, width: int, height: int) -> None:
    window = opened(f"{seeded}/front?max_bytes=10000&min_quality=0.85", width, height, scheme)
    page = drawn(window)
    assert page.evaluate(OVERFLOW) <= 0
    assert [e for e in page.evaluate(SPILLED) if "dvn-" not in e] == [], "a table scrolls inside its frame"
    box = page.locator(CHART).bounding_box()
    assert box
    assert box["y"] < height - 250, "the chart begins on the first screen"
    shows(page.locator(f"{CHART} path.point"), least=51)
    for selector in (ANSWER, ".st-key-front_answer .sh-sub", ".sh-fronts", "h3.sh-group"):
        assert contrast(window, selector) >= 4.5, selector
    shows(page.locator(CHART).locator('[role="img"], [aria-label]'), least=1)
    assert window.errors == []


def test_a_typed_limit_moves_the_slider_the_lines_the_words_and_the_address(
    seeded: str, opened: Callable[..., Window]
) -> None:
    window = opened(f"{seeded}/front")
    page = drawn(window)
    expect(page.locator(ANSWER)).to_contain_text("knee")
    field = page.locator(".st-key-front_max_bytes input")
    field.fill("6 kB")
    field.press("Enter")
    expect(page.locator(".st-key-front_answer")).to_contain_text("at most 6 kB")
    expect(page).to_have_url(re.compile("max_bytes=6000"))
    expect(page.locator(f"{CHART} .shapelayer path")).to_have_count(2)
    expect(page.locator(".st-key-front_max_bytes_slider")).to_contain_text("6 kB")
    said = page.locator(".st-key-front_answer").inner_text()
    assert re.search(r"\d+ of [\d,]+ points keep to that", said)
    assert re.search(r"Runner-up: .*probability of (more than |less than )?\d+\s%", said, re.S)
    size = float(re.search(r"in ([\d.]+)\skB", page.locator(ANSWER).inner_text()).group(1))
    assert size <= 6
    slider = page.locator(".st-key-front_max_bytes_slider input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    expect(page).to_have_url(re.compile("max_bytes=5000"))
    expect(field).to_have_value("5 kB")
    assert window.errors == []


def test_what_is_typed_wrongly_is_said_and_nothing_is_lost(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/front?max_bytes=8000")
    page = drawn(window)
    field = page.locator(".st-key-front_max_bytes input")
    field.fill("small")
    field.press("Enter")
    expect(page.locator('[data-testid="stAlert"]')).to_contain_text("100kB")
    expect(page.locator(".st-key-front_max_bytes input")).to_have_value("8 kB")
    field.fill("")
    field.press("Enter")
    expect(page.locator('[data-testid="stAlert"]')).to_have_count(0)
    expect(page).not_to_have_url(re.compile("max_bytes"))


def test_an_address_that_cannot_be_falls_back_with_a_notice(seeded: str, opened: Callable[..., Window]) -> None:
    page = drawn(opened(f"{seeded}/front?cost=weight&max_bytes=1"))
    expect(page.locator('[data-testid="stAlert"]')).to_contain_text("packed_bytes")
    expect(page.locator(ANSWER)).to_contain_text("Allow a little more")
    expect(page).not_to_have_url(re.compile("cost="))


def test_the_three_views(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/front?cost=latency_ms", 1280, 1000)
    page = drawn(window)
    expect(page.locator(".st-key-front_views [data-testid=stDataFrame]")).to_be_visible()
    page.locator(".st-key-front_view button", has_text="lines").click()
    expect(page.locator(".st-key-front_parallel .parcoords, .st-key-front_parallel canvas").first).to_be_attached()
    expect(page).to_have_url(re.compile("view=parallel"))
    page.locator(".st-key-front_view button", has_text="matters").click()
    bars = page.locator(".st-key-front_importances .bars path")
    expect(bars.first).to_be_visible()
    shows(bars, least=2)
    assert page.evaluate(OVERFLOW) <= 0
    assert [e for e in window.errors if "WebGL" not in e] == []


def test_a_click_on_a_point_opens_its_page(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/front", 1280, 1000)
    page = drawn(window)
    box = page.locator(f"{CHART} path.point").last.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile(r"/trial\?key=[0-9a-z]{12}"))
    page.go_back()
    drawn(window)
    expect(page).to_have_url(re.compile("/front"))


@pytest.mark.parametrize(("kind", "begins"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_a_picture_is_made_in_the_browser(
    seeded: str, opened: Callable[..., Window], tmp_path: Path, kind: str, begins: bytes
) -> None:
    page = drawn(opened(f"{seeded}/front"))
    page.locator(".st-key-front_picture button", has_text=kind).click()
    page.wait_for_timeout(500)
    drawn(Window(page))
    page.locator(CHART).hover()
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.locator(f"{CHART} [data-attr=toImage], {CHART} .modebar-btn[data-title*=ownload]").first.click()
    saved = tmp_path / "picture"
    waiting.value.save_as(saved)
    assert waiting.value.suggested_filename.endswith(f".{kind.lower()}")
    assert saved.read_bytes().startswith(begins)


def test_the_web_page_works_without_a_network(seeded: str, opened: Callable[..., Window], tmp_path: Path) -> None:
    page = drawn(opened(f"{seeded}/front"))
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.locator(".st-key-front_chart [data-testid=stDownloadButton] button").first.click()
    saved = tmp_path / "front.html"
    waiting.value.save_as(saved)
    asked: list[str] = []
    context = page.context.browser.new_context(offline=True)
    alone = context.new_page()
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(saved.as_uri())
    alone.wait_for_selector(".main-svg", timeout=PATIENCE)
    shows(alone.locator("path.point"), least=51)
    assert foreign([a for a in asked if not a.startswith("file:")]) == []
    context.close()
