"""Fashion-MNIST on the disk, with numpy only: the official files, how they are split, the committed sample."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import FileError

Bytes = NDArray[np.uint8]

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
VALIDATION_PER_CLASS = 500
SAMPLE_PER_CLASS = 2_000
MEAN, DEVIATION = np.float32(0.2860), np.float32(0.3530)


def read_idx(path: Path) -> Bytes:
    """An IDX file of unsigned bytes, gzipped or not: [N] labels or [N, 28, 28] images."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dims = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{dims}I", raw, 4)
        if zero != 0 or kind != 8:
            raise ValueError(f"the header says {zero}, {kind}")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as problem:
        raise FileError(f"{path} is not a whole IDX file of bytes ({problem}); install it again") from None


def official(part: str, folder: Path = DEBIAN) -> tuple[Bytes, Bytes]:
    """Images [N, 28, 28] and labels [N] of ``part`` (``train`` or ``t10k``) in the official order."""
    return tuple(read_idx(_found(folder / f"{part}-{kind}-ubyte")) for kind in ("images-idx3", "labels-idx1"))  # type: ignore[return-value]


def _found(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.exists() else path


def split_rows(labels: Bytes) -> dict[str, NDArray[np.int64]]:
    """Rows of the official training set by split: ``validation`` 5,000, ``train`` 20,000 others, ``full`` all others.

    Balanced over classes. The order is that of a hash of the row number, which no library's generator can change.
    """
    shuffled = np.array(sorted(range(len(labels)), key=_hash), np.int64)
    chosen: dict[str, list[NDArray[np.int64]]] = {"validation": [], "train": []}
    for label in range(len(CLASSES)):
        mine = shuffled[labels[shuffled] == label]
        chosen["validation"].append(mine[:VALIDATION_PER_CLASS])
        chosen["train"].append(mine[VALIDATION_PER_CLASS : VALIDATION_PER_CLASS + SAMPLE_PER_CLASS])
    rows = {name: np.sort(np.concatenate(parts)) for name, parts in chosen.items()}
    rows["full"] = np.setdiff1d(np.arange(len(labels)), rows["validation"])
    return rows


def _hash(row: int) -> bytes:
    return hashlib.sha256(f"stillhouse fashion_mnist {row}".encode()).digest()


def normalised(images: Bytes) -> NDArray[np.float32]:
    """[N, 28, 28] bytes -> [N, 1, 28, 28] with mean 0 and deviation 1 over the official training images."""
    return ((images.astype(np.float32) / np.float32(255) - MEAN) / DEVIATION)[:, None]
