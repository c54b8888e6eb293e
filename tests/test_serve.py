"""The gate in front of Streamlit: driven by hand as an ASGI application, and once as the real server."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from conftest import ROOT

from pages.server import index, keys
from pages.server.gate import Gate
from pages.server.keys import HOST_COOKIE, JOIN_COOKIE, WHO_COOKIE, Keys

TOKEN = "a-token-of-the-host"
WORKSHOP = Keys("tasting", TOKEN, b"s" * 32)
ALONE = Keys("", "", b"s" * 32)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((v for n, v in self.headers if n == name), "")

    def cookies(self) -> dict[str, str]:
        given = (v.split(";")[0].partition("=") for n, v in self.headers if n == "set-cookie")
        return {name: value for name, _, value in given}


class Door:
    """A gate with an application behind it that says yes to everything, and a browser with cookies in front."""

    def __init__(self, opened: Keys) -> None:
        self.gate = Gate(self._inner, opened, frozenset({"lab"}), "'sha256-x'")
        self.cookies: dict[str, str] = {}
        self.reached: list[str] = []

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["path"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        sent = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"public")]
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": b"page"})

    def ask(self, address: str, method: str = "GET", body: bytes = b"", kind: str = "http", client: str = "10.0.0.1",
            **more: str) -> Answer:  # fmt: skip
        path, _, query = address.partition("?")
        sent = {"host": "127.0.0.1:8501", "accept": "text/html", **{n.replace("_", "-"): v for n, v in more.items()}}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        scope = {"type": kind, "path": path, "query_string": query.encode(), "method": method, "client": (client, 5),
                 "scheme": "http", "headers": [(n.encode(), v.encode()) for n, v in sent.items()],
                 "extensions": {"websocket.http.response": {}}}  # fmt: skip
        out: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            out.append(message)

        # In a thread of its own: a browser test in this process may have left an event loop running in this one.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(lambda: asyncio.run(self.gate(scope, receive, send))).result()
        if out[0]["type"] == "websocket.accept":
            return Answer(101, [], b"")
        found = [(n.decode(), v.decode()) for n, v in out[0]["headers"]]
        answer = Answer(out[0]["status"], found, b"".join(m.get("body", b"") for m in out[1:]))
        self.cookies |= answer.cookies()
        return answer

    def join(self, code: str, next_page: str = "/", client: str = "10.0.0.1") -> Answer:
        return self.ask(f"/join?next={quote(next_page, safe='')}", "POST", b"code=" + code.encode(), client=client)


class TestAlone:
    def test_a_page_comes_with_a_cookie_and_headers_and_is_not_kept(self) -> None:
        door = Door(ALONE)
        page = door.ask("/")
        assert (page.status, page.body) == (200, b"page")
        assert keys.is_who(page.cookies()[WHO_COOKIE])
        cookie = page.header("set-cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert page.header("cache-control") == "no-store"
        assert page.header("x-frame-options") == "DENY"
        assert page.header("x-content-type-options") == "nosniff"
        assert "frame-ancestors 'none'" in page.header("content-security-policy")
        assert WHO_COOKIE not in door.ask("/front").cookies(), "one person, one cookie"

    def test_a_cookie_that_no_server_gave_is_replaced(self) -> None:
        door = Door(ALONE)
        door.cookies = {WHO_COOKIE: "chosen"}
        assert keys.is_who(door.ask("/").cookies()[WHO_COOKIE])

    def test_another_name_or_another_site_reaches_nothing(self) -> None:
        door = Door(ALONE)
        assert door.ask("/", host="evil.example").status == 421
        assert door.ask("/_stcore/stream", kind="websocket", origin="http://evil.example").status == 403
        assert door.ask("/_stcore/stream", kind="websocket", origin="http://127.0.0.1:3000").status == 403
        assert door.ask("/_stcore/upload_file/a/b", "PUT", origin="null").status == 403
        assert door.reached == []

    def test_our_own_page_and_a_program_may_open_the_websocket(self) -> None:
        door = Door(ALONE)
        assert door.ask("/_stcore/stream", kind="websocket", origin="http://127.0.0.1:8501").status == 101
        assert door.ask("/_stcore/stream", kind="websocket").status == 101

    def test_there_is_no_form_where_no_code_is_asked_for(self) -> None:
        door = Door(ALONE)
        door.ask("/join")
        assert door.reached == ["/join"]


class TestWorkshop:
    @pytest.mark.parametrize("path", ["/static/js/a.js", "/_stcore/host-config", "/media/a.png", "/component/x",
                                      "/_stcore/upload_file/a/b", "/_stcore/agent/interact"])  # fmt: skip
    def test_nothing_but_form_and_health_answers_before_the_code(self, path: str) -> None:
        door = Door(WORKSHOP)
        assert door.ask(path, accept="*/*").status == 401
        assert door.ask(path, "POST", accept="text/html").status == 401
        assert door.reached == []

    def test_a_page_leads_to_the_form_and_back(self) -> None:
        door = Door(WORKSHOP)
        sent_on = door.ask("/front?cost=macs&bits=4")
        assert sent_on.status == 303
        assert door.ask(sent_on.header("location")).status == 200
        joined = door.ask(sent_on.header("location"), "POST", b"code=tasting")
        assert (joined.status, joined.header("location")) == (303, "/front?cost=macs&bits=4")
        assert door.ask("/front").body == b"page"
        assert door.ask("/_stcore/stream", kind="websocket").status == 101

    def test_health_is_open(self) -> None:
        assert Door(WORKSHOP).ask("/_stcore/health", accept="*/*").status == 200

    def test_a_websocket_without_the_code_is_answered_401(self) -> None:
        door = Door(WORKSHOP)
        assert door.ask("/_stcore/stream", kind="websocket").status == 401
        door.cookies = {WHO_COOKIE: keys.new_who(), JOIN_COOKIE: "0" * 64}
        assert door.ask("/_stcore/stream", kind="websocket").status == 401
        assert door.reached == []

    def test_a_wrong_code_says_so_and_gives_nothing(self) -> None:
        door = Door(WORKSHOP)
        wrong = door.join("testing")
        assert wrong.status == 401
        assert b'role="alert"' in wrong.body
        assert not wrong.cookies()

    def test_too_many_wrong_codes_wait_even_with_the_right_one_but_the_host_comes_in(self) -> None:
        door = Door(WORKSHOP)
        for _ in range(keys.WRONG_OF_ONE):
            assert door.join("testing").status == 401
        assert door.join("tasting").status == 429
        assert door.join("tasting", client="10.0.0.2").status == 303
        assert Door(WORKSHOP).join("tasting").status == 303, "another server counts for itself"
        assert door.join(TOKEN).status == 303

    def test_the_hosts_link_makes_the_host_and_leaves_no_token_in_the_address(self) -> None:
        door = Door(WORKSHOP)
        link = door.ask(f"/front?a=1&host={TOKEN}&b=2")
        assert (link.status, link.header("location")) == (303, "/front?a=1&b=2")
        assert door.cookies[HOST_COOKIE] == TOKEN
        assert door.ask("/front").body == b"page"
        assert Door(WORKSHOP).ask("/?host=guess").status == 303, "to the form"

    def test_who_joins_again_stays_who_they_were(self) -> None:
        door = Door(WORKSHOP)
        door.join("tasting")
        me = door.cookies[WHO_COOKIE]
        door.join("tasting")
        assert door.cookies[WHO_COOKIE] == me

    def test_two_browsers_at_one_address_are_two_people(self) -> None:
        first, second = Door(WORKSHOP), Door(WORKSHOP)
        first.join("tasting")
        second.join("tasting")
        assert first.cookies[WHO_COOKIE] != second.cookies[WHO_COOKIE]

    def test_a_body_longer_than_any_form_is_a_wrong_code(self) -> None:
        assert Door(WORKSHOP).join("tasting" + "&x=" + "y" * 9000).status == 401

    def test_with_no_code_a_websocket_needs_the_cookie_of_a_page(self) -> None:
        door = Door(Keys("", TOKEN, b"s" * 32))
        assert door.ask("/_stcore/stream", kind="websocket").status == 401
        door.ask("/")
        assert door.ask("/_stcore/stream", kind="websocket").status == 101


def test_the_pages_of_the_navigation_are_served_and_the_first_has_one_address() -> None:
    found = re.search(r"PAGES = \((.*?)\)", (ROOT / "app.py").read_text(encoding="utf-8"))
    assert found is not None
    assert (index.FIRST, *index.OTHERS) == tuple(re.findall(r'"(\w+)"', found[1]))
    assert index.HTML.count("BACKEND_BASE_URL") == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The real server with a join code; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("served")
    environment = os.environ | {"STILLHOUSE_HOST_TOKEN": TOKEN}
    command = [sys.executable, "-m", "engine", "--home", str(folder), "app", "--port", str(port), "--no-browser",
               "--join-code", "tasting"]  # fmt: skip
    log = (folder / "app.log").open("w+")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    ends = time.monotonic() + 60
    while b"host" not in Path(log.name).read_bytes() and time.monotonic() < ends and process.poll() is None:
        time.sleep(0.05)
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    said = Path(log.name).read_text()
    assert "join with the code tasting" in said
    assert f"/?host={TOKEN}" in said
    assert "amazonaws" not in said
    log.close()


def _get(port: int, path: str, method: str = "GET", body: str = "", **more: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded", **more}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    found = answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read()
    cookies = [v.split(";")[0] for n, v in answer.getheaders() if n.lower() == "set-cookie"]
    connection.close()
    return found[0], {**found[1], "cookies": "; ".join(cookies)}, found[2]


def test_the_real_server_asks_for_the_code_before_it_shows_anything(server: int) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address = f"ws://127.0.0.1:{server}/_stcore/stream"
    assert _get(server, "/_stcore/health")[0] == 200
    assert _get(server, "/")[1]["location"] == "/join?next=%2F"
    assert _get(server, "/static/js/x.js", accept="*/*")[0] == 401
    with pytest.raises(InvalidStatus) as refused:
        connect(address, proxy=None)
    assert refused.value.response.status_code == 401
    cookies = _get(server, "/join?next=/", "POST", "code=tasting")[1]["cookies"]
    status, told, page = _get(server, "/", cookie=cookies)
    assert status == 200
    assert b"streamlit" in page.lower()
    assert told["cache-control"] == "no-store"
    with connect(address, proxy=None, additional_headers={"cookie": cookies}):
        pass
    with pytest.raises(InvalidStatus) as foreign:
        connect(address, proxy=None, origin="http://evil.example", additional_headers={"cookie": cookies})  # type: ignore[arg-type]
    assert foreign.value.response.status_code == 403


def test_the_real_server_answers_to_no_other_name(server: int) -> None:
    assert _get(server, "/_stcore/health", host="evil.example")[0] == 421
