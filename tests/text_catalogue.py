"""Made-up tasks of texts and of running text in the catalogue, with the real losses and stages: for tests of pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import catalogue

MAILS, PLAYS = "mails", "plays"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> catalogue.Catalogue:
    """The real catalogue with both tasks, each with two students and a teacher; in force until the test ends."""
    lists: dict[str, list[Any]] = {kind: list(rows.values()) for kind, rows in catalogue.current().rows.items()}
    lists["tasks"] += [
        _task(MAILS, "text", "accuracy", "maximize", 1),
        _task(PLAYS, "tokens", "bits_per_character", "minimize", 128),
    ]
    for task in (MAILS, PLAYS):
        lists["models"] += [_model(f"{task}_small", task, 1_000), _model(f"{task}_large", task, 9_000)]
        lists["models"].append(_model(f"{task}_teacher", task, 90_000) | {"role": "teacher"})
    path = folder / "catalogue.json"
    path.write_text(json.dumps(lists), encoding="utf-8")
    monkeypatch.setattr(catalogue, "PATH", path)
    return catalogue.current()


def _task(name: str, modality: str, metric: str, direction: str, positions: int) -> dict[str, Any]:
    usual = dict(catalogue.current().row("tasks", "fashion_mnist"))
    trained = {"epochs": 2, "loss": {"name": "kd", "temperature": 2.0}, "teachers": [f"{name}_teacher"]}
    default = {"task": name, "student": f"{name}_large", "phases": [trained]}
    return usual | {
        "name": name, "title": name.title(), "modality": modality, "metric": metric, "direction": direction,
        "positions": positions, "classes": 2 if positions == 1 else 512, "class_names": ["ham", "spam"],
        "input_shape": [128], "train_size": 300, "hashes": {"sample": name}, "default": default,
    }  # fmt: skip


def _model(name: str, task: str, parameters: int) -> dict[str, Any]:
    usual = next(r for r in catalogue.current().rows["models"].values() if r["role"] != "teacher")
    return dict(usual) | {"name": name, "title": name, "tasks": [task], "parameters": parameters, "family": task}
