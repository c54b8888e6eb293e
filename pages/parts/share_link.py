"""The link that a teacher hands out: what it locks and hides, as plain values. No Streamlit here.

Everything begins free or locked (``everything``); what is chosen for single controls and panels comes before that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pages.parts import carried
from pages.parts.carried import ALL, NOT
from pages.parts.control import Control, covers

FREE, LOCKED, HIDDEN = "free", "locked", "hidden"
STATES = (FREE, LOCKED, HIDDEN)
NEAR = 0.8
_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Rules:
    """What a link does to the controls of a page."""

    everything: str = FREE
    single: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """What was chosen for one control or panel, else for everything."""
        return self.single.get(name, self.everything)

    def put(self, name: str, state: str) -> Rules:
        """The same with another choice for one name."""
        return Rules(self.everything, {**{n: s for n, s in self.single.items() if n != name}, name: state})


def read(hide: frozenset[str], lock: frozenset[str], known: Iterable[Control]) -> Rules:
    """The rules that a page's own address has."""
    everything = LOCKED if ALL in lock else FREE
    single = {}
    for found in known:
        name = found.name
        state = HIDDEN if covers(hide, name) else LOCKED if name in lock else FREE if NOT + name in lock else ""
        if state and state != everything:
            single[name] = state
    return Rules(everything, single)


def parameters(rules: Rules) -> dict[str, str]:
    """``hide`` and ``lock`` as an address has them; nothing where all is free."""
    chosen = {state: [n for n, s in rules.single.items() if s == state] for state in STATES}
    lock = [ALL, *(NOT + name for name in chosen[FREE])] if rules.everything == LOCKED else chosen[LOCKED]
    found = {"hide": carried.join(chosen[HIDDEN]), "lock": carried.join(lock)}
    return {name: text for name, text in found.items() if text}


def link(page: str, own: Mapping[str, Any], rules: Rules, more: Mapping[str, str]) -> str:
    """The whole address; ``page``: that of the page without parameters, ``own``: its parameters as they are now."""
    given = {**own, **parameters(rules), **{name: text for name, text in more.items() if text}}
    return page + (f"?{urlencode(given)}" if given else "")


def kind_of(name: str) -> str:
    """A name without the number that tells one phase or piece from another."""
    return _NUMBER.sub("", name)


def matching(found: Sequence[tuple[str, str]], typed: str) -> list[tuple[str, str]]:
    """The (name, label) in which every typed word occurs."""
    wanted = typed.lower().split()
    return [(name, label) for name, label in found if all(w in f"{name} {label}".lower() for w in wanted)]


def mistaken(asked: Iterable[str], here: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Names that no page knows and that are nearly one of this page's: (what was asked for, what was meant).

    Names of other pages' controls are no mistake, and one that resembles nothing is left alone: it may belong to them.
    """
    there, elsewhere = list(here), {*known, ALL}
    found = []
    for name in sorted({n.removeprefix(NOT) for n in asked}):
        near = difflib.get_close_matches(name, there, 1, NEAR) if name not in elsewhere and name not in there else []
        found += [(name, near[0])] if near else []
    return found
