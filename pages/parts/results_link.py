"""The table's view inside an address and out of it again; what an address gets wrong falls back and is told."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.errors import InputError, unknown_name
from pages.parts.results_table import COLUMNS, DEFAULT, FILTERS, MOST_CHOSEN, WHOSE, View, shown
from pages.parts.words import line, say

SHOWN_KEY = 12
LONGEST = 200
JOINT = "."  # which addresses leave as it is
LISTS = (*FILTERS, "sweeps")
KEY = re.compile(r"[0-9a-f]{4,32}")
Options = Mapping[str, Sequence[Any]]


def read(address: Mapping[str, str], options: Options) -> tuple[View, list[str]]:
    """The view that an address asks for, and a line for each parameter that was not understood.

    ``options``: what can be chosen for ``task``, for each filter and for ``sweeps``.
    """
    bad: list[str] = []
    found: dict[str, Any] = {"task": _one(address, "task", options["task"], bad)}
    found["find"] = " ".join(address.get("find", "").split())[:LONGEST]
    found["whose"] = _one(address, "whose", WHOSE, bad)
    for name in LISTS:
        found[name] = _many(address, name, options.get(name, ()), bad)
    columns = _many(address, "columns", tuple(COLUMNS), bad)
    found["columns"] = shown(columns) if columns else DEFAULT
    found |= _sort(address, bad) | {"page": _page(address, bad), "chosen": _keys(address, bad)}
    found["beside"] = _one(address, "beside", ("0", "1"), bad) == "1"
    known = [field.name for field in dataclasses.fields(View)]
    others = [name for name in address if name not in known]
    bad += [_kept(unknown_name(say("url.setting"), name[:40], known)) for name in others]
    return View(**found), bad


def write(view: View, tasks: Sequence[str]) -> dict[str, str]:
    """The address of a view: only what differs from the plain table."""
    plain = View(tasks[0])
    written = {}
    for field in dataclasses.fields(View):
        value = getattr(view, field.name)
        if value != getattr(plain, field.name):
            written[field.name] = _text(field.name, value)
    down = written.pop("down", None)
    if down is not None or "sort" in written:
        written["sort"] = ("-" if view.down else "") + view.sort
    return written


def _told(name: str, value: str, allowed: Iterable[str]) -> str:
    return _kept(unknown_name(say("url.where", name=name), value[:40], map(str, allowed)))


def _kept(problem: InputError) -> str:
    return say("url.kept", problem=line(problem))


def _text(name: str, value: Any) -> str:
    if name == "beside":
        return "1"
    if name == "chosen":
        return JOINT.join(key[:SHOWN_KEY] for key in value)
    return JOINT.join(map(str, value)) if isinstance(value, tuple) else str(value)


def _one(address: Mapping[str, str], name: str, allowed: Sequence[str], bad: list[str]) -> str:
    value = address.get(name, allowed[0])
    if value not in allowed:
        bad.append(_told(name, value, allowed))
    return value if value in allowed else allowed[0]


def _many(address: Mapping[str, str], name: str, allowed: Sequence[Any], bad: list[str]) -> tuple[Any, ...]:
    by_text = {str(option): option for option in allowed}
    wanted = [text for text in address.get(name, "").split(JOINT) if text]
    if strange := [text for text in wanted if text not in by_text]:
        bad.append(_told(name, strange[0], by_text))
    return tuple(dict.fromkeys(by_text[text] for text in wanted if text in by_text))


def _sort(address: Mapping[str, str], bad: list[str]) -> dict[str, Any]:
    text = address.get("sort", "-created")
    name = text.removeprefix("-")
    if name not in COLUMNS:
        bad.append(_told("sort", name, COLUMNS))
        return {"sort": "created", "down": True}
    return {"sort": name, "down": text.startswith("-")}


def _page(address: Mapping[str, str], bad: list[str]) -> int:
    text = address.get("page", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        bad.append(_kept(InputError(say("url.where", name="page"), text[:LONGEST], say("results_page.page_allowed"))))
        return 1
    return int(text)


def _keys(address: Mapping[str, str], bad: list[str]) -> tuple[str, ...]:
    wanted = [text for text in address.get("chosen", "").split(JOINT) if text]
    sound = [text for text in wanted if KEY.fullmatch(text)]
    if len(sound) < len(wanted):
        strange = next(text for text in wanted if text not in sound)
        bad.append(_kept(InputError(say("url.where", name="chosen"), strange[:LONGEST], say("trial_url.key"))))
    return tuple(dict.fromkeys(sound))[:MOST_CHOSEN]
