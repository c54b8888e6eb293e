"""``--device``: where the runner that a command starts lets students train."""

from __future__ import annotations

import argparse
import os

from engine import device, store_read
from engine.api_home import store_of
from engine.execution import presence
from engine.home import Home

OPTION = "--device"


def choose(options: argparse.Namespace, home: Home) -> None:
    """Take the command's ``--device``, where it has one, for this process and what it starts.

    CUDA without a card raises :class:`InputError` before anything is asked for, and so does another device than that of
    a runner which is at work; a runner without work is replaced.
    """
    if not hasattr(options, "device"):
        return
    given = options.device
    if given is None:
        device.wanted()
        return
    if given == "cuda":
        device.check_cuda(OPTION)
    os.environ[device.VARIABLE] = given
    if presence.runner_lives(home):
        presence.make_way(home, given, store_read.busy(store_of(home)))
