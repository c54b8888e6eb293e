"""What the page *Front* draws from: the chosen points with their numbers, and the sweeps that are compared."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from engine import api_chances, api_front, api_points, api_sweeps, catalogue
from engine.api_points import Table, View
from engine.errors import StillhouseError
from engine.home import Home
from pages.parts import front_state
from pages.parts.remembered import by_language
from pages.parts.words import say

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shown:
    """A view with the choices that led to it (all but the view below the chart, which changes nothing here).

    ``series`` are the compared sweeps with their points in the view.
    """

    values: Mapping[str, Any]
    table: Table
    view: View
    series: tuple[tuple[str, Mask], ...]
    direction: str  # of the quality that is drawn
    metric: str
    box: tuple[float, float, float, float]
    answer: Mapping[str, Any] | None
    inside: Mask | None
    chances: Numbers | None  # of being on the front, for each point of the view; None with several fronts
    stamp: Hashable

    @property
    def cost(self) -> str:
        """The column across."""
        return str(self.values["cost"])

    @property
    def quality(self) -> str:
        """The column upwards."""
        return str(self.values["quality"])

    @property
    def limits(self) -> tuple[dict[str, float], float | None]:
        """The most of each limited cost, and the worst quality that is good enough."""
        return front_state.limits_of(self.values)


def sweeps(home: Home, task: str) -> list[dict[str, Any]]:
    """All sweeps of a task, newest first."""
    return list(api_sweeps.sweeps(home, task))


def shown(home: Home, values: Mapping[str, Any], table: Table) -> Shown:
    """Everything that the page needs to draw; remembered while neither the choices nor the points change."""
    chosen = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in values.items() if name != "view")
    members = _members(home, values["task"], tuple(values["sweeps"]), table.version)
    return _shown(home, dict(values), table, members, hash((table.version, chosen)))


@by_language(max_entries=64)
def _shown(_home: Home, _values: Mapping[str, Any], _table: Table,
           _members: Sequence[tuple[str, frozenset[str]]], stamp: int) -> Shown:  # fmt: skip
    keys = frozenset().union(*(found for _, found in _members)) if _members else None
    view = _view(_table, _table.version, _values["machine"], tuple(_values["origins"]), tuple(_values["sweeps"]), keys)
    named = [str(row["key"]) for row in view.rows] if _members else []
    series = tuple((name, np.array([key in found for key in named], dtype=bool)) for name, found in _members)
    task = catalogue.current().row("tasks", _table.task)
    direction = api_points.QUALITIES[_values["quality"]] or str(task["direction"])
    everything = _view(_table, _table.version, _values["machine"], front_state.ORIGINS, (), None)
    box = api_front.box(everything, _values["cost"], _values["quality"], direction)
    limits, at_least = front_state.limits_of(_values)
    answer, inside = None, None
    if limits or at_least is not None:
        answer = api_front.recommend(_home, _table.task, limits, at_least, view)
        inside = api_front.fits(view, limits, at_least)
    metric = str(view.rows[0].get("metric") or "accuracy") if len(view.index) else "accuracy"
    chances = None
    if not series and _values["quality"] == "quality":  # the task's own quality, whose answers are kept
        seen = hash((_table.version, _values["machine"], tuple(_values["origins"]), tuple(_values["sweeps"])))
        chances = _chances(_home, view, seen, str(_values["cost"]), direction)
    return Shown(_values, _table, view, series, direction, metric, box, answer, inside, chances, stamp)


@st.cache_resource(max_entries=32, show_spinner=False)
def _chances(_home: Home, _view: View, seen: int, cost: str, direction: str) -> Numbers:
    """The same for every limit that somebody tries."""
    return api_chances.chances(_home, _view.rows, cost, _view.numbers(cost), direction)


@st.cache_resource(max_entries=16, show_spinner=False)
def _view(_table: Table, version: Hashable, machine: str, origins: tuple[str, ...], sweeps: tuple[str, ...],
          _keys: frozenset[str] | None) -> View:  # fmt: skip
    """The same points for every limit that somebody tries."""
    return api_points.view(_table, machine, origins, keys=_keys)


@by_language(max_entries=64)
def _members(_home: Home, task: str, chosen: tuple[str, ...], version: Hashable) -> list[tuple[str, frozenset[str]]]:
    """Name and keys of each compared sweep; one that is gone is left out."""
    found, names = [], set()
    for sweep in chosen:
        try:
            status = api_sweeps.status(_home, sweep)
            keys = frozenset(str(row["key"]) for row in api_sweeps.rows(_home, status["id"]))
        except StillhouseError:
            continue
        name = status["name"] or say("front_filter.unnamed")
        name = name if name not in names else say("front_filter.twice", name=name, id=str(status["id"])[:4])
        names.add(name)
        found.append((name, keys))
    return found
