"""A pipeline that trains nothing: ``STILLHOUSE_PIPELINE`` puts it in the real one's place in tests of store and runner.

The seed chooses what goes wrong (see ``fault``); ``STUB_SECONDS`` is how long a run lasts. Every call adds a line to
``ran.txt`` in the home, so that a test can count how often something really ran.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sensitivity_tools import made_up

from engine import inspection_files, other_runtimes_files, sensitivity_files
from engine.errors import TrialFailedError
from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.files import atomic_folder
from engine.home import Home
from engine.recipe import Recipe
from engine.result import Cost, CurvePoint, Latency, Quality, Result

DIES, DIES_ONCE, REFUSES, BREAKS, HUNGRY = 901, 902, 903, 904, 905
SPARSITIES = (0.2, 0.4, 0.6)
BITS = (8, 4)
STEPS = 10


def run(
    recipe: Recipe, home: Home, report: Callable[[dict[str, Any]], None], slot: Slot, test: bool = False
) -> Outcome:
    """Sleep in steps, report like training, write an artifact."""
    note(home, f"run {recipe.key}")
    fault(recipe, home)
    curve: list[CurvePoint] = []
    for step in range(STEPS):
        with slot.working():
            time.sleep(seconds() / STEPS)
            slot.breathe()
        report({"step": step, "steps": STEPS, "fraction": (step + 1) / STEPS, "doing": "training"})
        if step % 5 == 4:
            curve.append(CurvePoint(len(curve) + 1, 1.0 / (step + 1), 0.5 + step / 100))
            report({"curve": vars(curve[-1])})
    with atomic_folder(home.artifact(recipe.key)) as folder:
        onnx = b"onnx " + recipe.key.encode()
        (folder / "model.onnx").write_bytes(onnx)
        (folder / "model.packed").write_bytes(b"SHPK\x02" + hashlib.sha256(onnx).digest())
    outcome = outcome_of(recipe, test)
    return replace(outcome, result=replace(outcome.result, curve=tuple(curve)))


def grid(dense: Recipe, home: Home, report: Callable[[dict[str, Any]], None], slot: Slot,
         on_points: Callable[[list[Outcome]], None], part: int = 0, parts: int = 1) -> None:  # fmt: skip
    """A preview of every point, then every point."""
    note(home, f"grid {dense.key}" + (f":{part}" if part else ""))
    recipes = [dense.with_one_shot(s, b) for s in SPARSITIES for b in BITS][part::parts]
    report({"steps": len(recipes), "step": 0})
    for preview in (True, False):
        for recipe in recipes:
            time.sleep(seconds() / 20)
            outcome = outcome_of(recipe, False)
            on_points([replace(outcome, result=replace(outcome.result, origin="grid", preview=preview))])


def retime(task: str, home: Home, report: Callable[[dict[str, Any]], None], slot: Slot) -> dict[str, Any]:
    """One reading."""
    note(home, f"retime {task}")
    return {"shipped0": {"latency": vars(LATENCY), "latency_batch32": None, "machine": "stub"}}


def inspect(body: dict[str, Any], home: Home, report: Callable[[dict[str, Any]], None], slot: Slot) -> None:
    """An inspection that says which point it was."""
    note(home, f"inspect {body['key']}")
    report({"doing": "looking inside", "fraction": 0.5})
    data = {"phases": [{"name": body["key"]}], "dense_key": None}
    inspection_files.save(home, body["key"], data, {"logits": np.zeros((1, 10), np.float32)})


def runtimes(body: dict[str, Any], home: Home, report: Callable[[dict[str, Any]], None], slot: Slot) -> None:
    """A comparison without a row."""
    note(home, f"runtimes {body['key']}")
    other_runtimes_files.save(home, body["key"], {"rows": [], "machine": "stub", "machine_id": "stub"})


def sensitivity(body: dict[str, Any], home: Home, report: Callable[[dict[str, Any]], None], slot: Slot) -> None:
    """Made-up losses of two layers."""
    dense = Recipe.from_json(body["dense"])
    note(home, f"sensitivity {dense.key}")
    sensitivity_files.save(home, dense.key, made_up(dense.key, dense.student))


LATENCY = Latency(0.1, 0.2, 0.09, 0.11, "stub", 1, 1, False, False)


def outcome_of(recipe: Recipe, test: bool) -> Outcome:
    """A result that depends on the recipe's key only."""
    value = 0.5 + int(recipe.key[:4], 16) / 2**17
    quality = Quality("accuracy", value, value - 0.01, value + 0.01)
    cost = Cost(40_000, 10_000, 10_174, 5_000, 1_000_000, LATENCY)
    logits = np.random.default_rng(int(recipe.key[:8], 16)).normal(size=(5000, 10)).astype(np.float32)
    result = Result(
        recipe.key, "done", recipe.to_json(), quality, cost, {"accuracy": value}, seconds=seconds(),
        test=quality if test else None, environment={"machine": "stub"},
        artifact={"onnx": "model.onnx", "packed": "model.packed"},
    )  # fmt: skip
    return Outcome(result, logits)


def fault(recipe: Recipe, home: Home) -> None:
    """What the seed asks for."""
    marker = home.root / f"died-{recipe.key}"
    if recipe.seed == DIES or (recipe.seed == DIES_ONCE and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), 9)
    if recipe.seed == REFUSES:
        raise TrialFailedError("training diverged: the loss is not a number")
    if recipe.seed == BREAKS:
        raise ValueError("something unexpected\nwith a second line")
    if recipe.seed == HUNGRY:
        raise MemoryError


def note(home: Home, text: str) -> None:
    """One line, appended at once even when several processes do it."""
    handle = os.open(home.root / "ran.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


def seconds() -> float:
    """How long a run lasts."""
    return float(os.environ.get("STUB_SECONDS", "0.2"))
