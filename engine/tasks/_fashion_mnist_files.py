"""Fashion-MNIST on the disk, with numpy only: the committed sample, the official files, how they are split.

The sample's files are ``.npz`` archives of three arrays: ``labels`` [N] uint8, ``rows`` [N] uint16 (row in the
official file) and ``pixels``, a zstd stream of the differences of each pixel to the one above it. The differences are
4 % shorter than the pixels themselves and undone by one cumulative sum; xz would save another 7 % at seven times the
time.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from engine.errors import FileError
from engine.metrics import halved

Bytes = NDArray[np.uint8]
Logits = NDArray[np.float32]

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
SHAPE = (28, 28)
MEAN, DEVIATION = np.float32(0.2860), np.float32(0.3530)
VALIDATION_PER_CLASS = 500
SAMPLE_PER_CLASS = 2_000
# sha256 over pixels and labels of each split; checked on loading, so that altered data can never enter a result
DIGESTS = {
    "train": "4b5cca78dfa188c9563ec339b60470b548b23e3189580fc77fd336172fb3da32",
    "validation": "eec115186b637cebe7c240b02dfac3dce44652b1bbd8d08e25f63170bf3c4190",
    "test": "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4",
    "full": "d5c9e8fd77af032e3f109e3db5c615527bdb003a247dd541b8e4a661810f17bd",
}
SIZES = {"train": 20_000, "validation": 5_000, "test": 10_000, "full": 55_000}
SAMPLE = ("train", "validation", "test")
RESTORE = "restore it with 'git checkout sample_data' or build it again with 'python -m sample_data.build'"
RESTORE_OUTPUTS = (
    "restore it with 'git checkout sample_data' or make it again with 'python -m sample_models.train_teacher --outputs'"
)
# where the complete data set may lie, best first: the Debian package, then the folders that torchvision's loader writes
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TORCHVISION = (FOLDER / "FashionMNIST" / "raw", FOLDER.parent / "data" / "FashionMNIST" / "raw")
INSTALL = (
    "the 55,000 training images are not on this machine: install the Debian package dataset-fashion-mnist "
    "(apt install dataset-fashion-mnist), or let torchvision fetch them with "
    "torchvision.datasets.FashionMNIST('sample_data', download=True); data=sample needs neither"
)


@dataclass(frozen=True)
class Images:
    """``pixels`` [N, 28, 28] uint8, ``labels`` [N] uint8, ``rows`` [N] in the official file of the split."""

    pixels: Bytes
    labels: Bytes
    rows: NDArray[np.int64]


def digest(pixels: Bytes, labels: Bytes) -> str:
    """The content hash of a split."""
    return hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()


def set_up_hashes() -> dict[str, str]:
    """One hash for each data set-up: what it trains, validates and tests on."""
    used = {"sample": SAMPLE, "full": ("full", "validation", "test")}
    return {name: hashlib.sha256("".join(DIGESTS[s] for s in splits).encode()).hexdigest()
            for name, splits in used.items()}  # fmt: skip


def sample_path(split: str) -> Path:
    """The committed file of ``train``, ``validation`` or ``test``."""
    return FOLDER / f"fashion_mnist_{split}.npz"


def write_sample(path: Path, images: Images) -> None:
    """Write one split; equal images give equal bytes."""
    differences = images.pixels.copy()
    differences[:, 1:] -= images.pixels[:, :-1]
    packed = zstandard.ZstdCompressor(level=19).compress(differences.tobytes())
    rows = images.rows.astype(np.uint16)
    np.savez(path, labels=images.labels, rows=rows, pixels=np.frombuffer(packed, np.uint8))


def read_sample(split: str, path: Path | None = None) -> Images:
    """One committed split, checked against its hash; raises :class:`FileError` when it is missing or altered."""
    file = path or sample_path(split)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            labels, rows, packed = arrays["labels"], arrays["rows"], arrays["pixels"].tobytes()
        limit = SIZES[split] * SHAPE[0] * SHAPE[1]
        raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=limit)
        differences = np.frombuffer(raw, np.uint8).reshape(-1, *SHAPE)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zstandard.ZstdError) as problem:
        raise FileError(f"{file.name} is missing, truncated or altered ({problem}); {RESTORE}") from None
    images = Images(np.cumsum(differences, axis=1, dtype=np.uint8), labels, rows.astype(np.int64))
    _check(images, split, f"{file.name} was altered: its content hash differs; {RESTORE}")
    return images


def outputs_path(teacher: str) -> Path:
    """The committed logits of a shipped teacher."""
    return FOLDER / f"fashion_mnist_{teacher}_outputs.npz"


def read_outputs(teacher: str, weights_sha256: str | None = None, path: Path | None = None) -> dict[str, Logits]:
    """A shipped teacher's logits [N, 10] for ``train``, ``validation`` and ``test`` of the sample.

    ``weights_sha256``, where given, must be that of the weights that made them: outputs of another teacher are refused.
    """
    file = path or outputs_path(teacher)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            made_by = str(arrays["weights_sha256"])
            outputs = {name: arrays[name].astype(np.float32) for name in SAMPLE}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise FileError(f"{file.name} is missing, truncated or altered ({problem}); {RESTORE_OUTPUTS}") from None
    if any(outputs[n].shape != (SIZES[n], len(CLASSES)) or not np.isfinite(outputs[n]).all() for n in SAMPLE):
        raise FileError(f"{file.name} does not hold one finite row for each image of the sample; {RESTORE_OUTPUTS}")
    if weights_sha256 not in (None, made_by):
        raise FileError(f"{file.name} was made with other weights than the teacher's; {RESTORE_OUTPUTS}")
    return outputs


def write_outputs(path: Path, outputs: dict[str, Logits], weights_sha256: str) -> None:
    """Write a teacher's logits in half precision, which keeps every answer (see :func:`engine.metrics.halved`)."""
    arrays: dict[str, NDArray[Any]] = {name: halved(outputs[name]) for name in SAMPLE}
    np.savez(path, allow_pickle=False, **arrays, weights_sha256=np.array(weights_sha256))


