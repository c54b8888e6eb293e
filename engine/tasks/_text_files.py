"""Texts on the disk, with numpy only: token ids of a fixed length, labels, vocabularies and teachers' outputs.

A split is an ``.npz`` archive of ``labels`` [N] uint8 and ``packed``, a zstd stream of the ids [N, T]: first the low
bytes of all, then the high bytes, which is 12 % shorter than the ids as they stand.
"""

from __future__ import annotations

import functools
import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from engine.errors import FileError, NotInstalledError
from engine.metrics import halved

Ids = NDArray[np.uint16]
Logits = NDArray[np.float32]

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
SPLITS = ("train", "validation", "test")
LENGTH = 128
PAD, UNKNOWN, START, END = range(4)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MOST_PIECES = 4  # a word that needs more says little and costs the places of others
DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zstandard.ZstdError)


@dataclass(frozen=True)
class Texts:
    """``ids`` [N, T] uint16, ``PAD`` behind the end; ``labels`` [N] uint8."""

    ids: Ids
    labels: NDArray[np.uint8]

    @property
    def digest(self) -> str:
        """The content hash of a split."""
        return hashlib.sha256(self.ids.tobytes() + self.labels.tobytes()).hexdigest()


@dataclass(frozen=True)
class Vocabulary:
    """``words``: the word of each id, ``##`` before one that continues a word; ``teacher`` [V]: its id in MiniLM."""

    words: tuple[str, ...]
    teacher: NDArray[np.int64]

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """Id by word."""
        return {word: number for number, word in enumerate(self.words)}

    def pieces(self, word: str) -> list[int]:
        """Ids of a lower-case word: the longest piece first (WordPiece, Wu et al. 2016); ``UNKNOWN`` if none fits."""
        found: list[int] = []
        rest, mark = word, ""
        while rest and len(found) < MOST_PIECES:
            length = next((n for n in range(len(rest), 0, -1) if mark + rest[:n] in self.ids), 0)
            if not length:
                return [UNKNOWN]
            found.append(self.ids[mark + rest[:length]])
            rest, mark = rest[length:], "##"
        return [UNKNOWN] if rest else found

    def encode(self, words: Iterable[str], length: int = LENGTH) -> Ids:
        """Ids [length] of words: ``START``, as many pieces as have room, ``END``, ``PAD``."""
        found = [START]
        for word in words:
            found += self.pieces(word)
            if len(found) >= length:
                break
        row = np.full(length, PAD, np.uint16)
        found = [*found[: length - 1], END]
        row[: len(found)] = found
        return row

    def decode(self, ids: Iterable[int]) -> str:
        """The words of a row of ids, as far as they are known."""
        words = (self.words[number] for number in ids if number not in (PAD, START, END))
        return " ".join(words).replace(" ##", "")


def read_vocabulary(path: Path, sha256: str, restore: str) -> Vocabulary:
    """Lines of word, tab, id in MiniLM, in the order of our ids; raises :class:`FileError` where it was altered."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise FileError(f"{path.name} is missing ({problem.strerror}); {restore}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise FileError(f"{path.name} was altered: its content hash differs; {restore}")
    rows = [line.split("\t") for line in content.decode().splitlines()]
    return Vocabulary(tuple(row[0] for row in rows), np.array([int(row[1]) for row in rows], np.int64))


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write the lines of :func:`read_vocabulary`."""
    rows = zip(vocabulary.words, vocabulary.teacher.tolist(), strict=True)
    path.write_text("".join(f"{word}\t{number}\n" for word, number in rows), "utf-8")


def write_split(path: Path, texts: Texts) -> None:
    """Write one split; equal texts give equal bytes."""
    octets = texts.ids.astype("<u2").view(np.uint8).reshape(-1, 2).T
    packed = zstandard.ZstdCompressor(level=19).compress(octets.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, labels=texts.labels, packed=np.frombuffer(packed, np.uint8))


