"""Weights before and after as histograms and filters: plain lists from numpy arrays. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 61  # an odd number: zero lies in the middle of a bin and not on an edge
MOST_FILTERS = 64
DIGITS = 6
Weights = Mapping[str, NDArray[np.float32]]


def histograms(before: Weights, after: Weights) -> dict[str, dict[str, Any]]:
    """By layer: ``edges`` [62], symmetric about zero, counts ``before`` (None where unknown) and ``after`` [61].

    ``zeros_before`` and ``zeros_after`` count the weights that are exactly zero.
    """
    return {name: _histogram(before.get(name), values) for name, values in after.items()}


def filters(before: Weights, after: Weights) -> dict[str, Any] | None:
    """The first convolution's filters [n][h][w], averaged over its inputs; None for a network without one.

    ``before`` is None where it is not known. At most 64 filters.
    """
    name = next((n for n, w in after.items() if w.ndim == 4 and w.shape[-1] > 1), None)
    if name is None:
        return None
    first = _filters(before[name]) if name in before else None
    return {"layer": name, "before": first, "after": _filters(after[name])}


def _histogram(before: NDArray[np.float32] | None, after: NDArray[np.float32]) -> dict[str, Any]:
    both = [w for w in (before, after) if w is not None and w.size]
    reach = max((float(np.abs(w).max()) for w in both), default=0.0) or 1e-6
    edges = np.linspace(-reach, reach, BINS + 1)
    return {
        "edges": [float(f"{e:.{DIGITS}g}") for e in edges],
        "before": None if before is None else np.histogram(before, edges)[0].tolist(),
        "after": np.histogram(after, edges)[0].tolist(),
        "zeros_before": None if before is None else int((before == 0).sum()),
        "zeros_after": int((after == 0).sum()),
    }


def _filters(weights: NDArray[np.float32]) -> list[list[list[float]]]:
    rows: list[list[list[float]]] = np.round(weights[:MOST_FILTERS].mean(1).astype(float), DIGITS).tolist()
    return rows
