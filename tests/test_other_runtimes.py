"""The same weights in every runtime: what the worker finds out, and what is told while and after it does."""

from __future__ import annotations

from typing import Any

import pytest
from api_tools import finish, none_shipped  # noqa: F401
from runner_tools import recipe as made_up
from runner_tools import stub_home, until  # noqa: F401

from engine import api, api_keep, api_runtimes, catalogue, other_runtimes, other_runtimes_files, pipeline, registry
from engine.api_home import store_of
from engine.errors import InputError, NotFoundError, TrialFailedError
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure.latency import LatencyReading
from engine.pipeline import run
from engine.recipe import Recipe
from engine.tasks._base import Split

TRAIN = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}
SIZES = {"train": 1000, "validation": 500}
BATCHES = (1, 8, 32)


def recipe(bits: int) -> Recipe:
    stages = [{"name": "quantize_linear", "bits": bits}]
    row = {"task": "fashion_mnist", "student": "plain_1k5", "phases": [TRAIN, {"stages": stages}]}
    return Recipe.from_json(row)


def times(models: Any, shape: Any, reference: str) -> Any:
    """Times that nobody takes: the first model 1 ms, the second 2 ms, ..., for an image."""
    assert reference == "float"
    return {
        b: {n: LatencyReading(i * b, 0.9 * i * b, 1.1 * i * b, 1.2 * i * b, i * b, 12, b, "test", ratio=float(i),
                              ratio_low=0.9 * i, ratio_high=1.1 * i) for i, n in enumerate(models, 1)}
        for b in BATCHES
    }  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """{bits: (result of the ordinary trial, comparison)} with little data."""
    home, found = Home.locate(tmp_path_factory.mktemp("runtimes")), {}
    with pytest.MonkeyPatch.context() as patch:
        whole = registry.get("tasks", "fashion_mnist").split

        def split(self: Any, data: str, name: str) -> Split:
            given = whole(data, name)
            return Split(given.inputs[: SIZES[name]], given.labels[: SIZES[name]])

        patch.setattr(type(registry.get("tasks", "fashion_mnist")), "split", split)
        patch.setattr(other_runtimes, "timed", times)
        patch.setattr(pipeline, "readings", lambda *_: times(["float"], (), "float") and _own())
        for bits in (8, 4):
            wanted, events = recipe(bits), []
            result = run(wanted, home, lambda _: None, Slot(home)).result
            body = {"key": wanted.key, "recipe": wanted.to_json()}
            other_runtimes.compare(body, home, events.append, Slot(home))
            fractions = [e["fraction"] for e in events if "fraction" in e]
            assert fractions == sorted(fractions)
            found[bits] = result, other_runtimes_files.load(home, wanted.key)
    return found


def _own() -> dict[int, LatencyReading]:
    return {b: rows["float"] for b, rows in times(["float"], (), "float").items()}


@pytest.mark.parametrize(("bits", "ships", "executed"), [(8, "qdq_int8", True), (4, "float", False)])
def test_one_of_them_is_what_the_trial_ships(compared: Any, bits: int, ships: str, executed: bool) -> None:
    result, found = compared[bits]
    rows = {r["name"]: r for r in found["rows"]}
    assert list(rows)[:2] == ["float", "qdq_int8"]
    assert {"dynamic_int8", "matmul_nbits"} <= rows.keys(), "the head is a matrix product"
    own = rows[ships]
    assert [n for n, r in rows.items() if r["ships"]] == [ships]
    assert own["quality"] == {**own["quality"], "value": result.quality.value, "low": result.quality.low}
    assert (own["onnx_bytes"], own["packed_bytes"]) == (result.cost.onnx_bytes, result.cost.packed_bytes)
    assert own["simulated"] is not executed
    assert all(r["bits"] == bits for r in rows.values())
    assert rows["float"]["simulated"]
    assert (rows["float"]["rounds_inputs"], rows["qdq_int8"]["rounds_inputs"]) == (False, True)


