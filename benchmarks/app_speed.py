"""How fast the app starts, draws its first page and answers a slider, and what its process holds.

    python -m benchmarks.app_speed [--quick] [--rounds 5] [--no-browser]

Every round starts everything anew, in turn: the app and an empty Streamlit page (what Streamlit itself takes), each
once without a browser (the server's side, over the websocket) and once in Chromium, which runs before the clock starts
and has an empty cache. A round waits a while for other work to end, and how busy the machine was is in the table.
Sliders move in a home with 300 made-up results. Prints medians as Markdown; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.app_server import FORBIDDEN, Server, Session, app_command, empty_command, free_port, memory
from engine.home import Home
from engine.recipe import Recipe
from engine.store import Ask, Point, Store
from engine.store_read import results_since
from tests.browser import seeded

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
HEALTH, FIRST, RSS, SLIDER = (
    "server answers",
    "first page, server's side",
    "resident MB",
    "slider rerun p95, server's side",
)
OTHERS = "cores taken by other work, %"
QUIET_TRIES, QUIET_PERCENT = 60, 20.0
LIMITS = {HEALTH: 1.5, FIRST: 2.0, RSS: 250.0, SLIDER: 0.150}
# temperature last: away from its default there is no grid, and the other two would have nothing to show
SLIDERS, RESULTS = ("sparsity", "bits", "temperature"), 300
# wall clock of the first frame in which each thing stands on the page
WATCH = """
window.seen = {};
const wanted = {
  run: '.st-key-run button', charts: '.js-plotly-plot .main-svg', word: '[data-testid="stMarkdownContainer"]',
};
(function look() {
  for (const [name, path] of Object.entries(wanted)) {
    const charts = new Set([...document.querySelectorAll(path)].map(e => e.closest('.js-plotly-plot') || e));
    if (!(name in seen) && charts.size >= (name === 'charts' ? 2 : 1)) seen[name] = Date.now() / 1000;
  }
  requestAnimationFrame(look);
})();
"""
# from the key until the first change of the page's words or bars, and until the run is over and drawn
PRESS = """
(slider) => new Promise(done => {
  const main = document.querySelector('[data-testid="stMain"]'), app = document.querySelector('[data-testid="stApp"]');
  const look = () => main.textContent + [...main.querySelectorAll('.sh-bars b')].map(b => b.style.width);
  const before = look();
  let started = 0, changed = 0;
  slider.addEventListener('keydown', () => { started = performance.now(); }, {once: true});
  (function wait() {
    const now = performance.now();
    if (started && !changed && look() !== before) changed = now - started;
    const idle = app.getAttribute('data-test-script-state') === 'notRunning';
    if ((changed && idle) || (started && now - started > 3000)) done({changed: changed || null, drawn: now - started});
    else requestAnimationFrame(wait);
  })();
})
"""
Times = defaultdict[str, list[float]]


@contextmanager
def served(empty: bool = False, results: int = 0) -> Iterator[Server]:
    """The app, or an empty Streamlit page, in a new home."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        if results:
            fill(Home(folder), results)
        command = empty_command(folder, port) if empty else app_command(folder, port)
        with Server(command, port, folder) as server:
            yield server


