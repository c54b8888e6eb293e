"""Which measured points a page talks about: the one in focus, its dense student, the teacher, its grid. Plain data."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.recipe import Recipe
from pages.parts.choices import FULL_PRECISION

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Focus:
    """The point that the page describes and why: ``clicked``, ``measured`` (these very settings) or ``what_if``."""

    row: Row
    reason: str


def stamp(rows: Sequence[Row]) -> int:
    """A number that changes with anything a chart shows: the key of cached figures."""
    return hash(tuple((r["key"], r.get("preview"), r["quality"], r.get("latency_ms"), r.get("origin")) for r in rows))


def by_key(rows: Sequence[Row], prefix: str | None) -> Row | None:
    """The row whose key starts with ``prefix``; None for an empty or unknown one."""
    return next((r for r in rows if r["key"].startswith(prefix)), None) if prefix else None


def teacher_of(rows: Sequence[Row], name: str | None = None) -> Row | None:
    """The teacher's own point: the one called ``name`` where there are several."""
    teachers = [r for r in rows if r.get("role") == "teacher"]
    return next((r for r in teachers if r.get("student") == name), teachers[0] if teachers else None)


def dense_of(rows: Sequence[Row], row: Row) -> Row | None:
    """The dense student that a point belongs to, where it is measured."""
    return by_key(rows, row.get("dense_key")) if row.get("role") != "teacher" else None


def grid_of(rows: Sequence[Row], dense: Recipe) -> list[Row]:
    """The one-shot points of a dense student, shipped ones too; measured here wins over shipped."""
    found: dict[tuple[float, int], Row] = {}
    for row in sorted(rows, key=lambda r: r.get("origin") == "grid"):
        if row.get("dense_key") == dense.key and _what_if(row, dense):
            found[_cell(row)] = row
    return [found[cell] for cell in sorted(found)]


def at(grid: Sequence[Row], sparsity: float, bits: int) -> Row | None:
    """The grid point nearest to ``sparsity`` among those of exactly ``bits``; None without one within 10 points."""
    same = [r for r in grid if r["bits"] == bits]
    best = min(same, key=lambda r: abs(r["sparsity"] - sparsity), default=None)
    return best if best and abs(best["sparsity"] - sparsity) < 0.101 else None


def focus(rows: Sequence[Row], point: str, key: str, grid: Sequence[Row], sparsity: float, bits: int) -> Focus | None:
    """What the page describes: a clicked point, else the settings' own trial, else their grid point."""
    clicked = by_key(rows, point)
    if clicked:
        return Focus(clicked, "measured" if clicked["key"] == key else "clicked")
    own = by_key(rows, key)
    if own:
        return Focus(own, "measured")
    cell = at(grid, sparsity, bits)
    return Focus(cell, "what_if") if cell else None


def _what_if(row: Row, dense: Recipe) -> bool:
    if row.get("origin") == "grid":
        return True
    # of the shipped points only those whose recipe is a grid point's: others were pruned or quantized while training
    candidate = row.get("origin") == "shipped" and row.get("role") == "trial" and row["bits"] < FULL_PRECISION
    return candidate and row["key"] == _one_shot_key(dense, *_cell(row))


@functools.lru_cache(maxsize=4096)
def _one_shot_key(dense: Recipe, sparsity: float, bits: int) -> str:
    return dense.with_one_shot(sparsity, bits).key


def _cell(row: Row) -> tuple[float, int]:
    return round(float(row.get("sparsity") or 0), 4), int(row["bits"])
