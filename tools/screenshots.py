"""Pictures for the documentation, from the real app in a real browser: ``python tools/screenshots.py [--home DIR]``.

Serves the app on a free port and a temporary home (so that only shipped results show), or on the home that is given,
and writes docs/images/explore.png and explore-dark.png. Nothing is drawn or touched up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
PICTURES: dict[Literal["light", "dark"], str] = {"light": "explore.png", "dark": "explore-dark.png"}
WIDTH, HEIGHT = 1440, 1000
START_SECONDS = 60.0
SETTLE_MS = 2500  # charts fade in


def main() -> None:
    """Serve, open, save."""
    options = _options()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty, served(options.home or empty) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        for scheme, name in PICTURES.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            save(page, f"{address}/{options.query}", IMAGES / name)
            page.close()
        browser.close()


@contextmanager
def served(home: str) -> Iterator[str]:
    """The address of the app while it runs on ``home``."""
    port = free_port()
    env = {**os.environ, "STILLHOUSE_HOME": home}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def save(page: Page, address: str, path: Path) -> None:
    """One picture of the visible part of the page, once its charts stand still."""
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=START_SECONDS * 1000)
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
    parser.add_argument("--home", help="show this home's results instead of an empty one's")
    parser.add_argument("--query", default="", help="the part of the address after the slash, for a chosen state")
    return parser.parse_args()


if __name__ == "__main__":
    main()
