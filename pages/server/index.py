"""The HTML that starts Streamlit in a browser, at the address of every page.

Streamlit's own file, told where the server is: without that it tries an address below the page's first, which is slower
and leaves two errors in the console.
"""

from __future__ import annotations

from pathlib import Path

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

FILE = Path(streamlit.__file__).parent / "static" / "index.html"
TOLD = '<script>window.__streamlit = {BACKEND_BASE_URL: location.origin + "/"}</script>'
# the document is in the language of its heading, which a session may change: screen readers choose a voice by it
SPOKEN = """<script>new MutationObserver(() => { const page = document.documentElement,
  said = document.querySelector("[lang] > .sh-brand")?.parentElement.lang;
  if (said && said !== page.lang) page.lang = said;
}).observe(document, {childList: true, subtree: true, attributes: true, attributeFilter: ["lang"]})</script>"""
# the addresses of app.py's navigation; the first page lives at the bare address
FIRST, OTHERS = "explore", ("learn", "sweep", "front", "trial", "results", "methods")


def _html(text: str) -> str:
    return text.replace("<head>", f"<head>{TOLD}{SPOKEN}", 1)


HTML = _html(FILE.read_text(encoding="utf-8"))


def routes() -> list[Route]:
    """The pages' addresses; everything else is Streamlit's."""
    pages = [Route(path, _page, methods=["GET"]) for path in ("/", *(f"/{name}" for name in OTHERS))]
    return [*pages, Route(f"/{FIRST}", _first, methods=["GET"])]


async def _page(_request: Request) -> Response:
    return HTMLResponse(HTML)


async def _first(request: Request) -> Response:
    """Streamlit shows nothing at the first page's own name."""
    query = request.url.query
    return RedirectResponse("/" + (f"?{query}" if query else ""), status_code=307)
