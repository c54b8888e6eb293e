"""A point's weights in every runtime that can run them, each written, judged and timed: what else could be shipped.

The student is rebuilt from its kept prefixes, as for an inspection; what is missing is trained, and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engine import artifact, other_runtimes_files
from engine.artifact import Built, runtimes
from engine.errors import TrialFailedError
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure import machine
from engine.measure.causes import Facts
from engine.measure.cost import cost as cost_of
from engine.measure.latency import LatencyReading, to_latency
from engine.measure.timing import timed
from engine.pipeline import Logits, predict, quality, scores
from engine.prefix import Trained
from engine.recipe import Recipe
from engine.scores import PAIRED, paired
from engine.student import train
from engine.workbench import Bench, Report

FLOAT = "float"


def compare(body: Mapping[str, Any], home: Home, report: Report, slot: Slot) -> None:
    """Compare the runtimes of the point ``{"key", "recipe"}`` and keep :func:`facts` of it.

    Raises :class:`TrialFailedError` for a point that today's plug-ins would not make again.
    """
    recipe = Recipe.from_json(body["recipe"])
    if recipe.key != body["key"]:
        raise TrialFailedError("it was measured by an earlier version, which made another network; run it again")
    bench = Bench(recipe, home, report, slot.breathe)
    with slot.working():
        trained = train(bench)
        report({"doing": "writing", "fraction": 0.6})
        found, ships = variants(bench, trained)
        logits = {}
        for number, (name, built) in enumerate(found.items()):
            slot.breathe()
            report({"doing": "answering", "fraction": 0.6 + 0.2 * number / len(found)})
            logits[name] = predict(built, bench.inputs("validation"))
        report({"doing": "timing", "fraction": 0.8})
        with slot.quiet():
            files = {name: built.onnx for name, built in found.items()}
            times = timed(files, tuple(bench.task.input_shape), FLOAT)
        other_runtimes_files.save(home, recipe.key, facts(bench, trained, found, ships, logits, times))


def variants(bench: Bench, trained: Trained) -> tuple[dict[str, Built], str]:
    """Every variant by name, float first, and the name of the one that the recipe ships."""
    own = artifact.build(trained.model, bench.example)
    found = runtimes.variants(trained.model, bench.example, bench.calibration)
    name = runtimes.name_of(own, found)
    return found if name in found else {**found, name: own}, name


def facts(
    bench: Bench,
    trained: Trained,
    found: Mapping[str, Built],
    ships: str,
    logits: Mapping[str, Logits],
    times: Mapping[int, Mapping[str, LatencyReading]],
) -> dict[str, Any]:
    """Plain data: ``rows``, one a variant, and the machine. Bytes, milliseconds, fractions of one.

    A row: ``name``, ``ships``, ``simulated``, ``rounds_inputs``, ``bits``, ``quality`` with its interval,
    ``difference`` to float in pairs (value, low, high; None where the metric does not count right answers),
    ``onnx_bytes``, ``packed_bytes``, ``latencies`` by batch size with their paired ratios to float.
    """
    rows = []
    for name, built in found.items():
        cost = cost_of(trained.model, bench.example, built)
        about = Facts(built.simulated, built.bits, built.conversions, cost.parameters, cost.nonzero)
        smaller = cost.packed_bytes < len(found[FLOAT].packed())
        rows.append({
            "name": name, "ships": name == ships, "simulated": built.simulated, "bits": built.bits,
            "rounds_inputs": built.rounds_inputs, "quality": asdict(quality(bench, logits[name], "validation")),
            "difference": _difference(bench, logits[name], logits[FLOAT]), "onnx_bytes": cost.onnx_bytes,
            "packed_bytes": cost.packed_bytes,
            "latencies": {str(b): asdict(to_latency(read[name], about, smaller)) for b, read in times.items()},
        })  # fmt: skip
    return {"rows": rows, **{name: machine.facts()[name] for name in ("machine", "machine_id")}}


def _difference(bench: Bench, logits: Logits, base: Logits) -> dict[str, float] | None:
    """Of two qualities on the same examples, with its 95 % interval."""
    if bench.task.metric not in PAIRED:
        return None
    pair = paired(scores(bench, logits), scores(bench, base))
    return dict(zip(("value", "low", "high"), pair, strict=True))
