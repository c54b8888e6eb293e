"""A live figure in a browser: keys move it, the address says where, a fresh window shows the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from browser.conftest import PATIENCE, Window

pytestmark = pytest.mark.browser
FIGURE = ".sh-live"


def said(window: Window) -> str:
    return str(window.page.locator(FIGURE).first.get_attribute("aria-label"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keys_move_the_figure_and_a_copied_address_shows_it(
    seeded: str, opened: Callable[..., Window], scheme: str
) -> None:
    window = opened(f"{seeded}/learn?lesson=temperature&temperature=3", scheme=scheme)
    window.page.wait_for_selector(f"{FIGURE} svg", timeout=PATIENCE)
    assert "temperature 3 " in said(window)
    window.page.locator(".st-key-live_temperature input[type=range]").first.focus()
    window.page.keyboard.press("ArrowRight")
    window.page.wait_for_function(
        "document.querySelector('.sh-live').getAttribute('aria-label').includes('temperature 3.5 ')"
    )
    window.page.wait_for_url("**temperature=3.5**")
    other = opened(window.page.url, scheme=scheme)
    other.page.wait_for_selector(f"{FIGURE} svg", timeout=PATIENCE)
    assert said(other) == said(window)
    # a page that is opened by its own address first looks for its server below that address: Streamlit's way
    assert [e for e in (*window.errors, *other.errors) if "404" not in e] == []


def test_text_of_figures_can_be_read_beside_the_answer(seeded: str, opened: Callable[..., Window]) -> None:
    window = opened(f"{seeded}/learn?lesson=quantization")
    window.page.wait_for_selector(f"{FIGURE} svg", timeout=PATIENCE)
    sizes = window.page.evaluate(
        "[...document.querySelectorAll('.sh-live text')].map(t => t.getBoundingClientRect().height)"
    )
    assert min(sizes) > 9  # pixels from the tallest letter to the lowest
    wide = window.page.evaluate(
        "[document.querySelector('.sh-live svg').getBoundingClientRect().right, document.documentElement.clientWidth]"
    )
    assert wide[0] <= wide[1]
