"""The page *Explore*: change one thing, run it, and see where the measured point lands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api
from engine.errors import InputError
from engine.home import Home
from engine.recipe import Recipe
from pages.parts import (
    carried,
    charts,
    choices,
    control,
    details,
    frame,
    legend,
    points,
    presenter,
    progress,
    runbar,
    shipped,
    soft,
    state,
    theme,
    visit,
    whatif,
    widgets,
)
from pages.parts.choices import Form
from pages.parts.words import line, say

Row = Mapping[str, Any]


def draw() -> None:
    """The whole page, top to bottom."""
    home, look = frame.home(), theme.name()
    frame.start_runner(str(home.root))
    step = visit.sync(home)
    form = state.sync(visit.parameter())
    with st.sidebar:
        widgets.form_panel(form, presenter.own_fields(form) if carried.presenting() else ())
        visit.offer(step)
    frame.heading(say("app.title"), say("app.lead"), None if carried.presenting() else visit.callout(home, step))
    _complaints()
    recipe = _recipe(form)
    if recipe is not None:
        _body(home, form, recipe, look)


def _body(home: Home, form: Form, recipe: Recipe, look: str) -> None:
    rows = api.rows(home, recipe.task)
    grid = points.grid_of(rows, recipe.dense())
    keys = {"trial": recipe.key, "dense": recipe.dense().key, "baseline": recipe.baseline().key}
    own = points.by_key(rows, recipe.key)
    known = own is not None and own["origin"] != "shipped"
    runs = sum(r.get("origin") == "trial" and r.get("student") == recipe.student for r in rows)
    if not carried.presenting():
        runbar.bar(home, form, recipe.to_json(), known, runs)
    measuring = progress.panel(home, keys, look)
    focus = points.focus(rows, form.get("point"), recipe.key, grid, whatif.sparsity_of(form), form.get("bits"))
    if carried.presenting():
        presenter.panel(home, form, rows, grid, keys["dense"], focus, look)
        return
    details.panel(home, focus, measuring)
    charts.pareto_pair(rows, focus.row["key"] if focus else None, look)
    legend.draw(rows, look, focus is not None)
    shipped.note(home, recipe.task, rows)
    _lessons(home, form, grid, keys["dense"], look)


def _lessons(home: Home, form: Form, grid: Sequence[Row], dense: str, look: str) -> None:
    left, right = st.columns(2, gap="small")
    with left, control.container(border=True, height="stretch", key="what_if"):
        whatif.panel(home, form, grid, dense, look)
    with right, control.container(border=True, height="stretch", key="soft"):
        soft.panel(form)


def _recipe(form: Form) -> Recipe | None:
    """The checked recipe; settings that cannot work together are said in one line."""
    try:
        return api.check(choices.to_recipe(form))
    except InputError as problem:
        st.error(line(problem))
        return None


def _complaints() -> None:
    """What the URL asked for and did not get, and what a click could not do: one line each."""
    for problem in (*state.problems(), *visit.refused()):
        st.warning(say("url.kept", problem=problem))
    for problem in frame.failures():
        st.error(problem)
