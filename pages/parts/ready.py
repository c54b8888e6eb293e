"""What the first page needs, made before anybody asks: modules, the home's rows, images, a figure of each kind."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from engine import api, catalogue, figures
from engine.errors import StillhouseError
from engine.preview import preview
from pages.parts import charts, frame

# Streamlit imports these at the first use: the emoji of the page's icon, pictures
LATER = ("streamlit.emojis", "streamlit.elements.lib.image_utils", "pages.explore")


def make() -> None:
    """Do one thing after the other until somebody opens the page, which then does the rest itself."""
    for name in LATER:
        if not frame.opened.is_set():
            importlib.import_module(name)
    try:
        for task in catalogue.current().rows["tasks"]:
            if not frame.opened.is_set():
                _examples(task)
                _draw(api.rows(frame.home(), task))
    except StillhouseError:  # a home that cannot be read is left to the page, which says so
        return
    gc.freeze()  # what stands now stays for good: collections need not look at it


def _examples(task: str) -> None:
    """What a page shows of a task; a file that is missing is left to the page, and so are texts to be fetched first."""
    with contextlib.suppress(StillhouseError):
        preview(task)


def _draw(rows: Sequence[Mapping[str, Any]]) -> None:
    """One figure of each kind: Plotly imports its parts when they are first used."""
    if not frame.opened.is_set():
        go.Figure(figures.pareto_figure(figures.pareto_info(rows, charts.COSTS[0]), "light"))
    grid = [r for r in rows if r["origin"] == "grid"]
    if not frame.opened.is_set():
        go.Figure(figures.heat_figure(figures.heat_info(grid), "light"))
