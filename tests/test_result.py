"""Results: JSON there and back, and what is not a result is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FileError
from engine.result import Cost, CurvePoint, Latency, PhaseResult, Quality, Result, cost_from_json

LATENCY = Latency(0.2, 0.3, 0.19, 0.21, "onnxruntime 1.32.0", 1, 1, False, True, "too small", 1.2, 1.1, 1.3, 0.2, 12)
COST = Cost(12_345, 6_789, 10_174, 5_087, 700_000, LATENCY, dataclasses.replace(LATENCY, batch=32))
QUALITY = Quality("accuracy", 0.9, 0.89, 0.91)
FULL = Result(
    key="0" * 32,
    state="done",
    recipe={"task": "shapes", "phases": [{"epochs": 1}]},
    quality=QUALITY,
    cost=COST,
    metrics={"accuracy": 0.9},
    attempts=2,
    seconds=8.5,
    test=Quality("accuracy", 0.88, 0.87, 0.89),
    environment={"processor": "one"},
    artifact={"onnx": "model.onnx"},
    phases=(PhaseResult("train", 0.9, COST), PhaseResult("apply", None)),
    curve=(CurvePoint(1, 0.5, 0.8), CurvePoint(2, 0.4, 0.9, 1)),
)
BARE = Result("1" * 32, "done", {}, QUALITY, Cost(1, 1, 1, 1, 1), {})


@pytest.mark.parametrize("result", [FULL, BARE], ids=["full", "bare"])
def test_round_trip_through_text(result: Result) -> None:
    text = json.dumps(result.to_json(), allow_nan=False)
    assert Result.from_json(json.loads(text)) == result


@given(st.floats(0, 1), st.floats(0, 0.1), st.integers(0, 10**12), st.floats(1e-6, 1e6))
def test_any_finite_number_survives(value: float, half: float, size: int, milliseconds: float) -> None:
    quality = Quality("accuracy", value, value - half, value + half)
    latency = dataclasses.replace(LATENCY, median_ms=milliseconds)
    result = dataclasses.replace(BARE, quality=quality, cost=Cost(size, size, size, size, size, latency))
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_fields_that_a_newer_program_adds_to_the_row_are_left_alone() -> None:
    assert Result.from_json({**FULL.to_json(), "baseline": {"key": "2"}}) == FULL


@pytest.mark.parametrize("missing", ["key", "state", "recipe", "quality", "cost", "metrics"])
def test_a_missing_field_is_refused(missing: str) -> None:
    row = {k: v for k, v in FULL.to_json().items() if k != missing}
    with pytest.raises(FileError, match="not a trial's result"):
        Result.from_json(row)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("state", "finished"),
        ("origin", "guess"),
        ("quality", None),
        ("quality", {"metric": "accuracy", "value": 0.9}),
        ("quality", {"metric": "accuracy", "value": math.nan, "low": 0.8, "high": 0.9}),
        ("quality", {"metric": "accuracy", "value": 0.95, "low": 0.8, "high": 0.9}),
        ("quality", {"metric": "accuracy", "value": 0.9, "low": 0.8, "high": 1.0, "direction": "up"}),
        ("cost", {"onnx_bytes": 3}),
        ("cost", {**COST.__dict__, "latency": {**LATENCY.__dict__, "median_ms": 0.0}, "latency_batch32": None}),
        ("cost", {**COST.__dict__, "latency": {**LATENCY.__dict__, "median_ms": math.inf}, "latency_batch32": None}),
        ("cost", "cheap"),
        ("phases", [{"name": "train"}]),
        ("phases", 3),
        ("curve", [{"epoch": 1}]),
    ],
)
def test_other_content_is_refused(path: str, value: Any) -> None:
    with pytest.raises(FileError):
        Result.from_json({**FULL.to_json(), path: value})


@pytest.mark.parametrize("row", [None, [], 3, "done", {}])
def test_what_is_no_result_is_refused(row: Any) -> None:
    with pytest.raises(FileError):
        Result.from_json(row)


def test_a_cost_reads_both_latencies() -> None:
    row = json.loads(json.dumps(dataclasses.asdict(COST)))
    assert cost_from_json(row) == COST
    assert cost_from_json({**row, "latency": None}).latency is None


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.quality.value = 1.0  # type: ignore[misc]
