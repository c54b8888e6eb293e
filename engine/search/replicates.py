"""Seeds as replicates: the same recipe trained again with another seed, and what the runs say together.

A recipe's replicates are equal to it but for their own seed; recipes that are its teachers stay as they are. One run
says what *this* network reaches; what the recipe reaches is the mean over seeds, with Student's t interval. Plain
functions over rows (:func:`engine.api_rows.row_of`); no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from engine import statistics
from engine.errors import InputError
from engine.recipe import MAX_SEED, Recipe
from engine.statistics import Estimate

MOST_SEEDS, USUAL_SEEDS = 20, 5
LEAST = 2  # seeds that make a mean with an interval
# times are not among them: equal graphs share a reading, and a mean of readings would invent an interval
MEASURED = ("quality", "packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs", "macro_f1", "agreement",
            "cross_entropy", "calibration_error")  # fmt: skip
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """The runs of one recipe, one a seed, by rising seed."""

    name: str
    rows: tuple[Row, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that have a result."""
        return tuple(int(row["seed"]) for row in self.rows)

    def mean(self, column: str = "quality") -> Estimate | None:
        """The mean of a column over seeds with its t interval; None unless every run has a value."""
        values = [row.get(column) for row in self.rows]
        return None if None in values else statistics.over_seeds([float(v) for v in values if v is not None])


def family_of(recipe_json: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that the replicates of a recipe share: its canonical JSON without its own seed.

    Versions of plug-ins are not in it; whoever needs the same version compares keys (:func:`keys`).
    """
    text = orjson.dumps({**recipe_json, "seed": None}, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def with_seeds(recipe: Recipe, count: int) -> list[Recipe]:
    """The recipe and ``count`` - 1 replicates, with the seeds that follow its own (after the largest comes 0)."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_SEEDS:
        raise InputError("seeds", count, f"a whole number from 1 to {MOST_SEEDS}")
    return [with_seed(recipe, (recipe.seed + step) % (MAX_SEED + 1)) for step in range(count)]


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with another seed."""
    return Recipe.from_json({**recipe.to_json(), "seed": seed})


def families(rows: Iterable[Row], least: int = LEAST) -> list[Family]:
    """The recipes among ``rows`` that ran with at least ``least`` seeds; of several rows with one seed the last counts.

    Previews and what never finished do not count.
    """
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row.get("family") and not row.get("preview") and row.get("state", "done") == "done":
            found.setdefault(row["family"], {})[int(row["seed"])] = row
    return [Family(name, tuple(runs[s] for s in sorted(runs))) for name, runs in found.items() if len(runs) >= least]


def mean_row(family: Family) -> dict[str, Any]:
    """One row for all seeds of a recipe: means of what was measured, the t interval of the quality.

    ``seeds`` counts them, ``members`` are their keys; the key is that of the first one, whose page shows all. Times and
    what is said of them are the first run's.
    """
    first, quality = family.rows[0], family.mean()
    row = dict(first) | {"seed": None, "seeds": len(family.rows), "members": tuple(r["key"] for r in family.rows)}
    for name in MEASURED:
        value = family.mean(name)
        row[name] = None if value is None else value.value
    if quality is not None:
        row |= {"quality_low": quality.low, "quality_high": quality.high}
    return row | {"origin": origin_of(family.rows)}


def origin_of(rows: Sequence[Row]) -> str:
    """Where a family comes from: runs of its own count most, shipped ones least."""
    found = {str(row.get("origin")) for row in rows}
    return next((name for name in ("trial", "grid", "shipped") if name in found), "trial")


def together(rows: Sequence[Row]) -> Sequence[Row]:
    """``rows`` with one mean row for each recipe that ran with several seeds; its own runs are marked ``replicate``.

    The best of five seeds is best by luck: what a recipe gives is their mean, so that stands on fronts and its runs
    are only drawn. Rows without replicates are handed on as they are.
    """
    found = families(rows)
    if not found:
        return rows
    names = {family.name for family in found}
    marked = [{**row, "replicate": True} if row.get("family") in names and not row.get("preview") else row
              for row in rows]  # fmt: skip
    return [*marked, *(mean_row(family) for family in found)]
