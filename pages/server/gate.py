"""The gate in front of Streamlit (ASGI middleware): names, cookies, join code, headers, for pages and websockets alike.

Without a code everything passes that comes from this server's own pages. With one, a browser sees the form until it has
given the code; the health check alone is open to everybody.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import HTTPConnection

from pages.parts import language
from pages.parts.words import say_in
from pages.server import form, headers, origins
from pages.server.keys import HOST_COOKIE, JOIN_COOKIE, WHO_COOKIE, Attempts, Keys, is_who, new_who

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
HEALTH, HOST_QUERY = "/_stcore/health", "host"
YEAR_SECONDS = 365 * 24 * 3600
HTML = b"text/html"
asked = threading.Event()  # somebody has asked this server for something: it serves now


class Gate:
    """Wraps Streamlit's application; ``names``: the hosts that it answers to beside numbers and localhost."""

    def __init__(self, app: App, keys: Keys, names: frozenset[str], hashes: str) -> None:
        self._app, self._keys, self._names = app, keys, names
        self._policy = headers.page_policy(hashes).encode()
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked.set()
        socket = scope["type"] == "websocket"
        refused = origins.refusal(scope["headers"], "WEBSOCKET" if socket else scope["method"], self._names)
        if refused:
            await _refuse(scope, send, refused.status, refused.reason)
        elif socket:
            await self._connect(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A websocket brings its cookies along; it cannot be given any."""
        if self._keys.admits(_cookies(scope)):
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, send, 401, "open the page first and give the join code")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, token = scope["path"], dict(parse_qsl(scope["query_string"].decode("latin-1"))).get(HOST_QUERY)
        cookies = _cookies(scope)
        if path == HEALTH:
            await self._pass(scope, receive, send, cookies)
        elif token is not None and self._keys.is_token(token):
            await self._redirect(scope, send, _without_token(scope), self._welcome(cookies, host=True))
        elif path == form.PATH and self._keys.code:
            await self._join(scope, receive, send, cookies)
        elif self._keys.admits(cookies) or not self._keys.code:
            await self._pass(scope, receive, send, cookies)
        elif scope["method"] == "GET" and HTML in _header(scope, b"accept"):
            await self._redirect(scope, send, f"{form.PATH}?{urlencode({form.NEXT: _address(scope)})}", [])
        else:
            await _refuse(scope, send, 401, "give the join code first")

    async def _pass(self, scope: Scope, receive: Receive, send: Send, cookies: dict[str, str]) -> None:
        """To Streamlit and back, with our headers; a browser without a cookie gets one with its page."""
        path, fresh = scope["path"], not is_who(cookies.get(WHO_COOKIE, ""))

        async def dress(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = headers.secured(message["headers"], path, self._policy)
                if fresh and any(n == b"content-type" and v.startswith(HTML) for n, v in found):
                    found.append(_cookie(scope, WHO_COOKIE, new_who()))
                message["headers"] = found
            await send(message)

        await self._app(scope, receive, dress)

    async def _join(self, scope: Scope, receive: Receive, send: Send, cookies: dict[str, str]) -> None:
        target = form.asked_for(scope["query_string"].decode("latin-1"))
        spoken = language.of_request(_header(scope, b"accept-language").decode("latin-1"), target)
        if scope["method"] in ("GET", "HEAD"):
            await _show(scope, send, 200, form.html(target, spoken=spoken), form=True)
            return
        address = (scope.get("client") or ("", 0))[0]
        typed = form.code_of(await _body(receive))
        host, wait = self._keys.is_token(typed.strip()), self._attempts.wait(address)
        if wait and not host:  # the token cannot be guessed, so the host is never shut out
            said = say_in(spoken, "join.wait", seconds=max(1, round(wait)))
            await _show(scope, send, 429, form.html(target, said, spoken), form=True)
        elif self._keys.opens(typed):
            await self._redirect(scope, send, target, self._welcome(cookies, host))
        else:
            self._attempts.wrong(address)
            await _show(scope, send, 401, form.html(target, say_in(spoken, "join.wrong"), spoken), form=True)

    def _welcome(self, cookies: dict[str, str], host: bool) -> list[tuple[str, str]]:
        """The cookies of somebody who has given the code or the token; who comes back stays who they were."""
        held = cookies.get(WHO_COOKIE, "")
        who = held if is_who(held) else new_who()
        given = [(WHO_COOKIE, who), (JOIN_COOKIE, self._keys.seal(who))]
        return [*given, (HOST_COOKIE, self._keys.token)] if host else given

    async def _redirect(self, scope: Scope, send: Send, target: str, cookies: list[tuple[str, str]]) -> None:
        more = [(b"location", target.encode("latin-1", "replace")), *(_cookie(scope, n, v) for n, v in cookies)]
        await _show(scope, send, 303, b"", more)


async def _show(scope: Scope, send: Send, status: int, body: bytes, more: list[headers.Header] | None = None,
                form: bool = False) -> None:  # fmt: skip
    kind = b"text/html; charset=utf-8" if form else b"text/plain; charset=utf-8"
    own = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(more or [])]
    sent = headers.secured(own, scope["path"], headers.join_policy().encode())
    sent = [(n, v) for n, v in sent if n != b"cache-control"] + [headers.NO_STORE]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope.get("method") == "HEAD" else body})


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    """Say no in one line; to a websocket as the answer to its handshake, where the server can."""
    if scope["type"] == "http":
        await _show(scope, send, status, reason.encode())
    elif "websocket.http.response" in scope.get("extensions", {}):
        start = {"type": "websocket.http.response.start", "status": status, "headers": [(b"content-length", b"0")]}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})


async def _body(receive: Receive) -> bytes:
    """The body of a form; what is longer than any form is not read on."""
    found, more = b"", True
    while more and len(found) <= form.MOST_BYTES:
        message = await receive()
        found += message.get("body", b"")
        more = message.get("more_body", False)
    return found if len(found) <= form.MOST_BYTES else b""


def _cookies(scope: Scope) -> dict[str, str]:
    # read as Streamlit reads them, so that gate and page never see two different people
    return dict(HTTPConnection(scope).cookies)


def _cookie(scope: Scope, name: str, value: str) -> headers.Header:
    secure = "; Secure" if scope.get("scheme") in ("https", "wss") else ""
    text = f"{name}={value}; Path=/; Max-Age={YEAR_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    return b"set-cookie", text.encode()


def _header(scope: Scope, name: bytes) -> bytes:
    return b", ".join(value for found, value in scope["headers"] if found == name)


def _address(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return form.inside(scope["path"] + (f"?{query}" if query else ""))


def _without_token(scope: Scope) -> str:
    """The same address without the token, which must stay in no history and no Referer."""
    rest = [(n, v) for n, v in parse_qsl(scope["query_string"].decode("latin-1")) if n != HOST_QUERY]
    return form.inside(scope["path"] + (f"?{urlencode(rest)}" if rest else ""))
