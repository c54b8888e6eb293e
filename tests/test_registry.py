"""The registry finds plug-ins by itself, and none of them vanishes in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import ROOT

from engine import catalogue, registry
from engine.errors import FileError, InputError
from engine.knobs import knob

GOOD = """
from dataclasses import dataclass
from engine.knobs import knob
from engine.losses._base import Loss, Objective
from engine.registry import register

@register
@dataclass(frozen=True)
class Nothing(Loss):
    name = "nothing"
    title = "Nothing"
    help = "Learns nothing."
    source = "this test"
    formula = "0"
    needs_teacher = False
    amount: float = knob(1.0, 0.0, 2.0, "How much nothing.")

    def build(self, context):
        return Objective()
"""


@pytest.fixture(autouse=True)
def _own_entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test adds to a copy, so that the registry of the other tests stays as it is."""
    registry.load_all()
    monkeypatch.setattr(registry, "_entries", {kind: dict(rows) for kind, rows in registry._entries.items()})
    monkeypatch.setattr(registry, "_loaded", set(registry._loaded))
    yield
    for name in [n for n in sys.modules if n.startswith("stillhouse_plugin_")]:
        del sys.modules[name]


def loss(**more: Any) -> Any:
    words = {"kind": "losses", "name": "made_up", "title": "Made up", "help": "Help.", "source": "here", "version": 1}
    return type("MadeUp", (), {**words, **more})


def test_every_plugin_file_of_the_project_is_found() -> None:
    for kind, folder in {"losses": "engine/losses", "stages": "engine/stages", "tasks": "engine/tasks"}.items():
        files = [p for p in (ROOT / folder).glob("*.py") if not p.name.startswith("_")]
        assert len(registry.registered(kind)) >= len(files) > 0


def test_names_are_sorted() -> None:
    for kind in registry.KINDS:
        assert list(registry.registered(kind)) == sorted(registry.registered(kind))


def test_a_second_plugin_of_the_same_name_raises() -> None:
    registry.register(loss())
    with pytest.raises(ValueError, match="two losses are called 'made_up'"):
        registry.register(loss())


@pytest.mark.parametrize("field", ["title", "help", "source"])
def test_a_plugin_without_words_raises(field: str) -> None:
    with pytest.raises(ValueError, match=f"declares no {field}"):
        registry.register(loss(**{field: ""}))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    registry.register(loss())
    with pytest.raises(InputError, match="did you mean 'made_up'"):
        registry.get("losses", "made_upp")


def test_a_class_is_described_with_its_knobs() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Described:
        kind: ClassVar[str] = "losses"
        name: ClassVar[str] = "described"
        title: ClassVar[str] = "Described"
        help: ClassVar[str] = "Help."
        source: ClassVar[str] = "here"
        version: ClassVar[int] = 3
        amount: float = knob(0.5, 0.0, 1.0, "How much.")

        @classmethod
        def facts(cls) -> dict[str, Any]:
            return {"needs_teacher": False}

    row = registry.describe("losses", Described)
    assert json.loads(json.dumps(row)) == row
    assert row["version"] == 3
    assert row["needs_teacher"] is False
    assert row["knobs"] == [
        {"name": "amount", "type": "float", "default": 0.5, "help": "How much.", "low": 0.0, "high": 1.0}
    ]


def test_a_folder_adds_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing.py").write_text(GOOD)
    monkeypatch.setenv("STILLHOUSE_PLUGINS", str(tmp_path))
    assert registry.get("losses", "nothing").title == "Nothing"


def test_a_folder_that_is_missing_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_PLUGINS", str(tmp_path / "nowhere"))
    with pytest.raises(FileError, match="is not a folder"):
        registry.load_all()


@pytest.mark.parametrize(
    ("code", "error"),
    [("import a_package_that_nobody_has\n", ImportError), ("1 / 0\n", ZeroDivisionError), ("def (:\n", SyntaxError)],
)
def test_a_plugin_that_fails_to_import_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception]
) -> None:
    (tmp_path / "broken.py").write_text(code)
    monkeypatch.setenv("STILLHOUSE_PLUGINS", str(tmp_path))
    with pytest.raises(error):
        registry.load_all()


def test_a_plugin_that_takes_a_name_of_the_project_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "again.py").write_text(GOOD.replace('"nothing"', '"kd"'))
    monkeypatch.setenv("STILLHOUSE_PLUGINS", str(tmp_path))
    with pytest.raises(ValueError, match="two losses are called 'kd'"):
        registry.load_all()


def test_a_broken_module_in_a_plugin_package_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_private.py").write_text("1 / 0\n")
    (package / "broken.py").write_text("raise RuntimeError('broken plug-in')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "PACKAGES", ("package_of_plugins",))
    for _ in range(2):  # not only on the first call
        with pytest.raises(RuntimeError, match="broken plug-in"):
            registry.load_all()


def test_a_missing_folder_is_told_without_looking_into_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STILLHOUSE_PLUGINS", str(tmp_path / "nowhere"))
    with pytest.raises(FileError, match=r"^STILLHOUSE_PLUGINS: .*nowhere is not a folder"):
        catalogue.current()


def in_a_fresh_process(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "STILLHOUSE_PLUGINS": str(folder)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env, cwd=ROOT)


def test_the_catalogue_holds_a_plugin_of_the_folder_and_a_recipe_may_use_it(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text(GOOD)
    code = (
        "from engine import catalogue; from engine.recipe import Recipe;"
        "row = catalogue.current().row('tasks', 'fashion_mnist')['default'];"
        "row = {**row, 'phases': [{'epochs': 1, 'loss': {'name': 'nothing', 'amount': 0.25}}]};"
        "print(Recipe.from_json(row).phases[0].loss[0].get('amount'));"
        "import sys; print('torch' in sys.modules)"
    )
    done = in_a_fresh_process(code, tmp_path)
    assert done.stdout.split() == ["0.25", "False"], done.stderr


def test_a_broken_plugin_of_the_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import a_package_that_nobody_has\n")
    code = (
        "from engine import catalogue, errors\n"
        "try: catalogue.current()\n"
        "except errors.FileError as problem: print(problem)\n"
    )
    done = in_a_fresh_process(code, tmp_path)
    assert "cannot be loaded" in done.stdout, done.stderr
    assert "a_package_that_nobody_has" in done.stdout


def test_a_plugin_that_prints_while_it_is_imported_is_reported(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text("print('hello')\n" + GOOD)
    code = (
        "from engine import catalogue, errors\n"
        "try: catalogue.current()\n"
        "except errors.FileError as problem: print(problem)\n"
    )
    assert "prints while it is imported" in in_a_fresh_process(code, tmp_path).stdout
