"""Figures that are written once say exactly what Plotly itself would send."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io
import plotly.tools
import pytest
from figure_rows import many

from engine import figures
from pages.parts import charts
from pages.parts.drawing import LONG, Drawn


def sent(figure: Any) -> Any:
    """What Streamlit sends of a figure."""
    plain = plotly.tools.return_figure_from_figure_or_data(figure, validate_figure=True)
    return json.loads(plotly.io.to_json(plain, validate=False))


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    return figures.pareto_figure(figures.pareto_info(many(3 * LONG), "packed_bytes"), "light")


def test_streamlit_sends_what_it_would_send_of_a_checked_figure(drawn: dict[str, Any]) -> None:
    assert sent(Drawn(drawn)) == sent(go.Figure(drawn))
    assert sent(Drawn(drawn)) == sent(Drawn(drawn)), "and sends it again"


def test_arrays_go_as_bytes_like_plotlys_own() -> None:
    kinds = [np.float64, np.float32, np.int8, np.uint8, np.int32]
    traces = [{"type": "scatter", "x": np.arange(60, dtype=k), "y": np.arange(60.0)} for k in kinds]
    traces.append({"type": "scatter", "x": np.array(["a", "b"] * 30), "y": np.linspace(0, 1, 60)})
    traces[0]["y"] = np.array([math.nan, *range(59)])
    assert sent(Drawn({"data": traces, "layout": {}})) == sent(go.Figure({"data": traces, "layout": {}}))


def test_one_trace_more_changes_nothing_below_it(drawn: dict[str, Any]) -> None:
    ring = {"type": "scatter", "x": [1.0], "y": [0.5]}
    below = Drawn(drawn)
    above = below.with_trace(ring)
    assert sent(above) == sent(go.Figure({**drawn, "data": [*drawn["data"], ring]}))
    assert sent(below) == sent(go.Figure(drawn))


def test_a_figure_may_still_be_taken_away_as_a_page(drawn: dict[str, Any]) -> None:
    assert "packed" in Drawn(drawn).to_html(include_plotlyjs=False)


@pytest.mark.parametrize("cost", charts.COSTS)
@pytest.mark.parametrize("place", [0, 40, -1])
def test_the_ring_alone_gives_the_chart_that_is_drawn_with_it(
    cost: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many(3 * LONG)
    monkeypatch.setattr(charts, "likely", lambda rows, *_: (rows, [None] * len(rows)))
    lowest = min(rows, key=lambda r: r["quality"])
    for row in (rows[place], lowest):
        found, alt = charts._pareto(rows, hash((cost, place)), cost, row["key"], "light", 340, ("accuracy", "maximize"))
        info = figures.pareto_info(rows, cost, selected=row["key"])
        whole = figures.pareto_figure(info, "light", height=340)
        assert sent(found)["data"] == sent(go.Figure(whole))["data"]
        assert sent(found)["layout"]["yaxis"]["range"] == pytest.approx(info.y_range)
        assert alt == figures.alt_pareto(info)
