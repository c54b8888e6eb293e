"""What the page Trial shows is in its address: which point, which part of it, which images."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from engine.errors import InputError, unknown_name
from engine.knobs import Knob
from pages.parts import carried, choices, extras
from pages.parts.extras import Extra
from pages.parts.words import line, say

VIEWS = ("steps", "layers", "sensitivity", "time", "mistakes", "sure", "try", "record")
SHOWN = ("answers", "change")
BATCHES = ("1", "8", "32")
NAMES = ("key", "view", "layer", "shown", "label", "answer", "start", "image", "batch", "budget")
PAGE, MOST_DRAWS = "trial", 999_999
KEPT, KEY_SEEN, LAG_SECONDS = "_trial_address", "_trial_key", 2.0
MOST, MOST_BYTES = 99_999, 999_999_999
ANY = ""  # what a choice of a class holds while none is chosen
_KEY = re.compile(r"[0-9a-z]{1,64}")


@dataclass(frozen=True)
class Asked:
    """The address, checked. ``label`` and ``answer`` are class numbers, ``start`` the first image shown.

    ``batch``: examples of a call; ``budget``: bytes of a packed file.
    """

    key: str = ""
    view: str = VIEWS[0]
    layer: str = ""
    shown: str = SHOWN[0]
    label: int | None = None
    answer: int | None = None
    start: int = 0
    image: int = 0
    batch: str = BATCHES[0]
    budget: int | None = None
    problems: tuple[str, ...] = ()


def read(address: Mapping[str, str]) -> Asked:
    """The address with defaults for what is missing or impossible; each impossible value is a problem in words."""
    problems: list[str] = []
    words = {"view": _one_of(address, "view", VIEWS, problems), "shown": _one_of(address, "shown", SHOWN, problems)}
    batch = _one_of(address, "batch", BATCHES, problems)
    numbers = {name: _whole(address, name, problems) for name in ("label", "answer", "start", "image")}
    budget = _whole(address, "budget", problems, MOST_BYTES)
    key = address.get("key", "").strip().lower()
    if key and not _KEY.fullmatch(key):
        problems.append(_told("key", key, say("trial_url.key")))
        key = ""
    places = {name: numbers[name] or 0 for name in ("start", "image")}
    return Asked(key, words["view"], address.get("layer", ""), words["shown"], numbers["label"], numbers["answer"],
                 **places, batch=batch, budget=budget, problems=tuple(problems))  # fmt: skip


def write(asked: Asked) -> dict[str, str]:
    """The shortest address that :func:`read` reads as ``asked``."""
    plain = Asked()
    values = {name: getattr(asked, name) for name in NAMES}
    return {name: str(v) for name, v in values.items() if v is not None and v != getattr(plain, name)}


def sync() -> Asked:
    """What the address asks for; a browser that has not yet taken over the last change does not undo it."""
    address = _address()
    kept = st.session_state.get(KEPT)
    if kept and address == kept["before"] and time.monotonic() - kept["at"] < LAG_SECONDS:
        address = kept["now"]
        _put(address)
    asked = read(address)
    _tell_browser(asked.key)
    small = small_choices()
    names = {extra.knob.name for extra in small}
    said = extras.sync(PAGE, small, carried.own())
    carried.write({**{name: text for name, text in carried.own().items() if name not in names}, **said})
    asked = replace(asked, problems=(*asked.problems, *_unknown(names), *extras.problems(PAGE)))
    for name in ("view", "layer", "shown", "label", "answer", "image", "batch"):
        value = getattr(asked, name)
        st.session_state[widget(name)] = ANY if value is None else value
    return asked


def small_choices() -> tuple[Extra, ...]:
    """What else a person may choose on this page, below one view or another."""
    heat = Knob("temperature", "float", 0.8, "", 0.0, 2.0)
    return (
        extras.whole("text", "attention_text", 1, 1, MOST), extras.whole("block", "attention_layer", 1, 1, MOST),
        extras.whole("head", "attention_head", 1, 1, MOST),
        extras.word("prompt", "generate_text", say("trial_generate.usual")), Extra(heat, "generate_temperature"),
        extras.whole("top", "generate_top", 40, 0, MOST), extras.whole("tokens", "generate_tokens", 80, 10, 200),
        extras.whole("draw", "generate_draw", 0, 0, MOST_DRAWS), extras.word("own", "trial_own_text"),
    )  # fmt: skip


def _unknown(small: set[str]) -> list[str]:
    """A line for each parameter that this page does not have."""
    known = (*NAMES, *small)
    others = [n for n in carried.own() if n not in (*known, *choices.RESERVED)]
    return [say("url.kept", problem=line(unknown_name(say("url.setting"), n[:40], known))) for n in others]


def widget(name: str) -> str:
    """The key of the widget that changes a part of the address."""
    return f"trial_{name}"


def choose(values: Mapping[str, Any]) -> None:
    """Change parts of the address, from a callback or the script; another point or filter starts at its first image."""
    kept, address = st.session_state.get(KEPT), _address()
    if kept and address == kept["before"] and time.monotonic() - kept["at"] < LAG_SECONDS:
        address = kept["now"]
    given = {name: "" if v is None else str(v) for name, v in values.items()}
    if "start" not in given and given.keys() & {"key", "label", "answer"}:
        given["start"] = ""
    now = write(read({name: v for name, v in {**address, **given}.items() if v}))
    st.session_state[KEPT] = {"before": address, "now": now, "at": time.monotonic()}
    _put(now)


def changed(name: str) -> None:
    """A callback: the widget of ``name`` was changed."""
    value = st.session_state.get(widget(name))
    choose({name: getattr(Asked(), name) if value is None else value})


def _address() -> dict[str, str]:
    found = carried.own()
    return {name: found[name] for name in NAMES if name in found}


def _tell_browser(key: str) -> None:
    """A link from one point to another stays on this page: Streamlit then leaves the browser's address as it was."""
    before = st.session_state.get(KEY_SEEN)
    st.session_state[KEY_SEEN] = key
    if before is not None and before != key:
        st.query_params.from_dict(st.query_params.to_dict())


def _put(address: Mapping[str, str]) -> None:
    others = {name: v for name, v in carried.own().items() if name not in NAMES}
    carried.write({**address, **others})


def _one_of(address: Mapping[str, str], name: str, allowed: tuple[str, ...], problems: list[str]) -> str:
    value = address.get(name, allowed[0])
    if value not in allowed:
        problems.append(_told(name, value, ", ".join(allowed)))
        return allowed[0]
    return value


def _whole(address: Mapping[str, str], name: str, problems: list[str], most: int = MOST) -> int | None:
    value = address.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}", value) or int(value) > most:
        problems.append(_told(name, value, say("trial_url.number", most=most)))
        return None
    return int(value)


def _told(name: str, value: str, allowed: str) -> str:
    shown = value if len(value) <= 24 else value[:24] + "…"
    return say("url.kept", problem=line(InputError(say("url.where", name=name), shown, allowed)))
