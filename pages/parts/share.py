"""The dialog "Share this page": the address of what is shown, with what its readers may change, copied at a click."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import streamlit as st

from pages.parts import carried, control, language, share_link
from pages.parts.control import Control
from pages.parts.share_link import FREE, HIDDEN, LOCKED, STATES, Rules
from pages.parts.words import find, say

BUTTON = "share"
OPEN, RULES, MORE, FIND, EVERYTHING = "_share_open", "_share_rules", "_share_more", "share_find", "share_everything"
MANY = 10  # from so many on a search field helps
LIST_PIXELS = 250
OWN = ("share", "leave_presenting")
_KEY = re.compile(r'key=f?"([a-z][a-z_]+)"|widget\("([a-z_]+)"\)')


def offer() -> None:
    """The button that every page has; ``hide=share`` takes it away."""
    control.button(say("share.button"), key=BUTTON, type="tertiary", on_click=_begin, help=say("share.help"))


def draw() -> None:
    """The dialog, where it is open; after the page, whose controls it lists."""
    if not st.session_state.get(OPEN):
        return
    known = _listed()
    if RULES not in st.session_state:
        st.session_state[RULES] = share_link.read(carried.names("hide"), carried.names("lock"), known)
        st.session_state[MORE] = {name: carried.get(name) for name in ("lang", "present")}
    st.dialog(say("share.title"), width="medium", on_dismiss=_close)(_body)(known)


def mistakes() -> list[str]:
    """Names in ``hide`` and ``lock`` that are nearly those of a control here, a line each."""
    asked = carried.names("hide") | carried.names("lock")
    here = {found.name for found in control.drawn()}
    if asked <= {*here, carried.ALL}:
        return []
    found = share_link.mistaken(asked, here, _every_name())
    return [say("share.mistaken", name=name, meant=meant) for name, meant in found]


def _begin() -> None:
    st.session_state[OPEN] = True
    for name in (RULES, MORE):
        st.session_state.pop(name, None)


def _close() -> None:
    st.session_state[OPEN] = False


def _body(known: Sequence[Control]) -> None:
    """The link on top, then what it does; a change draws only this dialog again."""
    link = st.container(key="share_link")
    _view()
    _controls(known)
    with link:
        _link()


def _link() -> None:
    page = (st.context.url or "").split("?")[0]
    page += "/" if page.count("/") == 2 else ""  # a server's name alone
    made = share_link.link(page, carried.own(), st.session_state[RULES], st.session_state[MORE])
    st.html(f'<p class="sh-sub">{say("share.link")}</p>')
    left, right = st.columns([4.4, 1], vertical_alignment="center", gap="small")
    with left:
        st.code(made, language=None, wrap_lines=True)
    with right:
        st.link_button(say("share.open"), made, help=say("share.open_help"), width="stretch")


def _view() -> None:
    """Presenter view, and the language: as each reader has it, or one for all."""
    more = st.session_state[MORE]
    left, right = st.columns([1, 1.2], vertical_alignment="bottom", gap="medium")
    with left:
        presenting = st.toggle(say("share.present"), more["present"] == carried.YES, key="share_present",
                               help=say("share.present_help"))  # fmt: skip
    with right:
        spoken = st.segmented_control(say("share.language"), ("", *language.NAMES), default=more["lang"],
                                      key="share_lang", format_func=_tongue, required=True,
                                      help=say("share.language_help"))  # fmt: skip
    st.session_state[MORE] = {"lang": spoken or "", "present": carried.YES if presenting else ""}


def _tongue(name: str) -> str:
    return language.NAMES.get(name) or say("share.as_read")


def _controls(known: Sequence[Control]) -> None:
    """Everything free or locked, then each control and panel by itself."""
    rules: Rules = st.session_state[RULES]
    st.session_state[EVERYTHING] = rules.everything
    left, right = st.columns([1, 1.2], vertical_alignment="bottom", gap="medium")
    with left:
        st.segmented_control(say("share.everything"), (FREE, LOCKED), key=EVERYTHING, format_func=_state,
                             required=True, on_change=_all, help=say("share.everything_help"))  # fmt: skip
    typed = ""
    if len(known) > MANY:
        with right:
            typed = str(st.text_input(say("share.find"), key=FIND, placeholder=say("share.find_hint")) or "")
    with st.container(height=LIST_PIXELS, key="share_rows", gap=None):
        _rows(known, typed, rules)


def _rows(known: Sequence[Control], typed: str, rules: Rules) -> None:
    kept = {name for name, _ in share_link.matching([(c.name, f"{_place(c)} {_label(c)}") for c in known], typed)}
    found = [c for c in known if c.name in kept]
    if not found:
        st.caption(say("share.nothing"))
    for place, members in groupby(found, key=_place):
        if place:
            st.html(f'<h3 class="sh-group">{place}</h3>')
        for member in members:
            _row(member, rules)


def _row(found: Control, rules: Rules) -> None:
    key = f"share_{found.name}"
    st.session_state[key] = rules.of(found.name)
    label = say("share.panel", name=_label(found)) if _is_panel(found) else _label(found)
    st.segmented_control(label, STATES, key=key, format_func=_state, required=True, on_change=_one,
                         args=(found.name, key))  # fmt: skip


def _one(name: str, key: str) -> None:
    st.session_state[RULES] = st.session_state[RULES].put(name, st.session_state[key])


def _all() -> None:
    """Another beginning: what was locked or free by itself follows it, what is hidden stays hidden."""
    hidden = {n: s for n, s in st.session_state[RULES].single.items() if s == HIDDEN}
    st.session_state[RULES] = Rules(st.session_state[EVERYTHING], hidden)


def _state(name: str) -> str:
    return say(f"share.{name}")


def _listed() -> list[Control]:
    """The page's controls and those of its panels that have a name in words, panel by panel."""
    found = [c for c in control.drawn() if c.name not in OWN and not {"heading", "person"} & {c.name, *c.groups}]
    named = [c for c in found if _label(c)]
    order = {place: i for i, place in enumerate(dict.fromkeys(_place(c) for c in named))}
    return sorted(named, key=lambda c: (order[_place(c)], not _is_panel(c)))


def _label(found: Control) -> str:
    """What the page calls it; of a panel or a chart what the messages call it, which may be nothing."""
    return found.label or find(f"panel.{share_link.kind_of(found.name)}") or ""


def _place(found: Control) -> str:
    """The words of the panel that a control is in; a panel is in itself."""
    around = (*found.groups, found.name) if _is_panel(found) else found.groups
    return next(filter(None, (find(f"panel.{share_link.kind_of(name)}") for name in around)), "")


def _is_panel(found: Control) -> bool:
    return found.kind == "container"


@functools.lru_cache(maxsize=1)
def _every_name() -> frozenset[str]:
    """Names of controls of any page, as they stand in the pages' sources; only read when a link has a strange one."""
    return frozenset(_names())


def _names() -> Iterator[str]:
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for whole, part in _KEY.findall(path.read_text(encoding="utf-8")):
            yield whole or f"trial_{part}"
