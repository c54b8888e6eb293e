"""Shakespeare on the disk, with numpy only: the committed texts as token ids, the tokens, how they are split.

``shakespeare.npz`` holds all 42 texts as one xz stream of token ids (little-endian uint16), with the length and the
name of each; ``shakespeare_tokenizer.json`` is the byte-level BPE that made them, in the format of the tokenizers
library. A split is made of whole texts; a block is T + 1 ids, so that each of its first T has one that comes next.
"""

from __future__ import annotations

import functools
import hashlib
import json
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import FileError

Ids = NDArray[np.int64]

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
TEXTS, TOKENIZER = "shakespeare.npz", "shakespeare_tokenizer.json"
VOCABULARY, POSITIONS = 512, 128
PAD = 0  # never occurs in a text, so that id 0 means "no token" in every task
HELD_OUT = {
    "validation": ("as_you_like_it", "julius_caesar"),
    "test": ("richard_ii", "romeo_and_juliet", "twelfth_night"),
}
SIZES = {"train": 1_024, "validation": 64, "test": 128}
SAMPLE = ("train", "validation", "test")
# sha256 over the ids of each split's blocks and the tokens; checked on loading: altered data never enters a result
DIGESTS = {
    "train": "1aa9fdc4ab9c0b406986dcb3dda5e0719bb4689974bcafbe104db6637814605b",
    "validation": "bf187efc22172f0276b1754528113418d6c3dfce3bbfd35a5968e22913524f3f",
    "test": "eaa6260a7682ce518adb94c198249ee8829a3409fe855fb937b56c39ab5a67de",
    "full": "bdc2662826f5e0f32b52e8260c2e20da91f0f08f7b8330bf059c4f974aad3b0c",
}
RESTORE = "restore it with 'git checkout sample_data' or build it again with 'python -m sample_data.shakespeare'"


def set_up_hashes() -> dict[str, str]:
    """One hash for each data set-up: what it trains, validates and tests on."""
    used = {"sample": SAMPLE, "full": ("full", "validation", "test")}
    return {name: hashlib.sha256("".join(DIGESTS[s] for s in splits).encode()).hexdigest()
            for name, splits in used.items()}  # fmt: skip


def digest(blocks: Ids, tokens: tuple[str, ...]) -> str:
    """The content hash of a split: its ids and what they stand for."""
    return hashlib.sha256(blocks.astype("<u2").tobytes() + "\0".join(tokens).encode()).hexdigest()


def write_texts(path: Path, texts: dict[str, Ids]) -> None:
    """Write all texts by name; equal ids give equal bytes."""
    joined = np.concatenate(list(texts.values())).astype("<u2").tobytes()
    packed = lzma.compress(joined, preset=9 | lzma.PRESET_EXTREME)
    lengths = np.array([len(ids) for ids in texts.values()], np.int64)
    np.savez(path, names=np.array(list(texts)), lengths=lengths, ids=np.frombuffer(packed, np.uint8))


def read_texts(path: Path | None = None) -> dict[str, Ids]:
    """Token ids of every text by name; raises :class:`FileError` when the file is missing or no whole archive."""
    file = path or FOLDER / TEXTS
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names, lengths, packed = arrays["names"].tolist(), arrays["lengths"], arrays["ids"].tobytes()
        joined = np.frombuffer(lzma.decompress(packed), "<u2").astype(np.int64)
        parts = np.split(joined, np.cumsum(lengths)[:-1])
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile, lzma.LZMAError) as problem:
        raise FileError(f"{file.name} is missing, truncated or altered ({problem}); {RESTORE}") from None
    return dict(zip(names, parts, strict=True))


@functools.cache
def tokens(path: Path | None = None) -> tuple[str, ...]:
    """What each id stands for, as plain text; ``tokens()[PAD]`` is empty. Every character is ASCII."""
    file = path or FOLDER / TOKENIZER
    try:
        vocabulary = json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
        spelled = {int(i): str(token) for token, i in vocabulary.items()}
        return ("", *(spelled[i].replace("Ġ", " ").replace("Ċ", "\n") for i in range(1, len(spelled))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise FileError(f"{file.name} is missing or altered ({problem}); {RESTORE}") from None


def characters() -> Ids:
    """[512] how many characters each token stands for; 0 for padding."""
    return np.array([len(token) for token in tokens()], np.int64)


def text(ids: Ids) -> str:
    """The text that ids [T] stand for."""
    spelled = tokens()
    return "".join(spelled[i] for i in ids.tolist())


def names(split: str, texts: dict[str, Ids]) -> list[str]:
    """The texts of a split; ``train`` and ``full`` have the same: all that are not held out."""
    held_out = {name for group in HELD_OUT.values() for name in group}
    return list(HELD_OUT.get(split, ())) or [name for name in texts if name not in held_out]


def blocks(ids: Ids) -> Ids:
    """[N, T + 1]: one text cut into blocks, each starting with the last id of the one before; the rest is left out."""
    count = (len(ids) - 1) // POSITIONS
    cut_up: Ids = ids[np.arange(count)[:, None] * POSITIONS + np.arange(POSITIONS + 1)]
    return cut_up


def cut(split: str, texts: dict[str, Ids]) -> Ids:
    """The blocks [N, T + 1] of a split: ``full`` has all of its texts', the others evenly spaced ones of them."""
    every = np.concatenate([blocks(texts[name]) for name in names(split, texts)])
    if split == "full":
        return every
    wanted = SIZES[split]
    chosen: Ids = every[(np.arange(wanted) * 2 + 1) * len(every) // (2 * wanted)]
    return chosen


@dataclass(frozen=True)
class Blocks:
    """``ids`` [N, T] and ``labels`` [N, T], the ids that come next."""

    ids: Ids
    labels: Ids


def read_sample(split: str) -> Blocks:
    """One split of the sample, checked against its hash."""
    found = read(split)
    return Blocks(found[:, :-1].copy(), found[:, 1:].copy())


def read(split: str) -> Ids:
    """Blocks [N, T + 1] of ``train``, ``validation``, ``test`` or ``full``, checked against the split's hash."""
    made = cut(split, _texts())
    if digest(made, tokens()) != DIGESTS[split]:
        raise FileError(f"{TEXTS} or {TOKENIZER} was altered: the content hash of {split} differs; {RESTORE}")
    return made


@functools.cache
def _texts() -> dict[str, Ids]:
    return read_texts()
