"""Results as flat rows for tables and charts, as the object that ``run --json`` prints, and what is shipped.

Plain functions over plain data; no torch, no onnxruntime, nothing is measured here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import catalogue
from engine.errors import FileError, InputError
from engine.recipe import Recipe
from engine.search.replicates import family_of

Row = dict[str, Any]
SHIPPED = Path(__file__).resolve().parents[1] / "sample_data" / "shipped_results.json"
COMPRESSING = ("shape", "mask", "quantizer")
PRUNING = ("prune_", "train_sparse", "factor_", "drop_", "group_key")
AMOUNTS = ("sparsity", "ratio", "amount", "fraction")
LATENCIES = {"low_ms": "latency_low_ms", "high_ms": "latency_high_ms"}
MEASURES = ("macro_f1", "agreement", "cross_entropy", "calibration_error")
FACTS = ("runtime", "simulated", "slower_here", "cause", "ratio", "ratio_low", "ratio_high", "threads")


def row_of(result: Mapping[str, Any], dense_key: str, created: float | str, machine: str = "") -> Row:
    """One flat row of a result; missing values are None. Units are in DESIGN's terms: bytes, ms, fractions, seconds."""
    recipe, quality, cost = result["recipe"], result["quality"], result["cost"]
    row: Row = {k: result.get(k) for k in ("key", "origin", "state", "seconds")}
    row |= {"task": recipe["task"], "role": role_of(recipe), "dense_key": dense_key, "created": created}
    row |= settings(recipe) | {"preview": bool(result.get("preview")), "metric": quality["metric"]}
    row |= {"quality": quality["value"], "quality_low": quality["low"], "quality_high": quality["high"]}
    measured = result.get("metrics") or {}
    row |= {name: measured.get(name) for name in MEASURES}
    row |= {k: cost[k] for k in ("packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs")}
    row |= latency_fields(cost.get("latency"), cost.get("latency_batch32"))
    if row["by_layer"] and row["sparsity"]:  # no part's own setting would be true of the whole
        row["sparsity"] = round(1 - cost["nonzero"] / max(cost["parameters"], 1), 3)
    row["machine"] = machine or machine_of(result)
    row["machine_id"] = (result.get("environment") or {}).get("machine_id")
    row["family"] = family_of(recipe)
    return row


def settings(recipe: Mapping[str, Any]) -> Row:
    """What was chosen: student, teacher, loss, pruning, bits and so on, from a recipe in canonical JSON."""
    phases = recipe["phases"]
    losses = [part for p in phases for part in _parts(p.get("loss"))]
    teachers = [t for p in phases for t in p.get("teachers", ())]
    row: Row = {k: recipe.get(k) for k in ("student", "labels", "without", "data", "seed")}
    row["teacher"] = "+".join(dict.fromkeys(_teacher(t) for t in teachers)) or None
    row["loss"] = "+".join(dict.fromkeys(part["name"] for part in losses)) or None
    row["temperature"] = _first(losses, "temperature")
    row["weight"] = _first(losses, "weight")
    row["epochs"] = sum(p.get("epochs", 0) for p in phases)
    return row | _compression([s for p in phases for s in p.get("stages", ())])


def role_of(recipe: Mapping[str, Any]) -> str:
    """trial, dense (uncompressed, taught), baseline (uncompressed, labels alone) or teacher."""
    rows = catalogue.current().rows
    if rows["models"].get(recipe["student"], {}).get("role") == "teacher":
        return "teacher"
    stages = [s["name"] for p in recipe["phases"] for s in p.get("stages", ())]
    if any(rows["stages"].get(name, {}).get("order", "mask") in COMPRESSING for name in stages):
        return "trial"
    return "dense" if any(p.get("teachers") for p in recipe["phases"]) else "baseline"


