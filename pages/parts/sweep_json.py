"""A sweep's JSON (a recipe in which any value may be several) read into a draft, and a draft written as that JSON.

What the form cannot show (a list of phases with alternatives inside, say) is refused as such: the page then offers the
JSON itself for editing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine import catalogue
from engine.errors import InputError, unknown_name
from engine.knobs import Knob, canonical_float
from pages.parts.sweep_draft import (
    EACH,
    LIST,
    LOG,
    LOSSES,
    ONE,
    OPTIONS,
    ORDER,
    RANGE,
    SHARED,
    STAGES,
    SWEEP,
    TOGETHER,
    Draft,
    Node,
    Setting,
    knobs_of,
    phase_node,
    piece,
)
from pages.parts.words import say


def read(spec: Any) -> Draft:
    """The draft of a sweep's JSON; raises :class:`InputError` for what is no sweep, or more than the form can show."""
    if not isinstance(spec, Mapping):
        raise InputError("sweep", spec, "an object with the fields of a recipe")
    task = spec.get("task")
    usual = catalogue.current().row("tasks", task, "sweep.task")["default"]
    for name in spec:
        if name not in ("sweep", "task", "phases", *SHARED):
            raise unknown_name("sweep: field", name, ("sweep", "task", "phases", *SHARED))
    count = _Numbers()
    root = Node(count(), SWEEP)
    knobs = knobs_of(root, str(task))
    settings = tuple((n, _setting(spec.get(n, usual.get(n)), knobs[n], f"sweep.{n}")) for n in SHARED)
    phases = spec.get("phases", usual["phases"])
    orders = _alternatives(phases) or [("", phases)]
    nodes = tuple(_order(label, row, count, str(task)) for label, row in orders)
    label = str(phases.get("label") or "") if isinstance(phases, Mapping) else ""
    return Draft(
        str(task), replace(root, name=label, settings=settings, nodes=nodes), _options(spec.get("sweep") or {})
    )


NOTHING = Setting(ONE, (None,))


def write(draft: Draft) -> dict[str, Any]:
    """The sweep's JSON, as ``stillhouse sweep`` reads it."""
    chosen = {k: v for k, v in draft.options if v != OPTIONS[k]}
    spec: dict[str, Any] = {"sweep": chosen, "task": draft.task}
    spec |= {name: _plain(draft.root.get(name)) for name in SHARED
             if name != "without" or draft.root.get(name) != NOTHING}  # fmt: skip
    orders = [[_phase_json(p) for p in order.nodes] for order in draft.root.nodes]
    if len(orders) == 1:
        return spec | {"phases": orders[0]}
    names = _different([n.name or say("sweep_form.order", number=i) for i, n in enumerate(draft.root.nodes, 1)])
    return spec | {"phases": {"values": orders, "labels": names, "label": draft.root.name or ORDER}}


def from_json(kind: str, phases: Sequence[Any], task: str, first: int) -> tuple[Node, ...]:
    """Phases (``kind`` = PHASE) from their JSON, numbered from ``first``: what the menus of the page add."""
    count = _Numbers(first)
    return tuple(_phase(row, count, task, f"{kind}[{i}]") for i, row in enumerate(phases))


class _Numbers:
    """Counts up at every call."""

    def __init__(self, first: int = 1) -> None:
        self.next = first - 1

    def __call__(self) -> int:
        self.next += 1
        return self.next


def _order(label: str, phases: Any, count: _Numbers, task: str) -> Node:
    if not isinstance(phases, (list, tuple)) or not phases:
        raise _beyond("sweep.phases", phases)
    uid = count()
    nodes = tuple(_phase(row, count, task, f"sweep.phases[{i}]") for i, row in enumerate(phases))
    return Node(uid, ORDER, label, (), nodes)


def _phase(row: Any, count: _Numbers, task: str, where: str) -> Node:
    if not isinstance(row, Mapping) or not row.keys() <= {"epochs", "loss", "teachers", "stages"}:
        raise _beyond(where, row)
    node = phase_node(count(), 0)
    epochs = _setting(row.get("epochs", 0), knobs_of(node, task)["epochs"], f"{where}.epochs")
    losses, mode = _losses(row.get("loss"), f"{where}.loss")
    stages = row.get("stages") or []
    if not isinstance(stages, (list, tuple)):
        raise _beyond(f"{where}.stages", stages)
    pieces = [(LOSSES, part) for part in losses] + [(STAGES, part) for part in stages]
    nodes = tuple(_piece(kind, part, count, where) for kind, part in pieces)
    settings = (("epochs", epochs), ("teachers", _teachers(row.get("teachers"), where)), ("losses", mode))
    return replace(node, settings=settings, nodes=nodes)


def _losses(loss: Any, where: str) -> tuple[list[Any], Setting]:
    """The losses of a phase, and whether they are added up or tried one after the other."""
    several = _alternatives(loss)
    if several is not None:
        return [row for _, row in several], Setting(ONE, (EACH,))
    rows = [] if loss is None else list(loss) if isinstance(loss, (list, tuple)) else [loss]
    return rows, Setting(ONE, (TOGETHER,))


def _teachers(teachers: Any, where: str) -> Setting:
    several = _alternatives(teachers)
    if several is not None:
        rows = [row[0] if isinstance(row, (list, tuple)) and len(row) == 1 else row for _, row in several]
        return Setting(EACH, tuple(_teacher(row, where) for row in rows))
    if not isinstance(teachers, (list, tuple, type(None))):
        raise _beyond(f"{where}.teachers", teachers)
    return Setting(TOGETHER, tuple(_teacher(row, where) for row in teachers or ()))


