"""The page Front and the table of points with very many stored results.

    python -m benchmarks.many_results [--results 20000] [--moves 20] [--no-browser]

A new home with made-up results, the real server, one visitor over the websocket and one in Chromium. Front is opened
once the server has been up for a few seconds, as when somebody comes to a house that runs; the first row is what
reading the store takes in a process of its own. Prints Markdown; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import sync_playwright

from benchmarks.app_server import ROOT, Server, app_command, free_port, memory
from benchmarks.app_speed import CHROMIUM, FLAGS, Times, fill, p95
from benchmarks.visitors import Visitor
from engine.home import Home

READ, OPENS, RERUN = "rows read from the store", "Front opens, server's side", "Front rerun, server's side"
SHOWN, PRESSED = "Front opens in the browser", "key pressed until the browser has drawn"
LIMITS = {OPENS: 2.0, SHOWN: 2.0, RERUN: 0.2}
UP_SECONDS = 5.0
# cold and warm reading in a fresh process, and the memory that the rows take
READER = """
import json, psutil, sys, time
from engine import api
from engine.home import Home
peak = lambda: psutil.Process().memory_info().rss / 1e6
api.catalogue()
before, begun = peak(), time.perf_counter()
rows = api.rows(Home.locate(sys.argv[1]), "fashion_mnist")
cold = time.perf_counter() - begun
begun = time.perf_counter()
api.rows(Home.locate(sys.argv[1]), "fashion_mnist")
print(json.dumps({"cold": cold, "warm": time.perf_counter() - begun, "rows": len(rows), "mb": peak() - before}))
"""
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"] .js-plotly-plot .main-svg'


def read(home: Home) -> dict[str, float]:
    """What a process pays that reads all rows for the first time."""
    done = subprocess.run([sys.executable, "-c", READER, str(home.root)], cwd=ROOT, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def visit(port: int, moves: int, times: Times) -> list[str]:
    """Open Front and move its sliders; the errors that it showed."""
    visitor, choice = Visitor(port, "", "front"), random.Random(1)
    times[OPENS].append(await visitor.open())
    for _ in range(moves):
        times[RERUN].append(await visitor.move(choice.choice(sorted(visitor.sliders)), choice))
    await visitor.close()
    return visitor.errors


def look(port: int, moves: int, times: Times) -> None:
    """The same in Chromium: until the chart is drawn, and arrow keys on a slider."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        for _ in range(3):
            begun = time.perf_counter()
            page.goto(f"http://127.0.0.1:{port}/front", wait_until="commit")
            page.wait_for_selector(DRAWN, timeout=60_000, state="attached")
            times[SHOWN].append(time.perf_counter() - begun)
        slider = page.locator("[class*='st-key-front_max_bytes_slider'] [role=slider]").first
        for place in range(moves if slider.count() else 0):
            slider.focus()
            begun = time.perf_counter()
            page.keyboard.press("ArrowLeft" if place % 4 < 2 else "ArrowRight")
            page.wait_for_timeout(20)
            page.wait_for_selector(DRAWN, timeout=60_000, state="attached")
            times[PRESSED].append(time.perf_counter() - begun)
        browser.close()


def measure(results: int, moves: int, browser: bool) -> tuple[Times, dict[str, float], list[str]]:
    """Times by name, what reading took with the page process's memory, and errors shown."""
    times: Times = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-", ignore_cleanup_errors=True) as name:
        home, port = Home(Path(name)), free_port()
        fill(home, results)
        facts = read(home)
        times[READ].append(facts["cold"])
        with Server(app_command(home.root, port), port, home.root) as server:
            time.sleep(UP_SECONDS)
            errors = asyncio.run(visit(port, moves, times))
            if browser:
                look(port, moves, times)
            facts["resident"] = memory(server.ui())["rss"]
    return times, facts, errors


def main() -> int:
    """Measure and print; 1 when a limit is missed."""
    options: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--results", type=int, default=20_000)
    options.add_argument("--moves", type=int, default=20)
    options.add_argument("--no-browser", action="store_true", help="the server's side only")
    given = options.parse_args()
    times, facts, errors = measure(given.results, given.moves, not given.no_browser)
    print("| what | median | p95 | n | limit |\n| --- | --- | --- | --- | --- |")
    missed = list(errors)
    for name, values in times.items():
        limit, judged = LIMITS.get(name), p95(values) if name == RERUN else sorted(values)[len(values) // 2]
        missed += [name] if limit and judged > limit else []
        middle, shown = sorted(values)[len(values) // 2], f"{1000 * limit:.0f} ms" if limit else ""
        print(f"| {name} | {1000 * middle:.0f} ms | {1000 * p95(values):.0f} ms | {len(values)} | {shown} |")
    print(f"\n{facts['rows']:.0f} rows: {facts['mb']:.0f} MB, asked again {1e6 * facts['warm']:.0f} us.")
    print(f"Page process {facts['resident']:.0f} MB. Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    print("Missed: " + "; ".join(missed) if missed else "All limits are kept.")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
