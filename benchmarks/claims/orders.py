"""The orders of distillation, pruning and quantization, each against each, as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.claims.journal import Journal, Run
from benchmarks.claims.report import interval, table
from benchmarks.claims.running import Compared, compare
from benchmarks.claims.values import FIVE, SOFT, THREE, body, of_seed
from engine.recipe import Recipe
from engine.search import orders

LEAST = 0.005  # named beforehand: smaller differences between orders count as none
MEASURE = "accuracy"


@dataclass(frozen=True)
class Contest:
    """One student, trained for ``epochs`` in all in each order, with the same seeds."""

    student: str
    epochs: int = 4
    seeds: tuple[int, ...] = FIVE

    def arms(self) -> dict[str, list[Recipe]]:
        """For each order its recipes, one a seed."""
        phases = orders.orders(SOFT, ["teacher"], self.epochs)
        return {name: [of_seed(body(self.student, *some), s) for s in self.seeds] for name, some in phases.items()}


CONTESTS = (Contest("plain_5k"), Contest("plain_10k", seeds=THREE))


def runs(contest: Contest, journal: Journal) -> dict[str, list[Run]]:
    """What is measured, by order; an order of which a run is missing is left out."""
    found = {name: [journal.find(r, MEASURE) for r in arm] for name, arm in contest.arms().items()}
    return {name: [run for run in arm if run] for name, arm in found.items() if None not in arm}


def report(contests: Sequence[Contest], journal: Journal, about: str) -> str:
    """The whole page."""
    lines = ["# First distil or first compress?", "", f"Written by `make evidence` ({about}). {_how()}", ""]
    for contest in contests:
        lines += [f"## {contest.student}, {contest.epochs} epochs, {len(contest.seeds)} seeds", ""]
        lines += [*_contest(runs(contest, journal)), ""]
    return "\n".join([*lines, "## The orders", "", *_phases(), ""])


def _how() -> str:
    return (
        f"The same three stages (a teacher's soft targets at temperature {SOFT['temperature']:g}, "
        f"{orders.SPARSITY:.0%} zeros, {orders.BITS} bits) in four orders, equally many epochs in all; accuracy of the "
        "written artifact on the 5,000 validation images. Differences are paired over seeds and images, in points with "
        f"their 95 % interval; one of at least {100 * LEAST:g} points whose interval holds no zero counts (named "
        "beforehand). Each table holds six comparisons: one of them excludes zero by luck in about a quarter of such "
        "tables. Where compressing and distilling are apart, the compressing half learns from labels alone."
    )


def _contest(found: Mapping[str, Sequence[Run]]) -> list[str]:
    if len(found) < 2:
        return ["Not measured yet."]
    means = [[name, f"{100 * _mean(r.value for r in arm):.2f}", f"{_mean(r.bytes for r in arm):,.0f}"]
             for name, arm in found.items()]  # fmt: skip
    pairs = [(a, b, compare(found[a], found[b])) for a, b in itertools.combinations(found, 2)]
    rows = [[a, b, interval(both.found), verdict(both)] for a, b, both in pairs]
    return [*table(["order", "accuracy", "packed bytes"], means), "",
            *table(["order", "against", "difference (95 %)", "better"], rows)]  # fmt: skip


def verdict(both: Compared) -> str:
    """Which of two is better, if the difference is sure and large enough."""
    low, high, value = both.found.low, both.found.high, both.found.difference
    if low <= 0 <= high or abs(value) < LEAST:
        return "neither"
    return "the first" if value > 0 else "the second"


def _mean(values: Any) -> float:
    numbers = list(values)
    return float(sum(numbers) / len(numbers))


def _phases() -> list[str]:
    rows = []
    for name, phases in orders.orders(SOFT, ["teacher"]).items():
        rows.append([name, "; then ".join(_phase(phase) for phase in phases)])
    return table(["order", "phases (of 4 epochs in all)"], rows)


def _phase(phase: Mapping[str, Any]) -> str:
    stages = " + ".join(
        f"`{s['name']}`" + (f" {s['sparsity']:.0%}" if "sparsity" in s else "") for s in phase["stages"]
    )
    learnt = "soft targets" if phase["teachers"] else "labels alone"
    return f"{phase['epochs']} of {learnt}" + (f" under {stages}" if stages else "")