def read_full(folder: Path | None = None) -> Images:
    """The 55,000 training images that validation leaves, from the official files in ``folder``."""
    pixels, labels = official("train", folder or installed())
    rows = split_rows(labels)["full"]
    images = Images(pixels[rows], labels[rows], rows)
    _check(images, "full", f"the Fashion-MNIST files in {folder or installed()} are not the official ones; {INSTALL}")
    return images


def installed() -> Path:
    """The folder that holds the official training files; raises :class:`FileError` with the remedy."""
    for folder in (DEBIAN, *TORCHVISION):
        if _found(folder / "train-images-idx3-ubyte").exists():
            return folder
    raise FileError(INSTALL)


def official(part: str, folder: Path = DEBIAN) -> tuple[Bytes, Bytes]:
    """Images [N, 28, 28] and labels [N] of ``part`` (``train`` or ``t10k``) in the official order."""
    images, labels = (read_idx(_found(folder / f"{part}-{kind}-ubyte")) for kind in ("images-idx3", "labels-idx1"))
    if images.shape != (len(labels), *SHAPE):
        raise FileError(f"{folder}: {images.shape[0]} images of {images.shape[1:]} and {len(labels)} labels; {INSTALL}")
    return images, labels


def read_idx(path: Path) -> Bytes:
    """An IDX file of unsigned bytes, gzipped or not: [N] labels or [N, 28, 28] images."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dims = struct.unpack_from(">HBB", raw)
        if zero != 0 or kind != 8:
            raise ValueError("it holds no unsigned bytes")
        shape = struct.unpack_from(f">{dims}I", raw, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as problem:
        raise FileError(f"{path} is not a whole IDX file ({problem}); {INSTALL}") from None


def split_rows(labels: Bytes) -> dict[str, NDArray[np.int64]]:
    """Rows of the official training set by split: ``validation`` 5,000, ``train`` 20,000 others, ``full`` all others.

    Balanced over classes. The order is that of a hash of the row number, which no library's generator can change.
    """
    shuffled = np.array(sorted(range(len(labels)), key=_order), np.int64)
    chosen: dict[str, list[NDArray[np.int64]]] = {"validation": [], "train": []}
    for label in range(len(CLASSES)):
        mine = shuffled[labels[shuffled] == label]
        chosen["validation"].append(mine[:VALIDATION_PER_CLASS])
        chosen["train"].append(mine[VALIDATION_PER_CLASS : VALIDATION_PER_CLASS + SAMPLE_PER_CLASS])
    rows = {name: np.sort(np.concatenate(parts)) for name, parts in chosen.items()}
    rows["full"] = np.setdiff1d(np.arange(len(labels)), rows["validation"])
    return rows


def normalised(images: Bytes) -> NDArray[np.float32]:
    """[N, 28, 28] bytes -> [N, 1, 28, 28] with mean 0 and deviation 1 over the official training images."""
    return ((images.astype(np.float32) / np.float32(255) - MEAN) / DEVIATION)[:, None]


def _check(images: Images, split: str, message: str) -> None:
    if digest(images.pixels, images.labels) != DIGESTS[split]:
        raise FileError(message)


def _order(row: int) -> bytes:
    return hashlib.sha256(f"stillhouse fashion_mnist {row}".encode()).digest()


def _found(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.exists() else path
