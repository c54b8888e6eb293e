"""Knobs: one declaration is a dataclass field, a widget, a command-line option, a sweep axis and documentation.

A plug-in is a frozen dataclass whose fields are made by :func:`knob`. The type comes from the annotation
(``int``, ``float``, ``bool``, ``str``; ``| None`` makes it optional), everything else from the call.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError, unknown_name

TYPES: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}


@dataclass(frozen=True)
class Knob:
    """One setting of a plug-in.

    ``low`` and ``high`` are inclusive bounds; ``choices`` replaces bounds for words. ``unit`` is shown beside
    the value. ``help`` is the English source of what a person reads. ``late``: it came to a plug-in that had results
    already, and its default does what was done before; canonical JSON leaves it out there, so those keep their keys.
    """

    name: str
    type: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    optional: bool = False
    log: bool = False
    advanced: bool = False
    late: bool = False

    def __post_init__(self) -> None:
        self.check(self.default, f"default of {self.name}")

    def check(self, value: Any, where: str) -> Any:
        """``value`` in its canonical form; raises :class:`InputError` naming ``where`` and what is allowed."""
        if value is None and self.optional:
            return None
        checked = getattr(self, f"_{self.type}")(value, where)
        if self.choices and checked not in self.choices:
            raise unknown_name(where, value, self.choices)
        if self.type in ("int", "float") and not self._inside(checked):
            raise InputError(where, value, self.allowed, repr(self._clamped(checked)))
        return checked

    def parse(self, text: str, where: str) -> Any:
        """A value typed on a command line or in a link."""
        if self.optional and text.lower() in ("none", "null", ""):
            return None
        if self.type == "bool":
            words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            return self.check(words.get(text.lower(), text), where)
        if self.type == "str":
            return self.check(text, where)
        try:
            number: int | float = int(text) if self.type == "int" else float(text)
        except ValueError:
            raise InputError(where, text, self.allowed) from None
        return self.check(number, where)

    @property
    def allowed(self) -> str:
        """What a person may enter, in words."""
        if self.choices:
            return ", ".join(self.choices)
        noun = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}[self.type]
        if self.low is not None and self.high is not None:
            noun += f" from {self.low:g} to {self.high:g}"
        elif self.low is not None:
            noun += f" of at least {self.low:g}"
        return noun + (" or none" if self.optional else "")

    def to_json(self) -> dict[str, Any]:
        """Plain data for the catalogue; fields at their usual value are left out."""
        row = dataclasses.asdict(self) | {"choices": list(self.choices)}
        usual = {f.name: f.default for f in dataclasses.fields(self)} | {"choices": []}
        return {k: v for k, v in row.items() if k in ("name", "type", "default", "help") or v != usual[k]}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Knob:
        """The inverse of :meth:`to_json`."""
        return cls(**{**row, "choices": tuple(row.get("choices", ()))})

    def _inside(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def _clamped(self, value: float) -> Any:
        near = value if self.low is None else max(value, self.low)
        near = near if self.high is None else min(near, self.high)
        return int(near) if self.type == "int" else float(near)

    def _bool(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise InputError(where, value, self.allowed)
        return value

    def _int(self, value: Any, where: str) -> int:
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise InputError(where, value, self.allowed)
        return int(value)

    def _float(self, value: Any, where: str) -> float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not -sys.float_info.max <= value <= sys.float_info.max:
            raise InputError(where, value, self.allowed)
        return canonical_float(value)

    def _str(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or len(value) > 500:
            raise InputError(where, value, self.allowed)
        return value


def canonical_float(value: float) -> float:
    """``value`` with 12 significant digits and no negative zero, so that 0.1 + 0.2 and 0.3 give one key."""
    return float(f"{float(value):.12g}") + 0.0


def knob(default: Any, low: float | None = None, high: float | None = None, help: str = "", **more: Any) -> Any:
    """A dataclass field that declares a :class:`Knob`; ``more`` are its other fields."""
    return dataclasses.field(default=default, metadata={"knob": {"low": low, "high": high, "help": help, **more}})


def knobs_of(cls: type) -> tuple[Knob, ...]:
    """The knobs of a plug-in class, in the order of its fields."""
    hints = typing.get_type_hints(cls)
    return tuple(_knob_of(f, hints[f.name]) for f in dataclasses.fields(cls) if "knob" in f.metadata)


def _knob_of(field: dataclasses.Field[Any], hint: Any) -> Knob:
    args = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [TYPES[a] for a in args if a in TYPES]
    if len(kinds) != 1:
        raise TypeError(f"knob {field.name}: annotate it with one of int, float, bool, str (and | None)")
    return Knob(field.name, kinds[0], field.default, optional=type(None) in args, **field.metadata["knob"])


def check_values(knobs: tuple[Knob, ...], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Every knob's value, checked; missing ones take their default. Unknown fields are refused."""
    known = {k.name: k for k in knobs}
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            allowed = "the fields " + ", ".join(known) if known else "no fields"
            raise InputError(f"{where}.{name}", values[name], allowed, close[0] if close else None)
    return {n: k.check(values.get(n, k.default), f"{where}.{n}") for n, k in known.items()}
