"""Where the heads of a point's network look, as its inspection kept it. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import api, catalogue, inspection_files, modalities
from engine.api_images import files_of
from engine.home import Home


@dataclass(frozen=True, eq=False)
class Looks:
    """``maps`` [n, layers, heads, T, T]: what each token (row) takes from each; ``tokens``: the n texts' tokens."""

    maps: npt.NDArray[np.float32]
    tokens: tuple[tuple[str, ...], ...]

    def heads(self, layer: int) -> int:
        """How many heads a layer has."""
        return int((self.maps[:, layer].sum((0, 2, 3)) > 0).sum())


def looks(home: Home, key: str) -> Looks | None:
    """None where the network has no attention, or was not inspected yet."""
    run = api.result(home, key)
    shape = (inspection_files.load(home, run["key"]) or {}).get("attention")
    found = inspection_files.logits(home, run["key"], "attention") if shape else None
    if found is None or not shape:
        return None
    task = catalogue.current().row("tasks", run["recipe"]["task"], "task")
    return Looks(found.reshape(shape), _spelled(task, shape[0], shape[-1]))


def _spelled(task: Any, count: int, places: int) -> tuple[tuple[str, ...], ...]:
    files = files_of(task["name"])
    if modalities.of(task) == modalities.TOKENS:
        rows, words = files.read("validation"), files.tokens()
    else:
        rows, words = files.read_sample("validation").ids, files.STOCK.vocabulary().words
    return tuple(tuple(words[int(i)] for i in row) for row in rows[:count, :places])
