"""What the first page needs, made before anybody asks: modules, the home's rows, images, a figure of each kind."""

from __future__ import annotations

import gc
import importlib

import plotly.graph_objects as go

from engine import api, catalogue, figures
from engine.errors import StillhouseError
from engine.preview import preview
from pages.parts import charts, frame

# Streamlit imports these at the first use: the emoji of the page's icon, pictures
LATER = ("streamlit.emojis", "streamlit.elements.lib.image_utils", "pages.explore")


def make() -> None:
    """Read and draw once; a home that cannot be read is left to the page, which says so."""
    for name in LATER:
        importlib.import_module(name)
    _draw_once()
    gc.collect()
    gc.freeze()  # what stands now stays for good: later collections need not look at it


def _draw_once() -> None:
    try:
        home = frame.home()
        for task in catalogue.current().rows["tasks"]:
            preview(task)
            rows = api.rows(home, task)
            for cost in charts.COSTS:
                go.Figure(figures.pareto_figure(figures.pareto_info(rows, cost), "light"))
            go.Figure(figures.heat_figure(figures.heat_info([r for r in rows if r["origin"] == "grid"]), "light"))
    except StillhouseError:
        return
