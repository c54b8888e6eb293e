"""The real app as a process of its own, a real browser, and every address that the browser asked for.

Two servers for the whole folder: ``seeded`` shows a home full of made-up results (tests/browser/seeded.py) where
nothing runs, since this process holds the runner's lock; ``working`` starts with an empty home and runs real trials.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from browser.seeded import seed
from engine.home import Home

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
PATIENCE = 30_000  # ms for what the page does; generous, since the machine may be busy
START_SECONDS = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine loses a click now and then: such a test has another try, which the summary counts."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=2))


@dataclass
class Window:
    """One open page with what its console complained of."""

    page: Any
    errors: list[str] = field(default_factory=list)

    def settled(self) -> None:
        """Wait until the script has run and both charts are drawn."""
        self.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE)
        self.page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 4")

    def text(self, selector: str) -> str:
        """The text of the first element that fits."""
        return str(self.page.locator(selector).first.inner_text())


def shows(found: Any, exactly: int | None = None, least: int = 1, why: str = "") -> None:
    """Wait until the locator ``found`` fits ``exactly`` so many elements, or at ``least`` so many."""
    end = time.monotonic() + PATIENCE / 1000
    while not (fits := found.count() == exactly if exactly is not None else found.count() >= least):
        if time.monotonic() > end:
            break
        found.page.wait_for_timeout(100)
    assert fits, f"{why or found}: {found.count()} there"


@pytest.fixture(scope="session")
def addresses() -> Iterator[list[str]]:
    """Everything that any page of this session asked for; none of it may leave this machine."""
    asked: list[str] = []
    yield asked
    assert not foreign(asked), "the browser asked for something beyond this machine"


def foreign(asked: list[str]) -> list[str]:
    """Addresses of other machines."""
    inside = ("data", "blob", "about", "chrome-error")
    return [a for a in asked if urlsplit(a).scheme not in inside and urlsplit(a).hostname != "127.0.0.1"]


@pytest.fixture(scope="session")
def browser(addresses: list[str]) -> Iterator[Any]:
    """A browser that is installed on this machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser here (looked for {', '.join(NAMES)})")
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, addresses: list[str]) -> Iterator[Callable[..., Window]]:
    """Opens an address in a window of its own; closed after the test."""
    contexts = []

    def open_window(
        address: str, width: int = 1280, height: int = 720, scheme: str = "light", locale: str = "en-US"
    ) -> Window:
        size: Any = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, locale=locale)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        window = Window(context.new_page())
        window.page.on("request", lambda request: addresses.append(request.url))
        window.page.on("websocket", lambda wire: addresses.append(wire.url.replace("ws:", "http:", 1)))
        window.page.on("console", lambda m: window.errors.append(m.text) if m.type == "error" else None)
        window.page.on("pageerror", lambda problem: window.errors.append(str(problem)))
        window.page.goto(address)
        return window

    yield open_window
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an app on a home full of results, where no runner starts."""
    home = Home.locate(tmp_path_factory.mktemp("seeded"))
    seed(home)
    with home.lock("runner").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with served(home) as address:
            yield address


@pytest.fixture(scope="session")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an app on an empty home, with a runner that does real work."""
    home = Home.locate(tmp_path_factory.mktemp("working"))
    with served(home) as address:
        yield address
    shutil.rmtree(home.root, ignore_errors=True)  # its runner notices and ends


@contextmanager
def served(home: Home, *more: str) -> Iterator[str]:
    """The address of the app, started as a person starts it, while it shows ``home``."""
    port = _free_port()
    command = [sys.executable, "-m", "engine", "--home", str(home.root), "app", "--port", str(port), "--no-browser"]
    command += more
    log = home.root / "app.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=out, stderr=out)
    address = f"http://127.0.0.1:{port}"
    try:
        if not _until(lambda: server.poll() is not None or _answers(f"{address}/_stcore/health"), START_SECONDS):
            pytest.fail(f"the app did not start: {log.read_text()[-500:]}")
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=15)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
