"""What axe-core finds on every page, in light and dark: nothing serious but what Streamlit's own widgets bring along.

Rules and levels are axe's own (https://github.com/dequelabs/axe-core); the npm package's script comes with
axe-playwright-python, so that nothing is fetched. The join page is checked too, which is not Streamlit's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from browser.conftest import PATIENCE, Window, served
from browser.test_trial import KEY
from engine.home import Home

pytestmark = pytest.mark.browser
SERIOUS = ("serious", "critical")
STILL = '[data-testid="stApp"][data-test-script-state="notRunning"]'
PAGES = (
    *("", "learn?lesson=distillation", "learn?lesson=temperature&step=predict&choice=less"),
    *("learn?lesson=pruning&step=run&choice=more", "learn?lesson=losses&step=class", "explore?visit=1"),
    *("sweep", "front", "results", "methods", "methods?method=prune_n_m", "trial", f"trial?key={KEY}"),
    *(
        f"trial?key={KEY}&view={view}"
        for view in ("layers", "sensitivity", "time", "mistakes", "sure", "try", "record")
    ),
    *("?lang=zh", "learn?lesson=quantization&lang=zh", "?present=1", "learn?lesson=temperature&present=1"),
)
# faults of widgets that Streamlit draws and no style of ours reaches: (axe's rule, its element, why it stays)
ALLOWED: tuple[tuple[str, str, str], ...] = (
    ("scrollable-region-focusable", r"^<pre class=.st-emotion", "a long text in st.code scrolls; Copy has the focus"),
)


def axe() -> str:
    """The script of axe-core."""
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def faults(page: Any) -> list[str]:
    """A line for each serious fault that is not allowed: the rule, where, and what it says."""
    page.evaluate(axe())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{fault['id']}: {node['html'][:120]} {(node['failureSummary'] or '').splitlines()[-1].strip()[:160]}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
        if not allowed(fault["id"], node["html"])
    ]


def allowed(rule: str, html: str) -> bool:
    """Whether a fault is one of Streamlit's that are listed above."""
    return any(rule == name and re.search(inside, html) for name, inside, _ in ALLOWED)


@pytest.mark.parametrize("address", PAGES, ids=[p or "explore" for p in PAGES])
def test_nothing_serious(seeded: str, opened: Callable[..., Window], address: str) -> None:
    page = opened(f"{seeded}/{address}").page
    page.wait_for_selector(".sh-brand h1", timeout=PATIENCE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector(STILL, timeout=PATIENCE)
        page.wait_for_timeout(400)
        assert page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme") == scheme
        assert faults(page) == [], scheme


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dialog_and_an_open_menu(seeded: str, opened: Callable[..., Window], scheme: str) -> None:
    page = opened(f"{seeded}/methods", scheme=scheme).page
    page.wait_for_selector(STILL, timeout=PATIENCE)
    page.locator(".st-key-share button").first.click()
    page.wait_for_selector('[role="dialog"]', timeout=PATIENCE)
    page.wait_for_selector(STILL, timeout=PATIENCE)
    page.wait_for_timeout(600)
    assert faults(page) == []


def test_the_join_page(tmp_path: Any, opened: Callable[..., Window]) -> None:
    home = Home.locate(tmp_path / "home")
    with served(home, "--join-code", "copper-still") as address:
        for scheme in ("light", "dark"):
            assert faults(opened(address, scheme=scheme).page) == []
