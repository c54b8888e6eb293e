"""Do the 95 % intervals hold the truth 95 times of 100? Simulations in which the truth is known.

    .venv/bin/python benchmarks/coverage.py [--simulations 2000] [--quick]

A model is right about an example when the sum of its skill, its seed's luck, the example's ease and their interaction
is above zero; all are normal, so the expected accuracy is a value of the normal distribution. Measures of logits are
drawn from a population of 200,000 made-up examples whose true values are counted. Exit status 1 when an interval that
the app shows covers less than 93 % or more than 97 %.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine import metrics, statistics

LOWEST, HIGHEST = 0.93, 0.97
NORMAL = NormalDist()
POPULATION, CLASSES = 200_000, 10
Held = tuple[bool, float]


class Case(NamedTuple):
    """One interval: what it is of, how often it must be tried, and one simulation giving (held, width)."""

    name: str
    method: str
    simulate: Callable[[np.random.Generator], Held]


class Skills(NamedTuple):
    """A method's mean skill and the spreads of seeds, of examples (shared by methods and not), and of the rest."""

    mean: float
    seed: float
    example: float = 1.0
    own: float = 0.3
    rest: float = 0.35

    @property
    def truth(self) -> float:
        """The expected accuracy over all seeds and examples."""
        spread = math.sqrt(self.seed**2 + self.example**2 + self.own**2 + self.rest**2)
        return NORMAL.cdf(self.mean / spread)


