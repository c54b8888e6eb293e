"""Who is there: the runner of a home (one at most) and the apps that have it open, known by their locks."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from engine import device
from engine.errors import InputError, StoreError
from engine.files import atomic_write
from engine.home import Home

LEAVE_SECONDS = 15.0  # a runner without work ends within a second or two

_lock = threading.Lock()
_runners: dict[Path, subprocess.Popen[bytes]] = {}
_open: dict[Path, int] = {}


def runner_lives(home: Home) -> bool:
    """Whether a runner holds this home's lock."""
    return not _free(home.lock("runner"), fcntl.LOCK_SH)


def start_runner(home: Home, *arguments: str) -> None:
    """Start a runner for this home unless one lives or is just starting; its words go to ``runner.log`` in the home."""
    with _lock:
        mine = _runners.get(home.root)
        if (mine and mine.poll() is None) or runner_lives(home):
            return
        command = [sys.executable, "-m", "engine.runner", "--home", str(home.root), *arguments]
        try:
            with (home.root / "runner.log").open("ab") as log:
                _runners[home.root] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as problem:
            raise StoreError(f"the runner of {home.root} cannot be started ({problem})") from None


def introduce(home: Home) -> None:
    """What a runner that holds the lock says of itself: its process and where its students train."""
    atomic_write(_note(home), json.dumps({"pid": os.getpid(), "device": device.wanted()}))


def make_way(home: Home, wanted: str, busy: bool) -> None:
    """Ask a living runner that trains elsewhere than ``wanted`` to leave; one that is ``busy`` is left alone.

    That raises :class:`InputError`: what it does belongs to somebody, and would have to begin again.
    """
    if not runner_lives(home):
        return
    try:
        found = json.loads(_note(home).read_text())
        pid, there = int(found["pid"]), str(found["device"])
    except (OSError, ValueError, KeyError, TypeError):  # a runner that has just begun, or of an older version
        pid, there = 0, device.DEVICES[0]
    if wanted in (there, device.DEVICES[0]):
        return
    if busy or not pid:
        raise InputError("--device", wanted, f"{there} while this home's runner is at work; wait until it has nothing "
                         "to do, or choose another home")  # fmt: skip
    _send_away(home, pid)


def _send_away(home: Home, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + LEAVE_SECONDS
    while runner_lives(home):
        if time.monotonic() > ends:
            raise StoreError(f"the runner of {home.root} (process {pid}) does not end; end it, then try again")
        time.sleep(0.05)


def _note(home: Home) -> Path:
    return home.lock("runner").with_suffix(".json")


def hold_open(home: Home) -> None:
    """Tell the runner that an app uses this home: a shared lock that the system drops when this process ends."""
    with _lock:
        if home.root not in _open:
            handle = os.open(home.lock("app"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(handle, fcntl.LOCK_SH)
            _open[home.root] = handle


def app_is_open(home: Home) -> bool:
    """Whether any process holds this home open."""
    return not _free(home.lock("app"), fcntl.LOCK_EX)


def _free(path: Path, how: int) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
