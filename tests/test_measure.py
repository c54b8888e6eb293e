"""Latency, its causes, costs and the machine's facts."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from engine import artifact, registry
from engine.errors import InputError, TrialFailedError
from engine.measure import latency, machine
from engine.measure.causes import CAUSES, Facts, cause
from engine.measure.cost import cost, count, macs
from engine.measure.latency import LatencyReading, Protocol, measure, measure_batches, to_latency

QUICK = Protocol(seconds=0.1, limit=5, rounds=4)
READING = LatencyReading(0.2, 0.19, 0.21, 0.3, 0.2, 12, 1, "onnxruntime 1 CPU", 1, 1.3, 1.2, 1.4)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, example = tmp_path_factory.mktemp("latency"), torch.zeros(2, 1, 28, 28)
    paths = {}
    for name in ("plain_1k5", "plain_29k"):
        paths[name] = artifact.write(registry.get("models", name).make(), example, folder / name).onnx
    return paths


def test_a_larger_model_takes_longer_and_the_ratio_says_so(files):
    started = time.perf_counter()
    found = measure_batches(files, (1, 28, 28), (1, 32), "plain_1k5", QUICK, ["plain_29k"])
    assert time.perf_counter() - started < 20
    assert set(found) == {1, 32}
    for batch, rows in found.items():
        small, large = rows["plain_1k5"], rows["plain_29k"]
        assert small.ratio is None
        assert 1 < large.ratio_low <= large.ratio <= large.ratio_high
        assert small.memory_bytes is None
        assert 100_000 < large.memory_bytes < 50_000_000
        for row in (small, large):
            assert 0 < row.low_ms <= row.median_ms <= row.high_ms
            assert row.median_ms <= row.p95_ms
            assert 0 < row.cpu_ms < 3 * row.p95_ms
            assert row.rounds >= QUICK.rounds
            assert (row.batch, row.threads) == (batch, 1)
            assert row.runtime.startswith("onnxruntime ")
    assert found[32]["plain_29k"].median_ms > 4 * found[1]["plain_29k"].median_ms


def test_the_same_file_twice_is_not_slower_than_itself(files):
    twins = {"a": files["plain_1k5"], "b": files["plain_1k5"]}
    row = measure(twins, (1, 28, 28), reference="a", protocol=Protocol(seconds=0.1))["b"]
    assert 0.8 < row.ratio < 1.25


def test_the_child_imports_only_numpy_and_onnxruntime(files):
    plan = {"paths": {"x": str(files["plain_1k5"])}, "shape": [1, 28, 28], "threads": 1, "calls": 5, "seed": 0}
    code = f"""
import importlib.util, io, json, sys
spec = importlib.util.spec_from_file_location("w", {str(latency.WORKER)!r})
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
lines, answers = [json.dumps({plan | {"memory": False}!r}), json.dumps({{"batch": 8}}), ""], io.StringIO()
assert worker.serve(io.StringIO("\\n".join(lines)), answers) == 0
modules = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([modules, [json.loads(line) for line in answers.getvalue().splitlines()]]))
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    loaded, (first, second) = json.loads(done.stdout)
    assert {"numpy", "onnxruntime"} <= set(loaded)
    assert not {"torch", "engine", "onnx", "pandas", "scipy"} & set(loaded)
    assert first["runtime"].startswith("onnxruntime ")
    block = second["blocks"]["x"]
    assert 5 <= len(block["times"]) <= 25
    assert min(block["times"]) > 0
    assert block["cpu"] > 0


