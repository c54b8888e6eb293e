"""Where students train: on the processor or on an NVIDIA card. Names, the person's choice and its check; no torch.

The choice is a setting of the process (``--device``, ``STILLHOUSE_DEVICE``), never of a recipe: its key is the same
everywhere, the result's environment says where it was trained. Artifacts are measured on the processor in any case.
"""

from __future__ import annotations

import os
import subprocess
import sys

from engine.errors import InputError, unknown_name

DEVICES = ("auto", "cpu", "cuda")
VARIABLE = "STILLHOUSE_DEVICE"
ALLOWED_WITHOUT = "auto or cpu on this machine"
CHECK_SECONDS = 120.0


def wanted() -> str:
    """``STILLHOUSE_DEVICE``, else ``auto`` (CUDA where there is a card); raises :class:`InputError` for other words."""
    given = os.environ.get(VARIABLE, "") or DEVICES[0]
    if given not in DEVICES:
        raise unknown_name(VARIABLE, given, DEVICES)
    return given


def refuse_cuda(where: str, reason: str) -> InputError:
    """The error for CUDA where it cannot be used."""
    return InputError(where, "cuda", f"{ALLOWED_WITHOUT} ({reason})")


def check_cuda(where: str) -> None:
    """Raise :class:`InputError` unless PyTorch can compute on a card here.

    A process of its own asks PyTorch, which this one must not load; that takes seconds.
    """
    command = [sys.executable, "-m", "engine.cuda"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as problem:
        raise refuse_cuda(where, f"PyTorch does not answer: {type(problem).__name__}") from None
    if done.returncode:
        raise refuse_cuda(where, (done.stdout.strip().splitlines() or ["PyTorch cannot be loaded"])[-1])
