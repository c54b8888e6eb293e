"""Readers of a recipe's single fields; each raises :class:`InputError` with the place, what is allowed, the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine import catalogue
from engine.errors import InputError, unknown_name


def wanted(least: int, loss: str) -> str:
    """What is allowed where a loss has too few teachers."""
    if least == 1:
        return f"at least one teacher, which {loss} needs"
    return f"at least {least} teachers, which {loss} needs: name more, or recipes as teachers, or choose the loss kd"


def class_of(task: Any, value: Any, where: str) -> str:
    """The name of a class that is given by its name, in any case, or by its number."""
    names = catalogue.current().row("tasks", task, f"{where}.task")["class_names"]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return str(names[value])
    found = next((str(n) for n in names if isinstance(value, str) and n.lower() == value.strip().lower()), None)
    if found is None:
        raise unknown_name(f"{where}.without", value, names)
    return found


def only(row: Any, names: Iterable[str], where: str) -> None:
    """Refuse a field that is none of ``names``, and what is no object."""
    if not isinstance(row, Mapping):
        raise InputError(where, row, "an object with the fields " + ", ".join(names))
    for name in row:
        if name not in names:
            raise unknown_name(f"{where}: field", name, names)


def listed(value: Any, where: str) -> list[Any]:
    """A list from a list, or from nothing."""
    if not isinstance(value, (list, tuple, type(None))):
        raise InputError(where, value, "a list")
    return list(value or ())


def whole(value: Any, low: int, high: int, where: str) -> int:
    """A whole number from ``low`` to ``high``."""
    integral = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not integral or not low <= value <= high:
        raise InputError(where, value, f"a whole number from {low} to {high}")
    return int(value)
