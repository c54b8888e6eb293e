"""The times of a prompt and of one token: taken in a quiet moment, once for each graph, for models that remember."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from engine import registry
from engine.home import Home
from engine.measure import token_latency
from engine.measure.latency import LatencyReading
from engine.measure.token_timing import times


def reading(milliseconds: float) -> LatencyReading:
    return LatencyReading(milliseconds, milliseconds, milliseconds, milliseconds, milliseconds, 12, 1, "test")


def test_they_are_measured_once_for_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments, asked = [], []

    @contextlib.contextmanager
    def quiet() -> Iterator[None]:
        moments.append(1)
        yield

    def measure(graphs: dict[str, bytes], protocol: object) -> dict[str, dict[str, LatencyReading]]:
        asked.append(graphs)
        return {"prompt": {"model": reading(2.0)}, "token": {"model": reading(0.5)}}

    monkeypatch.setattr(token_latency, "measure", measure)
    home = Home.locate(tmp_path)
    torch.manual_seed(0)
    first, other = (registry.get("models", "gpt_1").make() for _ in range(2))
    found = times(home, quiet, first)
    assert found == {"prompt_ms": 2.0, "token_ms": 0.5}
    assert times(home, quiet, other) == found, "other weights, the same graph"
    assert len(moments) == len(asked) == 1
    times(home, quiet, registry.get("models", "gpt_2").make())
    assert len(asked) == 2


def test_one_more_token_takes_less_than_a_prompt(tmp_path: Path) -> None:
    found = times(Home.locate(tmp_path), contextlib.nullcontext, registry.get("models", "gpt_3").make())
    assert 0 < found["token_ms"] < found["prompt_ms"]


def test_a_model_that_remembers_nothing_has_none(tmp_path: Path) -> None:
    assert times(Home.locate(tmp_path), contextlib.nullcontext, nn.Linear(2, 2)) == {}
