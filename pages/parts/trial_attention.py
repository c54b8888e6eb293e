"""Where a head looks: the attention of one head in one layer for one text, chosen by layer, head and text."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from engine.api_attention import Looks, looks
from engine.figures.attention import alt_attention, attention_figure
from engine.home import Home
from pages.parts import charts, control, extras, texts, trial_state
from pages.parts.words import say

PADDING = ("", "[PAD]")


def panel(home: Home, key: str, look: str) -> None:
    """Three choices above the map; a line where the network has no attention."""
    st.html(charts.title(say("trial_attention.title"), say("trial_attention.sub")))
    found = looks(home, key)
    if found is None:
        st.caption(say("trial_attention.none"))
        return
    shares, tokens = _chosen(found)
    drawn = attention_figure(shares, tokens, look)
    drawn["layout"] |= {"margin": {"l": 8, "r": 8, "t": 8, "b": 8}}
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    control.plotly_chart(go.Figure(drawn), key="chart_attention", theme=None, config=charts.CONFIG,
                         alt=alt_attention(shares, tokens, say("trial_attention.alt")))  # fmt: skip


def _chosen(found: Looks) -> tuple[list[list[float]], list[str]]:
    """Shares and tokens of the chosen text, layer and head, without padding."""
    one, two, three = st.columns(3, gap="small")
    with one:
        text = _pick("text", len(found.tokens))
    with two:
        layer = _pick("layer", found.maps.shape[1])
    with three:
        head = _pick("head", found.heads(layer))
    tokens = found.tokens[text]
    count = next((i for i, token in enumerate(tokens) if token in PADDING), len(tokens))
    shares = found.maps[text, layer, head, :count, :count].tolist()
    # a map's axis tells two equal words apart by their places, the reader by their order
    return shares, [texts.token(token) for token in tokens[:count]]


def _pick(name: str, count: int) -> int:
    places, extra = range(1, count + 1), next(e for e in trial_state.small_choices() if e.key == f"attention_{name}")
    extras.settle(trial_state.PAGE, extra, places, 1)
    chosen = control.selectbox(say(f"trial_attention.{name}"), places, key=extra.key,
                               help=say(f"trial_attention.{name}_help"))  # fmt: skip
    return int(chosen or 1) - 1
