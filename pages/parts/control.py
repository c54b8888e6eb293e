"""Every widget of every page is drawn here, under Streamlit's own names, so that a link can lock or hide it.

``?lock=temperature.bits`` draws those two disabled, ``?hide=what_if`` makes a whole panel invisible: names are keys of
widgets and of containers. What is hidden is drawn all the same, disabled and invisible, so that a page's state does not
depend on it. ``?lock=all.-run`` locks everything but Run.

What a run draws is remembered with its label, for the dialog that makes such links.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.delta_generator_singletons import context_dg_stack

from pages.parts import carried, drawing

CONTROLS, GROUPS = "_controls", "_groups"
FREE = ("heading",)  # language, name, the dialog of links: no "all" reaches them
_Draw = TypeVar("_Draw", bound=Callable[..., Any])
_Path = tuple[int, ...]


@dataclass(frozen=True)
class Control:
    """A widget or panel that was drawn: its name, what it is called, and the panels around it, the outermost first."""

    name: str
    label: str
    kind: str
    groups: tuple[str, ...] = ()


def begin() -> None:
    """A page is about to be drawn: forget what the last run drew."""
    st.session_state[CONTROLS], st.session_state[GROUPS] = {}, {}


def drawn() -> list[Control]:
    """What this run has drawn so far, each once, in the order of the page."""
    return list(st.session_state.get(CONTROLS, {}).values())


def locked(name: str) -> bool:
    """Whether a control may not be changed, being locked or hidden; of one that the last run drew, its panels count."""
    found = st.session_state.get(CONTROLS, {}).get(name)
    return _closed(name, found.groups if found else ())


def covers(listed: frozenset[str], name: str, groups: tuple[str, ...] = ()) -> bool:
    """Whether a list of names reaches a control: by its own name, by a panel's, or by "all"; exceptions come first."""
    around = (name, *groups)
    if any(carried.NOT + one in listed for one in around):
        return False
    return any(one in listed for one in around) or (carried.ALL in listed and not set(around) & set(FREE))


def closed_here() -> bool:
    """Whether a panel around what is drawn next is locked or hidden."""
    found = _around()
    return bool(found) and _closed(found[-1], found[:-1])


def container(*, key: str, **more: Any) -> DeltaGenerator:
    """A panel: its key locks or hides everything inside."""
    return _panel(st.container(key=key, **more), key)


def _controlled(draw: _Draw) -> _Draw:
    """A widget of Streamlit that looks whether the address lets it be changed."""
    kind, able = draw.__name__, "disabled" in inspect.signature(draw).parameters

    @functools.wraps(draw)
    def controlled(*args: Any, **kwargs: Any) -> Any:
        name, label = str(kwargs["key"]), str(args[0] if args else kwargs.get("label", ""))
        groups = _around()
        # a button that shows a mark instead of a word says in its help what it does
        said = label if any(c.isalpha() for c in label) else str(kwargs.get("help") or label)
        _remember(Control(name, said, kind, groups))
        if able and _closed(name, groups):
            kwargs["disabled"] = True
        found = draw(*args, **kwargs)
        return _panel(found, name) if isinstance(found, DeltaGenerator) and kind in PANELS else found

    return cast(_Draw, controlled)


def _shown(draw: _Draw) -> _Draw:
    """A chart or table: it can be hidden, and a locked one takes no clicks."""
    kind = draw.__name__

    @functools.wraps(draw)
    def controlled(*args: Any, **kwargs: Any) -> Any:
        name, groups = str(kwargs["key"]), _around()
        _remember(Control(name, "", kind, groups))  # its alt text says what it shows, not what it is called
        if kind == "plotly_chart" and carried.presenting():
            args = (drawing.larger(args[0], carried.LARGER), *args[1:])
        if kwargs.get("on_select", "ignore") == "ignore" or not _closed(name, groups):
            return draw(*args, **kwargs)
        draw(*args, **{**kwargs, "on_select": "ignore"})
        return {}

    return cast(_Draw, controlled)


def _closed(name: str, groups: tuple[str, ...]) -> bool:
    return any(covers(carried.names(which), name, groups) for which in carried.LISTS)


def _remember(found: Control) -> None:
    st.session_state.setdefault(CONTROLS, {})[found.name] = found


def _panel(made: DeltaGenerator, name: str) -> DeltaGenerator:
    """Remember where a panel is, so that what is drawn inside, by a fragment too, knows that it is."""
    place = _path(made)
    known: dict[_Path, str] = st.session_state.setdefault(GROUPS, {})
    for old in [p for p in known if p[: len(place)] == place]:
        del known[old]
    if name not in st.session_state.get(CONTROLS, {}):  # a popover has been remembered with its label
        _remember(Control(name, "", "container", _around()))
    known[place] = name
    return made


def _around() -> tuple[str, ...]:
    """The panels around what is drawn next."""
    known: dict[_Path, str] = st.session_state.get(GROUPS, {})
    place = _path(context_dg_stack.get()[-1])
    found = (known.get(place[:length]) for length in range(1, len(place) + 1))
    return tuple(name for name in found if name)


def _path(block: DeltaGenerator) -> _Path:
    return tuple(block._block_delta_path)


PANELS = ("popover", "expander")
button = _controlled(st.button)
checkbox = _controlled(st.checkbox)
download_button = _controlled(st.download_button)
expander = _controlled(st.expander)
file_uploader = _controlled(st.file_uploader)
link_button = _controlled(st.link_button)
multiselect = _controlled(st.multiselect)
number_input = _controlled(st.number_input)
pagination = _controlled(st.pagination)
pills = _controlled(st.pills)
popover = _controlled(st.popover)
radio = _controlled(st.radio)
segmented_control = _controlled(st.segmented_control)
select_slider = _controlled(st.select_slider)
selectbox = _controlled(st.selectbox)
slider = _controlled(st.slider)
text_area = _controlled(st.text_area)
text_input = _controlled(st.text_input)
toggle = _controlled(st.toggle)
dataframe = _shown(st.dataframe)
plotly_chart = _shown(st.plotly_chart)
