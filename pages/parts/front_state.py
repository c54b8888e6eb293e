"""What the page *Front* shows: choices with their place in the address, checked; no Streamlit in the checking."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine import api_longer, api_points, catalogue
from engine.errors import InputError, unknown_name
from engine.figures.hover import SHARES, quality_words
from engine.knobs import Knob
from engine.units import (
    format_bytes,
    format_count,
    format_ms,
    format_share,
    parse_bytes,
    parse_count,
    parse_ms,
    parse_share,
)
from pages.parts import carried, state
from pages.parts.words import line, say

PAGE = "front"
VALUES, WRITTEN, PAST, PROBLEMS = "_front_values", "_front_written", "_front_past", "_front_problems"
CHOSEN, WRITTEN_AT = "_front_chosen", "_front_written_at"
ORIGINS = ("trial", "grid", "shipped")
VIEWS = ("table", "parallel", "importances", "longer")
PICTURES = ("png", "svg")
TARGETS = ("front", "quality", "cost")
USUAL_TIMES, USUAL_COUNT, MOST_COUNT = 4, 5, 12
WHOLE = {"count": (1, MOST_COUNT), "step": (1, 99)}  # finalists; which of the compared lengths
MOST_QUALITY = 1000
MOST_SWEEPS, MOST_TEXT, MOST_PAST, LAG_SECONDS = 6, 400, 40, 2.0
Values = dict[str, Any]


@dataclass(frozen=True)
class Limit:
    """A budget: the column that it is about, how people write it, whether it is a floor (a quality)."""

    column: str
    parse: Callable[[str, str], float]
    write: Callable[[float], str]
    floor: bool = False

    def read(self, text: str, where: str, measure: str) -> float:
        """The number that somebody typed; a quality as its measure is written. Raises :class:`InputError`."""
        return parse_quality(text, where, measure) if self.floor else self.parse(text, where)

    def written(self, value: float, measure: str) -> str:
        """The number as people write it."""
        return quality_words(value, measure) if self.floor else self.write(value)


def parse_quality(text: str, where: str, measure: str) -> float:
    """A share ("88 %", "0.88"), or the number itself of a measure that is none."""
    if measure in SHARES:
        return parse_share(text, where)
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 < value < MOST_QUALITY:
        raise InputError(where, text, f"a number above 0 and below {MOST_QUALITY}, such as 2.5")
    return value


LIMITS = {
    "max_bytes": Limit("packed_bytes", parse_bytes, format_bytes),
    "max_latency": Limit("latency_ms", parse_ms, format_ms),
    "max_macs": Limit("macs", parse_count, format_count),
    "min_quality": Limit("quality", parse_share, format_share, floor=True),
}


def defaults() -> Values:
    """What the bare address shows."""
    first = next(iter(catalogue.current().rows["tasks"]))
    chosen: Values = {"task": first, "cost": "packed_bytes", "quality": "quality",
                      "origins": list(ORIGINS), "sweeps": [], "machine": "", "view": VIEWS[0]}  # fmt: skip
    small: Values = {"picture": PICTURES[0], "target": TARGETS[0], "rule": api_longer.RULES[0], "count": USUAL_COUNT,
                     "times": USUAL_TIMES, "step": 1}  # fmt: skip
    return chosen | small | dict.fromkeys(LIMITS)


def read(address: Mapping[str, str]) -> tuple[Values, list[str]]:
    """The values that an address asks for, and one line for each that it does not get."""
    values, problems = defaults(), []
    # the task first: how a quality is written follows from it
    for name, text in sorted(address.items(), key=lambda item: item[0] != "task"):
        if name in values:
            try:
                values[name] = _value(name, text[:MOST_TEXT], values["task"])
            except InputError as problem:
                problems.append(line(problem))
        else:
            problems.append(line(unknown_name(say("url.setting"), name, values)))
    return values, problems


def to_address(values: Mapping[str, Any]) -> dict[str, str]:
    """The shortest address that gives these values again."""
    usual = defaults()
    return {name: _text(name, value) for name, value in values.items() if name in usual and value != usual[name]}


def limits_of(values: Mapping[str, Any]) -> tuple[dict[str, float], float | None]:
    """The most of each cost that has a limit, and the worst quality that is good enough."""
    most = {limit.column: values[name] for name, limit in LIMITS.items()
            if not limit.floor and values[name] is not None}  # fmt: skip
    return most, values["min_quality"]


def sync() -> Values:
    """Read the address where it changed (a link, the back button), else what was chosen; then write the address."""
    address = carried.own()
    kept = st.session_state.get(VALUES)
    if kept is None or (_fresh(address) and not _returned(address)):
        kept, unheard = read(address)
        st.session_state[VALUES] = kept
        st.session_state[PROBLEMS] = [say("url.kept", problem=problem) for problem in unheard]
    written = to_address(kept)
    if written != st.session_state.get(WRITTEN):
        st.session_state[WRITTEN_AT] = time.monotonic()
    past = [a for a in st.session_state.get(PAST, ()) if a not in (address, written)]
    st.session_state[PAST], st.session_state[WRITTEN] = [*past, address, written][-MOST_PAST:], written
    carried.write(written)
    return dict(kept)


def choose(**changed: Any) -> None:
    """Change some values, from a callback."""
    st.session_state[PROBLEMS], st.session_state[CHOSEN] = [], True
    st.session_state[VALUES] = {**(st.session_state.get(VALUES) or defaults()), **changed}


def hold(name: str) -> str:
    """Let the widget of a value show it when it is drawn next; the key of that widget."""
    st.session_state[widget(name)] = (st.session_state.get(VALUES) or defaults())[name]
    return widget(name)


def widget(name: str) -> str:
    """The key of the widget that changes a value."""
    return f"front_{name}"


def held(name: str) -> None:
    """A callback: the widget of ``name`` was changed."""
    value = st.session_state.get(widget(name))
    choose(**{name: defaults()[name] if value is None else value})


def complain(problem: str) -> None:
    """Tell of something that was typed and cannot be; until something is changed."""
    st.session_state[PROBLEMS], st.session_state[CHOSEN] = [problem], True


def problems() -> list[str]:
    """What the address asked for, or somebody typed, and did not get; told until something is changed."""
    return list(st.session_state.get(PROBLEMS, ()))


def _fresh(address: Mapping[str, str]) -> bool:
    """Whether the address is news; a rerun asked for before the browser wrote the last one brings an old one."""
    chosen = st.session_state.pop(CHOSEN, False)
    recent = time.monotonic() - st.session_state.get(WRITTEN_AT, 0.0) < LAG_SECONDS
    late = (chosen or recent) and address in st.session_state.get(PAST, ())
    return address != st.session_state.get(WRITTEN) and not late


def _returned(address: Mapping[str, str]) -> bool:
    """Whether the person comes back from another page through the navigation, which brings a bare address."""
    return not address and st.session_state.get(state.LAST_PAGE, PAGE) != PAGE


def _value(name: str, text: str, task: str) -> Any:
    if name in LIMITS:
        return LIMITS[name].read(text, name, str(catalogue.current().row("tasks", task)["metric"]))
    if name in ("origins", "sweeps"):
        words = [w for w in text.split(",") if w]
        if name == "origins":
            return [_one_of(name, w, ORIGINS) for w in words]
        return words[:MOST_SWEEPS]
    if name == "machine":
        return text
    if name in WHOLE:
        return Knob(name, "int", 1, "", *WHOLE[name]).parse(text, name)
    if name == "times":
        return int(_one_of(name, text, tuple(map(str, api_longer.TIMES))))
    choices = {"task": tuple(catalogue.current().rows["tasks"]), "cost": api_points.COSTS,
               "quality": tuple(api_points.QUALITIES), "view": VIEWS, "picture": PICTURES,
               "target": TARGETS, "rule": api_longer.RULES}  # fmt: skip
    return _one_of(name, text, choices[name])


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise unknown_name(name, text, known)
    return text


def _text(name: str, value: Any) -> str:
    if name in LIMITS:
        return "" if value is None else f"{value:.6g}"
    return ",".join(value) if isinstance(value, list) else str(value)
