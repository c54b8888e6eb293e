"""Slot: training and timing never run at the same time, so that a latency is the machine's and not the neighbour's.

Two lock files of the home. ``quiet`` is a readers-writer lock: workers that train hold it shared, one that measures
holds it exclusively. ``turnstile`` keeps measuring from starving: whoever wants quiet closes the turnstile first, and
workers that train step out of ``quiet`` as soon as they see it closed. The system drops a dead process's locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from engine.home import Home

LOOK_SECONDS = 0.02


class Slot:
    """One worker's side of the locks. Not for several threads at once."""

    def __init__(self, home: Home) -> None:
        self._quiet = os.open(home.lock("quiet"), os.O_RDWR | os.O_CREAT, 0o600)
        self._turnstile = os.open(home.lock("turnstile"), os.O_RDWR | os.O_CREAT, 0o600)
        self._depth = 0
        self._silent = False
        self._looked = 0.0

    def close(self) -> None:
        """Drop all locks."""
        os.close(self._quiet)
        os.close(self._turnstile)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Work beside others, never beside a measurement; waits while one runs. Blocks may be nested."""
        if self._depth == 0 and not self._silent:
            self._enter()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and not self._silent:
                fcntl.flock(self._quiet, fcntl.LOCK_UN)

    def breathe(self) -> None:
        """Call it at each batch: lets a waiting measurement in. Well below a microsecond unless 20 ms have passed."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS or self._depth == 0 or self._silent:
            return
        self._looked = now
        try:
            fcntl.flock(self._turnstile, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        except BlockingIOError:
            fcntl.flock(self._quiet, fcntl.LOCK_UN)
            self._enter()

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Wait until nobody works, then keep everybody out; also from inside :meth:`working`. Blocks may be nested."""
        if self._silent:
            yield
            return
        if self._depth:  # waiting for the turnstile while working would be waiting for oneself
            fcntl.flock(self._quiet, fcntl.LOCK_UN)
        fcntl.flock(self._turnstile, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._quiet, fcntl.LOCK_EX)
            self._silent = True
            yield
        finally:
            self._silent = False
            fcntl.flock(self._quiet, fcntl.LOCK_UN)
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
            if self._depth:
                self._enter()

    def _enter(self) -> None:
        # holding the turnstile for a moment only: it is closed while somebody measures or waits to
        fcntl.flock(self._turnstile, fcntl.LOCK_SH)
        try:
            fcntl.flock(self._quiet, fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