def latency_fields(one: Mapping[str, Any] | None, many: Mapping[str, Any] | None) -> Row:
    """The latency columns; None where nothing was timed."""
    first, batch = one or {}, many or {}
    row: Row = {"latency_ms": first.get("median_ms"), "latency32_ms": batch.get("median_ms")}
    row |= {name: first.get(field) for field, name in LATENCIES.items()}
    return row | {name: first.get(name) for name in FACTS}


def machine_of(result: Mapping[str, Any]) -> str:
    """The machine that a result was measured on, in words."""
    environment = result.get("environment") or {}
    return str(environment.get("machine") or environment.get("processor") or "this machine")


def block(result: Mapping[str, Any] | None) -> Row | None:
    """The short form of a companion inside the run object: key, quality, test, cost."""
    return {k: result.get(k) for k in ("key", "quality", "test", "cost")} if result else None


def shipped(task: str | None = None) -> list[Row]:
    """Entries ``{"result", "machine", "date"}`` of the shipped results, of one task or all; may be empty."""
    entries = _read_shipped(SHIPPED, SHIPPED.stat().st_mtime_ns) if SHIPPED.exists() else []
    return [e for e in entries if task is None or e["result"]["recipe"]["task"] == task]


def shipped_rows(task: str) -> Iterator[Row]:
    """The shipped results as rows, with the machine and date of their measurement."""
    for entry in shipped(task):
        result = {**entry["result"], "origin": "shipped"}
        dense = entry.get("dense_key") or _dense_key(result["recipe"])
        yield row_of(result, dense, entry["date"], entry["machine"])


@functools.lru_cache(maxsize=4)
def _read_shipped(path: Path, stamp: int) -> list[Row]:
    try:
        entries: list[Row] = json.loads(path.read_text(encoding="utf-8"))
        for entry in entries:
            entry["result"]["key"], entry["machine"], entry["date"], entry["result"]["recipe"]["task"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(
            f"{path.name} cannot be read ({problem!r}); restore it with 'git checkout sample_data'"
        ) from None
    return entries


@functools.lru_cache(maxsize=1024)
def _dense_key_of(text: str) -> str:
    try:
        return Recipe.from_json(json.loads(text)).dense().key
    except InputError:  # a teacher, or a recipe of a plug-in that is not installed here: it has no dense student
        return ""


def _dense_key(recipe: Mapping[str, Any]) -> str:
    return _dense_key_of(json.dumps(recipe, sort_keys=True))


def _compression(stages: list[Mapping[str, Any]]) -> Row:
    pruning = [s for s in stages if s["name"].startswith(PRUNING)]
    quantized = [s for s in stages if "bits" in s]
    last = pruning[-1] if pruning else {}
    pattern = last.get("pattern") or ""
    amount = _zeros_of(pattern) if ":" in pattern else next((last[name] for name in AMOUNTS if name in last), 0.0)
    # of layers that differ the widest counts, as in the artifact
    bits = [s["bits"] for s in quantized if s.get("layers", "*") != "*"] or [s["bits"] for s in quantized[-1:]]
    return {
        "by_layer": any(s.get("layers", "*") != "*" for s in (*pruning, *quantized)),
        "pruning": last["name"].removeprefix("prune_") if last else "none",
        "schedule": last.get("schedule"),
        "sparsity": amount,
        "bits": max(bits, default=32),
    }


def _zeros_of(pattern: str) -> float:
    """The share of zeros that a pattern such as 2:4 (two of four stay) leaves."""
    kept, _, group = pattern.partition(":")
    return 1 - int(kept) / int(group)


def _parts(loss: Any) -> list[Mapping[str, Any]]:
    return list(loss) if isinstance(loss, (list, tuple)) else [loss] if loss else []


def _first(parts: list[Mapping[str, Any]], name: str) -> Any:
    return next((part[name] for part in parts if name in part), None)


def _teacher(teacher: Any) -> str:
    return teacher if isinstance(teacher, str) else str(teacher.get("student", "a recipe"))
