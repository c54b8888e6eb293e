"""Pictures for the documentation, from the real app in a real browser: ``python tools/screenshots.py [--home DIR]``.

Without ``--home`` it works in build/screenshots, where it first runs a real sweep of a few minutes (once; what is there
is not run again). Then every page is opened on a free port and saved to docs/images, light and dark. Nothing is drawn
or touched up.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
EXAMPLE = ROOT / "examples" / "screenshots.json"
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
WIDTH, HEIGHT = 1440, 1000
START_SECONDS, WAIT_MS = 60.0, 180_000
SETTLE_MS = 2500  # charts fade in


class Picture(NamedTuple):
    """A file's name, the address that it shows, and what must stand on the page before it is taken."""

    name: str
    address: str
    selector: str


def main() -> None:
    """Run what is to be seen, serve, open, save."""
    options = _options()
    IMAGES.mkdir(parents=True, exist_ok=True)
    home = Path(options.home or ROOT / "build" / "screenshots")
    found = sweep(home)
    with served(str(home)) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        for scheme in SCHEMES:
            for picture in pictures(found):
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
                name = picture.name + ("-dark" if scheme == "dark" else "")
                if not options.only or options.only == picture.name:
                    save(page, f"{address}/{picture.address}", picture.selector, IMAGES / f"{name}.png")
                page.close()
        browser.close()


def pictures(found: dict[str, str]) -> tuple[Picture, ...]:
    """Every page, with a sweep and a trial that were really run."""
    chart = ".js-plotly-plot .main-svg"
    return (
        Picture("explore", "", chart),
        Picture("learn", "learn?lesson=temperature&image=25&temperature=4", ".sh-live svg"),
        Picture("front", "front?max_bytes=10kB", chart),
        Picture("sweep", f"sweep?sweep={found['sweep']}", chart),
        Picture("trial", f"trial?key={found['trial']}&view=layers", ".st-key-trial_layers"),
        Picture("results", "results", '[data-testid="stDataFrame"]'),
        Picture("methods", "methods?method=prune_n_m", ".st-key-methods_matrix .main-svg"),
    )


def sweep(home: Path) -> dict[str, str]:
    """The id of the example's sweep in this home, run where it is not there yet, and its best trial under 10 kB."""
    command = [sys.executable, "-m", "engine", "--home", str(home), "sweep", str(EXAMPLE), "--json"]
    done = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    small = [row for row in done["results"] if row["packed_bytes"] <= 10_000 and row["origin"] == "trial"]
    best = max(small or done["results"], key=lambda row: row["quality"])
    return {"sweep": done["id"], "trial": best["key"][:12]}


@contextmanager
def served(home: str) -> Iterator[str]:
    """The address of the app while it runs on ``home``."""
    port = free_port()
    command = [sys.executable, "-m", "engine", "--home", home, "app", "--port", str(port), "--no-browser"]
    server = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def save(page: Page, address: str, selector: str, path: Path) -> None:
    """One picture of the visible part of the page, once what it is about stands still."""
    page.goto(address)
    page.wait_for_selector(selector, timeout=WAIT_MS)
    page.wait_for_function("() => !document.querySelector('[data-testid=stStatusWidget]')", timeout=30_000)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=str(path))
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def executable() -> str | None:
    """An installed browser; None lets playwright take its own."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_healthy(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return once the server answers; stop when it ended or takes too long."""
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    sys.exit("the app did not start")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", help="show this home's results instead of build/screenshots'")
    parser.add_argument("--only", help="one picture: explore, front, sweep, trial, results or methods")
    return parser.parse_args()


if __name__ == "__main__":
    main()
