"""From claims to findings: what has to be measured, in which order, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.claims.journal import Journal, Run
from benchmarks.claims.values import SHOWN, Claim, Setting
from engine import statistics
from engine.recipe import Recipe
from engine.statistics import Difference

MOST = 3  # settings of a claim


@dataclass(frozen=True)
class Compared:
    """Two recipes over the same seeds: means of both, the paired difference, bytes and multiply-adds as ratios.

    ``ahead`` is the number of seeds with which the method is better.
    """

    method: float
    control: float
    found: Difference
    ahead: int
    bytes: float
    macs: float
    seconds: float


@dataclass(frozen=True)
class Finding:
    """What one setting of a claim says."""

    claim: Claim
    setting: Setting
    compared: Compared

    @property
    def verdict(self) -> str:
        """shown, not shown or opposite."""
        return self.claim.verdict(self.compared.found)


def compare(methods: Sequence[Run], controls: Sequence[Run]) -> Compared:
    """Runs of equal seeds in equal order; the interval counts seeds and images as samples."""
    sides = [np.stack([run.right for run in runs]) for runs in (methods, controls)]
    found = statistics.difference(sides[0], sides[1])
    ratios = [float(np.mean([getattr(m, field) / getattr(c, field) for m, c in zip(methods, controls, strict=True)]))
              for field in ("bytes", "macs")]  # fmt: skip
    seconds = sum(run.seconds for run in (*methods, *controls))
    means = [side.mean(1) for side in sides]
    ahead = int((means[0] > means[1]).sum())
    return Compared(float(sides[0].mean()), float(sides[1].mean()), found, ahead, *ratios, seconds)


def finding(claim: Claim, setting: Setting, journal: Journal) -> Finding | None:
    """What the journal says about a setting; None where a run is missing."""
    pairs = [setting.pair(seed) for seed in claim.seeds]
    arms = [[journal.find(recipe, claim.measure) for recipe in arm] for arm in zip(*pairs, strict=True)]
    methods, controls = ([run for run in arm if run is not None] for arm in arms)
    if min(len(methods), len(controls)) < len(claim.seeds):
        return None
    return Finding(claim, setting, compare(methods, controls))


def findings(claim: Claim, journal: Journal) -> list[Finding]:
    """Of the settings that are measured, by the order in which they are tried."""
    found = (finding(claim, setting, journal) for setting in claim.settings)
    return [one for one in found if one is not None]


def run(claims: Sequence[Claim], journal: Journal, tries: int = MOST) -> None:
    """All claims' first settings, then the second ones of those that are not shown yet, then the third ones."""
    for depth in range(tries):
        for claim in claims:
            tried = [finding(claim, setting, journal) for setting in claim.settings[:depth]]
            if depth < len(claim.settings) and not any(one and one.verdict == SHOWN for one in tried):
                recipes: list[Recipe] = [r for seed in claim.seeds for r in claim.settings[depth].pair(seed)]
                journal.ensure(recipes, claim.measure, claim.name)


def complete(claim: Claim, journal: Journal) -> bool:
    """Whether a claim needs no further run: shown, or every setting tried."""
    found = findings(claim, journal)
    return len(found) == len(claim.settings) or any(one.verdict == SHOWN for one in found)
