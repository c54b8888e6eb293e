"""The page Trial's figures: cached by what they show, in the page's font, with their alt texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import plotly.graph_objects as go

from engine.figures import coding, confusion, curves, histograms, layers, profile, waterfall
from engine.figures import sensitivity as sense
from pages.parts import charts, control
from pages.parts.remembered import by_language
from pages.parts.words import labels

CONFIG = {**charts.CONFIG, "displayModeBar": False}
Drawn = tuple[go.Figure, str]
Data = Mapping[str, Any]


def show(drawn: Drawn, key: str, on_select: Callable[[], None] | None = None) -> None:
    """Draw a figure with its alt text; a click on a point calls ``on_select``."""
    figure, alt = drawn
    more: dict[str, Any] = {"on_select": on_select, "selection_mode": "points"} if on_select else {}
    control.plotly_chart(figure, key=key, theme=None, config=CONFIG, alt=alt, **more)


@by_language(max_entries=64)
def steps(stamp: str, _phases: Any, metric: str, direction: str, look: str) -> Drawn:
    """What each step cost; ``stamp`` names the inspection."""
    info = waterfall.waterfall_info(_phases, metric, direction, labels=labels())
    return _framed(waterfall.waterfall_figure(info, look, labels=labels())), waterfall.alt_text(info, labels())


@by_language(max_entries=64)
def training(stamp: str, _curve: Any, metric: str, look: str, height: int = 270) -> Drawn:
    """Quality and loss of each epoch."""
    info = curves.curves_info(_curve, metric)
    return _framed(curves.curves_figure(info, look, labels=labels(), height=height)), curves.alt_text(info, labels())


@by_language(max_entries=64)
def by_layer(stamp: str, _layers: Any, look: str) -> Drawn:
    """Bytes, multiply-adds, zeros and bits of each layer."""
    info = layers.layers_info(_layers)
    return _framed(layers.layers_figure(info, look, labels=labels())), layers.alt_text(info, labels())


@by_language(max_entries=64)
def stored(stamp: str, _rows: Any, look: str) -> Drawn:
    """Bits a weight of each layer: as stored and as other measures say."""
    info = coding.coding_info(_rows)
    return _framed(coding.coding_figure(info, look, labels=labels())), coding.alt_text(info, labels())


@by_language(max_entries=32)
def sensitivity(stamp: str, _data: Data, kind: str, look: str) -> Drawn:
    """Quality lost by layer and level of pruning or rounding; ``stamp`` names the dense student."""
    info = sense.sensitivity_info(_data, kind)
    return _framed(sense.sensitivity_figure(info, look, labels=labels())), sense.alt_text(info, labels())


@by_language(max_entries=64)
def by_operator(stamp: str, batch: str, _sides: Any, look: str) -> Drawn:
    """Time of a call by operator, this network's and its dense student's."""
    info = profile.profile_info(_sides)
    return _framed(profile.profile_figure(info, look, labels=labels())), profile.alt_text(info, labels())


@by_language(max_entries=128)
def weights(stamp: str, layer: str, _counts: Data, before: str, look: str) -> Drawn:
    """Weights of one layer before and after; ``before`` names the network that they are compared with."""
    words = labels(weights_before=before)
    info = histograms.histogram_info(layer, _counts)
    return _framed(histograms.histogram_figure(info, look, labels=words)), histograms.alt_histogram(info, words)


@by_language(max_entries=64)
def filters(stamp: str, _filters: Data, before: str, look: str) -> Drawn:
    """The first convolution's filters before and after."""
    info = histograms.filters_info(_filters)
    drawn = histograms.filters_figure(info, look, labels=labels(filters_before=before))
    return _framed(drawn), histograms.alt_filters(info, labels())


@by_language(max_entries=128)
def mixed_up(stamp: str, _found: Data, mode: confusion.Mode, cell: tuple[int, int] | None, look: str) -> Drawn:
    """The confusion matrix, or its change against the dense student."""
    info = confusion.confusion_info(_found["labels"], _found["matrix" if mode == "answers" else "change"], mode)
    drawn = confusion.confusion_figure(info, look, labels=labels(), selected=cell)
    return _framed(drawn), confusion.alt_text(info, labels())


def _framed(drawn: dict[str, Any]) -> go.Figure:
    """Validated once, so that each rerun only copies it; text in the font that the page already has."""
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    drawn["layout"]["margin"] = {**drawn["layout"]["margin"], "l": 8, "r": 12, "b": 40}
    return go.Figure(drawn)