def _teacher(row: Any, where: str) -> str:
    """A name, or the text of a recipe's JSON (the form shows it and leaves it as it is)."""
    if isinstance(row, Mapping):
        return json.dumps(row, sort_keys=True)
    if not isinstance(row, str):
        raise _beyond(f"{where}.teachers", row)
    return row


def _piece(kind: str, row: Any, count: _Numbers, where: str) -> Node:
    row = {"name": row} if isinstance(row, str) else row
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise _beyond(f"{where}.{kind}", row)
    catalogue.current().row(kind, row["name"], f"{where}.{kind}")
    node = piece(count(), kind, row["name"])
    knobs = knobs_of(node, "")
    for name in row:
        if name != "name" and name not in knobs:
            raise InputError(f"{where}.{row['name']}", name, "the fields " + ", ".join(knobs))
    read_in = {n: _setting(row[n], k, f"{where}.{row['name']}.{n}") for n, k in knobs.items() if n in row}
    return replace(node, settings=tuple((n, read_in.get(n, s)) for n, s in node.settings))


def _setting(value: Any, knob: Knob, where: str) -> Setting:
    several = _alternatives(value)
    if several is not None or isinstance(value, (list, tuple)):
        rows = [row for _, row in several] if several is not None else list(value)
        if any(isinstance(row, (Mapping, list, tuple)) for row in rows):
            raise _beyond(where, value)
        return Setting(LIST, tuple(knob.check(row, where) for row in rows))
    if isinstance(value, Mapping):
        return _range(value, where)
    return Setting(ONE, (knob.check(value, where),))


def _range(row: Mapping[str, Any], where: str) -> Setting:
    refused = InputError(where, dict(row), '"low" and "high" with a whole "count" or a "step" above 0')
    numbers = [row[n] for n in ("low", "high", "count", "step") if n in row]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) or not math.isfinite(n) for n in numbers):
        raise refused
    if not row.keys() <= {"low", "high", "count", "step", "scale"} or not {"low", "high"} <= row.keys():
        raise refused
    low, high, mode = float(row["low"]), float(row["high"]), LOG if row.get("scale") == "log" else RANGE
    if (
        ("count" in row) == ("step" in row)
        or row.get("step", 1) <= 0
        or row.get("count", 1) != int(row.get("count", 1))
    ):
        raise refused
    if "count" in row:
        return Setting(mode, (), low, high, int(row["count"]))
    if mode == LOG:
        raise _beyond(where, dict(row))
    steps = max(0, math.floor((high - low) / float(row["step"]) + 1e-9))
    return Setting(RANGE, (), low, canonical_float(low + steps * float(row["step"])), steps + 1)


def _alternatives(value: Any) -> list[tuple[str, Any]] | None:
    """The values with their labels where ``value`` is an axis ``{"values": ..., "labels": ...}``; None otherwise."""
    if not isinstance(value, Mapping) or not isinstance(value.get("values"), (list, tuple)):
        return None
    labels = value.get("labels") or []
    return [(str(labels[i]) if i < len(labels) else "", row) for i, row in enumerate(value["values"])]


def _options(row: Any) -> tuple[tuple[str, Any], ...]:
    if not isinstance(row, Mapping) or not row.keys() <= OPTIONS.keys():
        raise InputError("sweep.sweep", row, "the fields " + ", ".join(OPTIONS))
    return tuple((name, row.get(name, usual)) for name, usual in OPTIONS.items())


def _phase_json(node: Node) -> dict[str, Any]:
    row: dict[str, Any] = {"epochs": _plain(node.get("epochs"))}
    losses = [_piece_json(p) for p in node.only(LOSSES)]
    if losses:
        each = node.get("losses").first == EACH and len(losses) > 1
        titles = _different([str(catalogue.current().row(LOSSES, p.name)["title"]) for p in node.only(LOSSES)])
        axis = {"values": losses, "labels": titles, "label": "loss"}
        row["loss"] = axis if each else losses[0] if len(losses) == 1 else losses
        row["teachers"] = _teachers_json(node.get("teachers"))
    return row | {"stages": [_piece_json(p) for p in node.only(STAGES)]}


def _teachers_json(setting: Setting) -> Any:
    rows = [json.loads(t) if t.startswith("{") else t for t in setting.values]
    return {"values": [[row] for row in rows]} if setting.mode == EACH and len(rows) > 1 else rows


def _piece_json(node: Node) -> dict[str, Any]:
    """Name and settings; what hardly anybody changes is left out at its default."""
    knobs = knobs_of(node, "")
    usual = {n: Setting(ONE, (k.default,)) for n, k in knobs.items() if k.advanced}
    return {"name": node.name} | {n: _plain(s) for n, s in node.settings if usual.get(n) != s}


def _plain(setting: Setting) -> Any:
    if setting.mode == ONE:
        return setting.first
    if setting.mode == LIST:
        return list(setting.values)
    scale = {"scale": "log"} if setting.mode == LOG else {}
    return {"low": setting.low, "high": setting.high, "count": setting.count, **scale}


def _different(names: Sequence[str]) -> list[str]:
    """The names, those that come again with a number: labels of an axis have to differ."""
    return [name if name not in names[:i] else f"{name} ({i + 1})" for i, name in enumerate(names)]


def _beyond(where: str, value: Any) -> InputError:
    return InputError(where, value, say("sweep_form.beyond"))
