"""What live figures show: real answers, weights and measurements that come with the project. Read once, never torch."""

from __future__ import annotations

import base64
import functools
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file

from engine.errors import FileError, unknown_name
from engine.preview import Preview, preview

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "sample_data" / "live.npz"
RESULTS = ROOT / "sample_data" / "shipped_results.json"
TEACHER = ROOT / "sample_models" / "weights" / "teacher_fashion_mnist.safetensors"
IMAGES = "fashion_mnist"
IN_STUDENT = {"student": "blocks.1.conv", "student_first": "blocks.0.conv"}
IN_TEACHER = {"teacher_first": "0.conv.weight", "teacher_head": "10.weight"}
LAYERS = (*IN_STUDENT, *IN_TEACHER)
Array = NDArray[Any]


class Answers(NamedTuple):
    """What teacher and student [N, C] say (logits, float64) of validation images; ``labels`` [N]."""

    names: tuple[str, ...]
    labels: tuple[int, ...]
    teacher: Array
    student: Array


@functools.cache
def answers() -> Answers:
    """The shipped teacher's and student's answers: of each class two ordinary images, then two hard ones."""
    seen = preview(IMAGES)
    if not isinstance(seen, Preview):
        raise FileError(f"the preview of {IMAGES} holds no images")
    labels = tuple(int(v) for v in seen.labels)
    return Answers(seen.class_names, labels, seen.teacher_logits.astype(np.float64), _kept()["student"].astype(float))


@functools.cache
def image(place: int) -> str:
    """One of those images as the address of a PNG, dark on light."""
    seen, out = preview(IMAGES), io.BytesIO()
    pixels = seen.images[place] if isinstance(seen, Preview) else np.zeros((1, 1), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


@functools.cache
def layer(name: str) -> Array:
    """One layer's weights [out, in, ...] in float32, of the shipped student or the teacher; never to be changed."""
    if name not in LAYERS:
        raise unknown_name("layer", name, LAYERS)
    if name in IN_STUDENT:
        found = _kept()[IN_STUDENT[name]].astype(np.float32)
    else:
        try:
            found = load_file(TEACHER)[IN_TEACHER[name]].astype(np.float32)
        except (OSError, SafetensorError, KeyError) as problem:
            raise FileError(f"{TEACHER.name} cannot be read ({problem}); take it from the project again") from None
    found.flags.writeable = False
    return found


def facts() -> Mapping[str, Any]:
    """Whose answers and weights these are, and the time of shipped students by kind of operator (sample_data.live)."""
    found: Mapping[str, Any] = json.loads(_kept()["index"].tobytes())
    return found


@functools.cache
def _kept() -> Mapping[str, Array]:
    try:
        with np.load(KEPT, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise FileError(f"{KEPT.name} cannot be read ({problem}); make it: python -m sample_data.live") from None


class Measured(NamedTuple):
    """One shipped result: its own file's bytes, its quality, and the median time of a call in milliseconds.

    ``sparsity`` of ``pruning`` ("none", "magnitude", "channels"); ``bits`` 32 where nothing is rounded. ``ratio`` is
    the paired ratio of its time to that of its dense student, with its 95 % interval; at a batch of 32 the same.
    ``simulated``: the time is another number format's.
    """

    student: str
    teacher: bool
    pruning: str
    sparsity: float
    bits: int
    quality: float
    packed_bytes: int
    macs: int
    latency_ms: float
    ratio: tuple[float, float, float]
    ratio32: tuple[float, float, float]
    simulated: bool
    machine: str
    grid: bool


@functools.cache
def shipped(task: str = IMAGES) -> tuple[Measured, ...]:
    """What came with the project, measured, in the order of its file."""
    try:
        rows = json.loads(RESULTS.read_text(encoding="utf-8"))
        return tuple(_measured(row) for row in rows if row["result"]["recipe"]["task"] == task)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(f"{RESULTS.name} cannot be read ({problem}); take it from the project again") from None


def _measured(row: Mapping[str, Any]) -> Measured:
    result = row["result"]
    stages = [s for p in result["recipe"]["phases"] for s in p.get("stages", ())]
    uncut: dict[str, Any] = {"name": "prune_none", "sparsity": 0.0}
    cut = next((s for s in stages if s["name"].startswith("prune_")), uncut)
    bits = next((int(s["bits"]) for s in stages if s["name"] == "quantize_linear"), 32)
    cost = result["cost"]
    one, many = cost["latency"], cost["latency_batch32"]
    return Measured(
        result["recipe"]["student"], not row["dense_key"], cut["name"].removeprefix("prune_"), float(cut["sparsity"]),
        bits, float(result["quality"]["value"]), int(cost["packed_bytes"]), int(cost["macs"]), float(one["median_ms"]),
        _interval(one), _interval(many), bool(one["simulated"]), str(row["machine"]), result["origin"] == "grid",
    )  # fmt: skip


def _interval(latency: Mapping[str, Any]) -> tuple[float, float, float]:
    return tuple(float(latency[name] or 1.0) for name in ("ratio", "ratio_low", "ratio_high"))  # type: ignore[return-value]