def right(skills: Skills, ease: npt.NDArray[np.float64], seeds: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """[seeds, N] whether each example is answered rightly; ``ease`` [N] is shared by whoever answers them."""
    count = len(ease)
    own, luck = skills.own * rng.normal(size=count), skills.seed * rng.normal(size=(seeds, 1))
    rest = skills.rest * rng.normal(size=(seeds, count))
    return np.asarray(skills.mean + luck + skills.example * ease + own + rest > 0)


def one_run(mean: float, count: int) -> Callable[[np.random.Generator], Held]:
    """The accuracy of one trained model on other examples: its luck is part of it.

    The skill differs a little from one simulation to the next: a share of N examples is a lattice, on which any single
    truth lies well or badly.
    """

    def simulate(rng: np.random.Generator) -> Held:
        skills = Skills(mean + rng.uniform(-0.1, 0.1), 0.0)
        found = statistics.share(right(skills, rng.normal(size=count), 1, rng)[0])
        return held(found.low, found.high, skills.truth)

    return simulate


def two_runs(gap: float, count: int) -> Callable[[np.random.Generator], Held]:
    """The difference of two trained models on the same examples."""
    a, b = Skills(1.4 + gap, 0.0), Skills(1.4, 0.0)

    def simulate(rng: np.random.Generator) -> Held:
        ease = rng.normal(size=count)
        found = statistics.difference(right(a, ease, 1, rng), right(b, ease, 1, rng))
        return held(found.low, found.high, a.truth - b.truth)

    return simulate


def mean_of_seeds(luck: float, count: int, seeds: int) -> Callable[[np.random.Generator], Held]:
    """What to expect of another seed on *these* examples: seeds are the only sample."""
    skills = Skills(1.4, luck)

    def simulate(rng: np.random.Generator) -> Held:
        # the truth for given examples: each one's probability over seeds and the rest
        ease, own = rng.normal(size=count), skills.own * rng.normal(size=count)
        lucks = luck * rng.normal(size=(seeds, 1)) + skills.rest * rng.normal(size=(seeds, count))
        base = skills.mean + skills.example * ease + own
        truth = cdf(base / math.hypot(luck, skills.rest)).mean()
        found = statistics.over_seeds((base + lucks > 0).mean(1))
        return held(found.low, found.high, float(truth))

    return simulate


def two_methods(gap: float, luck: float, count: int, seeds: int) -> Callable[[np.random.Generator], Held]:
    """The difference of two methods, each trained with the same seeds: other seeds, other examples."""
    a, b = Skills(1.4 + gap, luck), Skills(1.4, luck)

    def simulate(rng: np.random.Generator) -> Held:
        ease = rng.normal(size=count)
        found = statistics.difference(right(a, ease, seeds, rng), right(b, ease, seeds, rng))
        return held(found.low, found.high, a.truth - b.truth)

    return simulate


def of_logits(name: str, count: int, times: int) -> Callable[[np.random.Generator], Held]:
    """A measure of logits, its true value counted on the whole population."""
    logits, labels, teacher = population()
    truth = metrics.classification(logits, labels, teacher)[name]

    def simulate(rng: np.random.Generator) -> Held:
        chosen = rng.integers(0, POPULATION, count)
        found = statistics.classification(logits[chosen], labels[chosen], teacher[chosen], times)[name]
        return held(found.low, found.high, truth)

    return simulate


def population() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Logits, labels and a teacher's logits of made-up examples, about 88 % of them answered rightly."""
    rng = np.random.default_rng(17)
    labels = rng.integers(0, CLASSES, POPULATION)
    teacher = rng.normal(size=(POPULATION, CLASSES))
    teacher[np.arange(POPULATION), labels] += 3.0
    return 1.5 * (teacher + 0.4 * rng.normal(size=teacher.shape)), labels, 1.5 * teacher


def held(low: float, high: float, truth: float) -> Held:
    """Whether the interval holds the truth, and its width."""
    return low <= truth <= high, high - low


def cdf(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The normal distribution of each value."""
    return np.asarray([0.5 * math.erfc(-v / math.sqrt(2)) for v in values.tolist()])


def cases(times: int) -> Iterator[Case]:
    """All intervals that the app shows, and beside them what it does not use."""
    for mean, count in ((1.4, 5000), (1.4, 1000), (2.6, 1000)):
        words = f"accuracy of {100 * Skills(mean, 0.0).truth:.0f} % on {count:,} examples"
        yield Case(words, "Wilson", one_run(mean, count))
    for gap, count in ((0.0, 5000), (0.1, 5000), (0.0, 1000)):
        yield Case(f"difference of two runs, {count:,} examples, skills {gap:g} apart", "paired (Agresti and Min)",
                   two_runs(gap, count))  # fmt: skip
    for luck in (0.02, 0.1):
        yield Case(f"mean of 5 seeds, luck {luck:g}", "t over seeds", mean_of_seeds(luck, 1000, 5))
    for luck in (0.0, 0.03, 0.1):
        yield Case(f"difference over 5 seeds, luck {luck:g}, 2,000 examples", "paired, seeds and examples",
                   two_methods(0.05, luck, 2000, 5))  # fmt: skip
    for name in ("macro_f1", "cross_entropy", "kl_to_teacher", "calibration_error"):
        yield Case(f"{name} on 1,000 examples", f"bootstrap ({times} samples)", of_logits(name, 1000, times))


def main() -> int:
    """Print the table; 1 when an interval misses its limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=400, help="bootstrap samples a simulation; the app draws 2,000")
    parser.add_argument("--quick", action="store_true", help="200 simulations with wider limits, to see that it runs")
    options = parser.parse_args()
    count = 200 if options.quick else options.simulations
    room = 2.6 * math.sqrt(0.95 * 0.05 / count) if options.quick else 0.0
    print(f"{count} simulations each; load average {os.getloadavg()[0]:.1f}\n")
    print("| interval of | method | holds the truth | mean width | |\n| --- | --- | --- | --- | --- |")
    missed = 0
    for number, case in enumerate(cases(options.samples)):
        rng, started = np.random.default_rng(1000 + number), time.perf_counter()
        found = [case.simulate(rng) for _ in range(count)]
        share = sum(h for h, _ in found) / count
        fine = LOWEST - room <= share <= HIGHEST + room
        missed += not fine
        width = sum(w for _, w in found) / count
        print(
            f"| {case.name} | {case.method} | {100 * share:.1f} % | {width:.4f} | {'' if fine else 'missed'} |",
            flush=True,
        )
        print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(f"\nlimits: {100 * LOWEST:.0f} to {100 * HIGHEST:.0f} %; missed: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
