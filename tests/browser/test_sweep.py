"""The Sweep page in a real browser: how it looks, how a sweep is put together, and real sweeps from start to end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window, shows
from browser.test_answers import expect
from browser.test_looks import OVERFLOW, SIZES, SPILLED, contrast
from engine import api, api_sweeps
from pages.parts import sweep_link

pytestmark = pytest.mark.browser
TASK = "fashion_mnist"
RUN_MS = 240_000


def settled(window: Window) -> None:
    """Wait until the page has been drawn once and its script rests."""
    window.page.wait_for_selector(".sh-brand", timeout=PATIENCE)
    window.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE)


def link(base: str, spec: dict[str, Any]) -> str:
    return f"{base}/sweep?spec={sweep_link.pack(spec)}"


def small(**more: Any) -> dict[str, Any]:
    """A sweep whose trials take seconds: the smallest student, one epoch."""
    spec = {**api.default_recipe(TASK), "student": "plain_1k5", **more}
    spec["phases"][0]["epochs"] = 1
    return spec


def choose(window: Window, key: str, option: str) -> None:
    """Pick an option of a select box; its list does not open while the page scrolls to it."""
    box = window.page.locator(f".st-key-{key} input").first
    box.evaluate("e => e.scrollIntoView({block: 'center'})")
    window.page.wait_for_timeout(200)
    box.click()
    window.page.get_by_role("option", name=option).first.click()
    settled(window)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_form(seeded: str, opened: Callable[..., Window], scheme: str, width: int, height: int) -> None:
    window = opened(f"{seeded}/sweep?ready=orders", width, height, scheme)
    settled(window)
    page = window.page
    expect(page.locator(".st-key-sweep_start")).to_contain_text("Start 8 trials")
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SPILLED) == []
    box = page.locator(".st-key-sweep_start button").first.bounding_box()
    assert box
    assert box["y"] + box["height"] < height, "Start is on the first screen"
    page.mouse.move(width / 3, height / 2)
    page.mouse.wheel(0, 600)
    page.wait_for_timeout(300)
    box = page.locator(".st-key-sweep_start button").first.bounding_box()
    assert box
    assert 0 < box["y"] < height, "and stays there while the form is scrolled"
    for selector in (".sh-sub", ".sh-facts small", ".st-key-sweep_start button p"):
        assert contrast(window, selector) >= 4.5, selector
    assert window.errors == []


def test_a_sweep_is_put_together_without_json(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/sweep")
    settled(window)
    page = window.page
    choose(window, "sw1_student_mode", "a list")
    page.locator(".st-key-sw1_student_list input").first.click()
    page.get_by_role("option", name="Plain CNN, 5,058").first.click()
    expect(page.locator(".st-key-sweep_start")).to_contain_text("2 ")
    page.keyboard.press("Escape")
    settled(window)
    temperature = page.locator("[class*='_temperature_mode']").first.get_attribute("class") or ""
    found = re.search(r"st-key-(sw\d+)_temperature_mode", temperature)
    assert found
    choose(window, f"{found[1]}_temperature_mode", "a log range")
    expect(page.locator(".st-key-sweep_start")).to_contain_text("Start 6 trials")
    page.locator(f".st-key-{found[1]}_temperature_count input").fill("4")
    page.locator(f".st-key-{found[1]}_temperature_count input").press("Enter")
    expect(page.locator(".st-key-sweep_start")).to_contain_text("Start 8 trials")
    settled(window)
    other = opened(page.url)
    settled(other)
    expect(other.page.locator(".st-key-sweep_start")).to_contain_text("Start 8 trials")
    assert window.errors == other.errors == []


def test_an_impossible_order_is_said_where_it_stands(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/sweep")
    settled(window)
    page = window.page
    piece = page.locator("[class*='st-key-piece_']", has_text="Quantize to few bits")
    piece.get_by_role("button", name="↓").first.click()
    expect(piece.get_by_role("alert")).to_contain_text("cannot come after")
    expect(page.locator(".st-key-sweep_start button").first).to_be_disabled()
    piece.get_by_role("button", name="↑").first.click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".st-key-sweep_start button").first).to_be_enabled()
    page.wait_for_timeout(2500)  # sooner, an older address is taken for one that the browser brings late
    page.go_back()
    expect(page.locator(".st-key-sweep_start button").first).to_be_disabled()
    assert window.errors == []


@pytest.mark.slow
def test_a_real_sweep_from_start_to_end(working: str, opened: Callable[..., Window]) -> None:
    window = opened(link(working, small(seed=[0, 1], sweep={"name": "two seeds"})))
    settled(window)
    page = window.page
    expect(page.locator(".st-key-sweep_start")).to_contain_text("Start 2 trials")
    page.locator(".st-key-sweep_start button").first.click()
    head = page.locator(".st-key-sweep_head")
    expect(head).to_contain_text("running")
    expect(page).to_have_url(re.compile(r"sweep=[0-9a-f]{12}$"))
    page.locator(".st-key-sweep_pause button").first.click()
    expect(head).to_contain_text("paused")
    page.locator(".st-key-sweep_resume button").first.click()
    expect(head).to_contain_text(re.compile("running|done"))
    other = opened(page.url)
    expect(other.page.locator(".st-key-sweep_head")).to_contain_text("two seeds")
    expect(head).to_contain_text("2 of 2 trials", timeout=RUN_MS)
    for name in ("packed_bytes", "latency_ms"):
        expect(page.locator(f".st-key-chart_sweep_{name} path.point")).not_to_have_count(0)
    expect(page.locator(".sh-table tbody tr")).to_have_count(2)
    expect(page.locator(".sh-table")).to_contain_text(re.compile(r"[+−]\d+\.\d \([+−]\d"))
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SPILLED) == []
    point = page.locator(".st-key-chart_sweep_packed_bytes path.point").last.bounding_box()
    assert point
    page.mouse.click(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    expect(page).to_have_url(re.compile(r"trial\?key=[0-9a-f]{12}$"))
    page.wait_for_timeout(1000)
    page.go_back()
    expect(head).to_contain_text("2 of 2 trials")
    page.locator(".st-key-sweep_back button").first.click()
    row = page.locator("[class*='st-key-sweep_open_'] button").first
    row.click()
    expect(head).to_contain_text("2 of 2 trials")
    page.locator(".st-key-sweep_back button").first.click()
    expect(page.locator(".st-key-sweep_list")).to_contain_text("2 of 2 trials")
    assert window.errors == other.errors == []


@pytest.mark.slow
def test_cancel_extend_and_what_is_known_is_not_run_again(working: str, opened: Callable[..., Window]) -> None:
    spec = small(seed=[0, 1, 2, 3, 4], sweep={"name": "long", "trials": 3})
    spec["phases"][0]["epochs"] = 30
    window = opened(link(working, spec))
    settled(window)
    page = window.page
    page.locator(".st-key-sweep_start button").first.click()
    head = page.locator(".st-key-sweep_head")
    expect(head).to_contain_text("0 of 3 trials")
    page.locator(".st-key-sweep_extend button").first.click()
    page.locator(".st-key-sweep_extend_go button").first.click()
    expect(head).to_contain_text("of 5 trials")
    page.keyboard.press("Escape")
    page.locator(".st-key-sweep_cancel button").first.click()
    expect(head).to_contain_text("cancelled")
    page.locator(".st-key-sweep_copy button").first.click()
    expect(page.locator(".st-key-sweep_start")).to_contain_text("Start")
    assert window.errors == []


def test_four_orders_have_a_table_and_a_chart_each_with_words(seeded: str, opened: Callable[..., Window]) -> None:
    ready = next(r for r in api_sweeps.ready(TASK) if r["name"] == "orders")
    window = opened(link(seeded, dict(ready["spec"])))
    settled(window)
    page = window.page
    names = page.locator(".st-key-sweep_order label, .st-key-sweep_order button")
    expect(page.locator(".st-key-sweep_orders")).to_contain_text("jointly")
    shows(names, least=4)
    page.locator(".st-key-sweep_orders").get_by_text("jointly").first.click()
    expect(page.locator(".st-key-sw1_seed_list")).to_be_visible()
    expect(page.locator("[class*='st-key-phase_']")).to_have_count(1)
    assert window.errors == []