def read_split(path: Path, size: int, digest: str, restore: str) -> Texts:
    """A split of ``size`` texts, checked against its hash; raises :class:`FileError` when it is missing or altered."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels, packed = arrays["labels"], arrays["packed"].tobytes()
        raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=2 * size * LENGTH)
        octets = np.frombuffer(raw, np.uint8).reshape(2, -1).T
        texts = Texts(np.ascontiguousarray(octets).view("<u2").reshape(-1, LENGTH), labels)
    except DAMAGED as problem:
        raise FileError(f"{path.name} is missing, truncated or altered ({problem}); {restore}") from None
    if texts.digest != digest:
        raise FileError(f"{path.name} was altered: its content hash differs; {restore}")
    return texts


def write_outputs(path: Path, outputs: Mapping[str, Logits], weights_sha256: str) -> None:
    """Write a teacher's logits in half precision, which keeps every answer (see :func:`engine.metrics.halved`)."""
    arrays: dict[str, NDArray[Any]] = {name: halved(outputs[name]) for name in SPLITS}
    np.savez(path, allow_pickle=False, **arrays, weights_sha256=np.array(weights_sha256))


def read_outputs(
    path: Path, shapes: Mapping[str, tuple[int, int]], weights_sha256: str | None, restore: str
) -> dict[str, Logits]:
    """A shipped teacher's logits [N, C] by split; those of other weights than ``weights_sha256`` are refused."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            made_by = str(arrays["weights_sha256"])
            outputs = {name: arrays[name].astype(np.float32) for name in SPLITS}
    except DAMAGED as problem:
        raise FileError(f"{path.name} is missing, truncated or altered ({problem}); {restore}") from None
    if any(outputs[n].shape != shapes[n] or not np.isfinite(outputs[n]).all() for n in SPLITS):
        raise FileError(f"{path.name} does not hold one finite row for each text; {restore}")
    if weights_sha256 not in (None, made_by):
        raise FileError(f"{path.name} was made with other weights than the teacher's; {restore}")
    return outputs


@dataclass(frozen=True, eq=False)
class Stock:
    """Where the files of a text task lie and what is in them.

    ``digests`` holds the content hash of each split and of the word list (``words``); ``restore`` says how to get a
    committed file back, ``install`` how to get splits that are not committed (None: they are).
    """

    task: str
    classes: tuple[str, ...]
    sizes: Mapping[str, int]
    digests: Mapping[str, str]
    restore: str
    install: str | None = None

    @property
    def set_up(self) -> str:
        """The hash of the data set-up: what it trains, validates and tests on, and what the ids mean."""
        return hashlib.sha256("".join(self.digests[n] for n in (*SPLITS, "words")).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where the splits lie: ``sample_data``, or the folder of data that a user fetches (``STILLHOUSE_DATA``)."""
        if self.install is None:
            return FOLDER
        return Path(os.environ.get("STILLHOUSE_DATA") or FOLDER / "local")

    def path(self, split: str) -> Path:
        """The file of ``train``, ``validation`` or ``test``."""
        return self.folder / f"{self.task}_{split}.npz"

    @property
    def words(self) -> Path:
        """The committed word list."""
        return FOLDER / f"{self.task}_words.txt"

    def outputs(self, teacher: str) -> Path:
        """The committed logits of a shipped teacher."""
        return FOLDER / f"{self.task}_{teacher}_outputs.npz"

    def vocabulary(self) -> Vocabulary:
        """The word list, read once."""
        return _vocabulary(self.words, self.digests["words"], self.restore)

    def check_installed(self) -> None:
        """Raise :class:`NotInstalledError` with the command where splits have to be fetched first."""
        if self.install is not None and not all(self.path(split).exists() for split in SPLITS):
            raise NotInstalledError(self.install)

    def read(self, split: str) -> Texts:
        """A split, checked against its hash; raises as :meth:`check_installed` does."""
        self.check_installed()
        return read_split(self.path(split), self.sizes[split], self.digests[split], self.install or self.restore)

    def read_outputs(self, teacher: str, weights_sha256: str | None = None) -> dict[str, Logits]:
        """A shipped teacher's logits [N, C] by split."""
        shapes = {name: (self.sizes[name], len(self.classes)) for name in SPLITS}
        return read_outputs(self.outputs(teacher), shapes, weights_sha256, self.restore)


@functools.cache
def _vocabulary(path: Path, sha256: str, restore: str) -> Vocabulary:
    return read_vocabulary(path, sha256, restore)
