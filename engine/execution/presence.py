"""Who is there: the runner of a home (one at most) and the apps that have it open, known by their locks."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

from engine.errors import StoreError
from engine.home import Home

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
