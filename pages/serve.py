"""The page server: Streamlit's application behind our gate, and the first page made ready while a browser still loads.

    python -m pages.serve --address 127.0.0.1 --port 8501

Who may come in stands in the environment, where no list of processes shows it: STILLHOUSE_JOIN_CODE,
STILLHOUSE_HOST_TOKEN and, separated by commas, STILLHOUSE_HOST_NAMES. ``stillhouse app`` sets all of them.

Importing what a page needs, reading the home and drawing the first figure take longer than everything after; the server
has nothing else to do until a browser has loaded Streamlit's scripts, so it does this as soon as it serves.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from engine.home import Home
from pages.server import headers, index, keys, origins
from pages.server.gate import Gate, asked

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "app.py"
JOIN_CODE, HOST_TOKEN, HOST_NAMES = "STILLHOUSE_JOIN_CODE", "STILLHOUSE_HOST_TOKEN", "STILLHOUSE_HOST_NAMES"
PATIENCE_SECONDS = 60.0


def main(argv: list[str] | None = None) -> None:
    """Serve until a signal says stop."""
    parser = argparse.ArgumentParser(prog="python -m pages.serve", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    given = parser.parse_args(argv)
    sys.argv = [str(PAGE)]  # where Streamlit looks for .streamlit/config.toml
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    # the welcome would ask a machine of the internet for this one's address; `stillhouse app` prints its own
    quiet = {"logger.hideWelcomeMessage": True}
    application().run(config={"server.address": given.address, "server.port": given.port, **quiet})


def application() -> st.App:
    """Streamlit's application object with the gate around it (ASGI)."""
    # a folder "pages" beside app.py would make Streamlit run its files as scripts until app.py has named the pages: the
    # first visitor who comes by a link to one of them would see nothing
    PagesManager.uses_pages_directory = False
    names = {n.strip().lower() for n in os.environ.get(HOST_NAMES, "").split(",") if n.strip()}
    opened = keys.Keys(
        os.environ.get(JOIN_CODE, ""), os.environ.get(HOST_TOKEN, ""), keys.secret_of(Home.locate().root)
    )
    known = origins.machine_names() | names
    gate = Middleware(Gate, keys=opened, names=known, hashes=headers.inline_hashes(index.HTML))
    return st.App(PAGE, routes=index.routes(), middleware=[gate])


def _warm_up() -> None:
    """Wait for the first request, so that the server's start is not delayed; then let the page get ready."""
    if asked.wait(PATIENCE_SECONDS):
        importlib.import_module("pages.parts.ready").make()


if __name__ == "__main__":
    main()
