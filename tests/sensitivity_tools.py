"""Made-up sensitivities of a student with two layers: the first one cannot bear much, the second nearly everything."""

from __future__ import annotations

from typing import Any

SPARSITIES, BITS = [0.3, 0.5, 0.7, 0.9, 0.95], [8, 6, 4, 3, 2]
LAYERS = {"first": (1000, 4.0), "last": (9000, 0.1)}  # bytes in float, and how much harder than 0.1 it is hit
LOSSES = [0.0, 0.001, 0.004, 0.02, 0.05]


def made_up(dense_key: str, student: str = "plain_1k5") -> dict[str, Any]:
    """In the form of engine.sensitivity's facts."""
    cells, sizes = [], {}
    for name, (size, hard) in LAYERS.items():
        table = [[_bytes(size, s, b) for b in (32, *BITS)] for s in (0.0, *SPARSITIES)]
        for kind, levels in (("sparsity", SPARSITIES), ("bits", BITS)):
            for i, (level, loss) in enumerate(zip(levels, LOSSES, strict=True)):
                size_now = table[i + 1][0] if kind == "sparsity" else table[0][i + 1]
                cells.append(_cell(name, kind, level, hard * loss, size_now))
        sizes[name] = table
    layers = [{"name": n, "kind": "linear", "weights": s // 4, "packed_bytes": s} for n, (s, _) in LAYERS.items()]
    return {
        "dense_key": dense_key, "task": "fashion_mnist", "student": student, "metric": "accuracy",
        "direction": "maximize", "quality": 0.9, "repaired_loss": 0.0, "quality_low": 0.89,
         "quality_high": 0.91, "examples": 5000,
        "packed_bytes": 10_500, "sparsities": SPARSITIES, "bits": BITS, "layers": layers, "cells": cells,
        "sizes": sizes, "machine": "made up",
    }  # fmt: skip


def _bytes(size: int, sparsity: float, bits: int) -> int:
    return round(size * (1 - 0.8 * sparsity) * bits / 32) + 10


def _cell(layer: str, kind: str, level: float, loss: float, size: int) -> dict[str, Any]:
    return {"layer": layer, "kind": kind, "level": level, "quality": 0.9 - loss, "loss": loss,
            "loss_low": loss - 0.003, "loss_high": loss + 0.003, "shift": 5 * loss, "packed_bytes": size}  # fmt: skip
