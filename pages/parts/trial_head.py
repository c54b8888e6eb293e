"""The top of the page Trial: what the point is, what happened in a sentence, its numbers, and where to go from here."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from engine.home import Home
from engine.units import format_share
from pages.parts import catalogue_words, choices, control, details, links, story, trial_generate, trial_html, trial_pick
from pages.parts.words import say

Row = Mapping[str, Any]
BESIDE = ("dense", "baseline", "teacher")


def panel(home: Home, run: Row, row: Row) -> None:
    """Sentence, numbers, companions."""
    with control.container(border=True, key="trial_head"):
        made = say("fact.made", origin=say(f"origin.{run['origin']}"), machine=row.get("machine") or "",
                   when=details.when(row["created"]))  # fmt: skip
        st.html(f'<h2 class="sh-title">{escape(trial_pick.words_of(row))}</h2><p class="sh-sub">{escape(made)}</p>')
        said = story.sentence(run, str(row["role"]), details.paired(home, run))
        st.html(f'<p class="sh-story">{story.html(said)}</p>')
        if run.get("preview"):
            st.info(say("trial_head.preview"))
        st.html(trial_html.facts([*story.numbers(row), *trial_generate.measures(run.get("metrics") or {})]))
        if said := left_out(run):
            st.markdown(said, help=say("trial_head.left_out_help"))
        _ways(run, row)


def left_out(run: Row) -> str | None:
    """How a class is recognised that the student never saw, in words; None where it saw all."""
    name, found = run["recipe"].get("without"), run.get("metrics") or {}
    if name is None or "left_out_recall" not in found:
        return None
    shares = {n: format_share(found[f"left_out_{n}"]) for n in ("recall", "recall_raised", "accuracy")}
    name = catalogue_words.class_name(run["recipe"]["task"], name)
    return say("trial_head.left_out", name=name, bias=f"{found['left_out_bias']:.1f}", **shares)


def _ways(run: Row, row: Row) -> None:
    """Links to the page Explore with these settings, and to the points that this one is compared with."""
    with control.container(horizontal=True, gap="medium", vertical_alignment="center", key="trial_ways"):
        links.link("explore", _explore(run), say("trial_head.explore"), say("trial_head.explore_help"))
        for name in BESIDE:
            other = run.get(name)
            if other and other.get("key") and other["key"] != run["key"]:
                at = {"key": other["key"][: links.SHOWN_KEY]}
                links.link("trial", at, say(f"trial_head.{name}"), say(f"trial_head.{name}_help"))
        st.caption(say("trial_head.key", short=run["key"][: links.SHOWN_KEY]))


def _explore(run: Row) -> dict[str, str]:
    """Explore's address with this point in focus, and with its settings where the controls can show them."""
    point = {"point": run["key"][: links.SHOWN_KEY]}
    if not details.expressible(run["recipe"]):
        return point
    return {**choices.to_url(choices.read(choices.values_of(run["recipe"]))), **point}
