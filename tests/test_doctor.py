"""Doctor: every check says ok, note or problem, and a problem always comes with its remedy."""

from __future__ import annotations

import json
import sqlite3
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from engine import api_home, catalogue, cli, doctor
from engine.measure import machine
from engine.store_schema import APPLICATION_ID


def test_a_healthy_machine(home: Any) -> None:
    rows = doctor.checks(home)
    assert len({r.name for r in rows}) == len(rows) >= 12
    assert {r.state for r in rows} <= {"ok", "note", "problem"}
    assert not [r for r in rows if r.state == "problem"]
    assert all(r.text for r in rows)


def test_json_and_status(home: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is True
    assert {"name", "state", "text", "remedy"} == set(shown["checks"][0])


def test_a_problem_is_status_1_with_a_remedy(home: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(machine, "version", lambda name: None if name == "torch" else "1.0")
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "missing: torch" in out
    assert "-> run `make install`" in out


@pytest.mark.parametrize(
    ("features", "state", "word"),
    [(["avx2"], "note", "without dot-product"), (["avx2", "avx512_vnni"], "ok", "VNNI"), (["i8mm"], "ok", "i8mm")],
)
def test_kernels_by_processor(monkeypatch: Any, features: list[str], state: str, word: str) -> None:
    facts = {**machine.facts(), "features": features}
    monkeypatch.setattr(machine, "facts", lambda: facts)
    found = doctor.kernels()
    assert found.state == state
    assert word in found.text
    assert "simulated" in found.text


def test_store_empty_whole_and_damaged(home: Any) -> None:
    assert "empty" in doctor.store(home).text
    api_home.store_of(home)
    assert doctor.store(home).text.startswith("whole, 0 results")
    other = type(home)(home.root / "other")
    other.root.mkdir()
    other.store.write_bytes(b"this is not a database, but it is long enough to be taken for one" * 40)
    found = doctor.store(other)
    assert found.state == "problem"
    assert found.remedy


def test_a_store_of_another_program_is_a_problem(home: Any) -> None:
    with sqlite3.connect(home.store) as made:
        made.execute("CREATE TABLE cars (wheels)")
    assert doctor.store(home).state == "problem"


@pytest.mark.parametrize(("free", "state"), [(1e8, "problem"), (1e9, "note"), (1e11, "ok")])
def test_disk(home: Any, monkeypatch: Any, free: float, state: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(1e12, 0, free))
    found = doctor.disk(home)
    assert found.state == state
    assert bool(found.remedy) == (state != "ok")


def test_a_broken_catalogue_is_told_and_nothing_else_falls_over(home: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "catalogue.json").write_text("{")
    monkeypatch.setattr(catalogue, "PATH", tmp_path / "catalogue.json")
    states = {r.name: r.state for r in doctor.checks(home)}
    assert states["plug-ins"] == states["teachers"] == "problem"
    assert states["Python"] == "ok"


def test_altered_weights_are_found(home: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(doctor, "MODELS", tmp_path)
    (tmp_path / "teacher.safetensors").write_bytes(b"altered")
    found = doctor.weights()
    assert found.state == "problem"
    assert "teacher" in found.text


def test_gpu_that_does_not_answer_is_no_problem(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no driver")

    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(doctor.subprocess, "run", fail)
    assert doctor.gpu().state == "note"


def test_a_newer_store_asks_for_a_newer_program_and_many_caches_for_a_broom(home: Any, monkeypatch: Any) -> None:
    assert doctor.space(home).state == "ok"
    monkeypatch.setattr(doctor, "MUCH_CACHE", 10.0)
    (home.cache("prefix") / "a.prefix").write_bytes(b"x" * 5000)
    found = doctor.space(home)
    assert found.state == "note"
    assert "5 kB" in found.text
    assert "stillhouse gc" in found.remedy
    with sqlite3.connect(home.store) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 99")
    assert doctor.store(home).remedy == "update this program"
