"""Streamlit's own server and one thing more: while a browser still loads scripts, the first page is made ready.

    python -m pages.serve run app.py --server.port 8501

Importing what a page needs, reading the home and drawing the first figure take longer than everything after; the server
has nothing else to do until a browser has loaded Streamlit's scripts, so it does this as soon as it listens.
"""

from __future__ import annotations

import importlib
import socket
import sys
import threading
import time

from streamlit import config, runtime
from streamlit.web import cli

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0


def main() -> None:
    """``streamlit run`` with this program's arguments."""
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    cli.main(prog_name="streamlit")


def _warm_up() -> None:
    """Wait until the server listens, so that its start is not delayed; then import the page and let it get ready."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not _listens():
        if time.monotonic() > until:
            return
        time.sleep(LOOK_SECONDS)
    importlib.import_module("pages.parts.ready").make()


def _listens() -> bool:
    if not runtime.exists():
        return False
    with socket.socket(socket.AF_INET6 if ":" in _address() else socket.AF_INET) as probe:
        return probe.connect_ex((_address(), int(config.get_option("server.port")))) == 0


def _address() -> str:
    return str(config.get_option("server.address") or "127.0.0.1")


if __name__ == "__main__":
    sys.exit(main())
