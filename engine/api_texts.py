"""Texts: those of a task's validation split in words, and typed ones as ids of the same words. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.api_images import files_of, validation
from engine.errors import InputError
from engine.preview_text import Piece, pieces
from engine.words_in_text import masked, tokens

Ids = npt.NDArray[np.int64]
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, eq=False)
class Typed:
    """``ids`` [T] as a model takes them, and what the model sees of the text."""

    ids: Ids
    seen: tuple[Piece, ...]


def texts(task: str, indexes: Sequence[int]) -> list[tuple[Piece, ...]]:
    """Validation texts of a task in words; raises :class:`InputError` for an index that there is not."""
    words = files_of(task).STOCK.vocabulary().words
    return [pieces(row, words) for row in ids(task, indexes)]


def ids(task: str, indexes: Sequence[int]) -> Ids:
    """Token ids [n, T] of validation texts."""
    every = validation(task).ids
    for index in indexes:
        if isinstance(index, bool) or not 0 <= index < len(every):
            raise InputError("text", index, f"a whole number from 0 to {len(every) - 1}")
    chosen: Ids = every[np.asarray(indexes, np.int64)].astype(np.int64)
    return chosen


def encode(task: str, typed: str) -> Typed:
    """A typed text as the task's ids; raises :class:`InputError` where no word of it is known."""
    if len(typed) > MOST_CHARACTERS:
        raise InputError("text", f"{len(typed):,} characters", f"at most {MOST_CHARACTERS:,} characters")
    vocabulary: Any = files_of(task).STOCK.vocabulary()
    words = [w if w.startswith("[") else w.lower() for w in words_of(typed)]
    known = [w for w in words if w in vocabulary.ids or (not w.startswith("[") and w.isalpha())]
    row = vocabulary.encode(known).astype(np.int64)
    seen = pieces(row, vocabulary.words)
    if not any(piece.kind == "word" for piece in seen):
        raise InputError("text", typed[:40], "a text with at least one word that the networks know")
    return Typed(row, seen)


def words_of(typed: str) -> list[str]:
    """Words, a few signs, and what stands for links, addresses and numbers, in their order."""
    return tokens(masked(typed))
