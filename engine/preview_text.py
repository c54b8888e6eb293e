"""Token ids as a person reads them: words, grey marks for unknown ones, labels for what was masked. No torch."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import FileError

WORD, UNKNOWN, MASK = "word", "unknown", "mask"
SILENT = ("[PAD]", "[CLS]", "[SEP]")
UNKNOWN_WORD, JOINED = "[UNK]", "##"


class Piece(NamedTuple):
    """A word, several unknown words in a row (``text`` is how many), or what stands for an address or a number."""

    text: str
    kind: str = WORD


def pieces(ids: Iterable[int], words: Sequence[str]) -> tuple[Piece, ...]:
    """The ids of one text; pieces of a word (``##`` in front) are put together, padding and ends are left out."""
    found: list[Piece] = []
    for word in (words[int(i)] for i in ids):
        last = found[-1] if found else Piece("")
        if word in SILENT:
            continue
        if word == UNKNOWN_WORD:
            many = int(last.text) + 1 if last.kind == UNKNOWN else 1
            found = found[:-1] if last.kind == UNKNOWN else found
            found.append(Piece(str(many), UNKNOWN))
        elif word.startswith("[") and word.endswith("]") and len(word) > 2:
            found.append(Piece(word[1:-1].lower(), MASK))
        elif word.startswith(JOINED) and last.kind == WORD and found:
            found[-1] = Piece(last.text + word[len(JOINED) :])
        else:
            found.append(Piece(word.removeprefix(JOINED)))
    return tuple(found)


def lines_of(
    path: Path, tokens: Sequence[str], restore: str
) -> list[tuple[tuple[str, ...], tuple[int, ...], NDArray[np.float32]]]:
    """Tokens, places and logits of every line that :func:`write_lines` wrote; raises :class:`FileError`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, places, logits = arrays["ids"], arrays["places"], arrays["logits"].astype(np.float32)
        if logits.shape != (*places.shape, len(tokens)) or int(ids.max()) >= len(tokens):
            raise ValueError("its sizes do not fit the vocabulary")
        rows = zip(ids.tolist(), places.tolist(), logits, strict=True)
        return [(tuple(tokens[i] for i in line), tuple(at), found) for line, at, found in rows]
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as problem:
        raise FileError(f"{path.name} is missing, truncated or altered ({problem}); {restore}") from None


def write_lines(path: Path, ids: NDArray[Any], places: NDArray[Any], logits: NDArray[Any]) -> None:
    """Write lines ``ids`` [L, T], ``places`` [L, P] and the teacher's ``logits`` [L, P, V] there, in half precision."""
    half = logits.astype(np.float16)
    np.savez_compressed(path, ids=ids.astype(np.uint16), places=places.astype(np.uint8), logits=half)
