"""The teacher's soft targets of one image: the picture beside bars that follow the temperature at once."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import streamlit as st

from engine import figures
from engine.preview import Preview, preview
from engine.units import format_share
from pages.parts import charts, state, story
from pages.parts.choices import Form
from pages.parts.words import say

SCALE = 6
CONFIDENT, FLAT = 0.1, 0.93  # shares of the largest possible entropy


def panel(form: Form) -> None:
    """Draw the image and the teacher's answer at the chosen temperature."""
    seen = preview(form.get("task"))
    place = int(form.get("image")) % len(seen.labels)
    temperature = float(form.get("temperature") or 1.0)
    info = figures.soft_targets_info(
        seen.teacher_logits[place].tolist(), temperature, seen.class_names, int(seen.labels[place])
    )
    st.html(charts.title(say("soft.title"), say("soft.sub", temperature=f"{temperature:g}")))
    picture, bars = st.columns([1, 2.6], gap="medium")
    with picture:
        _picture(seen, place)
    with bars:
        st.html(_bars(info))
    name = info.names[info.top]
    st.html(f'<p class="sh-sub">{story.html(_comment(info, name))}</p>')


def _picture(seen: Preview, place: int) -> None:
    """The image, larger, and two buttons that walk through the others."""
    name = seen.class_names[int(seen.labels[place])]
    st.image(_enlarged(seen, place), width="stretch", alt=say("soft.image_alt", name=name))
    st.caption(say("soft.position", name=name, position=place + 1, total=len(seen.labels)))
    total = len(seen.labels)
    with st.container(horizontal=True, gap="small"):
        st.button(
            say("soft.previous_mark"),
            key="image_previous",
            help=say("soft.previous"),
            on_click=state.choose,
            args=({"image": (place - 1) % total},),
        )
        st.button(
            say("soft.next_mark"),
            key="image_next",
            help=say("soft.next"),
            on_click=state.choose,
            args=({"image": (place + 1) % total},),
        )


def _enlarged(seen: Preview, place: int) -> Any:
    """Whole pixels, so that the picture is not blurred."""
    return seen.images[place].repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _bars(info: Any) -> str:
    """Bars as HTML: they change in place, and a screen reader reads them as the table that they are."""
    rows = []
    for i, (name, share) in enumerate(zip(info.names, info.shares, strict=True)):
        mark = f" ({say('soft.label')})" if i == info.label else ""
        strong = ' class="sh-true"' if i == info.label else ""
        width = f"width:{100 * share:.2f}%"
        rows.append(
            f"<span{strong}>{escape(name)}{mark}</span><i><b style='{width}'></b></i><span>{format_share(share)}</span>"
        )
    return (
        f'<div class="sh-bars" role="img" aria-label="{escape(figures.alt_soft_targets(info))}">{"".join(rows)}</div>'
    )


def _comment(info: Any, name: str) -> str:
    spread = info.entropy / math.log2(len(info.names))
    level = "low" if spread < CONFIDENT else "high" if spread > FLAT else "middle"
    return say("soft.confident", share=format_share(info.shares[info.top]), name=name, comment=say(f"soft.{level}"))
