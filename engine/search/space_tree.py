"""A recipe with several values in places, as a tree whose every way from root to leaf is one recipe.

A tree counts its recipes without making them and makes the n-th one directly, so that a random part of a very large
sweep costs no more than a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine import catalogue
from engine.errors import InputError
from engine.search.space_values import is_axis, names_of, plain, values_of

WHOLE = ("labels", "seed", "epochs")
MAX_DEPTH = 12
MAX_AXES = 30


@dataclass(frozen=True)
class Fixed:
    """One value."""

    value: Any
    count: int = 1

    def pick(self, number: int, setting: dict[str, Any]) -> Any:
        """The value."""
        return self.value


@dataclass(frozen=True)
class Whole:
    """An object (``names``) or a list (None) of trees: their product, the last one varying fastest."""

    names: tuple[str, ...] | None
    parts: tuple[Tree, ...]

    @cached_property
    def count(self) -> int:
        """How many there are."""
        total = 1
        for part in self.parts:
            total *= part.count
        return total

    def pick(self, number: int, setting: dict[str, Any]) -> Any:
        """The ``number``-th; what was chosen for it is entered into ``setting`` by path."""
        numbers = []
        for part in reversed(self.parts):
            number, own = divmod(number, part.count)
            numbers.append(own)
        values = [part.pick(own, setting) for part, own in zip(self.parts, reversed(numbers), strict=True)]
        return values if self.names is None else dict(zip(self.names, values, strict=True))


@dataclass(frozen=True)
class Choice:
    """Several values in one place; a value may itself hold further choices."""

    path: str
    names: tuple[Any, ...]
    options: tuple[Tree, ...]

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return sum(option.count for option in self.options)

    def pick(self, number: int, setting: dict[str, Any]) -> Any:
        """The ``number``-th; what was chosen for it is entered into ``setting`` by path."""
        for name, option in zip(self.names, self.options, strict=True):
            if number < option.count:
                setting[self.path] = name
                return option.pick(number, setting)
            number -= option.count
        raise IndexError(number)


Tree = Fixed | Whole | Choice
Read = Callable[[Any, str], Tree]


@dataclass
class Found:
    """One place with several values: its label as given, candidates for one otherwise, the values' names."""

    given: str
    candidates: list[str]
    names: list[Any]


class Reader:
    """Reads a recipe with axes; ``found`` has the places with several values by path, in their order."""

    def __init__(self) -> None:
        self.found: dict[str, Found] = {}

    def recipe(self, node: Any, path: str = "") -> Tree:
        """A recipe, also one that is a teacher."""
        if not isinstance(node, Mapping):
            return Fixed(node)
        lead = f"{path}." if path else ""
        readers: dict[str, Read] = {"phases": self._list(self._phase)}
        parts = [self._read(v, f"{lead}{k}", readers.get(k), whole=k in WHOLE) for k, v in node.items()]
        return Whole(tuple(node), tuple(parts))

    def _phase(self, node: Any, path: str) -> Tree:
        if not isinstance(node, Mapping):
            return Fixed(node)
        readers: dict[str, Read] = {
            "loss": self._losses,
            "teachers": self._list(self._teacher, plain_list=True),
            "stages": self._list(self._part("stages")),
        }
        parts = [self._read(v, f"{path}.{k}", readers.get(k), whole=k in WHOLE) for k, v in node.items()]
        return Whole(tuple(node), tuple(parts))

    def _losses(self, node: Any, path: str) -> Tree:
        part = self._part("losses")
        return self._list(part)(node, path) if isinstance(node, (list, tuple)) else part(node, path)

    def _teacher(self, node: Any, path: str) -> Tree:
        return self.recipe(node, path)

    def _part(self, kind: str) -> Read:
        def read(node: Any, path: str) -> Tree:
            if not isinstance(node, Mapping):
                return Fixed(node)
            name = node.get("name")
            parts = []
            for knob, value in node.items():
                whole = _is_whole(kind, name, knob)
                parts.append(self._read(value, f"{path}.{knob}", None, whole, name if isinstance(name, str) else ""))
            return Whole(tuple(node), tuple(parts))

        return read

    def _list(self, item: Read, plain_list: bool = False) -> Read:
        def read(node: Any, path: str) -> Tree:
            if not isinstance(node, (list, tuple)):
                return Fixed(node)
            parts = []
            for i, value in enumerate(node):
                place = f"{path}[{i}]"
                several = is_axis(value) or (plain_list and isinstance(value, (list, tuple)))
                parts.append(self._choice(value, place, item, False, "") if several else item(value, place))
            return Whole(None, tuple(parts))

        return read

    def _read(self, node: Any, path: str, read: Read | None, whole: bool = False, part: str = "") -> Tree:
        """One field. Where a recipe wants a single value (``read`` is None) a plain list is several values too."""
        if is_axis(node) or (read is None and isinstance(node, (list, tuple))):
            return self._choice(node, path, read, whole, part)
        if read is not None:
            return read(node, path)
        if not plain(node):
            raise InputError(path, node, "one value, a list of values, or a range")
        return Fixed(node)

    def _choice(self, node: Any, path: str, read: Read | None, whole: bool, part: str) -> Tree:
        if len(self.found) >= MAX_AXES or path.count(".") > MAX_DEPTH:
            raise InputError(path, node, f"several values in at most {MAX_AXES} places")
        values = values_of(node, path, whole)
        names = names_of(node, values, path)
        place = self.found.setdefault(path, Found("", _candidates(path, part), []))
        place.given = _given(node, path) or place.given
        place.names += [n for n in names if not any(n is m or (type(n) is type(m) and n == m) for m in place.names)]
        options = tuple(self._read(v, path, read) if read is None else read(v, path) for v in values)
        nested = next((o for o in options if read is None and isinstance(o, Choice)), None)
        if nested is not None:
            raise InputError(path, values, "single values; a list within a list means nothing here")
        return Choice(path, tuple(names), options)


def _is_whole(kind: str, name: Any, knob: str) -> bool:
    rows = catalogue.current().rows[kind]
    if not isinstance(name, str) or name not in rows:
        return False
    return any(k["name"] == knob and k["type"] == "int" for k in rows[name]["knobs"])


def _given(node: Any, path: str) -> str:
    label = node.get("label", "") if isinstance(node, Mapping) else ""
    if not isinstance(label, str) or len(label) > 40:
        raise InputError(f"{path}.label", label, "a text of at most 40 characters")
    return label


def _candidates(path: str, part: str) -> list[str]:
    """Names for an axis, from the shortest to the one that is certainly different from all others."""
    last = path.rsplit(".", 1)[-1].split("[")[0]
    phase = path.partition("phases[")[2].partition("]")[0]
    longer = [f"{part} {last}"] if part else []
    if phase.isdigit():
        longer.append(f"phase {int(phase) + 1} {last}")
    return [last, *longer, path]
