"""The trials of a sweep laid side by side along one setting: what each value gives with everything else alike.

Trials that differ in their seed only are replicates of one cell. Differences are to the first value of the same row,
paired on the same validation images. Plain data, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import api, metrics, scores
from engine.errors import NotFoundError
from engine.home import Home

Row = Mapping[str, Any]
Cell = dict[str, Any]
SEED = "seed"
MEANS = ("packed_bytes", "onnx_bytes", "latency_ms", "seconds")


def sides(home: Home, rows: Sequence[Row], axis: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """One entry for each combination of other settings: ``{"setting", "cells"}``, a cell for each of ``values``.

    ``rows`` are those of ``api_sweeps.rows`` (trials only count). A cell is None while nothing is measured, else
    ``{"value", "count", "keys", "quality", "low", "high", "packed_bytes", "onnx_bytes", "latency_ms", "seconds",
    "simulated", "difference", "difference_low", "difference_high", "pairs"}``: means over ``count`` seeds with the
    95 % interval (of one seed: over images; of several: over seeds), and the difference to the first value over the
    seeds that both have, None where there is no pair or no kept prediction.
    """
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for row in rows:
        setting = row.get("setting") or {}
        if axis not in setting or row["origin"] != "trial" or row.get("preview"):
            continue
        others = {k: v for k, v in setting.items() if k not in (axis, SEED)}
        entry = found.setdefault(tuple((k, repr(v)) for k, v in others.items()), {"setting": others, "rows": {}})
        entry["rows"].setdefault(_name(setting[axis]), []).append(row)
    return [_entry(home, entry, values, axis) for entry in found.values()]


def _entry(home: Home, entry: Mapping[str, Any], values: Sequence[Any], axis: str) -> dict[str, Any]:
    groups = [entry["rows"].get(_name(value), []) for value in values]
    # seeds are replicates of one another, unless it is seeds that are compared
    cells = [
        _cell(home, v, g, groups[0] if i else [], axis == SEED)
        for i, (v, g) in enumerate(zip(values, groups, strict=True))
    ]
    return {"setting": entry["setting"], "cells": cells}


def _cell(home: Home, value: Any, group: Sequence[Row], first: Sequence[Row], any_seed: bool) -> Cell | None:
    if not group:
        return None
    cell: Cell = {"value": value, "count": len(group), "keys": [row["key"] for row in group]}
    cell |= {name: _mean([row.get(name) for row in group]) for name in MEANS}
    cell["simulated"] = any(row.get("simulated") for row in group)
    if len(group) == 1:
        quality = tuple(group[0][name] for name in ("quality", "quality_low", "quality_high"))
    else:
        quality = metrics.over_seeds(np.array([row["quality"] for row in group]))
    cell |= dict(zip(("quality", "low", "high"), quality, strict=True))
    pairs = [(row, other) for row in group for other in first if any_seed or _seed(row) == _seed(other)]
    gap = _difference(home, pairs) if pairs and group[0]["metric"] in scores.PAIRED else None
    cell |= dict(zip(("difference", "difference_low", "difference_high"), gap or (None, None, None), strict=True))
    return cell | {"pairs": len(pairs) if gap else 0}


def _difference(home: Home, pairs: Sequence[tuple[Row, Row]]) -> metrics.Interval | None:
    try:
        right = [[_right(home, row) for row in side] for side in zip(*pairs, strict=True)]
    except NotFoundError:  # deleted, or measured without its predictions
        return None
    if len(pairs) == 1:
        return scores.paired(right[0][0], right[1][0])
    return metrics.paired_over_seeds(np.stack(right[0]), np.stack(right[1]))


def _right(home: Home, row: Row) -> scores.Scores:
    return scores.scores(row["task"], api.predictions(home, row["key"]))


def _seed(row: Row) -> Any:
    return (row.get("setting") or {}).get(SEED, row.get("seed"))


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [n for n in numbers if n is not None]
    return sum(known) / len(known) if known else None


def _name(value: Any) -> str:
    # 1, 1.0 and true are the same key of a dictionary, but not the same setting
    return repr(float(value)) if isinstance(value, int) and not isinstance(value, bool) else repr(value)
