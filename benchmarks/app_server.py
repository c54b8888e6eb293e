"""The app as a process and a page session without a browser, for benchmarks/app_speed.py.

:class:`Server` starts the real command and ends everything that it started; :class:`Session` speaks Streamlit's own
websocket protocol, so that what the server needs is timed without what a browser needs to draw it.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = ("torch", "torchvision", "transformers", "onnxruntime", "sklearn")
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 60.0, 5.0, 60.0
EMPTY_PAGE = 'import streamlit as st\n\nst.write("x")\n'


def free_port() -> int:
    """A port of the loopback address that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def app_command(home: Path, port: int) -> list[str]:
    """What a person types to start the app."""
    return [sys.executable, "-m", "engine", "app", "--no-browser", "--port", str(port), "--home", str(home)]


def empty_command(folder: Path, port: int) -> list[str]:
    """Streamlit with a page of one word: what its own start takes, whatever the page."""
    page = folder / "empty.py"
    page.write_text(EMPTY_PAGE)
    settings = ("server.headless=true", "server.address=127.0.0.1", "browser.gatherUsageStats=false",
                "server.fileWatcherType=none", f"server.port={port}")  # fmt: skip
    return [sys.executable, "-m", "streamlit", "run", str(page), *(f"--{s}" for s in settings)]


class Server:
    """A page server from its start to its end; ``health`` is the seconds until it answered."""

    def __init__(self, command: Sequence[str], port: int, home: Path) -> None:
        self.port, self._home = port, home
        self.epoch, started = time.time(), time.perf_counter()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, cwd=ROOT, **quiet)  # type: ignore[call-overload]
        self._wait(started + START_SECONDS)
        self.health = time.perf_counter() - started

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """End the server, and the runner that its page started, by their own ids."""
        children = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        for process in {*children, *_runners_of(self._home)}:
            _end(process)

    def since_start(self) -> float:
        """Seconds since the process was started."""
        return time.time() - self.epoch

    def ui(self) -> psutil.Process:
        """The process that draws pages: Streamlit's, whether it is the command itself or its child."""
        command = psutil.Process(self._process.pid)
        return next(
            (p for p in (command, *command.children()) if {"streamlit", "pages.serve"} & set(p.cmdline())), command
        )

    def imported(self) -> list[str]:
        """Packages of FORBIDDEN that the page process has mapped into its memory."""
        maps = Path(f"/proc/{self.ui().pid}/maps").read_text(encoding="utf-8")
        return [name for name in FORBIDDEN if f"/site-packages/{name}/" in maps]

    def _wait(self, until: float) -> None:
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() > until:
                raise RuntimeError("the server did not start")
            time.sleep(0.005)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/_stcore/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Session:
    """One visitor without a browser: asks for script runs and reads what the server sends until each has finished."""

    def __init__(self, port: int) -> None:
        self._socket = connect(f"ws://127.0.0.1:{port}/_stcore/stream", max_size=None, proxy=None, compression=None)
        self._query, self._states = "", BackMsg().rerun_script.widget_states
        self.sliders: dict[str, Any] = {}
        self.received = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def run(self) -> float:
        """Seconds from asking for a run of the page until its last message is here."""
        ask = BackMsg()
        ask.rerun_script.query_string = self._query
        ask.rerun_script.widget_states.CopyFrom(self._states)
        ask.rerun_script.context_info.url = "http://127.0.0.1/"
        self.received, started = 0, time.perf_counter()
        self._socket.send(ask.SerializeToString())
        while not self._finished(self._socket.recv(RUN_SECONDS)):
            pass
        return time.perf_counter() - started

    def move(self, name: str, place: int) -> float:
        """Put a slider at one of its places (counted around) and rerun; the seconds that this took."""
        slider = self.sliders[name]
        count = len(slider.options) or round((slider.max - slider.min) / slider.step) + 1
        held = next((s for s in self._states.widgets if s.id == slider.id), None) or self._states.widgets.add(
            id=slider.id
        )
        if slider.options:
            held.string_array_value.data[:] = [slider.options[place % count]]
        else:
            held.double_array_value.data[:] = [slider.min + (place % count) * slider.step]
        return self.run()

    def _finished(self, data: str | bytes) -> bool:
        message = ForwardMsg.FromString(bytes(data, "latin-1") if isinstance(data, str) else data)
        self.received += len(data)
        kind = message.WhichOneof("type")
        if kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "delta":
            element = message.delta.new_element
            if element.HasField("exception"):
                raise RuntimeError(f"the page failed: {element.exception.message}")
            if element.HasField("slider"):
                self.sliders[element.slider.id.rpartition("-")[2]] = element.slider
        return bool(kind == "script_finished")


def memory(process: psutil.Process) -> dict[str, float]:
    """Resident and unshared memory of a process in MB."""
    found = process.memory_full_info()
    return {"rss": found.rss / 1e6, "uss": found.uss / 1e6}


def _runners_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "engine.runner" in words and str(home) in words:
            found += [process, *process.children(recursive=True)]
    return found


def _end(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        os.sched_yield()  # it has ended by itself
