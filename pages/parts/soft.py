"""The teacher's soft targets of one example: an image, a text or a line beside bars that follow the temperature."""

from __future__ import annotations

import dataclasses
import math
from html import escape
from typing import Any

import streamlit as st

from engine import figures
from engine.errors import StillhouseError
from engine.figures.soft_targets import SoftTargets, soft_targets
from engine.preview import AnyPreview, Line, LinePreview, Preview, TextPreview, preview
from engine.units import format_share
from pages.parts import catalogue_words, charts, control, state, story, texts
from pages.parts.choices import Form
from pages.parts.words import labels, line, say

SCALE = 6
CONFIDENT, FLAT = 0.1, 0.93  # shares of the largest possible entropy
MOST_BARS, NEXT_TOKENS = 10, 6


def panel(form: Form) -> None:
    """Draw the example and the teacher's answer at the chosen temperature."""
    temperature = float(form.get("temperature") or 1.0)
    st.html(charts.title(say("soft.title"), say("soft.sub", temperature=f"{temperature:g}")))
    try:
        seen = preview(form.get("task"))
    except StillhouseError as problem:  # texts that have to be fetched first, a teacher that is not shipped
        st.caption(line(problem))
        return
    if not isinstance(seen, LinePreview):
        seen = dataclasses.replace(seen, class_names=catalogue_words.class_names(form.get("task"), seen.class_names))
    place = int(form.get("image")) % count_of(seen)
    if isinstance(seen, LinePreview):
        _line(seen.lines[place], seen.vocabulary, temperature)
        _walk(place, len(seen.lines))
    elif isinstance(seen, TextPreview):
        _text(seen, place, temperature)
    else:
        _image(seen, place, temperature)


def count_of(seen: AnyPreview) -> int:
    """How many examples there are to walk through."""
    return len(seen.lines) if isinstance(seen, LinePreview) else len(seen.labels)


def _image(seen: Preview, place: int, temperature: float) -> None:
    info = _info(seen.teacher_logits[place].tolist(), temperature, seen, place)
    picture, bars = st.columns([1, 2.6], gap="medium")
    name = seen.class_names[int(seen.labels[place])]
    with picture:
        st.image(_enlarged(seen, place), width="stretch", alt=say("soft.image_alt", name=name))
        st.caption(say("soft.position", name=name, position=place + 1, total=len(seen.labels)))
        _walk(place, len(seen.labels))
    with bars:
        st.html(_bars(info))
    st.html(f'<p class="sh-sub">{story.html(_comment(info))}</p>')


def _text(seen: TextPreview, place: int, temperature: float) -> None:
    name = seen.class_names[int(seen.labels[place])]
    st.html(texts.box(seen.texts[place], say("soft.image_alt", name=name)))
    if seen.teacher_logits is None:
        st.caption(say("soft.no_answers"))
    else:
        info = _info(seen.teacher_logits[place].tolist(), temperature, seen, place)
        st.html(f'{_bars(info)}<p class="sh-sub">{story.html(_comment(info))}</p>')
    st.caption(say("soft.position", name=name, position=place + 1, total=len(seen.labels)))
    _walk(place, len(seen.labels))


def _line(line: Line, vocabulary: tuple[str, ...], temperature: float) -> None:
    """The line, and for each of its marked places what the teacher expects next."""
    st.html(texts.line(line.tokens, line.places))
    for number, (column, place) in enumerate(zip(st.columns(len(line.places)), line.places, strict=True), 1):
        shares = soft_targets(line.logits[number - 1].tolist(), temperature)
        best = sorted(range(len(shares)), key=lambda i: -shares[i])[:NEXT_TOKENS]
        told = {texts.token(vocabulary[i]): shares[i] for i in best}
        comes = texts.token(line.tokens[place + 1]) if place + 1 < len(line.tokens) else ""
        alt = say("soft.next_alt", number=number, token=next(iter(told)), share=format_share(shares[best[0]]))
        with column:
            st.html(f'<p class="sh-sub">{escape(say("soft.after", number=number))}</p>{texts.bars(told, comes, alt)}')
    st.html(f'<p class="sh-sub">{escape(say("soft.next_note"))}</p>')


def _walk(place: int, total: int) -> None:
    """Two buttons that walk through the examples."""
    with st.container(horizontal=True, gap="small"):
        for name, step in (("previous", -1), ("next", 1)):
            control.button(
                say(f"soft.{name}_mark"),
                key=f"image_{name}",
                help=say(f"soft.{name}"),
                on_click=state.choose,
                args=({"image": (place + step) % total},),
            )


def _info(logits: list[float], temperature: float, seen: Preview | TextPreview, place: int) -> SoftTargets:
    return figures.soft_targets_info(logits, temperature, seen.class_names, int(seen.labels[place]))


def _enlarged(seen: Preview, place: int) -> Any:
    """Whole pixels, so that the picture is not blurred."""
    return seen.images[place].repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _bars(info: SoftTargets) -> str:
    """Bars as HTML: they change in place, and a screen reader reads them as the table that they are."""
    rows, few = [], sorted(range(len(info.names)), key=lambda i: (i != info.label, -info.shares[i]))[:MOST_BARS]
    for i in sorted(few):
        name, share = info.names[i], info.shares[i]
        shown = say("soft.labelled", name=name) if i == info.label else name
        strong = ' class="sh-true"' if i == info.label else ""
        width = f"width:{100 * share:.2f}%"
        rows.append(
            f"<span{strong}>{escape(shown)}</span><i><b style='{width}'></b></i><span>{format_share(share)}</span>"
        )
    alt = escape(figures.alt_soft_targets(info, labels()))
    return f'<div class="sh-bars" role="img" aria-label="{alt}">{"".join(rows)}</div>'


def _comment(info: SoftTargets) -> str:
    name, spread = info.names[info.top], info.entropy / math.log2(len(info.names))
    level = "low" if spread < CONFIDENT else "high" if spread > FLAT else "middle"
    return say("soft.confident", share=format_share(info.shares[info.top]), name=name, comment=say(f"soft.{level}"))
