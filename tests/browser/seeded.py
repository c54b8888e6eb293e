"""A home with made-up but plausible results, so that pages can be tested without training anything.

The curves follow what small nets do on Fashion-MNIST; machine and runtime say that nothing was measured.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from engine import api
from engine.execution.base import pack_predictions
from engine.home import Home
from engine.recipe import Recipe
from engine.result import Cost, Latency, Quality, Result
from engine.store import Ask, Point, Store
from engine.tasks import _fashion_mnist_files

TASK = "fashion_mnist"
SIZES = {
    "plain_1k5": (1536, 0.868), "plain_5k": (5058, 0.889), "plain_10k": (10174, 0.902), "plain_29k": (29178, 0.907),
    "plain_150k": (153482, 0.917), "depthwise_10k": (9874, 0.892), "depthwise_28k": (28346, 0.896),
}  # fmt: skip
SPARSITIES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
LOSS_BY_BITS = {8: 0.001, 7: 0.002, 6: 0.003, 5: 0.005, 4: 0.009, 3: 0.035, 2: 0.17, 1: 0.32}
ENVIRONMENT = {"machine": "a made-up machine (tests)"}


def seed(home: Home, previews: bool = False) -> None:
    """Fill ``home``: the default student with its whole grid, several other students, a teacher."""
    default = Recipe.from_json(api.default_recipe(TASK))
    grid = [default.dense().with_one_shot(s, b) for s in SPARSITIES for b in LOSS_BY_BITS]
    _put(home, default.dense().key, [_point(r, "grid", previews and i % 3 == 0) for i, r in enumerate(grid)])
    for student in SIZES:
        dense = Recipe.from_json({**default.dense().to_json(), "student": student})
        trials = [dense, dense.baseline(), Recipe.from_json({**default.to_json(), "student": student})]
        _put(home, dense.key, [_point(r, "trial") for r in trials], f"seed:{student}")
    teacher: dict[str, Any] = {
        "task": TASK,
        "data": "sample",
        "labels": None,
        "student": "teacher",
        "seed": 0,
        "phases": [],
    }
    _put(
        home,
        "teacher",
        [Point(_result("teacher0" * 4, teacher, 0.9374, 575_594, 0.0, 32, 6.1, "trial").to_json())],
        "seed:teacher",
    )


def _put(home: Home, dense_key: str, points: list[Point], name: str = "") -> None:
    store = Store(home.store)
    name = name or f"grid:{dense_key}"
    store.submit([Ask(name, "grid", TASK, {}, dense_key)], "local", name)
    work = store.claim()
    if work is None:
        raise RuntimeError("the seeded job cannot be claimed")
    store.report(name, work.attempt, {"steps": len(points), "fraction": 1.0})
    store.add_points(name, work.attempt, dense_key, points)
    store.finish(name, work.attempt)
    store.close()


def _point(recipe: Recipe, origin: str, preview: bool = False) -> Point:
    row = recipe.to_json()
    stages = {s.name: s for s in recipe.stages}
    pruned, quantized = stages.get("prune_magnitude"), stages.get("quantize_linear")
    sparsity = float(pruned.get("sparsity")) if pruned else 0.0
    gradual = bool(pruned and pruned.get("schedule") == "gradual")
    bits = int(quantized.get("bits")) if quantized else 32
    parameters, ceiling = SIZES[recipe.student]
    softened = any(p.teachers for p in recipe.phases)
    lost = (0.25 if gradual else 1.0) * 0.45 * max(0.0, sparsity - 0.25) ** 2.6 / 0.7**2.6 + LOSS_BY_BITS.get(bits, 0.0)
    quality = max(0.1, ceiling - lost - (0.0 if softened else 0.007))
    latency = (
        0.012
        + parameters * 1.9e-6 * (0.85 if bits == 8 and parameters > 50_000 else 1.0)
        + (0.009 if bits == 8 else 0.0)
    )
    result = _result(recipe.key, row, quality, parameters, sparsity, bits, latency, origin, preview)
    shape, data = pack_predictions(_logits(result.quality.value, 1000 if preview else 5000, recipe.seed))
    return Point(result.to_json(), shape, data)


def _result(
    key: str, recipe: dict[str, Any], quality: float, parameters: int, sparsity: float, bits: int, latency: float,
    origin: str, preview: bool = False,
) -> Result:  # fmt: skip
    spread = 1.96 * math.sqrt(quality * (1 - quality) / (1000 if preview else 5000))
    packed = int(600 + parameters * (1 - 0.8 * sparsity) * bits / 8 * 0.92)
    slower = bits == 8 and parameters < 50_000
    ratio = 1.38 if slower else 0.86 if bits == 8 else 1.01
    causes = "conversion nodes" if slower else None
    times = [
        Latency(
            ms, ms * 1.1, ms * 0.98, ms * 1.03, "onnxruntime 1.32", 1, batch, 1 < bits < 8, slower, causes,
            ratio, ratio - 0.03, ratio + 0.03,
        )
        for ms, batch in ((latency, 1), (18 * latency, 32))
    ]  # fmt: skip
    cost = Cost(
        packed * 2 + 1800, packed, parameters, int(parameters * (1 - sparsity)), parameters * 80, times[0], times[1]
    )
    curve: Any = ()
    measured = Quality("accuracy", quality, quality - spread, quality + spread)
    return Result(
        key, "done", recipe, measured, cost, {"accuracy": quality}, origin, seconds=9.0, environment=ENVIRONMENT,
        curve=curve, preview=preview,
    )  # fmt: skip


def _logits(quality: float, count: int, number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits that are right for about a share ``quality`` of the validation labels; easy images stay easy."""
    labels = _fashion_mnist_files.read_sample("validation").labels[:count].astype(np.int64)
    order = np.random.default_rng(number).random(count)
    answers = np.where(order < quality, labels, (labels + 1) % 10)
    return np.eye(10, dtype=np.float32)[answers] * 4


def main() -> None:
    """``python tests/browser/seeded.py FOLDER`` fills a home for looking at the app by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    seed(Home.locate(parser.parse_args().folder))


if __name__ == "__main__":
    main()
