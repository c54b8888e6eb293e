"""The several values of one setting: a list, a range or a log range, in JSON, and how each is called."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError, unknown_name
from engine.knobs import canonical_float

MAX_VALUES = 500
RANGE, LISTED = ("low", "high", "count", "step", "scale", "label"), ("values", "labels", "label")
SCALES = ("linear", "log")
LONGEST_NAME = 60


def is_axis(node: Any) -> bool:
    """Whether a JSON object means several values. No part of a recipe has these fields."""
    return isinstance(node, Mapping) and ("values" in node or "low" in node or "high" in node)


def values_of(node: Any, where: str, whole: bool = False) -> list[Any]:
    """The values of a list, of ``{"values": [...]}`` or of a range, without repetitions, in their order.

    ``whole`` makes the values of a range whole numbers. Raises :class:`InputError` for anything else.
    """
    if isinstance(node, Mapping) and "values" not in node:
        return _spread(node, where, whole)
    if isinstance(node, Mapping):
        _only(node, LISTED, where)
        node = node["values"]
    if not isinstance(node, (list, tuple)) or not 1 <= len(node) <= MAX_VALUES:
        raise InputError(where, node, f"a list of 1 to {MAX_VALUES} values")
    return list(node)


def names_of(node: Any, values: Sequence[Any], where: str) -> list[Any]:
    """What each value is called: its label, a plain value as it is, anything else in words; all different."""
    given = node.get("labels") if isinstance(node, Mapping) else None
    if given is not None:
        sound = isinstance(given, (list, tuple)) and len(given) == len(values) == len(set(map(str, given)))
        if not sound or not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in given):
            raise InputError(f"{where}.labels", given, f"{len(values)} different texts, one for each value")
        return list(given)
    names: list[Any] = []
    for value in values:
        name = value if plain(value) else words_of(value)
        same = sum(n == name or str(n).startswith(f"{name} (") for n in names) if not plain(value) else 0
        names.append(f"{name} ({same + 1})" if same else name)
    return names


def plain(value: Any) -> bool:
    """Whether a value shows itself: a number, a word, true or false, or none."""
    return value is None or isinstance(value, (str, int, float, bool))


def words_of(value: Any) -> str:
    """A loss, a stage, a phase, a teacher or a list of them in a few words."""
    if isinstance(value, (list, tuple)):
        text = ", ".join(words_of(v) for v in value) if value else "none"
    elif not isinstance(value, Mapping):
        text = str(value)
    elif "name" in value:
        knobs = ", ".join(f"{k} {v}" for k, v in value.items() if k != "name" and plain(v))
        text = f"{value['name']} {knobs}".strip()
    elif "student" in value:
        text = str(value["student"])
    else:
        parts = [value.get("loss"), *(value.get("stages") or ())]
        text = " + ".join(words_of(p) for p in parts if p) or "nothing"
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."


def _spread(node: Mapping[str, Any], where: str, whole: bool) -> list[Any]:
    _only(node, RANGE, where)
    low, high = (_number(node.get(name), f"{where}.{name}") for name in ("low", "high"))
    scale = node.get("scale", SCALES[0])
    if scale not in SCALES:
        raise unknown_name(f"{where}.scale", scale, SCALES)
    if high <= low:
        raise InputError(f"{where}.high", high, f"a number above low, which is {low:g}")
    if ("count" in node) == ("step" in node):
        raise InputError(where, dict(node), "either count or step beside low and high")
    if scale == "log" and ("step" in node or low <= 0):
        raise InputError(where, dict(node), "on a log scale a low above 0, and count instead of step")
    numbers = _steps(node, low, high, where) if "step" in node else _counted(node, low, high, scale == "log", where)
    rounded = [round(n) for n in numbers] if whole else [canonical_float(n) for n in numbers]
    return list(dict.fromkeys(rounded))


def _steps(node: Mapping[str, Any], low: float, high: float, where: str) -> list[float]:
    step = _number(node["step"], f"{where}.step")
    least = (high - low) / (MAX_VALUES - 1)
    if not least <= step <= high - low:
        raise InputError(f"{where}.step", step, f"a number from {least:.4g} to {high - low:.4g}")
    # a step of 0.1 from 0 must reach 0.3 although 3 * 0.1 is a little more
    return [low + i * step for i in range(math.floor((high - low) / step * (1 + 1e-9) + 1e-9) + 1)]


def _counted(node: Mapping[str, Any], low: float, high: float, log: bool, where: str) -> list[float]:
    count = node["count"]
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MAX_VALUES:
        raise InputError(f"{where}.count", count, f"a whole number from 2 to {MAX_VALUES}")
    shares = [i / (count - 1) for i in range(count)]
    if log:
        return [low * (high / low) ** share for share in shares]
    return [low + (high - low) * share for share in shares]


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(where, value, "a number")
    return float(value)


def _only(node: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name in node:
        if name not in names:
            raise unknown_name(f"{where}: field", name, names)
