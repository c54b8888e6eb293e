"""A few dozen validation examples with the teacher's logits, for pages: numpy only, from the committed files."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import catalogue, modalities
from engine.errors import FileError, unknown_name
from engine.preview_text import Piece, lines_of, pieces
from engine.scores import files_of

PER_CLASS, PER_CLASS_OF_FEW, FEW = 4, 8, 4
LINES = "language_model_preview.npz"


@dataclass(frozen=True)
class Preview:
    """``images`` [N, 28, 28] uint8, ``labels`` [N], ``teacher_logits`` [N, C], ``indices`` [N] in validation."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    teacher_logits: NDArray[np.float32]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class TextPreview:
    """``texts`` in pieces, ``labels`` [N], ``teacher_logits`` [N, C], ``indices`` [N] in validation.

    The logits are None where the teacher's answers do not come with the project.
    """

    texts: tuple[tuple[Piece, ...], ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    teacher_logits: NDArray[np.float32] | None
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """``tokens`` of a line as text; the teacher's ``logits`` [P, V] of what follows the tokens at ``places`` [P]."""

    tokens: tuple[str, ...]
    places: tuple[int, ...]
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class LinePreview:
    """Lines of running text, and what each token of the vocabulary stands for."""

    lines: tuple[Line, ...]
    vocabulary: tuple[str, ...]


AnyPreview = Preview | TextPreview | LinePreview


@functools.lru_cache(maxsize=8)
def preview(task: str) -> AnyPreview:
    """Examples of every class: ordinary ones and those that the teacher finds hardest to decide; or lines of text.

    Raises :class:`InputError` for a task without a preview and :class:`FileError` when a file is missing or altered.
    """
    row, files = catalogue.current().row("tasks", task, "task"), _files(task)
    kind = modalities.of(row)
    if kind == modalities.TOKENS:
        found = lines_of(files.FOLDER / LINES, files.tokens(), files.RESTORE)
        return LinePreview(tuple(Line(*line) for line in found), files.tokens())
    examples = files.read_sample("validation")
    if kind == modalities.IMAGE:
        logits = files.read_outputs(_teacher(task))["validation"]
        chosen = _choose(examples.labels, logits, PER_CLASS)
        labels = examples.labels[chosen].astype(np.int64)
        return Preview(examples.pixels[chosen], labels, files.CLASSES, logits[chosen], chosen)
    return _texts(task, files, examples)


def _texts(task: str, files: ModuleType, examples: Any) -> TextPreview:
    try:
        logits = files.read_outputs(_teacher(task))["validation"]
    except FileError:  # a teacher whose answers are not shipped: the texts can be shown without them
        logits = None
    each = PER_CLASS_OF_FEW if len(files.CLASSES) <= FEW else PER_CLASS
    even = np.zeros((len(examples.labels), 2), np.float32)
    chosen = _choose(examples.labels, even if logits is None else logits, each)
    words = files.STOCK.vocabulary().words
    texts = tuple(pieces(examples.ids[i], words) for i in chosen)
    labels = examples.labels[chosen].astype(np.int64)
    return TextPreview(texts, labels, files.CLASSES, None if logits is None else logits[chosen], chosen)


def _files(task: str) -> ModuleType:
    try:
        return files_of(task)
    except FileError:
        known = [n for n in catalogue.current().names("tasks") if n != task]
        raise unknown_name("task", task, known) from None


def _teacher(task: str) -> str:
    return next(iter(catalogue.current().teachers(task)), "")


def _choose(labels: NDArray[Any], logits: NDArray[np.float32], each: int) -> NDArray[np.int64]:
    """Rows, class by class: the first ``each / 2``, then as many with the smallest lead of the first answer."""
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    rows: list[int] = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        first = mine[: each // 2]
        rest = mine[each // 2 :]
        rows += [*first, *rest[np.argsort(lead[rest], kind="stable")[: each - len(first)]]]
    return np.array(rows, np.int64)
