"""Where inspections and the models that answer images are kept in a home, each behind a digest. No torch, no pickle.

All of it is a cache: what is missing or damaged is made again from the recipe. A file begins with the SHA-256 of what
follows, so that one flipped bit is never shown as a measurement.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import catalogue
from engine.files import atomic_write
from engine.home import Home
from engine.metrics import halved
from engine.recipe import Recipe

VERSION = 3  # of what an inspection holds; another one is made again
KIND, MODELS = "inspect", "models"  # folders of the cache
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Model:
    """A network that can answer an image: its name in words, and its ONNX file in this home."""

    id: str
    name: str
    sha256: str
    onnx_bytes: int
    packed_bytes: int


def dense_recipe(recipe: Recipe) -> Recipe | None:
    """The dense student that an inspection compares with: the first phase that trains, without any stage.

    None for a recipe that trains nothing: then it is the student with its initial weights.
    """
    return recipe.dense().prefix(1) if any(p.trains for p in recipe.phases) else None


def teacher_of(recipe: Recipe) -> str | Recipe:
    """The recipe's last teacher, or the task's own where it has none."""
    named = [t for p in recipe.phases for t in p.teachers]
    return named[-1] if named else catalogue.current().teachers(recipe.task)[0]


def model_id(of: str | Recipe) -> str:
    """The name under which a model's file is kept: a recipe's key, or a shipped teacher's name and weights."""
    if isinstance(of, Recipe):
        return of.key
    return f"{of}-{catalogue.current().row('models', of)['weights_sha256'][:24]}"


def model_path(home: Home, name: str) -> Path:
    """The ONNX file of a model."""
    return home.cache(MODELS) / f"{name}.onnx"


def save_model(home: Home, name: str, title: str, onnx: bytes, packed_bytes: int) -> Model:
    """Keep a model's ONNX file."""
    model = Model(name, title, hashlib.sha256(onnx).hexdigest(), len(onnx), packed_bytes)
    atomic_write(model_path(home, name), onnx)
    atomic_write(_side(home, name), sealed(asdict(model)))
    return model


def load_model(home: Home, name: str) -> Model | None:
    """A model whose file is whole, else None; a file is read once for each time that it was written."""
    row, path = opened(_side(home, name)), model_path(home, name)
    try:
        model = Model(**row) if row else None
        stamp = path.stat() if model else None
        whole = stamp is not None and _digest(path, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, TypeError):
        return None
    return model if model and whole == model.sha256 else None


@functools.lru_cache(maxsize=256)
def _digest(path: Path, _stamp: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save(home: Home, key: str, data: Mapping[str, Any], logits: Arrays) -> None:
    """Keep an inspection; ``logits`` [N, C] by name are kept as float16."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **{name: halved(values) for name, values in logits.items()})
    content = stream.getvalue()
    atomic_write(_arrays(home, key), content)
    atomic_write(path(home, key), sealed({**data, "version": VERSION, "arrays": hashlib.sha256(content).hexdigest()}))


def load(home: Home, key: str) -> dict[str, Any] | None:
    """An inspection that is whole and of this version, else None; shared between callers, who must not change it."""
    try:
        stamp = path(home, key).stat()
    except OSError:
        return None
    data = _read(path(home, key), stamp.st_mtime_ns, stamp.st_size)
    return data if data and data.get("version") == VERSION and _arrays(home, key).exists() else None


@functools.lru_cache(maxsize=64)
def _read(file: Path, _stamp: int, _size: int) -> dict[str, Any] | None:
    return opened(file)


def logits(home: Home, key: str, name: str) -> npt.NDArray[np.float32] | None:
    """``logits`` or ``dense_logits`` [N, C] of an inspection, else None."""
    data = load(home, key)
    try:
        content = _arrays(home, key).read_bytes()
        if data is None or hashlib.sha256(content).hexdigest() != data["arrays"]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays[name].astype(np.float32) if name in arrays else None
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def path(home: Home, key: str) -> Path:
    """The file of an inspection."""
    return home.cache(KIND) / f"{key}.json"


def _arrays(home: Home, key: str) -> Path:
    return home.cache(KIND) / f"{key}.npz"


def _side(home: Home, name: str) -> Path:
    return home.cache(MODELS) / f"{name}.json"


def sealed(data: Mapping[str, Any]) -> str:
    """Plain data as a file's text behind its digest."""
    text = json.dumps(data, allow_nan=False)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n"


def opened(file: Path) -> dict[str, Any] | None:
    """What a file of :func:`sealed` holds; None where it is missing or damaged."""
    try:
        seal, _, text = file.read_text(encoding="utf-8").partition("\n")
        text = text.removesuffix("\n")
        if hashlib.sha256(text.encode()).hexdigest() != seal:
            return None
        data = json.loads(text)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
