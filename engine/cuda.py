"""The device that :mod:`engine.device` names, as PyTorch has it: ``python -m engine.cuda`` says whether CUDA works."""

from __future__ import annotations

import functools
import os
import sys

import torch

from engine import device

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # without it cuBLAS may add in another order each time


def resolve() -> torch.device:
    """The device to train on; raises :class:`InputError` where CUDA is wanted and there is none."""
    name = device.wanted()
    reason = problem() if name != "cpu" else None
    if name == "cuda" and reason:
        raise device.refuse_cuda(device.VARIABLE, reason)
    if name == "cpu" or reason:
        return torch.device("cpu")
    _same_every_time()
    return torch.device("cuda")


@functools.cache
def problem() -> str | None:
    """Why PyTorch cannot compute on a card here; None where it can."""
    if torch.version.cuda is None:
        return "this PyTorch was built without CUDA"
    if not torch.cuda.is_available():
        return "PyTorch finds no CUDA card"
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError as found:  # a card that this build has no kernels for, or whose memory is taken
        return (str(found).splitlines() or ["no message"])[0][:120]
    return None


def title(where: torch.device) -> str:
    """``cpu``, or ``cuda`` with the card's name, for a result's environment."""
    return f"cuda ({torch.cuda.get_device_name(where)})" if where.type == "cuda" else where.type


def _same_every_time() -> None:
    """Same recipe and seed, same weights on this card: kernels whose sums depend on the moment are avoided."""
    os.environ.setdefault(CUBLAS, ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)


if __name__ == "__main__":
    reason = problem()
    sys.stdout.write(f"{reason or title(torch.device('cuda'))}\n")
    sys.exit(1 if reason else 0)
