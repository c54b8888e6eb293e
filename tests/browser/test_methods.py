"""The page Methods as people see it: formula, picture, settings, links, the search and the back button."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window, shows
from browser.test_front import expect
from browser.test_looks import OVERFLOW, SPILLED, contrast

pytestmark = pytest.mark.browser
STILL = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def shown(window: Window, title: str) -> Any:
    """Wait for an entry; the page."""
    expect(window.page.locator(".sh-method h2", has_text=title)).to_be_visible()
    window.page.wait_for_selector(STILL, timeout=PATIENCE)
    return window.page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize(
    ("name", "title"), [("prune_channels", "Remove whole channels"), ("attention", "Distillation")]
)
def test_how_it_looks(
    seeded: str, opened: Callable[..., Window], name: str, title: str, scheme: str, width: int, height: int
) -> None:
    window = opened(f"{seeded}/methods?method={name}", width, height, scheme)
    page = shown(window, title)
    page.wait_for_selector(".st-key-methods_picture .main-svg", timeout=PATIENCE)
    assert page.evaluate(OVERFLOW) <= 0
    assert [e for e in page.evaluate(SPILLED) if "katex" not in e] == [], "a long formula scrolls inside its frame"
    shows(page.locator(".st-key-methods_formula .katex-html"), least=2, why="the formula is drawn")
    shows(page.locator(".st-key-methods_formula .katex-error"), 0)
    shows(page.locator(".st-key-methods_picture .sh-pixels:not([alt])"), 0)
    for selector in (".sh-lead", ".sh-chips li", ".sh-words dd", ".sh-words a", ".st-key-methods_chosen a p"):
        assert contrast(window, selector) >= 4.5, selector
    assert window.errors == []


def test_a_link_of_the_list_and_the_way_back(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/methods?method=kd")
    page = shown(window, "Distillation (soft targets)")
    page.locator(".st-key-methods_list a", has_text="Prune N of every M").click()
    shown(window, "Prune N of every M")
    expect(page).to_have_url(re.compile("method=prune_n_m"))
    page.get_by_label("Search", exact=True).fill("hinton")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-methods_list a", has_text="Prune N of every M")).to_have_count(0)
    expect(page.locator(".st-key-methods_list a", has_text="Soft targets").first).to_be_visible()
    assert window.errors == []


def test_another_setting_gives_another_picture(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/methods?method=kd")
    page = shown(window, "Distillation (soft targets)")
    told = page.locator(".st-key-methods_picture .sh-sub").last
    before = told.inner_text()
    page.locator(".st-key-methods_picture input[type=range]").press("ArrowRight")
    expect(told).not_to_have_text(before)
    assert window.errors == []


@pytest.mark.parametrize(("label", "there"), [("Open on Explore", "loss=decoupled"), ("Put it into", "/sweep")])
def test_a_link_opens_the_other_page_with_it(
    seeded: str, opened: Callable[..., Window], label: str, there: str
) -> None:
    window = opened(f"{seeded}/methods?method=decoupled")
    page = shown(window, "Distillation (right and wrong")
    page.locator(".st-key-methods_try a", has_text=label).first.click()
    expect(page).to_have_url(re.compile(re.escape(there)))
    page.wait_for_selector(STILL, timeout=PATIENCE)
    shows(page.locator('[data-testid="stAlertContentError"], [data-testid="stAlertContentWarning"]'), 0)
    assert window.errors == []
