"""What the lessons' live figures need besides the other shipped files, computed once and kept in live.npz.

    python -m sample_data.live

The shipped student's own answers to the images that pages show, the weights of its first two convolutions in full
precision, and where ONNX Runtime spends its time in the shipped students, dense and in 8 bits. Plain arrays and JSON,
read without torch. Half a minute; the profiles are this machine's, and the file says which it is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.artifact import decoder
from engine.files import atomic_write
from engine.home import Home
from engine.measure.machine import facts
from engine.measure.profile import KINDS, Profile, profiles_of
from engine.preview import preview
from engine.workbench import Bench
from sample_data.pictures_student import FOLDER, STUDENT, TASK, recipe, shipped_student

PATH = Path(__file__).with_name("live.npz")
KERNELS = ("blocks.0.conv", "blocks.1.conv")
ROUNDS = 5  # profiles of one model, of which the one with the middle time is kept
Arrays = dict[str, NDArray[Any]]


def make() -> tuple[dict[str, Any], Arrays]:
    """The index and the arrays."""
    bench, student = Bench(recipe([{"epochs": 1}]), Home.locate()), shipped_student()
    images = torch.from_numpy(bench.inputs("validation")[preview(TASK).indices])
    with torch.no_grad():
        arrays: Arrays = {"student": student(images).numpy().astype(np.float32)}
    for name in KERNELS:
        arrays[name] = student.get_submodule(name).weight.detach().contiguous().numpy()
    machine = facts()["machine"]
    return {"student": STUDENT, "kernels": KERNELS, "machine": machine, "profiles": profiles()}, arrays


def profiles() -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds of a call by student, by "dense" or "int8", in all and in each kind of operator."""
    rows = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    models = {f"{r['student']} {'dense' if r['dense'] else 'int8'}": _model(r["key"]) for r in rows}
    tried = [profiles_of(models, (1, 28, 28), (1,))[1] for _ in range(ROUNDS)]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in models:
        student, form = name.split()
        middle = sorted((p[name] for p in tried), key=lambda p: p.milliseconds)[ROUNDS // 2]
        found.setdefault(student, {})[form] = spent(middle)
    return found


def spent(profile: Profile) -> dict[str, float]:
    """Milliseconds in all and by kind; what no operator takes is ONNX Runtime's own."""
    return {"all": profile.milliseconds, **{kind: profile.spent(kind) for kind in KINDS}}


def write(index: Mapping[str, Any], arrays: Arrays, path: Path = PATH) -> None:
    """Write the file; the same arrays give the same bytes."""
    out = io.BytesIO()
    text = np.frombuffer(json.dumps(index, allow_nan=False).encode(), np.uint8)
    np.savez_compressed(out, index=text, **dict(sorted(arrays.items())))
    atomic_write(path, out.getvalue())
    path.chmod(0o644)


def _model(key: str) -> bytes:
    return decoder.decode((FOLDER / f"{key}.packed").read_bytes())


def main() -> None:
    """Make and write it."""
    torch.set_num_threads(1)
    write(*make())
    print(f"{PATH.name}: {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
