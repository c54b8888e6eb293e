"""The catalogue: every task, model, loss and stage as plain data, so that nothing but a worker needs torch.

``catalogue.json`` is committed; ``make catalogue`` writes it from the registry and a test keeps them equal. A folder
named by ``STILLHOUSE_PLUGINS`` is described by a separate process once and merged (see :func:`current`).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import modalities
from engine.errors import FileError, unknown_name
from engine.knobs import Knob

PATH = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Catalogue:
    """Rows by kind (``tasks``, ``models``, ``losses``, ``stages``) and name."""

    rows: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def names(self, kind: str) -> list[str]:
        """Names of one kind, sorted."""
        return sorted(self.rows[kind])

    def row(self, kind: str, name: Any, where: str = "") -> Mapping[str, Any]:
        """One row; raises :class:`InputError` with the nearest name."""
        if not isinstance(name, str) or name not in self.rows[kind]:
            raise unknown_name(where or kind, name, self.rows[kind])
        return self.rows[kind][name]

    def knobs(self, kind: str, name: str, where: str = "") -> tuple[Knob, ...]:
        """The knobs of one loss or stage."""
        return tuple(Knob.from_json(k) for k in self.row(kind, name, where)["knobs"])

    def late(self, kind: str, name: str) -> dict[str, Any]:
        """Defaults of the knobs that canonical JSON leaves out there (see :class:`engine.knobs.Knob`)."""
        return {k["name"]: k["default"] for k in self.row(kind, name)["knobs"] if k.get("late")}

    def whole(self, kind: str, part: Mapping[str, Any]) -> dict[str, Any]:
        """A loss or stage of canonical JSON with what that leaves out; one that is unknown here as it is."""
        known = part["name"] in self.rows[kind]
        return {**part, **(self.late(kind, part["name"]) if known else {}), **part}

    def suited(self, kind: str, task: str) -> list[str]:
        """Names of the losses or stages that can be used on the examples of ``task``, sorted."""
        examples = modalities.of(self.row("tasks", task))
        return [name for name in self.names(kind) if modalities.suits(self.rows[kind][name], examples)]

    def students(self, task: str) -> list[str]:
        """Names of the models that may be a student of ``task``, smallest first."""
        rows = [r for r in self.rows["models"].values() if task in r["tasks"] and r["role"] != "teacher"]
        return [r["name"] for r in sorted(rows, key=lambda r: r["parameters"])]

    def teachers(self, task: str) -> list[str]:
        """Names of the models with shipped weights that may teach ``task``."""
        rows = self.rows["models"].values()
        return sorted(r["name"] for r in rows if task in r["tasks"] and r["role"] == "teacher")


def from_lists(lists: Mapping[str, Any]) -> Catalogue:
    """A catalogue from the JSON form ``{kind: [row, ...]}``."""
    return Catalogue({kind: {row["name"]: row for row in rows} for kind, rows in lists.items()})


@functools.lru_cache(maxsize=8)
def _read(path: Path) -> Catalogue:
    try:
        return from_lists(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise FileError(f"{path.name} cannot be read ({problem}); write it again with `make catalogue`") from None


def current() -> Catalogue:
    """The catalogue in force: the committed one, or the merged one when ``STILLHOUSE_PLUGINS`` is set."""
    folder = os.environ.get("STILLHOUSE_PLUGINS", "")
    return _described(folder, _stamp(folder)) if folder else _read(PATH)


def build() -> dict[str, list[dict[str, Any]]]:
    """Describe everything registered (imports torch): what ``make catalogue`` writes."""
    from engine import registry

    kinds = registry.KINDS
    return {k: [registry.describe(k, e) for e in registry.registered(k).values()] for k in kinds}


def render(lists: Mapping[str, Any]) -> str:
    """The committed text form."""
    return json.dumps(lists, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


@functools.lru_cache(maxsize=8)
def _described(folder: str, stamp: tuple[tuple[str, int], ...]) -> Catalogue:
    done = subprocess.run([sys.executable, "-m", "engine.catalogue"], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FileError(f"a plug-in in {folder} cannot be loaded: {reason}")
    try:
        return from_lists(json.loads(done.stdout))
    except ValueError:
        raise FileError(f"a plug-in in {folder} prints while it is imported; take the print out") from None


def _stamp(folder: str) -> tuple[tuple[str, int], ...]:
    if not Path(folder).is_dir():
        raise FileError(f"STILLHOUSE_PLUGINS: {folder} is not a folder; set it to one that holds *.py plug-ins")
    return tuple((p.name, p.stat().st_mtime_ns) for p in sorted(Path(folder).glob("*.py")))


if __name__ == "__main__":
    sys.stdout.write(render(build()))
