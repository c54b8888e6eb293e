"""Inside: every layer by bytes, multiply-adds, zeros and bits; its weights before and after; the first filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.modalities import IMAGE
from engine.units import format_bytes
from pages.parts import (
    charts,
    control,
    frame,
    subject,
    trial_attention,
    trial_bytes,
    trial_charts,
    trial_html,
    trial_state,
)
from pages.parts.trial_state import Asked
from pages.parts.words import say

Row = Mapping[str, Any]


def panel(key: str, inside: Row | None, asked: Asked, look: str) -> None:
    """What was read from the file of this point; nothing before it has been inspected."""
    if inside is None:
        st.caption(say("trial_layers.waiting"))
        return
    with control.container(border=True, key="trial_layers"):
        st.html(charts.title(say("trial_layers.title"), _sub(inside)))
        trial_charts.show(trial_charts.by_layer(key, inside["layers"], look), "chart_layers")
        with control.expander(say("trial_layers.numbers"), key="layers_numbers"):
            st.html(trial_html.table(_head(), [_line(y) for y in inside["layers"]], numbers=3))
    trial_bytes.panel(key, inside, look)
    left, right = st.columns([1.25, 1], gap="small")
    with left, control.container(border=True, height="stretch", key="trial_weights"):
        _weights(key, inside, asked, look)
    with right, control.container(border=True, height="stretch", key="trial_filters"):
        if subject.modality() != IMAGE:
            trial_attention.panel(frame.home(), key, look)
            return
        st.html(charts.title(say("trial_layers.filters"), say("trial_layers.filters_sub")))
        if (inside.get("filters") or {}).get("after"):
            trial_charts.show(trial_charts.filters(key, inside["filters"], before_words(inside), look), "chart_filters")
        else:
            st.caption(say("trial_layers.no_filters"))


def chosen(names: list[str], layer: str) -> str:
    """The layer that the address names, else the first one."""
    return layer if layer in names else names[0]


def _sub(inside: Row) -> str:
    packed = inside.get("packed")
    if not packed:
        return say("trial_layers.sub")
    sizes = {name: format_bytes(packed[name]) for name in ("total", "layers")}
    return say("trial_layers.packed", **sizes, rest=format_bytes(packed["total"] - packed["layers"]))


def _weights(key: str, inside: Row, asked: Asked, look: str) -> None:
    counts = inside.get("histograms") or {}
    if not counts:
        st.html(charts.title(say("trial_layers.weights"), say("trial_layers.no_weights")))
        return
    names = list(counts)
    layer = chosen(names, asked.layer)
    if asked.layer and layer != asked.layer:
        st.warning(say("trial_layers.unknown", layer=asked.layer, allowed=", ".join(names)))
    st.session_state[trial_state.widget("layer")] = layer
    title, pick = st.columns([1.5, 1], vertical_alignment="center")
    title.html(charts.title(say("trial_layers.weights"), _weights_sub(inside)))
    with pick:
        control.selectbox(
            say("trial_layers.layer"),
            names,
            key=trial_state.widget("layer"),
            help=say("trial_layers.help"),
            on_change=trial_state.changed,
            args=("layer",),
            label_visibility="collapsed",
        )
    trial_charts.show(trial_charts.weights(key, layer, counts[layer], before_words(inside), look), "chart_weights")


def before_words(inside: Row) -> str:
    """What the weights are compared with: the dense student, or the untrained network."""
    return say("trial_layers.before_initial" if inside.get("before") == "initial" else "trial_layers.before_dense")


def _weights_sub(inside: Row) -> str:
    folded = say("trial_layers.folded") if inside.get("weights") == "folded" else ""
    compared = any(counts.get("before") for counts in inside["histograms"].values())
    told = say("trial_layers.weights_sub", before=before_words(inside)) if compared else say("trial_layers.alone")
    return told + folded


def _head() -> list[str]:
    names = ("layer", "kind", "shape", "parameters", "nonzero", "zeros", "bits", "bytes", "macs")
    return [say(f"trial_layers.column.{n}") for n in names]


def _line(layer: Row) -> list[str]:
    unknown = say("trial_layers.unknown_value")
    zeros, size, macs = (layer.get(n) for n in ("zeros", "packed_bytes", "macs"))
    return [
        str(layer["name"]), str(layer.get("kind") or ""), " × ".join(map(str, layer.get("shape") or ())),
        f"{layer['parameters']:,}", f"{layer['nonzero']:,}", unknown if zeros is None else f"{100 * zeros:.1f} %",
        str(layer.get("bits") or unknown), unknown if size is None else format_bytes(size),
        unknown if macs is None else f"{macs:,}",
    ]  # fmt: skip
