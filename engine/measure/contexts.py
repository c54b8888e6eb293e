"""What a coder with contexts would make of a layer's integers: one that looks at the weights around the one it codes.

The standard for it is ISO/IEC 15938-17 (Neural Network Coding); Fraunhofer's NNCodec implements it. Where that package
can be found, its DeepCABAC codes the layer and its decoder checks it. The package pins a numpy older than this
project's, so it is no dependency; ``pip install --no-deps nncodec`` builds what is used here. Everywhere else stands an
estimate of our own, :func:`estimate`: ideal lengths, no file.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

NNCODEC, ESTIMATE = "nncodec", "estimate"
UNARY = 10  # magnitudes up to this are coded one by one, larger ones by their logarithm
NEAR = 2  # neighbours' magnitudes are told apart up to this many times the layer's mean


def coder() -> str:
    """Which coder :func:`context_bytes` uses here."""
    return ESTIMATE if _cabac() is None else NNCODEC


def context_bytes(values: NDArray[np.int8]) -> float:
    """Bytes that ``values`` [out, ...] take in :func:`coder`; 0 for none."""
    if not values.size:
        return 0.0
    cabac = _cabac()
    return estimate(values) if cabac is None else float(_nncodec(cabac, values))


def estimate(values: NDArray[np.int8]) -> float:
    """Ideal bytes in adaptive binary contexts, without the last byte's rounding and without a table.

    A weight is a chain of yes and no: is it above 0, above 1, ... and its sign. Each question keeps a tally for each
    state of its neighbours (the weight before it and the one in the row above, each zero, small or large), and an
    answer given k times of n so far costs log2((n + 1) / (k + 1/2)) bits (Krichevsky and Trofimov 1981).
    """
    rows = np.abs(values.reshape(len(values), -1).astype(np.int64))
    where, sizes = _neighbours(rows), rows.ravel()
    bits = float(np.count_nonzero(sizes))  # signs
    for step in range(UNARY + 1):
        bits += _tally(where, sizes > step)
        where, sizes = where[sizes > step], sizes[sizes > step]
    rest = sizes - UNARY
    length = np.floor(np.log2(np.maximum(rest, 1))).astype(np.int64)
    for step in range(7):
        asked = length >= step
        bits += _tally(where[asked], length[asked] > step)
        bits += _tally(length[length > step], (rest[length > step] >> (length[length > step] - step - 1)) & 1 > 0)
    return bits / 8


def _neighbours(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number from 0 to 8 for each weight, in order."""
    classes = np.digitize(rows, [1, max(2.0, NEAR * float(rows.mean()))])
    before, above = np.zeros_like(classes), np.zeros_like(classes)
    before[:, 1:], above[1:] = classes[:, :-1], classes[:-1]
    return np.asarray(3 * before + above).ravel()


def _tally(where: NDArray[np.int64], yes: NDArray[np.bool_]) -> float:
    """Bits of all answers: what tallying costs does not depend on their order, only on how many were yes."""
    many, ayes = (np.bincount(w, minlength=1) for w in (where, where[yes]))
    ayes = np.pad(ayes, (0, len(many) - len(ayes)))
    return sum(_krichevsky(int(k), int(n - k)) for k, n in zip(ayes, many, strict=True) if n)


@functools.lru_cache(maxsize=4096)
def _krichevsky(ayes: int, noes: int) -> float:
    gamma = math.lgamma
    nats = gamma(ayes + noes + 1) + 2 * gamma(0.5) - gamma(ayes + 0.5) - gamma(noes + 0.5)
    return nats / math.log(2)


@functools.cache
def _cabac() -> Any:
    """NNCodec's compiled coder alone: the whole package would import much that is not needed, or not installed."""
    found = importlib.util.find_spec("nncodec")
    folders = [Path(p) / "extensions" for p in (found.submodule_search_locations or ())] if found else []
    files = [file for folder in folders for file in sorted(folder.glob("deepCABAC*")) if file.suffix in (".so", ".pyd")]
    return _loaded(files[0]) if files else None


def _loaded(file: Path) -> ModuleType | None:
    spec = importlib.util.spec_from_file_location("deepCABAC", file)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _nncodec(cabac: Any, values: NDArray[np.int8]) -> int:
    """Bytes of one layer in DeepCABAC, as NNCodec codes it: rows of zeros skipped, start of the contexts optimised."""
    rows = np.ascontiguousarray(values.reshape(len(values), -1), np.int32)
    off, none = cabac.HdspMode.AlwaysOff, np.zeros(2, np.int8)
    encoder, decoder, again = cabac.Encoder(), cabac.Decoder(), np.zeros_like(rows)
    encoder.initCtxModels(UNARY + 1, 1)
    encoder.encodeLayer(rows, 0, 0, 1, 0, 1, (~rows.any(1)).astype(np.int32), off, none, 0, 0)
    code = encoder.finish()
    decoder.setStream(code)
    decoder.initCtxModels(UNARY + 1)
    decoder.decodeLayer(again, 0, 0, 1, 0, off, none, 0, 0)
    if not np.array_equal(rows, again):
        raise RuntimeError("NNCodec's decoder gives other integers than its encoder was given")
    return len(code)
