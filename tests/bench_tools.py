"""What ``bench.py --json`` prints on a machine that does not exist, of trials that a test has made."""

from __future__ import annotations

import hashlib
from typing import Any

from engine import api
from engine.home import Home
from engine.measure import machine

BATCHES = {"1": 0.5, "8": 3.0, "32": 11.0}


def reading(milliseconds: float) -> dict[str, Any]:
    """One model at one batch size."""
    times = {"median_ms": 1.0, "low_ms": 0.9, "high_ms": 1.2, "p95_ms": 1.5, "cpu_ms": 0.95}
    return {name: milliseconds * share for name, share in times.items()} | {
        "rounds": 12, "ratio": None, "ratio_low": None, "ratio_high": None, "memory_bytes": 4_000_000}  # fmt: skip


def there(**changed: Any) -> dict[str, Any]:
    """A small machine's facts, its id among them."""
    facts = {"processor": "Cortex-A76", "architecture": "aarch64", "cores": 4, "features": ["asimddp"],
             "machine": "Cortex-A76, 4 cores", "system": "Linux 6.1", "python": "3.11.2",
             "onnxruntime": "1.20.1", "numpy": "1.26.4"} | changed  # fmt: skip
    return facts | {"machine_id": machine.machine_id(facts)}


def bench_json(home: Home, *keys: str, factor: float = 1.0, **facts: Any) -> dict[str, Any]:
    """What timing the exports of these trials gives there; milliseconds are BATCHES times ``factor``."""
    models = []
    for key in keys:
        run = api.result(home, key)
        content = (home.artifact(key) / "model.onnx").read_bytes()
        models.append({
            "key": key, "task": run["recipe"]["task"], "onnx_bytes": run["cost"]["onnx_bytes"],
            "onnx_sha256": hashlib.sha256(content).hexdigest(),
            "batches": {size: reading(factor * time) for size, time in BATCHES.items()},
        })  # fmt: skip
    return {"format": "stillhouse bench", "version": 1, "measured": 1_790_000_000.5, "machine": there(**facts),
            "runtime": "onnxruntime 1.20.1 CPU", "threads": 1, "models": models}  # fmt: skip
