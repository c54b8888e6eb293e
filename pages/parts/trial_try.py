"""Try an example: a validation image or text, or your own, answered by teacher, dense student and this network."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from engine import api_images, api_trial
from engine.errors import StillhouseError
from engine.home import Home
from engine.modalities import TEXT
from engine.units import format_bytes, format_ms
from pages.parts import catalogue_words, charts, control, subject, trial_html, trial_state, trial_typed
from pages.parts.trial_state import Asked
from pages.parts.words import find, line, say

Row = Mapping[str, Any]
Pixels = npt.NDArray[np.uint8]
Example = npt.NDArray[Any]  # an image's pixels, or a text's ids
KINDS = ["png", "jpg", "jpeg"]
MOST_MEGABYTES = 5


def panel(home: Home, run: Row, asked: Asked, complete: bool) -> None:
    """The example on the left, the answers beside it. ``complete``: the point is inspected, so all files are made."""
    is_text = subject.modality() == TEXT
    left, right = st.columns([1, 1.6] if is_text else [1, 3.2], gap="small")
    with left, control.container(border=True, height="stretch", key="trial_picture"):
        choose = trial_typed.chosen if is_text else _chosen
        pixels, label = choose(run["recipe"]["task"], asked)
    with right, control.container(border=True, height="stretch", key="trial_answers"):
        st.html(charts.title(say("trial_try.title"), say("trial_try.sub")))
        if pixels is not None:
            _answers(home, run, pixels, label, complete, None if label is None else asked.image)


def _chosen(task: str, asked: Asked) -> tuple[Pixels | None, int | None]:
    """The uploaded image, else the validation image of the address with its label."""
    st.html(charts.title(say("trial_try.image"), say("trial_try.image_sub")))
    sent = control.file_uploader(say("trial_try.upload"), KINDS, key="trial_upload", help=say("trial_try.upload_help"),
                                 max_upload_size=MOST_MEGABYTES)  # fmt: skip
    if sent is not None:
        return _uploaded(sent.getvalue()), None
    labels = api_images.validation(task).labels
    place, count = asked.image, len(labels)
    if place >= count:
        st.warning(say("trial_try.no_image", value=place, most=count - 1))
        place = 0
        st.session_state[trial_state.widget("image")] = place
    pixels = api_trial.images(task, [place])[0]
    st.html(trial_html.image(pixels, say("trial_try.alt", number=place)))
    control.number_input(
        say("trial_try.number"), 0, count - 1, key=trial_state.widget("image"), args=("image",),
        on_change=trial_state.changed, help=say("trial_try.number_help", most=count - 1),
    )  # fmt: skip
    control.button(say("trial_try.another"), key="trial_another", help=say("trial_try.another_help"), on_click=_another,
                   args=(count,), width="stretch")  # fmt: skip
    return pixels, int(labels[place])


def _uploaded(content: bytes) -> Pixels | None:
    try:
        made = api_trial.prepare_image(content)
    except StillhouseError as problem:
        st.error(line(problem))
        return None
    st.html(trial_html.image(made.pixels, say("trial_try.own_alt")))
    done = say("trial_try.join").join(say(f"trial_try.done.{step}") for step in made.done)
    st.caption(say("trial_try.own", done=done) if done else say("trial_try.own_plain"))
    return made.pixels


def _another(count: int) -> None:
    trial_state.choose({"image": random.randrange(count)})


def _answers(home: Home, run: Row, pixels: Example, label: int | None, complete: bool, index: int | None) -> None:
    with st.spinner(say("trial_try.asking")):
        found = answers(str(home.root), run["key"], pixels.tobytes(), pixels.shape, complete, home, pixels.dtype.name,
                        index)  # fmt: skip
    models, classes = found["models"], catalogue_words.class_names(run["recipe"]["task"], found["classes"])
    if not models:
        st.info(say("trial_try.nobody"))
        return
    for column, model in zip(st.columns(len(models), gap="medium"), models, strict=True):
        with column:
            st.html(_model(model, classes, label))
    if found["missing"]:
        roles = say("trial_try.join").join(say(f"trial_try.role.{name}") for name in found["missing"])
        gone = complete and found["missing"] == ["teacher"]  # one that builds on weights which were not fetched
        st.caption(say("trial_try.absent" if gone else "trial_try.missing", roles=roles))
    st.caption(say("trial_try.times"))


@st.cache_data(max_entries=256, show_spinner=False, ttl=600)
def answers(root: str, key: str, content: bytes, shape: tuple[int, ...], complete: bool, _home: Home,
            kind: str = "uint8", index: int | None = None) -> dict[str, Any]:  # fmt: skip
    """What the networks answer to one example; kept, so that a rerun does not time them again."""
    more = (index,) if complete and index is not None else ()  # until then the teacher's own file may still come
    return dict(api_trial.answers(_home, key, np.frombuffer(content, kind).reshape(shape), *more))


def _model(model: Row, classes: Sequence[str], label: int | None) -> str:
    title = find(f"trial_try.role.{model['role']}") or str(model["name"])
    if model["bytes"] is None:
        cost = say("trial_try.kept")
    else:
        cost = say("trial_try.cost", time=format_ms(model["milliseconds"]), size=format_bytes(model["bytes"]))
    top = max(range(len(classes)), key=lambda i: model["probabilities"][i])
    verdict = ""
    if label is not None:
        verdict = say("trial_try.right" if top == label else "trial_try.wrong", answer=classes[top])
    else:
        verdict = say("trial_try.says", answer=classes[top])
    return (
        f'<h3 class="sh-model">{escape(title)}</h3><p class="sh-sub">{escape(cost)}</p>'
        f'<p class="sh-verdict">{escape(verdict)}</p>{trial_html.bars(model["probabilities"], classes, label)}'
    )
