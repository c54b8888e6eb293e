"""A sweep while somebody puts it together: a small tree of plain values (engine JSON to and from it: sweep_json).

No Streamlit here. The root holds what every trial shares (students, data, labels, seed, options), below it stand one or
more *orders* (alternative lists of phases), their phases, and the losses and stages of each phase. Every node has a
number that it keeps while it is moved, so that its widgets keep theirs. A setting holds one value, a list, or a range.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine import catalogue, teacher_recipes
from engine.errors import InputError
from engine.knobs import Knob, canonical_float
from engine.modalities import positions
from engine.recipe import DATA, MAX_EPOCHS, MAX_SEED
from pages.parts import catalogue_words
from pages.parts.words import find, line, say

ONE, LIST, RANGE, LOG = "one", "list", "range", "log"
TOGETHER, EACH = "together", "each"
SWEEP, ORDER, PHASE, LOSSES, STAGES = "sweep", "order", "phase", "losses", "stages"
SHARED = ("student", "data", "labels", "seed", "without")
OPTIONS: dict[str, Any] = {
    "name": "", "trials": None, "budget_seconds": None, "grids": False, "baselines": False, "order": "all", "seed": 0,
}  # fmt: skip
MOST_VALUES = 100


@dataclass(frozen=True)
class Setting:
    """What one knob takes: ``values`` (one or several, by ``mode``), or ``count`` values from ``low`` to ``high``."""

    mode: str = ONE
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    count: int = 3

    @property
    def first(self) -> Any:
        """The value that a recipe of one point would have."""
        return self.low if self.mode in (RANGE, LOG) else self.values[0] if self.values else None


@dataclass(frozen=True)
class Node:
    """One place of the tree. ``name`` is the label of an order, or the catalogue's name of a loss or stage."""

    uid: int
    kind: str
    name: str = ""
    settings: tuple[tuple[str, Setting], ...] = ()
    nodes: tuple[Node, ...] = ()

    def get(self, name: str) -> Setting:
        """One setting; raises KeyError for a name that the node does not have."""
        return dict(self.settings)[name]

    def only(self, kind: str) -> tuple[Node, ...]:
        """The children of one kind."""
        return tuple(n for n in self.nodes if n.kind == kind)


@dataclass(frozen=True)
class Draft:
    """A sweep that is being put together: its tree, and the options that no recipe holds (see ``OPTIONS``)."""

    task: str
    root: Node
    options: tuple[tuple[str, Any], ...] = tuple(OPTIONS.items())

    def option(self, name: str) -> Any:
        """One option of the sweep."""
        return dict(self.options)[name]


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it, top to bottom."""
    yield node
    for child in node.nodes:
        yield from walk(child)


def knobs_of(node: Node, task: str) -> dict[str, Knob]:
    """The knobs of a node by name: the catalogue's for a loss or stage, the recipe's own for the others."""
    if node.kind in (LOSSES, STAGES):
        return {k.name: k for k in catalogue_words.knobs(node.kind, node.name)} | _factor(node)
    if node.kind == PHASE:
        return {"epochs": Knob("epochs", "int", 1, _help("epochs"), 0, MAX_EPOCHS)}
    row = catalogue.current().row("tasks", task)
    students = tuple(catalogue.current().students(task))
    knobs = (
        Knob("student", "str", students[0], _help("student"), choices=students),
        Knob("data", "str", DATA[0], _help("data"), choices=DATA),
        Knob("labels", "int", None, _help("labels"), row["classes"], row["train_size"], optional=True),
        Knob("seed", "int", 0, _help("seed"), 0, MAX_SEED),
        Knob("without", "str", None, _help("without"), choices=tuple(row.get("class_names", ())), optional=True),
    )
    return {k.name: k for k in knobs} if node.kind == SWEEP else {}


def shared(task: str) -> tuple[str, ...]:
    """The shared settings that a task has: labels are counted and classes left out where an example has one label."""
    several = positions(catalogue.current().row("tasks", task)) > 1
    return tuple(n for n in SHARED if not (several and n in ("labels", "without")))


def expand(setting: Setting, knob: Knob) -> tuple[Any, ...]:
    """All values that a setting stands for, in order; a whole-number knob gets whole numbers, each once."""
    if setting.mode not in (RANGE, LOG):
        return setting.values
    steps = range(setting.count)
    last = max(1, setting.count - 1)
    if setting.mode == LOG:
        ratio = math.log(setting.high / setting.low)
        found = [setting.low * math.exp(ratio * i / last) for i in steps]
    else:
        found = [setting.low + (setting.high - setting.low) * i / last for i in steps]
    found[-1] = setting.high
    whole = knob.type == "int"
    return tuple(dict.fromkeys(round(v) if whole else canonical_float(v) for v in found))


def wrong(setting: Setting, knob: Knob) -> str | None:
    """Why a setting cannot be used, in one line; None when it can."""
    if setting.mode in (RANGE, LOG):
        if not setting.low < setting.high or not 2 <= setting.count <= MOST_VALUES:
            return say("sweep_form.bad_range", most=MOST_VALUES)
        if setting.mode == LOG and setting.low <= 0:
            return say("sweep_form.bad_log")
    elif not setting.values:
        return say("sweep_form.no_value")
    try:
        for value in expand(setting, knob):
            knob.check(value, knob.name)
    except InputError as problem:
        return line(problem)
    return None


def assistants(task: str) -> list[str]:
    """The usual assistant of a task as the text of its recipe's JSON: a teacher that is trained first."""
    rows = catalogue.current()
    epochs = next((p["epochs"] for p in rows.row("tasks", task)["default"]["phases"] if p.get("epochs")), 1)
    name, above = teacher_recipes.usual_assistant(task), rows.teachers(task)[:1]
    return [json.dumps(teacher_recipes.assistant({"task": task}, name, epochs, t), sort_keys=True) for t in above]


def piece(uid: int, kind: str, name: str) -> Node:
    """A loss or stage with the default of every knob."""
    node = Node(uid, kind, name)
    knobs = knobs_of(node, "")
    return replace(node, settings=tuple((k.name, Setting(ONE, (k.default,))) for k in knobs.values()))


def phase_node(uid: int, epochs: int, teachers: Sequence[str] = ()) -> Node:
    """A phase without losses and stages."""
    mode = Setting(ONE, (TOGETHER,))
    epoch = Setting(ONE, (epochs,))
    return Node(uid, PHASE, "", (("epochs", epoch), ("teachers", Setting(TOGETHER, tuple(teachers))), ("losses", mode)))


def _factor_knob() -> Knob:
    return Knob("factor", "float", 1.0, _help("factor"), 0.001, 1000.0, advanced=True)


def _factor(node: Node) -> dict[str, Knob]:
    return {"factor": _factor_knob()} if node.kind == LOSSES else {}


def _help(name: str) -> str:
    return find(f"sweep_help.{name}") or ""
