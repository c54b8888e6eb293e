"""Made-up measured points in the form of ``engine.api.rows``, for tests of figures and of the command line."""

from __future__ import annotations

import random
from typing import Any

Row = dict[str, Any]


def row(number: int, **changed: Any) -> Row:
    """One plausible finished trial with a key of its own."""
    base: Row = {
        "key": f"{number:032x}", "task": "fashion_mnist", "origin": "trial", "role": "trial", "state": "done",
        "preview": False, "student": "plain_10k", "teacher": "teacher", "loss": "kd", "temperature": 4.0, "weight": 0.9,
        "pruning": "magnitude", "schedule": "gradual", "sparsity": 0.5, "bits": 8, "labels": None, "data": "sample",
        "epochs": 3, "seed": 0, "metric": "accuracy", "quality": 0.89, "quality_low": 0.88, "quality_high": 0.9,
        "packed_bytes": 8000, "onnx_bytes": 14000, "parameters": 10174, "nonzero": 5190, "macs": 700000,
        "latency_ms": 0.05, "latency_low_ms": 0.048, "latency_high_ms": 0.052, "latency32_ms": 1.1,
        "runtime": "onnxruntime", "simulated": False, "slower_here": False, "cause": None, "ratio": 0.9,
        "machine": "here", "created": 100.0 + number, "dense_key": "d" * 32,
    }  # fmt: skip
    return base | changed


def many(count: int, seed: int = 0) -> list[Row]:
    """Points all over the place, three quarters of them grid points."""
    chance = random.Random(seed)
    found = []
    for i in range(count):
        size = int(10 ** chance.uniform(2.5, 5.5))
        quality = 0.94 - 2.0 / size**0.5 - chance.uniform(0, 0.2)
        changed = {"packed_bytes": size, "onnx_bytes": 2 * size, "latency_ms": size / 1e5 + 0.01, "quality": quality}
        spread = {"quality_low": quality - 0.01, "quality_high": quality + 0.01, "bits": chance.choice((2, 4, 8))}
        found.append(row(i, origin="grid" if i % 4 else "trial", **changed, **spread))
    return found
