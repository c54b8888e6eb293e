"""What has been measured, one JSON line a run, so that an interrupted command goes on where it stopped."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.claims import measures
from engine.errors import InputError
from engine.home import Home
from engine.recipe import Recipe
from engine.search import atlas
from engine.workbench import Bench

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One measured recipe: ``right`` [N] for each example, and what it costs."""

    right: npt.NDArray[np.bool_]
    bytes: int
    macs: int
    nonzero: int
    seconds: float

    @property
    def value(self) -> float:
        """The share of right answers."""
        return float(self.right.mean())

    def to_json(self) -> Json:
        """Plain data; eight examples a byte."""
        packed = base64.b64encode(np.packbits(self.right).tobytes()).decode()
        return {"right": packed, "count": len(self.right), "value": round(self.value, 6), "bytes": self.bytes,
                "macs": self.macs, "nonzero": self.nonzero, "seconds": self.seconds}  # fmt: skip

    @classmethod
    def from_json(cls, row: Json) -> Run:
        """What :meth:`to_json` wrote."""
        bits = np.frombuffer(base64.b64decode(row["right"]), np.uint8)
        right = np.unpackbits(bits, count=row["count"]).astype(bool)
        return cls(right, row["bytes"], row["macs"], row["nonzero"], row["seconds"])


class Journal:
    """Runs by recipe key and measure, in ``claims.jsonl`` of a home.

    A line that was cut short is left out, and so is a run whose plug-ins have another version by now.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._path = home.root / "claims.jsonl"
        self._runs: dict[tuple[str, str], Run] = {}
        self.read()

    def read(self) -> None:
        """Everything in the file, other processes' lines too."""
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            try:
                row = json.loads(line)
                recipe = Recipe.from_json(row["recipe"])
                if row["versions"] == atlas.versions([recipe.to_json()]):
                    self._runs[recipe.key, row["measure"]] = Run.from_json(row["facts"])
            except (ValueError, KeyError, InputError):
                continue

    def find(self, recipe: Recipe, measure: str) -> Run | None:
        """The run of a recipe, or None."""
        return self._runs.get((recipe.key, measure))

    def get(self, recipe: Recipe, measure: str) -> Run:
        """The run of a recipe; trains and measures it where nobody has."""
        known = self.find(recipe, measure)
        if known is None:
            started = time.perf_counter()
            right, facts = measures.measured(Bench(recipe, self.home), measure)
            known = Run(right, **facts, seconds=round(time.perf_counter() - started, 1))
            self._add(recipe, measure, known)
        return known

    def ensure(self, recipes: Iterable[Recipe], measure: str, said: str) -> None:
        """Measure what is missing, one line of progress each."""
        for recipe in recipes:
            if self.find(recipe, measure) is None:
                run = self.get(recipe, measure)
                print(f"{said}, {recipe.student}, seed {recipe.seed}: {run.value:.4f} in {run.seconds:.0f} s",
                      file=sys.stderr, flush=True)  # fmt: skip

    def _add(self, recipe: Recipe, measure: str, run: Run) -> None:
        self._runs[recipe.key, measure] = run
        body = recipe.to_json()
        row = {"recipe": body, "versions": atlas.versions([body]), "measure": measure, "facts": run.to_json()}
        with self._path.open("a", encoding="utf-8") as file:  # on the disk before anything else happens
            file.write("\n" + json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
