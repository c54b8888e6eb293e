"""Generate: a prompt continued by teacher, dense student and this network side by side, and what each expects next."""

from __future__ import annotations

import random
from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from engine import api_generate
from engine.api_generate import Sampling
from engine.errors import StillhouseError
from engine.home import Home
from engine.units import format_bytes, format_ms, format_share
from pages.parts import charts, control, extras, subject, texts, trial_state
from pages.parts.words import find, line, say

Row = Mapping[str, Any]
DRAW, FIELD_PIXELS = "generate_draw", 130
TOPS = (1, 5, 20, 40, 0)


def panel(home: Home, run: Row, complete: bool) -> None:
    """The prompt on the left, what comes of it beside it. ``complete``: all files of the point are made."""
    left, right = st.columns([1, 3], gap="small")
    with left, control.container(border=True, height="stretch", key="generate_prompt"):
        prompt, tokens, sampling = _asked()
    with right, control.container(border=True, height="stretch", key="generate_texts"):
        st.html(charts.title(say("trial_generate.title"), say("trial_generate.sub")))
        if prompt.strip():
            _texts(home, run, prompt, tokens, sampling, complete)


def _asked() -> tuple[str, int, Sampling]:
    st.html(charts.title(say("trial_generate.prompt"), say("trial_generate.prompt_sub")))
    prompt = control.text_area(say("trial_generate.prompt"), key="generate_text",
                               height=FIELD_PIXELS, max_chars=api_generate.MOST_PROMPT, label_visibility="collapsed",
                               help=say("trial_generate.prompt_help"))  # fmt: skip
    temperature = control.slider(say("trial_generate.temperature"), 0.0, 2.0, step=0.1,
                                 key="generate_temperature", help=say("trial_generate.temperature_help"))  # fmt: skip
    extra = next(e for e in trial_state.small_choices() if e.key == "generate_top")
    extras.settle(trial_state.PAGE, extra, TOPS, extra.knob.default)
    top = control.select_slider(say("trial_generate.top"), TOPS, key="generate_top", format_func=_top,
                                help=say("trial_generate.top_help"))  # fmt: skip
    tokens = control.slider(say("trial_generate.tokens"), 10, api_generate.MOST_TOKENS, step=10,
                            key="generate_tokens", help=say("trial_generate.tokens_help"))  # fmt: skip
    control.button(say("trial_generate.again"), key="generate_again", help=say("trial_generate.again_help"),
                   on_click=_again, width="stretch")  # fmt: skip
    return str(prompt or ""), int(tokens), Sampling(float(temperature), int(top), st.session_state.get(DRAW, 0))


def _top(count: int) -> str:
    return str(count) if count else say("trial_generate.all")


def _again() -> None:
    st.session_state[DRAW] = random.randrange(trial_state.MOST_DRAWS)


def _texts(home: Home, run: Row, prompt: str, tokens: int, sampling: Sampling, complete: bool) -> None:
    try:
        with st.spinner(say("trial_generate.writing")):
            found = samples(str(home.root), run["key"], prompt, tokens, sampling, complete, home)
    except StillhouseError as problem:
        st.error(line(problem))
        return
    if not found["models"]:
        st.info(say("trial_try.nobody"))
        return
    for column, model in zip(st.columns(len(found["models"]), gap="medium"), found["models"], strict=True):
        with column:
            st.html(_model(model, prompt))
    if found["missing"]:
        roles = say("trial_try.join").join(say(f"trial_try.role.{name}") for name in found["missing"])
        st.caption(say("trial_try.missing", roles=roles))
    st.caption(say("trial_generate.times"))


@st.cache_data(max_entries=128, show_spinner=False, ttl=600)
def samples(root: str, key: str, prompt: str, tokens: int, sampling: Sampling, complete: bool,
            _home: Home) -> dict[str, Any]:  # fmt: skip
    """What the networks write; kept, so that a rerun does not ask them again."""
    return dict(api_generate.samples(_home, key, prompt, tokens, sampling))


def _model(model: Row, prompt: str) -> str:
    title = find(f"trial_try.role.{model['role']}") or str(model["name"])
    cost = say("trial_generate.cost", time=format_ms(model["milliseconds"]), size=format_bytes(model["bytes"]))
    shown = {texts.token(token): share for token, share in model["next"]}
    first = next(iter(shown))
    alt = say("trial_generate.next_alt", token=first, share=format_share(shown[first]))
    written = f"<span>{escape(prompt)}</span>{escape(model['text'])}"
    return (
        f'<h3 class="sh-model">{escape(title)}</h3><p class="sh-sub">{escape(cost)}</p>'
        f'<div class="sh-text sh-running sh-written" tabindex="0">{written}</div>'
        f'<p class="sh-sub">{escape(say("trial_generate.next"))}</p>{texts.bars(shown, first, alt)}'
    )


def measures(metrics: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """(term, value, note) of the other measures of a language model, where they are known."""
    found = []
    if "perplexity" in metrics:
        found.append((say("fact.perplexity"), f"{metrics['perplexity']:.1f}", say("fact.perplexity_note")))
    if "next_token_accuracy" in metrics:
        share = format_share(metrics["next_token_accuracy"])
        found.append((say("fact.next_token"), share, say("fact.next_token_note")))
    if "token_ms" in metrics:
        for name in ("prompt", "token"):
            found.append((say(f"fact.{name}"), format_ms(metrics[f"{name}_ms"]), say(f"fact.{name}_note")))
    return found if subject.modality() == "tokens" else []
