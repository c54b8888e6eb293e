"""The folder that ``export`` writes: everything needed to run a trial's network elsewhere. No torch."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from engine import catalogue, export_tokens, modalities
from engine.errors import FileError, InputError, NotFoundError
from engine.export_text import EXAMPLE, README, REBUILD, USAGE
from engine.files import atomic_write, check_artifact, disk_errors
from engine.measure import standalone
from engine.units import format_bytes, format_ms

DECODER = Path(__file__).with_name("artifact") / "decoder.py"
NEEDED = ("onnx", "packed")
Run = Mapping[str, Any]


def missing(run: Run) -> list[str]:
    """Which files of a finished trial are not on this disk: grid points and shipped results have none."""
    return [name for name in NEEDED if not Path((run["artifact"] or {}).get(name) or "/").is_file()]


def check_folder(folder: Path, force: bool) -> None:
    """Raise :class:`InputError` unless ``folder`` is absent or an empty folder, or ``force`` is given."""
    if folder.exists() and not folder.is_dir():
        raise InputError("DIR", str(folder), "a folder, or a path where one can be made")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError("DIR", str(folder), "an empty or a new folder; --force writes into this one")


def write(run: Run, folder: Path, force: bool = False) -> list[Path]:
    """Write ONNX, packed file, decoder, recipe, result, README, an example and ``bench.py``; the paths written.

    A model that reads token ids comes with what they stand for.

    ``run`` is the object of ``engine.api.result``. Raises :class:`NotFoundError` for an unfinished trial,
    :class:`FileError` when its files are not here and :class:`InputError` for a folder that cannot be one.
    """
    if run["quality"] is None:
        raise NotFoundError(f"trial {run['key']}: it is {run['state']}; only a finished trial can be exported")
    check_folder(folder, force)
    if missing(run):
        raise FileError(
            f"trial {run['key']}: its files are not on this disk; `stillhouse export` in a terminal runs it again"
        )
    check_artifact(*(Path(run["artifact"][name]) for name in NEEDED))
    names = {name: Path(run["artifact"][name]).name for name in NEEDED}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        written = [Path(shutil.copyfile(run["artifact"][name], folder / names[name])) for name in NEEDED]
        written.append(Path(shutil.copyfile(DECODER, folder / DECODER.name)))
    for name, text in texts(run, names).items():
        atomic_write(folder / name, text)
        (folder / name).chmod(0o644)
        written.append(folder / name)
    return written


def texts(run: Run, names: Mapping[str, str]) -> dict[str, str]:
    """The folder's text files by name. ``names`` are the file names of the ONNX and the packed file."""
    portable = {**run, "artifact": dict(names)}
    words, task = _words(run, names), catalogue.current().row("tasks", run["recipe"]["task"])
    usage, example, more = USAGE.format(**words), EXAMPLE.format(**words), dict[str, str]()
    if modalities.of(task) != modalities.IMAGE:
        more = export_tokens.meanings(_files(task["name"]))
        usage, example = export_tokens.usage(task, words, more)
    return {
        **more,
        "README.md": README.format(usage=usage, rebuild=REBUILD.format(**words), **words),
        "run_example.py": example,
        "bench.py": standalone.source(),
        "recipe.json": json.dumps(run["recipe"], indent=1, ensure_ascii=False) + "\n",
        "result.json": json.dumps(portable, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }


def normalisation(task: str) -> tuple[float, float] | None:
    """Mean and deviation of the inputs divided by 255, where the task declares them."""
    files = _files(task)
    mean, deviation = getattr(files, "MEAN", None), getattr(files, "DEVIATION", None)
    return None if mean is None or deviation is None else (round(float(mean), 6), round(float(deviation), 6))


def _files(task: str) -> ModuleType | None:
    """The module that reads a task's data without torch, if it has one."""
    try:
        return importlib.import_module(f"engine.tasks._{task}_files")
    except ModuleNotFoundError:
        return None


def _words(run: Run, names: Mapping[str, str]) -> dict[str, Any]:
    recipe, quality, cost = run["recipe"], run["quality"], run["cost"]
    task = catalogue.current().row("tasks", recipe["task"])
    shape = tuple(task["input_shape"])
    mean, deviation = normalisation(recipe["task"]) or (0.0, 1.0)
    interval = f"{quality['value']:.4f} (95 % interval {quality['low']:.4f} to {quality['high']:.4f})"
    return {
        **names, "key": run["key"], "student": recipe["student"], "task": recipe["task"], "title": task["title"],
        "classes": list(task["class_names"]), "shape": shape, "dimensions": " x ".join(map(str, shape)),
        "mean": mean, "deviation": deviation, "metric": quality["metric"], "quality": interval, "test": _test(run),
        "onnx_bytes": f"{cost['onnx_bytes']:,} bytes ({format_bytes(cost['onnx_bytes'])})",
        "packed_bytes": f"{cost['packed_bytes']:,} bytes ({format_bytes(cost['packed_bytes'])})",
        "parameters": f"{cost['parameters']:,}, of which {cost['nonzero']:,} are not zero", "macs": f"{cost['macs']:,}",
        "latency": _latency(cost.get("latency")), "measured": _measured(run),
        "class_list": "\n".join(f"{i}. {name}" for i, name in enumerate(task["class_names"])),
    }  # fmt: skip


def _test(run: Run) -> str:
    test = run.get("test")
    if not test:
        return "not read"
    return f"{test['value']:.4f} (95 % interval {test['low']:.4f} to {test['high']:.4f})"


def _latency(latency: Run | None) -> str:
    if not latency:
        return "not timed"
    text = f"{format_ms(latency['median_ms'])} ({latency['runtime']}, {latency['threads']} thread, median)"
    if latency["simulated"]:
        text += "; simulated: no kernel ran the recipe's number format, this is the time of floats"
    return text + ("; slower than the dense student: " + str(latency["cause"]) if latency["slower_here"] else "")


def _measured(run: Run) -> str:
    environment = run.get("environment") or {}
    machine = environment.get("machine") or environment.get("processor") or "an unnamed machine"
    day = run.get("created") or environment.get("date")
    return f"on {machine}" + (f", {day}" if day else "")
