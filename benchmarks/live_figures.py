"""How quickly live figures answer: on the server, in a browser of one person, and in one of thirty people.

    python -m benchmarks.live_figures [--quick] [--plain] [--people 30] [--seconds 40]

Server: words, numbers and SVG of random settings of every figure. Browser: an arrow key on a slider of *Learn*
until the figure has changed and been drawn (``--plain``: on a page of the figure alone). Thirty: all but one speak the
page's protocol without a browser and move a slider every two seconds by their own clocks, over all lessons; the last
one is a browser. Clients and server share this machine's cores. Prints Markdown; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.app_server import ROOT, Server, app_command, free_port
from benchmarks.app_speed import CHROMIUM, FLAGS, p95
from benchmarks.visitors import Visitor
from engine import lessons
from engine.knobs import Knob
from engine.live import FIGURES, Live
from pages.parts import live

LIMITS = {"server": 0.030, "browser": 0.100, "browser among many": 0.300, "others": 0.300}
THINK_SECONDS, WARM_UP = 2.0, 2
PRESS = """
slider => new Promise(done => {
  const place = document.querySelector('.sh-live').closest('[data-testid="stMarkdown"]').parentElement;
  let started = 0;
  const seen = new MutationObserver(() => {
    seen.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
  });
  slider.addEventListener('keydown', () => {
    started = performance.now();
    seen.observe(place, {subtree: true, childList: true, attributes: true, characterData: true});
  }, {once: true, capture: true});
  setTimeout(() => { seen.disconnect(); done(null); }, 5000);
})
"""


class Mover(Visitor):
    """A visitor who moves sliders of a figure: a browser then asks for their fragment alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.owners: dict[str, str] = {}

    async def slide(self, name: str, choice: random.Random) -> float:
        """Put a slider somewhere else; the seconds until the figure's last message is here."""
        slider = self.sliders[name]
        held = next((s for s in self._states.widgets if s.id == slider.id), None)
        held = held or self._states.widgets.add(id=slider.id)
        if slider.options:
            held.string_array_value.data[:] = [choice.choice(list(slider.options))]
        else:
            place = choice.randrange(round((slider.max - slider.min) / slider.step) + 1)
            held.double_array_value.data[:] = [slider.min + place * slider.step]
        self._idle.clear()
        started = time.perf_counter()
        await self._ask_fragment(self.owners[name])
        await asyncio.wait_for(self._idle.wait(), 60)
        return time.perf_counter() - started

    async def _ask_fragment(self, fragment: str) -> None:
        ask = BackMsg()
        ask.rerun_script.query_string, ask.rerun_script.fragment_id = self.query, fragment
        ask.rerun_script.widget_states.CopyFrom(self._states)
        ask.rerun_script.context_info.url = f"http://127.0.0.1/{self.page}"
        ask.rerun_script.page_script_hash = self._hash
        if self._socket:
            await self._socket.send(ask.SerializeToString())

    def _take(self, data: bytes) -> None:
        super()._take(data)
        message = ForwardMsg.FromString(data)
        if message.WhichOneof("type") == "delta" and message.delta.new_element.HasField("slider"):
            name = message.delta.new_element.slider.id.rpartition("-")[2]
            self.owners[name] = message.delta.fragment_id

    def _finished(self, status: int) -> None:
        super()._finished(status)
        if status == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self._idle.set()


def anywhere(knob: Knob, choice: random.Random) -> Any:
    """One of a knob's values by chance."""
    if knob.choices or knob.type == "bool":
        return choice.choice(knob.choices or (False, True))
    low, high = float(knob.low or 0), float(knob.high or 1)
    value = low * (high / low) ** choice.random() if knob.log else choice.uniform(low, high)
    return knob.check(min(max(round(value) if knob.type == "int" else value, low), high), knob.name)


def on_server(figure: Live, count: int) -> tuple[list[float], list[float]]:
    """Seconds, and seconds of processor time, of ``count`` random settings; every one is computed anew."""
    choice, found = random.Random(0), []
    for _ in range(count + WARM_UP):
        values = {k.name: anywhere(k, choice) for k in figure.knobs}
        live._info.cache_clear()
        started = time.perf_counter(), time.process_time()
        live.drawn(figure.name, values, "light")
        found.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return [f[0] for f in found[WARM_UP:]], [f[1] for f in found[WARM_UP:]]


def addresses(plain: bool) -> dict[str, str]:
    """Where each figure can be seen, by its name."""
    if plain:
        return {name: f"?figure={name}" for name in FIGURES}
    return {lesson.figure: f"learn?lesson={name}" for name, lesson in lessons.known().items()}


