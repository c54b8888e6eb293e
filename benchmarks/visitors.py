"""People without browsers, many at a time, for benchmarks/many_people.py: each speaks Streamlit's websocket protocol.

A visitor does what a browser would: gives the join code, keeps its cookies, asks when the page wants to be asked again
(fragments that run every second), remembers big messages by their hash. It keeps every error that the page shows.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

RUN_SECONDS = 60.0
DONE = ForwardMsg.FINISHED_SUCCESSFULLY
BROKEN = ForwardMsg.FINISHED_WITH_COMPILE_ERROR
ALERT_ERROR = 1


class _Stay(urllib.request.HTTPRedirectHandler):
    """Cookies come with the redirect, so it is not followed."""

    def redirect_request(self, *_: Any) -> None:
        return None


def joined(port: int, code: str) -> str:
    """The Cookie header of somebody who has given the join code."""
    body = urllib.parse.urlencode({"code": code}).encode()
    try:
        urllib.request.build_opener(_Stay).open(f"http://127.0.0.1:{port}/join", body, timeout=30)
    except urllib.error.HTTPError as answer:
        if answer.code == 303:
            return "; ".join(v.split(";")[0] for v in answer.headers.get_all("Set-Cookie") or [])
        raise
    raise RuntimeError("the join form gave no cookies")


@dataclass
class Visitor:
    """One page in one browser. ``page`` is its name in the address, "" for the first; ``query`` what follows the ?"""

    port: int
    cookie: str
    page: str = ""
    query: str = ""
    sliders: dict[str, Any] = field(default_factory=dict)
    buttons: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)  # wall clock at which a watched text first came
    received: int = 0
    polls: int = 0

    def __post_init__(self) -> None:
        self._states = BackMsg().rerun_script.widget_states
        self._hash, self._kept = "", set[str]()
        self._fragments: dict[str, asyncio.Task[None]] = {}
        self._idle = asyncio.Event()
        self._watched: dict[str, re.Pattern[bytes]] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> float:
        """Connect and draw the page for the first time; the seconds that the run took."""
        address, more = f"ws://127.0.0.1:{self.port}/_stcore/stream", {"Cookie": self.cookie}
        self._socket = await connect(address, max_size=None, proxy=None, compression=None, additional_headers=more)
        self._reader = asyncio.create_task(self._read())
        return await self.run()

    async def close(self) -> None:
        """Leave the page."""
        for task in (*self._fragments.values(), self._reader):
            if task:
                task.cancel()
        if self._socket:
            await self._socket.close()

    async def run(self) -> float:
        """Seconds from asking for a run of the whole page until its last message is here."""
        self._idle.clear()
        started = time.perf_counter()
        await self._ask()
        await asyncio.wait_for(self._idle.wait(), RUN_SECONDS)
        return time.perf_counter() - started

    async def move(self, name: str, choice: random.Random) -> float:
        """Put a slider somewhere else and rerun; the seconds that this took."""
        slider = self.sliders[name]
        held = next((s for s in self._states.widgets if s.id == slider.id), None)
        held = held or self._states.widgets.add(id=slider.id)
        many = max(1, len(slider.default))
        if slider.options:
            places = sorted(choice.sample(range(len(slider.options)), many))
            held.string_array_value.data[:] = [slider.options[p] for p in places]
        else:
            count = round((slider.max - slider.min) / slider.step)
            places = sorted(choice.sample(range(count + 1), many))
            held.double_array_value.data[:] = [slider.min + p * slider.step for p in places]
        return await self.run()

    async def press(self, name: str) -> float:
        """Press a button; the seconds until the page is drawn again."""
        self._states.widgets.add(id=self.buttons[name]).trigger_value = True
        try:
            return await self.run()
        finally:
            kept = [s for s in self._states.widgets if s.id != self.buttons[name]]
            del self._states.widgets[:]
            self._states.widgets.extend(kept)

    def watch(self, name: str, text: str) -> None:
        """Note in ``seen`` when a text first comes from now on."""
        self._watched[name] = re.compile(re.escape(text.encode()))

    async def _ask(self, fragment: str = "") -> None:
        ask = BackMsg()
        ask.rerun_script.query_string = self.query
        ask.rerun_script.widget_states.CopyFrom(self._states)
        ask.rerun_script.context_info.url = f"http://127.0.0.1/{self.page}"
        ask.rerun_script.cached_message_hashes.extend(self._kept)
        if fragment:
            ask.rerun_script.fragment_id, ask.rerun_script.is_auto_rerun = fragment, True
        if self._hash:
            ask.rerun_script.page_script_hash = self._hash
        else:
            ask.rerun_script.page_name = self.page
        if self._socket:
            await self._socket.send(ask.SerializeToString())

    async def _read(self) -> None:
        if self._socket is None:
            return
        async for data in self._socket:
            self._take(data if isinstance(data, bytes) else data.encode())

    def _take(self, data: bytes) -> None:
        self.received += len(data)
        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        if message.metadata.cacheable and message.hash:
            self._kept.add(message.hash)
        for name, pattern in self._watched.items():
            if name not in self.seen and pattern.search(data):
                self.seen[name] = time.time()
        if kind == "delta":
            self._note(message.delta.new_element)
        elif kind == "new_session":
            if not message.metadata.run.fragment_ids:  # a run of the whole page: it says anew what is to be polled
                self._end_polls(list(self._fragments))
        elif kind == "navigation":
            self._hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            self._poll(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            self._end_polls(list(message.stop_auto_rerun.fragment_ids))
        elif kind == "script_finished":
            self._finished(message.script_finished)

    def _finished(self, status: int) -> None:
        if status == BROKEN:
            self.errors.append("the page does not compile")
        if status in (DONE, BROKEN):
            self._idle.set()

    def _note(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "slider" and element.slider.id:
            self.sliders[element.slider.id.rpartition("-")[2]] = element.slider
        elif kind == "button":
            self.buttons[element.button.id.rpartition("-")[2]] = element.button.id
        elif kind == "exception":
            self.errors.append(element.exception.message)
        elif kind == "alert" and element.alert.format == ALERT_ERROR:
            self.errors.append(element.alert.body)

    def _poll(self, fragment: str, interval: float) -> None:
        if fragment not in self._fragments:
            self._fragments[fragment] = asyncio.create_task(self._polling(fragment, interval))

    def _end_polls(self, names: list[str]) -> None:
        for name in names:
            if task := self._fragments.pop(name, None):
                task.cancel()

    async def _polling(self, fragment: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            self.polls += 1
            await self._ask(fragment)
