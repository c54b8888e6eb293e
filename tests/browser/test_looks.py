"""What every visitor sees: both charts, a legend with symbols, nothing that spills over, no complaint; every page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from browser.conftest import Window, foreign, shows

pytestmark = pytest.mark.browser
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# elements of the main part that reach beyond its right edge (charts clip what they draw themselves)
SPILLED = """() => { const edge = document.querySelector('[data-testid=stMain]').getBoundingClientRect().right + 1;
  const scrolls = e => { for (e = e.parentElement; e.dataset.testid !== 'stMain'; e = e.parentElement)
    if (getComputedStyle(e).overflowX !== 'visible' && e.getBoundingClientRect().right <= edge) return true; }
  return [...document.querySelectorAll('[data-testid=stMain] *:not(svg *)')]
    .filter(e => e.offsetParent && e.offsetHeight && e.getBoundingClientRect().right > edge && !scrolls(e))
    .map(e => e.outerHTML.slice(0, 90)) }"""
MISSING = (
    "() => [...document.querySelectorAll('.sh-key img')].filter(i => !i.naturalWidth || !i.checkVisibility()).length"
)
SIZES = ((1280, 720), (1920, 1080))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_first_page(seeded: str, opened: Callable[..., Window], scheme: str, width: int, height: int) -> None:
    window = opened(seeded, width, height, scheme)
    window.settled()
    page = window.page
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SPILLED) == []
    shows(page.locator(".sh-key img"), least=6)
    assert page.evaluate(MISSING) == 0
    for name in ("packed_bytes", "latency_ms"):
        chart = page.locator(f".st-key-chart_{name}")
        shows(chart.locator("path.point"), least=20)
        box = chart.bounding_box()
        assert box, name
        assert box["y"] < height - 100, "the top of both charts is on the first screen"
        assert box["width"] > 350
    for name in ("preset", "run", "story"):
        box = page.locator(f".st-key-{name}").first.bounding_box()
        assert box, name
        assert box["y"] + box["height"] < height, name
    for selector in (".st-key-run button p", ".sh-story", ".sh-key span", ".sh-sub"):
        assert contrast(window, selector) >= 4.5, selector
    assert window.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", ["learn", "sweep", "front", "trial", "results", "methods"])
def test_every_other_page(
    seeded: str, opened: Callable[..., Window], name: str, scheme: str, width: int, height: int
) -> None:
    window = opened(f"{seeded}/{name}", width, height, scheme)
    page = window.page
    page.wait_for_selector(".sh-brand h1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    assert page.locator(".sh-brand h1").inner_text().lower() == name
    shows(page.locator('[data-testid="stAlertContentError"]'), 0, why="nothing is refused on a bare address")
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SPILLED) == []
    for selector in (".sh-brand h1", ".sh-brand p"):
        assert contrast(window, selector) >= 4.5, selector
    assert window.errors == []


def contrast(window: Window, selector: str) -> float:
    """WCAG 2 contrast of an element's text with the first opaque background behind it."""
    pair = window.page.evaluate(
        """s => { let e = document.querySelector(s); const text = getComputedStyle(e).color;
        const paint = c => { const g = new OffscreenCanvas(1, 1).getContext('2d'); g.fillStyle = c;
          g.fillRect(0, 0, 1, 1); return [...g.getImageData(0, 0, 1, 1).data] };
        while (e && paint(getComputedStyle(e).backgroundColor)[3] < 250) e = e.parentElement;
        const behind = paint(getComputedStyle(e).backgroundColor), over = paint(text), a = over[3] / 255;
        return [over.slice(0, 3).map((v, i) => a * v / 1 + (1 - a) * behind[i]), behind.slice(0, 3)] }""",
        selector,
    )
    light, dark = sorted((_luminance(rgb) for rgb in pair), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: list[float]) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_is_asked_of_another_machine(seeded: str, addresses: list[str]) -> None:
    assert any(a.startswith(f"{seeded}/_stcore/stream") for a in addresses), "the requests are logged"
    assert foreign(addresses) == []
    assert foreign(["https://example.org/a.js", f"{seeded}/x"]) == ["https://example.org/a.js"]
