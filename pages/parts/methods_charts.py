"""The page Methods' figures: cached by what they show, in the page's font, with their alt texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.api_methods import Pictures
from engine.figures import histograms, lessons, matrices
from engine.figures import norms as norm_panes
from pages.parts import catalogue_words, charts, control
from pages.parts.drawing import Drawn
from pages.parts.remembered import by_language
from pages.parts.words import labels, say

TASK = "fashion_mnist"  # of sample_data.pictures
CONFIG = {**charts.CONFIG, "displayModeBar": False}
Facts = Mapping[str, Any]
Arrays = Mapping[str, npt.NDArray[Any]]
Shown = tuple[Drawn, str]


def show(drawn: Shown, key: str) -> None:
    """Draw a figure with its alt text."""
    figure, alt = drawn
    control.plotly_chart(figure, key=key, theme=None, config=CONFIG, alt=alt)


@by_language(max_entries=64)
def matrices_of(name: str, _kept: Pictures, _facts: Facts, look: str) -> Shown:
    """The layer's weights before and after."""
    before = _kept.arrays.get(f"stages/{name}/before", _kept.arrays["before"])
    info = matrices.matrices_info(before, _kept.arrays[f"stages/{name}/after"], _facts["kept"])
    return _framed(matrices.matrices_figure(info, look, labels=labels())), matrices.alt_matrices(info, labels())


@by_language(max_entries=64)
def weights(name: str, layer: str, _facts: Facts, look: str) -> Shown:
    """How many weights have which value, before and after."""
    before, after = _facts["counts"]
    edges = np.linspace(-_facts["reach"], _facts["reach"], len(before) + 1).tolist()
    return _histogram(layer, {"edges": edges, "before": before, "after": after}, {}, look)


@by_language(max_entries=64)
def inputs(name: str, _arrays: Arrays, look: str) -> Shown:
    """How often which value enters the layer, before and after."""
    before, after = (row.tolist() for row in _arrays["inputs"])
    edges = np.linspace(*_arrays["input_range"].astype(float), len(before) + 1).tolist()
    words = {"weights_value": say("methods_picture.input_axis"), "weights_count": say("methods_picture.input_count")}
    return _histogram(say("methods_picture.entering"), {"edges": edges, "before": before, "after": after}, words, look)


@by_language(max_entries=64)
def norms(name: str, _arrays: Arrays, look: str) -> Shown:
    """Means and variances, before and after."""
    info = norm_panes.norms_info(_arrays["mean"].tolist(), _arrays["variance"].tolist())
    return _framed(norm_panes.norms_figure(info, look, labels=labels())), norm_panes.alt_norms(info, labels())


@by_language(max_entries=128)
def lesson(name: str, _kept: Pictures, place: int, row: int, look: str) -> Shown:
    """What a loss says about one image at one setting."""
    index, push = _kept.index, _kept.arrays[f"losses/{name}/push"][row, place].astype(float).tolist()
    student, teacher = (_kept.arrays[side][place].tolist() for side in ("student", "teacher"))
    info = lessons.lesson_info(_classes(_kept), student, push, index["labels"][place], teacher)
    return _framed(lessons.lesson_figure(info, look, labels=labels())), lessons.alt_lesson(info, labels())


@by_language(max_entries=64)
def alike(name: str, _kept: Pictures, look: str) -> Shown:
    """Tables of cosines of the ten images inside both networks."""
    pair = [_kept.arrays[f"losses/{name}/alike_{side}"] for side in ("teacher", "student")]
    names = [_classes(_kept)[i] for i in _kept.index["labels"]]
    return _framed(matrices.alike_figure(pair, names, look, labels=labels())), matrices.alt_alike(pair, labels())


def _classes(kept: Pictures) -> tuple[str, ...]:
    """The classes of the task that all pictures show."""
    return catalogue_words.class_names(TASK, kept.index["classes"])


def _histogram(layer: str, counts: Facts, words: Mapping[str, str], look: str) -> Shown:
    own = {"weights_before": say("methods_picture.was"), "weights_after": say("methods_picture.now"), **words}
    said = labels(**own)
    info = histograms.histogram_info(layer, counts)
    drawn = histograms.histogram_figure(info, look, labels=said, height=210)
    return _framed(drawn), histograms.alt_histogram(info, said)


def _framed(drawn: dict[str, Any]) -> Drawn:
    """Text in the font that the page already has."""
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    if drawn["layout"]["margin"]["l"] > 8:
        drawn["layout"]["margin"] = {**drawn["layout"]["margin"], "l": 8, "r": 12, "b": 40}
    return Drawn(drawn)