def test_what_cannot_be_measured_says_why_in_one_line(files, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(files["plain_1k5"].read_bytes()[:500])
    for path in (broken, tmp_path / "missing.onnx"):
        with pytest.raises(TrialFailedError, match=r"^latency: .*(broken|missing)\.onnx") as caught:
            measure({"x": path}, (1, 28, 28))
        assert "\n" not in str(caught.value)
    with pytest.raises(TrialFailedError, match="latency"):
        measure({"x": files["plain_1k5"]}, (3, 28, 28))
    with pytest.raises(ValueError, match="reference"):
        measure(files, (1, 28, 28), reference="other")


def test_a_child_that_dies_or_hangs_is_a_failed_trial(files, tmp_path, monkeypatch):
    dying, hanging = tmp_path / "dying.py", tmp_path / "hanging.py"
    dying.write_text("raise SystemExit('out of memory')")
    hanging.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(latency, "WORKER", dying)
    with pytest.raises(TrialFailedError, match="out of memory"):
        measure(files, (1, 28, 28))
    monkeypatch.setattr(latency, "WORKER", hanging)
    monkeypatch.setattr(latency, "STARTUP_SECONDS", 0.3)
    with pytest.raises(TrialFailedError, match="did not end"):
        measure(files, (1, 28, 28), protocol=Protocol(limit=0.1))


def test_threads_are_asked_for_and_told(files, monkeypatch):
    assert Protocol().threads == 1
    monkeypatch.setattr(latency, "available_cores", lambda: 2)
    monkeypatch.setenv(latency.THREADS, "2")
    one = {"plain_1k5": files["plain_1k5"]}
    assert measure(one, (1, 28, 28), protocol=dataclasses.replace(QUICK, threads=2))["plain_1k5"].threads == 2
    assert Protocol().threads == 2
    for text in ("0", "3", "two", ""):
        monkeypatch.setenv(latency.THREADS, text)
        with pytest.raises(InputError, match="from 1 to 2"):
            Protocol()


WEIGHTS_ONLY = Facts(True, 4, 0, 10_000, 9_000)
INTEGERS = Facts(False, 8, 3, 10_000, 9_000)


@pytest.mark.parametrize(
    ("facts", "milliseconds", "expected"),
    [
        (WEIGHTS_ONLY, 0.1, "no kernel"),
        (Facts(True, 4, 0, 10**6, 10**5), 9.0, "no kernel"),
        (Facts(False, None, 0, 10**6, 10**5), 9.0, "zeros in a dense kernel"),
        (INTEGERS, 0.1, "too small"),
        (Facts(False, 8, 3, 10**6, 10**6), 0.1, "too small"),
        (Facts(False, 8, 78, 10**6, 10**6), 3.0, "conversion nodes"),
        (Facts(False, None, 0, 5_000, 5_000), 0.1, None),
    ],
)
def test_causes_by_rule(facts, milliseconds, expected):
    assert cause(facts, milliseconds) == expected
    assert expected is None or expected in CAUSES


def test_slower_here_needs_fewer_bytes_and_a_ratio_above_one():
    slow = to_latency(READING, INTEGERS, smaller=True)
    assert (slow.slower_here, slow.cause, slow.simulated) == (True, "too small", False)
    assert (slow.median_ms, slow.ratio, slow.batch, slow.runtime) == (0.2, 1.3, 1, "onnxruntime 1 CPU")
    assert not to_latency(READING, INTEGERS, smaller=False).slower_here
    unsure = LatencyReading(**READING.to_json() | {"ratio_low": 0.99})
    alone = LatencyReading(**READING.to_json() | {"ratio": None, "ratio_low": None, "ratio_high": None})
    for reading in (unsure, alone):
        found = to_latency(reading, WEIGHTS_ONLY, smaller=True)
        assert (found.slower_here, found.cause, found.simulated) == (False, None, True)


def test_macs_are_counted_for_one_example():
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, stride=2, groups=8),
        nn.BatchNorm2d(8),
        nn.Flatten(),
        nn.Linear(8 * 36, 5),
    )
    expected = 14 * 14 * 8 * 9 + 6 * 6 * 8 * 9 + 8 * 36 * 5
    net.train()
    before = net[2].running_mean.clone()
    assert macs(net, torch.rand(4, 1, 14, 14)) == expected
    assert net.training
    assert torch.equal(net[2].running_mean, before)


def test_cost_counts_what_is_there():
    model = registry.get("models", "plain_10k").make()
    with torch.no_grad():
        weight = next(m for m in model.modules() if isinstance(m, nn.Linear)).weight
        weight[:, ::2] = 0
    built = artifact.build(model, torch.zeros(2, 1, 28, 28))
    found = cost(model, torch.zeros(2, 1, 28, 28), built)
    assert found.parameters == 10_174
    assert found.nonzero == count(model)[1] <= 10_174 - weight.numel() // 2
    assert found.macs == 28 * 28 * 12 * 9 + 14 * 14 * 24 * 12 * 9 + 7 * 7 * 24 * 24 * 9 + 2160
    assert (found.onnx_bytes, found.packed_bytes) == (len(built.onnx), len(built.packed()))
    assert found.packed_bytes < found.onnx_bytes


def test_the_machine_is_described_without_torch(tmp_path):
    text = (
        "processor: 0\nmodel name\t: A Chip 3000\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor: 1\nmodel name: other\n"
    )
    (tmp_path / "cpuinfo").write_text(text)
    found = machine.read_cpuinfo(tmp_path / "cpuinfo")
    assert found["model name"] == "A Chip 3000"
    assert found["flags"].split() == ["fpu", "avx2", "avx512_vnni"]
    assert machine.read_cpuinfo(tmp_path / "none") == {}
    code = "import sys, json; from engine.measure import machine; f = machine.facts(); "
    code += "print(json.dumps([f, [m for m in ('torch', 'onnxruntime', 'numpy') if m in sys.modules]]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    facts, loaded = json.loads(done.stdout)
    assert loaded == []
    assert facts == machine.facts()
    assert facts["cores"] >= 1
    assert facts["onnxruntime"].count(".") == 2
    assert len(facts["machine_id"]) == 12
    assert machine.version("no-such-package") is None
