"""The list of everything in the catalogue, with a field that searches names, titles and words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from engine import catalogue
from engine.api_methods import Entry
from pages.parts import control, links, methods_state
from pages.parts.extras import LONGEST
from pages.parts.words import say


def panel(known: Sequence[Entry], chosen: Entry) -> None:
    """The search field, then group after group of links; the entry that is shown stands out."""
    hint, told = say("methods_list.hint"), say("methods_list.help")
    typed = str(control.text_input(say("methods_list.search"), key=methods_state.SEARCH.key, placeholder=hint,
                                   help=told) or "")  # fmt: skip
    found = matching(known, typed)
    if not found:
        st.caption(say("methods_list.nothing", typed=typed[:40]))
    with control.container(key="methods_list"):
        for group, members in groupby(found, key=lambda e: e.group):
            st.html(f'<h3 class="sh-group">{say(f"methods_group.{group}")}</h3>')
            for entry in members:
                with control.container(
                    key="methods_chosen" if entry == chosen else f"methods_at_{entry.kind}_{entry.name}"
                ):
                    links.link("methods", {"method": entry.name, "find": typed[:LONGEST]}, short(entry))


def matching(known: Sequence[Entry], typed: str) -> list[Entry]:
    """Entries in which every typed word occurs: in the name, the title, the help, the source or the settings."""
    wanted = typed.lower().split()
    return [e for e in known if all(word in _text(e) for word in wanted)]


def short(entry: Entry) -> str:
    """The title; under the heading of all losses only what tells one way of distilling from another."""
    title = str(entry.row["title"])
    taught = entry.kind == "losses" and entry.row["needs_teacher"]
    inside = re.fullmatch(r"\w+(?: \(|（)(.+)[)）]", title) if taught else None
    return inside.group(1)[:1].upper() + inside.group(1)[1:] if inside else title


def _text(entry: Entry) -> str:
    row, english = entry.row, catalogue.current().row(entry.kind, entry.name)
    said = [str(words.get(field, "")) for words in (row, english) for field in ("title", "help", "expect")]
    names = [entry.name, entry.name.replace("_", " "), *(k["name"] for k in row["knobs"]), entry.group]
    return " ".join([*said, *names, row["source"]]).lower()
