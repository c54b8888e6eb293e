"""Which setting each layer should get, so that all of them together fit into a number of bytes: numpy, no torch.

Losses of layers are added up, as if no layer's change mattered to another one's. That is what measuring one layer at
a time can tell; the run of the recommended recipe says what it was worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEPS = 20_000  # the budget is told apart into so many steps at least; up to as many bytes the answer is exact
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Option:
    """One way to store a layer: ``bytes`` > 0 it takes, ``loss`` >= 0 it costs, ``name`` for whoever asks."""

    bytes: int
    loss: float
    name: tuple[float, int] = (0.0, 32)


def allocate(layers: Sequence[Sequence[Option]], budget: int) -> list[int] | None:
    """The place of one option for each layer, of least total loss within ``budget`` bytes; None where nothing fits.

    A knapsack with one choice in each layer, solved layer by layer over all sums of bytes that are worth keeping
    (Kellerer, Pferschy & Pisinger 2004, Knapsack Problems, ch. 11). Exact for budgets up to 20,000 bytes; above, bytes
    are rounded up to whole steps of ``budget / 20,000``, so that the budget holds. Of equal losses the fewest bytes.
    """
    step = max(1, budget // STEPS)
    sums, losses = np.zeros(1, np.int64), np.zeros(1)
    back: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for options in layers:
        costs = np.array([-(-o.bytes // step) for o in options], np.int64)
        pains = np.array([o.loss for o in options])
        total = (sums[:, None] + costs).ravel()
        lost = (losses[:, None] + pains).ravel()
        kept = _undominated(total, lost, budget // step)
        if not len(kept):
            return None
        sums, losses = total[kept], lost[kept]
        back.append((kept // len(options), kept % len(options)))
    return _trace(back, len(sums) - 1)


def monotone(losses: Sequence[float]) -> list[float]:
    """Losses of ever harsher settings, none below zero or below a milder one's: smaller ones are chance."""
    return [float(x) for x in np.maximum.accumulate(np.maximum(np.asarray(losses, np.float64), 0.0))]


def _undominated(total: npt.NDArray[np.int64], lost: Numbers, most: int) -> npt.NDArray[np.int64]:
    """Places of the sums within ``most`` that no smaller one equals in loss, by rising bytes and falling loss."""
    order = np.lexsort((lost, total))
    order = order[total[order] <= most]
    ahead = np.minimum.accumulate(lost[order])
    better = np.ones(len(order), bool)
    better[1:] = lost[order][1:] < ahead[:-1]
    return np.asarray(order[better], np.int64)


def _trace(back: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]], place: int) -> list[int]:
    chosen = []
    for before, option in reversed(back):
        chosen.append(int(option[place]))
        place = int(before[place])
    return chosen[::-1]


__all__ = ["STEPS", "Option", "allocate", "monotone"]
