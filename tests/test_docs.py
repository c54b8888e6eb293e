"""The documentation is true: its examples run, what can be chosen is described, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from engine import catalogue

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
RUN = """
import json, sys
import torch
from engine import registry
from engine.home import Home
from engine.recipe import Recipe
from engine.student import train
from engine.workbench import Bench

torch.set_num_threads(1)
recipe = Recipe.from_json(json.loads(sys.argv[1]))
trained = train(Bench(recipe, Home.locate()))
task = registry.get("tasks", recipe.task)
split = task.split("sample", "validation")
with torch.no_grad():
    quality = task.quality(trained.model.eval()(split.inputs), split.labels).value
weight = trained.model[0].weight
print(json.dumps({"key": recipe.key, "quality": quality, "zeros": (weight == 0).float().mean().item(),
                  "curve": [p.quality for p in trained.curve]}))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", EXTENDING, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples of docs/extending.md, each under the name in its first line."""
    folder = tmp_path_factory.mktemp("plugins")
    for code in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", code)
        assert name, code[:60]
        (folder / name[1]).write_text(code, encoding="utf-8")
    return folder


@pytest.fixture
def fresh(folder: Path, tmp_path: Path) -> Any:
    """Run code in a new interpreter that sees the examples."""
    env = {**os.environ, "STILLHOUSE_PLUGINS": str(folder), "STILLHOUSE_HOME": str(tmp_path / "home")}

    def run(code: str, *arguments: str) -> Any:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    return run


def test_the_examples_enter_the_catalogue(fresh: Any) -> None:
    code = "import json; from engine import catalogue; c = catalogue.current();" + (
        "print(json.dumps({'losses': c.row('losses', 'smoothed_labels'), 'stages': c.row('stages', 'prune_by_chance'),"
        " 'students': c.students('digits'), 'tasks': c.row('tasks', 'digits')}))"
    )
    rows = fresh(code)
    assert rows["losses"]["needs_teacher"] is False
    assert [k["name"] for k in rows["losses"]["knobs"]] == ["smoothing"]
    assert [k["name"] for k in rows["stages"]["knobs"]] == ["layers", "sparsity"]
    assert rows["students"] == ["digits_tiny"]
    assert rows["tasks"]["train_size"] == 1000


def test_the_examples_train_and_compress_together(fresh: Any) -> None:
    (recipe,) = blocks("json")
    first = fresh(RUN, recipe)
    assert first["quality"] > 0.8
    assert first["curve"][4] > first["curve"][0]
    assert first["zeros"] == pytest.approx(0.3, abs=0.03)


def test_the_committed_catalogue_is_untouched_by_the_examples() -> None:
    assert "digits_tiny" not in catalogue.PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["tasks", "models", "losses", "stages"])
def test_every_choice_is_described(kind: str) -> None:
    methods = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    missing = [name for name in catalogue.current().names(kind) if f"`{name}`" not in methods]
    assert not missing, f"docs/methods.md does not mention the {kind} {missing}"


def test_every_command_is_described() -> None:
    from engine.cli_parser import build

    (commands,) = [a.choices for a in build()._actions if isinstance(a.choices, dict)]
    reference = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert len(commands) >= 8
    for name, command in commands.items():
        assert f"`stillhouse {name}" in reference, f"docs/command-line.md does not mention {name}"
        options = {o for a in command._actions for o in a.option_strings if o.startswith("--")} - {"--help"}
        missing = [o for o in sorted(options) if f"`{o}" not in reference]
        assert not missing, f"docs/command-line.md does not mention {missing} of {name}"


def shown_commands() -> list[str]:
    lines = [line.strip() for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    return [line.partition(" # ")[0].strip() for line in lines if line.startswith("stillhouse ")]


@pytest.mark.parametrize("line", dict.fromkeys(shown_commands()))
def test_every_command_that_is_shown_can_be_typed(line: str) -> None:
    import shlex

    from engine.cli_parser import parse
    from engine.cli_recipe import assemble
    from engine.recipe import Recipe

    options = parse(shlex.split(line)[1:])
    if options.command == "run" and options.recipe is None:
        assert Recipe.from_json(assemble(options)).task == options.task


def test_every_target_of_the_makefile_is_described() -> None:
    words = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"run", "test", "install", "lint", "types", "bench", "evidence", "catalogue", "screenshots"} <= set(targets)
    assert not [t for t in targets if f"make {t}" not in words and t != "help"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "#", "mailto:")):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(
        r"`((?:engine|tests|pages|docs|benchmarks|tools|sample_\w+)/[\w./-]*\w\.(?:py|md|json|sh))`", text
    ):
        assert (ROOT / name).exists(), f"{page.name} names {name}"