@pytest.mark.parametrize("bits", [8, 4])
def test_differences_are_paired_and_times_beside_float(compared: Any, bits: int) -> None:
    rows = compared[bits][1]["rows"]
    base = rows[0]["quality"]["value"]
    assert rows[0]["difference"]["value"] == 0
    for number, row in enumerate(rows, 1):
        gap = row["difference"]
        assert gap["value"] == pytest.approx(row["quality"]["value"] - base)
        assert gap["low"] <= gap["value"] <= gap["high"]
        assert abs(gap["value"]) < 0.1
        assert row["quality"]["low"] <= row["quality"]["value"] <= row["quality"]["high"]
        for batch, latency in row["latencies"].items():
            assert (latency["batch"], latency["median_ms"]) == (int(batch), number * int(batch))
            assert latency["ratio_low"] < latency["ratio"] == number < latency["ratio_high"]
            assert latency["simulated"] == row["simulated"]
        assert list(row["latencies"]) == ["1", "8", "32"]


def test_a_recipe_of_an_earlier_version_is_refused(home: Home) -> None:
    body = {"key": "0" * 32, "recipe": recipe(8).to_json()}
    with pytest.raises(TrialFailedError, match="earlier version"):
        other_runtimes.compare(body, home, lambda _: None, Slot(home))


class TestAsking:
    @pytest.fixture
    def key(self, home: Home, none_shipped: None) -> str:  # noqa: F811
        return finish(home, made_up(1))

    def test_once_and_only_for_what_is_finished(self, home: Home, key: str) -> None:
        assert api_runtimes.runtimes(home, key) == {
            "state": "none", "progress": {}, "error": None, "rows": [], "machine": "", "machine_id": "",
        }  # fmt: skip
        job = api_runtimes.ask(home, key[:12], "somebody")
        assert job == api_runtimes.ask(home, key) == f"runtimes:{key}"
        now = api_runtimes.runtimes(home, key)
        assert (now["state"], now["progress"]["place"]) == ("queued", 0)
        work = store_of(home).claim()
        assert (work.id, work.kind, work.body["key"]) == (job, "runtimes", key)
        assert store_of(home).claim() is None
        assert api_runtimes.runtimes(home, key)["state"] == "running"
        store_of(home).fail(work.id, work.attempt, "no room")
        assert api_runtimes.runtimes(home, key)["error"] == "no room"
        with pytest.raises(NotFoundError):
            api_runtimes.ask(home, "f" * 32)

    def test_a_result_stays_while_it_is_being_compared(self, home: Home, key: str) -> None:
        api_runtimes.ask(home, key)
        found = api_keep.delete(home, [key], api.LOCAL, True)
        assert found["deleted"] == []
        assert "its comparison is queued" in found["refused"][key]
        api.cancel(home, f"runtimes:{key}")
        assert api_keep.delete(home, [key], api.LOCAL, True)["deleted"] == [key]

    def test_done_is_what_is_kept_and_whole(self, home: Home, key: str) -> None:
        kept = {"rows": [{"name": "float"}], "machine": "m", "machine_id": "i"}
        other_runtimes_files.save(home, key, kept)
        assert api_runtimes.runtimes(home, key) == {
            "state": "done", "progress": {"fraction": 1.0}, "error": None, **kept,
        }  # fmt: skip
        api_runtimes.ask(home, key)
        assert store_of(home).claim() is None, "what is known is not measured again"
        path = other_runtimes_files.path(home, key)
        path.write_text(path.read_text().replace("float", "flout"))
        assert api_runtimes.runtimes(home, key)["state"] == "none"

    def test_a_teacher_has_no_other_runtime(self, home: Home) -> None:
        teacher = next(iter(catalogue.current().teachers("fashion_mnist")))
        shipped = [e for e in api.rows(home, "fashion_mnist", ("shipped",)) if e["student"] == teacher]
        with pytest.raises(InputError, match="float only"):
            api_runtimes.ask(home, shipped[0]["key"])

    def test_a_real_runner_compares(self, stub_home: Home) -> None:  # noqa: F811
        key = finish(stub_home, made_up(3))
        api_runtimes.ask(stub_home, key)
        api.ensure_runner(stub_home)
        found = until(lambda: (now := api_runtimes.runtimes(stub_home, key))["state"] == "done" and now)
        assert found["machine"] == "stub"
