"""A few dozen validation images with the teacher's logits, for pages: numpy only, from the committed files."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import unknown_name
from engine.tasks import _fashion_mnist_files

PER_CLASS = 4


@dataclass(frozen=True)
class Preview:
    """``images`` [N, 28, 28] uint8, ``labels`` [N], ``teacher_logits`` [N, C], ``indices`` [N] in validation."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    teacher_logits: NDArray[np.float32]
    indices: NDArray[np.int64]


@functools.cache
def preview(task: str) -> Preview:
    """Images of every class: two ordinary ones and the two that the teacher finds hardest to decide.

    Raises :class:`InputError` for a task without a preview and :class:`FileError` when a file is missing or altered.
    """
    if task != "fashion_mnist":
        raise unknown_name("task", task, ("fashion_mnist",))
    files = _fashion_mnist_files
    images = files.read_sample("validation")
    logits = files.read_outputs("teacher")["validation"]
    chosen = _choose(images.labels, logits)
    labels = images.labels[chosen].astype(np.int64)
    return Preview(images.pixels[chosen], labels, files.CLASSES, logits[chosen], chosen)


def _choose(labels: NDArray[np.uint8], logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows, class by class: the first ``PER_CLASS / 2``, then as many with the smallest lead of the first answer."""
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    rows: list[int] = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        first = mine[: PER_CLASS // 2]
        rest = mine[PER_CLASS // 2 :]
        rows += [*first, *rest[np.argsort(lead[rest], kind="stable")[: PER_CLASS - len(first)]]]
    return np.array(rows, np.int64)
