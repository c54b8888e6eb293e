"""Shipped artifacts timed again: rebuilt from their packed files, paired with their dense student, told as a row."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import artifact, registry, retiming
from engine.errors import FileError
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure import machine
from engine.measure.latency import LatencyReading
from engine.result import Latency

TASK = "fashion_mnist"
FACTS = {"simulated": False, "bits": None, "conversions": 0, "parameters": 1536, "nonzero": 1536}
SLOWER = LatencyReading(0.2, 0.19, 0.21, 0.3, 0.2, 12, 1, "onnxruntime 1 CPU", 1, 1.3, 1.2, 1.4)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Two shipped artifacts by key, one of them the dense student; the other one is said to be smaller, in 8 bits."""
    made = {key: artifact.build(registry.get("models", "plain_1k5").make(), torch.zeros(2, 1, 28, 28)) for key in "de"}
    common = {"task": TASK, "student": "plain_1k5"}
    entries = [
        {**common, "key": "d", "dense": True, "packed_bytes": 5000, "facts": FACTS},
        {**common, "key": "e", "dense": False, "packed_bytes": 2000, "facts": FACTS | {"bits": 8, "conversions": 2}},
    ]
    for key, model in made.items():
        (tmp_path / f"{key}.packed").write_bytes(model.packed())
    (tmp_path / "index.json").write_text(json.dumps(entries))
    monkeypatch.setattr(retiming, "FOLDER", tmp_path)
    monkeypatch.setattr(retiming, "INDEX", tmp_path / "index.json")
    return {key: model.onnx for key, model in made.items()}


def test_each_is_timed_beside_its_dense_student(
    built: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[dict[str, bytes], Any, str | None]] = []

    def timed(models: Mapping[str, bytes], shape: Any, reference: str | None) -> dict[int, dict[str, LatencyReading]]:
        asked.append((dict(models), shape, reference))
        return {b: {key: dataclasses.replace(SLOWER, batch=b) for key in models} for b in retiming.BATCHES}

    monkeypatch.setattr(retiming, "timed", timed)
    home = Home.locate(tmp_path / "home")
    found = retiming.retime(TASK, home, lambda _event: None, Slot(home))
    assert asked == [(built, (1, 28, 28), "d")]
    assert set(found) == {"d", "e"}
    small = Latency(**found["e"]["latency"])
    assert (small.slower_here, small.cause, small.ratio) == (True, "too small", 1.3)
    assert not Latency(**found["d"]["latency"]).slower_here, "the dense student is not smaller than itself"
    assert Latency(**found["e"]["latency_batch32"]).batch == 32
    assert found["e"]["machine_id"] == machine.facts()["machine_id"]


@pytest.mark.usefixtures("built")
def test_damaged_files_are_told_with_the_remedy(tmp_path: Path) -> None:
    whole = (tmp_path / "e.packed").read_bytes()
    (tmp_path / "e.packed").write_bytes(whole[:-9])
    with pytest.raises(FileError, match=r"e\.packed cannot be read .* restore it"):
        retiming.load("e")
    (tmp_path / "index.json").write_text("[{}]")
    with pytest.raises(FileError, match=r"index\.json cannot be read .* restore it"):
        retiming.index(TASK)