def fill(home: Home, count: int) -> None:
    """Made-up results: those of the browser tests, then the same ones with other seeds."""
    seeded.seed(home)
    store = Store(home.store)
    known = [r for r in results_since(store, seeded.TASK, -1) if r.body["recipe"]["phases"]]
    total = len(results_since(store, seeded.TASK, -1))
    points = []
    for i in range(count - total):
        body = known[i % len(known)].body
        recipe = Recipe.from_json({**body["recipe"], "seed": 1 + i // len(known)})
        points.append(Point({**body, "key": recipe.key, "recipe": recipe.to_json()}))
    store.submit([Ask("more", "grid", seeded.TASK, {}, "more")], "local", "more")
    if (work := store.claim()) is None:
        raise RuntimeError("the job of the made-up results cannot be claimed")
    store.add_points("more", work.attempt, "more", points)
    store.finish("more", work.attempt)
    store.close()


def wait_for_quiet() -> float:
    """Let other work on this machine end first, for a while; the percentage of the cores that it takes now."""
    for _ in range(QUIET_TRIES):
        if (others := psutil.cpu_percent(0.5)) < QUIET_PERCENT:
            break
    return others


def start_round(times: Times, browser: Browser | None) -> None:
    """One cold start of each kind."""
    for empty in (False, True):
        note = "empty Streamlit page: " if empty else ""
        times[OTHERS].append(wait_for_quiet())
        with served(empty) as server:
            times[note + HEALTH].append(server.health)
            with Session(server.port) as session:
                first = session.run()
                times[note + FIRST].append(server.since_start())
                times[note + "first script run"].append(first)
                times[note + "second script run"].append(session.run())
        if browser:
            times[OTHERS].append(wait_for_quiet())
            with served(empty) as server:
                for name, seconds in first_page(browser, server, empty).items():
                    times[note + name].append(seconds)


def first_page(browser: Browser, server: Server, empty: bool) -> dict[str, float]:
    """Seconds from the server's start until the browser shows things."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    page.add_init_script(WATCH)
    asked = server.since_start()
    page.goto(f"http://127.0.0.1:{server.port}/", wait_until="commit")
    last = "word" if empty else "charts"
    page.wait_for_function(
        f"window.seen && '{last}' in window.seen && (window.seen.run || {int(empty)})", timeout=60_000
    )
    seen = {name: at - server.epoch for name, at in page.evaluate("window.seen").items()}
    context.close()
    names = (
        {"word": "browser shows a word"}
        if empty
        else {"run": "browser shows Run", "charts": "browser shows both charts"}
    )
    return {"browser asks for the page": asked} | {text: seen[name] for name, text in names.items()}


def rerun_round(times: Times, browser: Browser | None, moves: int) -> list[str]:
    """Move every slider ``moves`` times, on the server's side and in the browser; what the process should not have."""
    times[OTHERS].append(wait_for_quiet())
    with served(results=RESULTS) as server:
        with Session(server.port) as session:
            session.run()
            session.run()
            for name in SLIDERS:
                for place in range(moves):
                    times[f"{name} rerun"].append(session.move(name, place))
        if browser:
            press_sliders(times, browser, server, max(4, moves // 4))
        for name, megabytes in memory(server.ui()).items():
            times["resident MB" if name == "rss" else "unshared MB"].append(megabytes)
        return server.imported()


def press_sliders(times: Times, browser: Browser, server: Server, presses: int) -> None:
    """Arrow keys on each slider, as a person without a mouse does."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    for name in SLIDERS:
        for place in range(presses + 2 - presses % 2):  # an even number: the slider ends where it began
            page.wait_for_timeout(400)
            seen = press(page, name, "ArrowRight" if place % 2 else "ArrowLeft")
            for what, value in seen.items() if place else ():  # the first one warms up
                if value is not None:
                    times[f"{name} in the browser until {what}"].append(value / 1000)
    context.close()


def press(page: Page, name: str, key: str) -> dict[str, float | None]:
    """Milliseconds from a key on a slider until the page's words changed and until all is drawn."""
    page.locator(f".st-key-{name} input[type=range]").first.focus()
    page.evaluate("script => { window.pressed = eval(script)(document.activeElement); }", PRESS)
    page.keyboard.press(key)
    found: dict[str, float | None] = page.evaluate("() => window.pressed")
    return found


def p95(values: list[float]) -> float:
    """The 95th percentile (nearest rank)."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


def table(times: Times) -> tuple[list[str], bool]:
    """Lines of the table, and whether every limit is kept."""
    lines, kept = ["| what | median | least | p95 | n | limit |", "| --- | --- | --- | --- | --- | --- |"], True
    for name, values in times.items():
        middle, limit = statistics.median(values), LIMITS.get(name)
        judged = p95(values) if name == SLIDER else middle
        kept = kept and (limit is None or judged <= limit)
        shown = [_written(name, v) for v in (middle, min(values), p95(values), *([limit] if limit else []))]
        lines.append(f"| {name} | {' | '.join(shown[:3])} | {len(values)} | {shown[3] if limit else ''} |")
    return lines, kept


def _written(name: str, value: float) -> str:
    if name.endswith(("MB", "%")):
        return f"{value:.0f}"
    return f"{1000 * value:.0f} ms" if "rerun" in name or "until" in name else f"{value:.2f} s"


def main() -> int:
    """Measure and print; 1 when a limit is missed or the process holds a package that it should not."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="two rounds, few slider moves")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--no-browser", action="store_true", help="the server's side only")
    given = options.parse_args()
    rounds, moves = (2, 8) if given.quick else (given.rounds, 30)
    times: Times = defaultdict(list)
    loads = [os.getloadavg()[0]]
    with sync_playwright() as driver:
        browser: Any = None if given.no_browser else driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(rounds):
            start_round(times, browser)
            loads.append(os.getloadavg()[0])
        imported = rerun_round(times, browser, moves)
    times[SLIDER] = [v for name in SLIDERS for v in times[f"{name} rerun"]]
    lines, kept = table(times)
    print("\n".join(lines))
    print(f"\nOf {', '.join(FORBIDDEN)} the page process has imported: {', '.join(imported) or 'none'}.")
    print(f"Load {' '.join(f'{v:.1f}' for v in loads)} on {os.cpu_count()} cores.")
    return int(not kept or bool(imported))


if __name__ == "__main__":
    raise SystemExit(main())