@contextmanager
def served(plain: bool) -> Iterator[Server]:
    """The app in a new home, or the page of one figure."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        page = [sys.executable, "-m", "streamlit", "run", str(ROOT / "benchmarks" / "live_page.py"),
                f"--server.port={port}"]  # fmt: skip
        with Server(page if plain else app_command(folder, port), port, folder) as server:
            yield server


def in_browser(browser: Browser, server: Server, places: dict[str, str], presses: int) -> dict[str, list[float]]:
    """Seconds from an arrow key until the figure is drawn again, by figure."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page, found = context.new_page(), dict[str, list[float]]()
    for name, place in places.items():
        page.goto(f"http://127.0.0.1:{server.port}/{place}")
        page.wait_for_selector(".sh-live svg", timeout=60_000)
        page.wait_for_timeout(1500)
        slider = next((k for k in FIGURES[name].knobs if not k.choices and k.type != "bool"), None)
        if slider:
            found[name] = _presses(page, f".st-key-live_{slider.name} input[type=range]", presses)
    context.close()
    return found


def _presses(page: Page, slider: str, count: int) -> list[float]:
    """Left and right in turn, so that the slider stays where it can move."""
    page.locator(slider).first.focus()
    found = []
    for i in range(count + WARM_UP):
        page.wait_for_timeout(180)
        page.evaluate("script => { window.pressed = eval(script)(document.activeElement); }", PRESS)
        page.keyboard.press("ArrowRight" if i % 2 else "ArrowLeft")
        found.append(page.evaluate("() => window.pressed"))
    return [v / 1000 for v in found[WARM_UP:] if v is not None]


async def crowd(server: Server, places: Sequence[str], people: int, stop: threading.Event) -> list[float]:
    """What people without browsers wait for their figures, in seconds, until ``stop``."""
    split = [p.partition("?") for p in places]
    movers = [Mover(server.port, "", *split[i % len(split)][::2]) for i in range(people)]
    await asyncio.gather(*(m.open() for m in movers))
    found: list[float] = []

    async def one(mover: Mover, seed: int) -> None:
        choice = random.Random(seed)
        turn = time.monotonic() + THINK_SECONDS * choice.random()
        names = sorted(n for n in mover.sliders if n.startswith("live_") and n in mover.owners)
        while names and not stop.is_set():
            await asyncio.sleep(max(0.0, turn - time.monotonic()))
            found.append(await mover.slide(choice.choice(names), choice))
            turn += THINK_SECONDS
        await mover.close()

    await asyncio.gather(*(one(m, i) for i, m in enumerate(movers)))
    if errors := [e for m in movers for e in m.errors]:
        raise RuntimeError(f"the page complained: {errors[0]}")
    return found


def among_many(browser: Browser, plain: bool, people: int, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of the one browser, and of all others."""
    places, stop, others = addresses(plain), threading.Event(), list[float]()
    with served(plain) as server:
        in_browser(browser, server, dict([*places.items()][:1]), 2)  # the first visitor warms the server up

        def run() -> None:
            others.extend(asyncio.run(crowd(server, list(places.values()), people - 1, stop)))

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(10)
        own, ends = list[float](), time.monotonic() + seconds
        while time.monotonic() < ends:
            found = in_browser(browser, server, places, 6)
            own += [v for values in found.values() for v in values]
        stop.set()
        thread.join()
    return own, others


def row(name: str, values: Sequence[float]) -> str:
    """A line of the table."""
    shown = (statistics.median(values), p95(list(values)), max(values))
    return f"| {name} | " + " | ".join(f"{1000 * v:.1f} ms" for v in shown) + f" | {len(values)} |"


def main() -> int:
    """Measure and print; 1 when a limit is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="few moves, eight people")
    options.add_argument("--plain", action="store_true", help="a page of the figure alone instead of Learn")
    options.add_argument("--people", type=int, default=30)
    options.add_argument("--seconds", type=float, default=40.0)
    given = options.parse_args()
    moves, presses = (10, 6) if given.quick else (200, 30)
    if given.quick:
        given.people, given.seconds = 8, 5.0
    loads, every = [os.getloadavg()[0]], dict[str, list[float]]()
    print("| figure | median | p95 | most | n |\n| --- | --- | --- | --- | --- |")
    for figure in FIGURES.values():
        values, spent = on_server(figure, moves)
        print(row(f"{figure.name}, server", values))
        print(row(f"{figure.name}, server, processor time", spent))
        every["server, processor time"] = [*every.get("server, processor time", []), *spent]
        every["server"] = [*every.get("server", []), *values]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(given.plain) as server:
            for name, values in in_browser(browser, server, addresses(given.plain), presses).items():
                print(row(f"{name}, browser", values))
                every["browser"] = [*every.get("browser", []), *values]
        loads.append(os.getloadavg()[0])
        every["browser among many"], every["others"] = among_many(browser, given.plain, given.people, given.seconds)
        loads.append(os.getloadavg()[0])
    for name, values in every.items():
        print(row(f"**all, {name}**", values))
    missed = [f"{n} p95 within {1000 * most:.0f} ms" for n, most in LIMITS.items() if p95(every[n]) > most]
    print(f"\n{given.people} people. Load {', '.join(f'{v:.1f}' for v in loads)} on {os.cpu_count()} cores.")
    print("Missed: " + "; ".join(missed) if missed else "All limits are kept.")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
