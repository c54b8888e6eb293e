"""``gc``, ``backup`` and ``import`` on the command line: words, JSON, exit status."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from house_tools import put, write_files

from engine import cli
from engine.home import Home

ORPHAN = "0123456789abcdef0123456789abcdef"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_gc_says_what_would_go_and_then_takes_it_away(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(home, ORPHAN)
    old = time.time() - 7200
    os.utime(home.artifact(ORPHAN), (old, old))
    assert cli.main(["gc", "--dry-run"]) == 0
    assert "50 kB would be freed" in said(capsys)
    assert home.artifact(ORPHAN).exists()
    assert cli.main(["gc", "--json"]) == 0
    assert json.loads(said(capsys))["removed"]["artifacts"]["count"] == 1
    assert cli.main(["gc"]) == 0
    assert said(capsys) == "nothing to take away\n"


@pytest.mark.parametrize("days", ["-1", "soon", "1e3"])
def test_days_are_whole_numbers(home: Home, days: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gc", "--older-than", days]) == 2
    assert "--older-than" in capsys.readouterr().err


def test_backup_and_import(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, 1)
    file = str(tmp_path / "b.zip")
    assert cli.main(["backup", file, "--artifacts"]) == 0
    assert "1 results, files of 1" in said(capsys)
    assert cli.main(["backup", file]) == 2
    assert "--force" in capsys.readouterr().err
    other = str(tmp_path / "other")
    assert cli.main(["--home", other, "import", file]) == 0
    assert said(capsys).startswith("1 results imported, 0 known already, 1 with files")
    assert cli.main(["import", file, "--home", other, "--json"]) == 0
    assert json.loads(said(capsys))["known"] == 1
    assert cli.main(["import", str(tmp_path / "nothing")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_an_import_of_which_nothing_is_sound_fails(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Home.locate(tmp_path / "other")
    key = put(other, 1)
    from engine.api_home import store_of

    with store_of(other).change() as db:
        db.execute("UPDATE results SET body = '{}' WHERE key = ?", (key,))
    assert cli.main(["import", str(other.root)]) == 1
    assert "refused 1: " in said(capsys)
