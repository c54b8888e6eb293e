"""Mistakes: which classes are mixed up, what compression changed in that, and images that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from engine import api_texts, api_trial
from engine.figures.confusion import Mode, cell_of
from engine.home import Home
from engine.modalities import TEXT
from engine.units import format_share
from pages.parts import catalogue_words, charts, control, subject, trial_charts, trial_html, trial_state
from pages.parts.trial_state import SHOWN, Asked
from pages.parts.words import say

Row = Mapping[str, Any]
PAGE = 12  # whole rows on small and on large windows


def panel(home: Home, view: Row, asked: Asked, look: str) -> None:
    """The matrix beside the classes; below them images, those of the chosen cell where one is chosen."""
    found = view["confusion"]
    if found is None:
        st.info(say("trial_mistakes.none"))
        return
    names = catalogue_words.class_names(view["run"]["recipe"]["task"], found["labels"])
    found = {**found, "labels": names}
    left, right = st.columns([1.35, 1], gap="small")
    with left, control.container(border=True, height="stretch", key="trial_confusion"):
        _matrix(view["run"]["key"], found, asked, look)
    with right, control.container(border=True, height="stretch", key="trial_classes"):
        st.html(charts.title(say("trial_mistakes.classes"), say("trial_mistakes.classes_sub")))
        st.html(_classes([{**r, "name": n} for r, n in zip(view["per_class"], names, strict=True)]))
    with control.container(border=True, key="trial_images"):
        _images(home, view, asked, names)


def _matrix(key: str, found: Row, asked: Asked, look: str) -> None:
    mode: Mode = "change" if asked.shown == "change" and found["change"] else "answers"
    title, pick = st.columns([1.4, 1], vertical_alignment="center")
    sub = say(f"trial_mistakes.{mode}_sub", count=f"{found['count']:,}")
    title.html(charts.title(say("trial_mistakes.title"), sub))
    if found["change"]:
        with pick:
            control.segmented_control(
                say("trial_mistakes.shown"), SHOWN, key=trial_state.widget("shown"), label_visibility="collapsed",
                format_func=lambda n: say(f"trial_mistakes.shown_{n}"), help=say("trial_mistakes.shown_help"),
                on_change=trial_state.changed, args=("shown",), required=True,
            )  # fmt: skip
    elif asked.shown == "change":
        st.warning(say("trial_mistakes.no_dense"))
    cell = None if asked.label is None or asked.answer is None else (asked.label, asked.answer)
    trial_charts.show(trial_charts.mixed_up(f"{key}:{found['count']}", found, mode, cell, look), "chart_mixed",
                      _cell_clicked)  # fmt: skip


def _cell_clicked() -> None:
    cell = cell_of(st.session_state.get("chart_mixed"))
    if cell:
        trial_state.choose({"label": cell[0], "answer": cell[1]})


def _classes(rows: Sequence[Row]) -> str:
    """Share of right answers by class, a mark where the dense student is."""
    lines = []
    for row in rows:
        share = row["share"] or 0.0
        dense = row.get("dense_share")
        mark = "" if dense is None else f"<u style='left:{100 * dense:.2f}%'></u>"
        ends = say("fact.range", low=format_share(row["low"]), high=format_share(row["high"]))
        lines.append(
            f"<span>{escape(row['name'])}</span><i title='{escape(ends)}'><b style='width:{100 * share:.2f}%'></b>"
            f"{mark}</i><span>{format_share(share)}</span><small>{_against(share, dense)}</small>"
        )
    note = say("trial_mistakes.classes_key") if any(r.get("dense_share") is not None for r in rows) else ""
    worst = min(rows, key=lambda r: r["share"] or 0.0)
    alt = say("trial_mistakes.classes_alt", name=worst["name"], share=format_share(worst["share"] or 0.0))
    return (
        f'<div class="sh-bars sh-classes" role="img" aria-label="{escape(alt)}">{"".join(lines)}</div>'
        f'<p class="sh-sub">{escape(note)}</p>'
    )


def _against(share: float, dense: float | None) -> str:
    if dense is None:
        return ""
    sign = "+" if share >= dense else "−"
    return say("trial_mistakes.against", points=f"{sign}{100 * abs(share - dense):.1f}")


def _images(home: Home, view: Row, asked: Asked, names: Sequence[str]) -> None:
    count = len(names)
    label, answer = (v if v is not None and v < count else None for v in (asked.label, asked.answer))
    if (label, answer) != (asked.label, asked.answer):
        st.warning(say("trial_mistakes.no_class", most=count - 1))
    run = view["run"]
    plain = label is None and answer is None
    found = api_trial.examples(home, run["key"], label, answer, teacher_right=plain, wrong=plain or label != answer,
                               start=asked.start, count=PAGE)  # fmt: skip
    title, one, other = st.columns([2.2, 1, 1], vertical_alignment="bottom")
    told = _told(found["total"], label, answer, names)
    title.html(charts.title(say("trial_mistakes.images"), told))
    for column, name in ((one, "label"), (other, "answer")):
        with column:
            control.selectbox(
                say(f"trial_mistakes.pick_{name}"), [trial_state.ANY, *range(count)], key=trial_state.widget(name),
                format_func=lambda n: say("trial_mistakes.any") if n == trial_state.ANY else names[n],
                help=say(f"trial_mistakes.pick_{name}_help"), on_change=trial_state.changed, args=(name,),
            )  # fmt: skip
    rows = found["rows"]
    if not rows:
        st.caption(say("trial_mistakes.nothing" if found["total"] == 0 else "trial_mistakes.beyond"))
        return
    shown = _examples(run["recipe"]["task"], [r["index"] for r in rows])
    st.html(_key(rows))
    cards = "".join(trial_html.card(row, example, names) for row, example in zip(rows, shown, strict=True))
    st.html(f'<div class="sh-cards{" sh-texts" if subject.modality() == TEXT else ""}">{cards}</div>')
    _pager(asked.start, len(rows), found["total"])


def _examples(task: str, indexes: list[int]) -> Sequence[trial_html.Shown]:
    return api_texts.texts(task, indexes) if subject.modality() == TEXT else list(api_trial.images(task, indexes))


def _told(total: int, label: int | None, answer: int | None, names: Sequence[str]) -> str:
    anyone = say("trial_mistakes.any")
    if label is None and answer is None:
        return say("trial_mistakes.images_sub", count=f"{total:,}")
    chosen = {"label": anyone if label is None else names[label], "answer": anyone if answer is None else names[answer]}
    return say("trial_mistakes.images_cell", count=f"{total:,}", **chosen)


def _key(rows: Sequence[Row]) -> str:
    sides = [n for n in trial_html.SIDES if rows[0].get(n)]
    items = "".join(f'<span><i class="sh-{n}"></i>{escape(say(f"trial_mistakes.{n}"))}</span>' for n in sides)
    return f'<p class="sh-key">{items}</p>'


def _pager(start: int, shown: int, total: int) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        control.button(say("trial_mistakes.previous"), key="mistakes_previous", disabled=start == 0,
                       help=say("trial_mistakes.previous_help"), on_click=trial_state.choose,
                       args=({"start": max(0, start - PAGE)},))  # fmt: skip
        control.button(say("trial_mistakes.next"), key="mistakes_next", disabled=start + shown >= total,
                       help=say("trial_mistakes.next_help"), on_click=trial_state.choose,
                       args=({"start": start + PAGE},))  # fmt: skip
        st.caption(say("trial_mistakes.position", first=start + 1, last=start + shown, total=f"{total:,}"))
