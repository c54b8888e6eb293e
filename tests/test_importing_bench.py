"""Another machine's readings stand beside a trial, each machine apart; what bench.py cannot have written is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_tools import bench_json, reading
from house_tools import put

from engine import api, api_keep, api_points, cli
from engine.errors import FileError, StoreError
from engine.home import Home
from engine.importing import bring
from engine.measure import machine

TASK = "fashion_mnist"


@pytest.fixture
def trials(home: Home) -> list[str]:
    """Two finished trials with files."""
    return [put(home, 0), put(home, 1)]


def imported(home: Home, found: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = folder / "there.json"
    path.write_text(json.dumps(found))
    return bring(home, path)


def times(home: Home, key: str, where: str) -> tuple[float, float]:
    view = api_points.view(api_points.table(home, TASK), where)
    place = next(i for i, row in enumerate(view.rows) if row["key"] == key)
    assert (
        view.rows[place]["latency_ms"] == view.columns["latency_ms"][place] or where != view.rows[place]["machine_id"]
    )
    return float(view.columns["latency_ms"][place]), float(view.columns["latency32_ms"][place])


def test_a_trial_appears_on_that_machine_and_keeps_its_times_here(
    home: Home, trials: list[str], tmp_path: Path
) -> None:
    before = api_points.view(api_points.table(home, TASK), api_points.ANY)
    found = bench_json(home, trials[0])
    there = found["machine"]["machine_id"]
    assert there not in {m["id"] for m in before.table.machines}
    counted = imported(home, found, tmp_path)
    assert (counted["readings"], counted["refused"]) == (1, {})
    assert counted["machines"] == {"Cortex-A76, 4 cores": 1}
    table = api_points.table(home, TASK)
    listed = next(m for m in table.machines if m["id"] == there)
    assert listed == {"id": there, "name": "Cortex-A76, 4 cores", "rows": 2, "here": False}  # the run, and its mean
    assert times(home, trials[0], there) == (0.5, 11.0)
    assert times(home, trials[1], there) != times(home, trials[1], there), "a trial not timed there has no time"
    row = next(r for r in api_points.view(table, there).rows if r["key"] == trials[0])
    assert (row["machine"], row["runtime"], row["latency_low_ms"]) == (
        "Cortex-A76, 4 cores", "onnxruntime 1.20.1 CPU", 0.45)  # fmt: skip
    after = api_points.view(table, api_points.ANY)
    assert after.columns["latency_ms"].tolist() == before.columns["latency_ms"].tolist()


def test_the_newest_reading_of_a_machine_counts_and_machines_stay_apart(
    home: Home, trials: list[str], tmp_path: Path
) -> None:
    imported(home, bench_json(home, *trials), tmp_path)
    again = bench_json(home, trials[0], factor=2.0)
    other = bench_json(home, trials[0], factor=8.0, cores=8, machine="Cortex-A76, 8 cores")
    imported(home, again, tmp_path)
    imported(home, other, tmp_path)
    assert times(home, trials[0], again["machine"]["machine_id"]) == (1.0, 22.0)
    assert times(home, trials[1], again["machine"]["machine_id"]) == (0.5, 11.0)
    assert times(home, trials[0], other["machine"]["machine_id"]) == (4.0, 88.0)


def test_readings_go_with_their_result(home: Home, trials: list[str], tmp_path: Path) -> None:
    found = bench_json(home, *trials)
    imported(home, found, tmp_path)
    api_keep.delete(home, [trials[0]], api.LOCAL, True)
    machines = {m["id"]: m["rows"] for m in api_points.table(home, TASK).machines}
    assert machines[found["machine"]["machine_id"]] == 1
    put(home, 0, files=False)
    assert {m["id"]: m["rows"] for m in api_points.table(home, TASK).machines}[found["machine"]["machine_id"]] == 1


@pytest.mark.parametrize(("change", "reason"), [
    (lambda m: m.update(key="0" * 32), "is not in this home; import a backup"),
    (lambda m: m.update(onnx_sha256="0" * 64), "is another file here"),
    (lambda m: m.update(onnx_bytes=7), "is another file here"),
    (lambda m: m.update(task="letters"), "belongs to the task fashion_mnist"),
])  # fmt: skip
def test_a_model_that_is_not_ours_is_refused_alone(
    home: Home, trials: list[str], tmp_path: Path, change: Callable[[Any], None], reason: str
) -> None:
    found = bench_json(home, *trials)
    change(found["models"][1])
    counted = imported(home, found, tmp_path)
    assert counted["readings"] == 1
    assert reason in next(iter(counted["refused"]))


def _at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = value

    return change


ROW = ("models", 0, "batches", "1")
WRONG: list[tuple[Callable[[Any], None], str]] = [
    (_at("format", value="other"), "'format' of the file cannot be 'other'"),
    (_at("models", value=[]), "'models' of the file"), (_at("models", value={}), "'models' of the file"),
    (_at("models", value=[1]), "a model is no object"), (_at("machne", value={}), "unknown 'machne'; is it 'machine'"),
    (_at(*ROW, "median_ms", value="0.5"), "'median_ms' of a reading cannot be '0.5'"),
    (_at(*ROW, "median_ms", value=True), "cannot be True"), (_at(*ROW, "median_ms", value=-1), "cannot be -1"),
    (_at(*ROW, "median_ms", value=10**4000), "cannot be ..."), (_at(*ROW, "rounds", value=1.5), "cannot be 1.5"),
    (_at(*ROW, "low_ms", value=2.0), "does not hold its value"), (_at(*ROW, "ratio", value=1.0), "does not hold"),
    (_at(*ROW, "median_ms", value=float("nan")), "NaN is not a number"),
    (_at(*ROW, "median_ms", value=float("inf")), "Infinity is not a number"),
    (_at("models", 0, "batches", value={"0": reading(1)}), "'0' is no batch size"),
    (_at("machine", "cores", value=8), "the machine's id is not the one"),
    (_at("machine", "system", value="a\x1b[31m"), "'system' of the machine"),
    (_at("machine", "features", value=["rm -rf"]), "'features' of the machine"),
    (_at("threads", value=None), "'threads' of the file"), (_at("measured", value=1e300), "'measured' of the file"),
    (lambda f: f.pop("runtime"), "has no 'runtime'"), (lambda f: f["models"].append(f["models"][0]), "stands twice"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_what_bench_cannot_have_written_is_refused_whole(
    home: Home, trials: list[str], tmp_path: Path, change: Callable[[Any], None], reason: str
) -> None:
    found = copy.deepcopy(bench_json(home, *trials))
    change(found)
    with pytest.raises(FileError, match="nothing was imported") as told:
        imported(home, found, tmp_path)
    assert reason in str(told.value)
    assert "\n" not in str(told.value)
    assert len(api_points.table(home, TASK).elsewhere) == 0


def test_texts_that_are_no_such_json(home: Home, trials: list[str], tmp_path: Path) -> None:
    good = json.dumps(bench_json(home, trials[0]))
    texts = {b'{"a":' * 100_000: "nested too deeply", b"{" + b" " * 8_100_000: "longer than", b"{\xff": "no UTF-8",
             good[:-1].encode() + b', "version": 1}': "twice", good[:300].encode(): "not what", b"{}": "no 'format'",
             good.replace('"median_ms": 0.5,', '"median_ms": 1e999,').encode(): "'median_ms' of a reading"}  # fmt: skip
    for text, reason in texts.items():
        (tmp_path / "bad.json").write_bytes(text)
        with pytest.raises(FileError, match=reason):
            bring(home, tmp_path / "bad.json")
    newer = json.loads(good) | {"version": 2}
    with pytest.raises(StoreError, match=r"a newer bench\.py"):
        imported(home, newer, tmp_path)


def test_the_command_says_what_came(home: Home, trials: list[str], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "there.json").write_text(json.dumps(bench_json(home, *trials)))
    assert cli.main(["import", str(tmp_path / "there.json")]) == 0
    assert capsys.readouterr().out == "timings of 2 trials on Cortex-A76, 4 cores imported\n"
    found = bench_json(home, trials[0])
    found["models"][0]["key"] = "f" * 32
    (tmp_path / "there.json").write_text(json.dumps(found))
    assert cli.main(["import", str(tmp_path / "there.json")]) == 1
    assert "trial ffffffff is not in this home" in capsys.readouterr().out


def test_this_machines_own_facts_pass(home: Home, trials: list[str], tmp_path: Path) -> None:
    found = bench_json(home, trials[0])
    found["machine"] = {name: value for name, value in machine.facts().items() if value is not None}
    assert imported(home, found, tmp_path)["readings"] == 1
