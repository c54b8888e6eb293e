"""The page Methods without a browser: every entry, its links, its formula, its picture, the search, the address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from engine import api_methods, api_sweeps
from engine.api_methods import Entry
from engine.figures import lessons, matrices, norms
from engine.home import Home
from engine.knobs import Knob
from engine.recipe import Recipe
from pages.parts import (
    choices,
    methods_entry,
    methods_facts,
    methods_html,
    methods_lesson,
    methods_list,
    methods_picture,
    methods_state,
    sweep_json,
    sweep_link,
)

ENTRIES = api_methods.entries()
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
SCRIPT = """
import streamlit as st
from pages import methods
methods.draw()
"""


def parts_of(recipe: dict[str, Any]) -> list[str]:
    losses = [p["loss"] for p in recipe["phases"] if "loss" in p]
    flat = [x for loss in losses for x in (loss if isinstance(loss, list) else [loss])]
    return [x["name"] for x in (*flat, *(s for p in recipe["phases"] for s in p["stages"]))]


def test_names_are_one_of_a_kind() -> None:
    names = [e.name for e in ENTRIES]
    assert len(names) == len(set(names)), "an address names one entry"
    assert [e.group for e in ENTRIES] == sorted((e.group for e in ENTRIES), key=api_methods.GROUPS.index)
    groups = {n: api_methods.find(n).group for n in ("prune_n_m", "rewind", "share_layers", "share_codebook")}
    assert groups == {"prune_n_m": "pruning", "rewind": "pruning", "share_layers": "other", "share_codebook": "other"}


@every_entry
def test_its_recipe_and_its_sweep_can_run_and_use_it(entry: Entry, home: Home) -> None:
    recipe, spec = api_methods.recipe(entry), api_methods.sweep(entry)
    teacher = entry.kind == "models" and entry.row["role"] == "teacher"
    if teacher or api_methods.task_of(entry) is None:  # a method for texts where no task has any
        assert recipe is None
        assert spec is None
        return
    assert recipe is not None
    assert spec is not None
    assert Recipe.from_json(recipe).to_json() == recipe
    assert entry.name in (*parts_of(recipe), recipe["student"], recipe["task"])
    packed = sweep_link.pack(spec)
    assert packed
    assert sweep_link.unpack(packed) == spec
    assert sweep_json.read(spec), "the form of the page Sweep shows it"
    assert api_sweeps.plan(home, spec)["trials"] >= 1


@every_entry
def test_the_link_to_explore_is_understood_there(entry: Entry) -> None:
    address = methods_entry.on_explore(entry)
    if address is None:
        assert entry.kind == "stages" or api_methods.task_of(entry) is None
        return
    form = choices.read(address, parse=True)
    assert form.problems == []
    if entry.kind in ("losses", "stages"):
        assert entry.name in parts_of(choices.to_recipe(form))


@every_entry
def test_it_is_told_in_words(entry: Entry) -> None:
    assert 1 <= len(methods_facts.chips(entry)) <= 6
    knobs = [Knob.from_json(k) for k in entry.row["knobs"]]
    rows = list(methods_entry.knob_lines(knobs))
    assert [r[0] for r in rows] == [k.name for k in knobs]
    assert all(all(cell for cell in row) for row in rows)
    for line in methods_entry.lines(entry.row.get("formula") or ""):
        assert line.count("{") == line.count("}"), line
        assert line.count(r"\left") - line.count(r"\leftarrow") == line.count(r"\right") - line.count(r"\rightarrow")


def test_a_formula_breaks_only_between_its_parts() -> None:
    assert methods_entry.lines(r"a = b, \quad c = d") == ["a = b", "c = d"]
    assert methods_entry.lines(r"\left( a \quad b \right)\qquad\text{x \quad y}") == [
        r"\left( a \quad b \right)", r"\text{x \quad y}",
    ]  # fmt: skip
    assert methods_entry.lines(r"\mu \leftarrow 1,\qquad \sigma \leftarrow 2") == [
        r"\mu \leftarrow 1",
        r"\sigma \leftarrow 2",
    ]
    assert methods_entry.lines("") == []


def test_a_source_is_escaped_and_its_paper_linked() -> None:
    html = methods_entry.source("Hinton <b> 2015, arXiv:1503.02531")
    assert "&lt;b&gt;" in html
    assert 'href="https://arxiv.org/abs/1503.02531"' in html
    assert "<a" not in methods_entry.source("arXiv:15/03")


@pytest.mark.parametrize(
    ("typed", "there", "absent"),
    [
        ("hinton", "kd", "prune_n_m"),
        ("2:4", "prune_n_m", "kd"),
        ("TEMPERATURE teacher", "kd", "recalibrate"),
        ("", "kd", "-"),
    ],
)
def test_the_search_finds_words_anywhere(typed: str, there: str, absent: str) -> None:
    names = [e.name for e in methods_list.matching(ENTRIES, typed)]
    assert there in names
    assert absent not in names


def test_the_list_leaves_out_what_all_of_a_group_say() -> None:
    assert methods_list.short(api_methods.find("kd")) == "Soft targets"
    assert methods_list.short(api_methods.find("cross_entropy")) == "Labels only (cross-entropy)"


@pytest.mark.parametrize(
    ("address", "name", "said"),
    [
        ({}, "kd", ""),
        ({"method": "prune_n_m"}, "prune_n_m", ""),
        ({"method": " PRUNE_N_M "}, "prune_n_m", ""),
        ({"method": "prune_nm"}, "kd", "prune_n_m"),
        ({"metod": "kd"}, "kd", "method"),
        ({"embed": "true"}, "kd", ""),
    ],
)
def test_the_address(address: dict[str, str], name: str, said: str) -> None:
    chosen, problems = methods_state.read(address, ENTRIES)
    assert chosen.name == name
    assert said in " ".join(problems)
    assert bool(problems) == bool(said)


class TestFigures:
    def test_gone_channels_stand_where_they_were(self) -> None:
        old = np.arange(1.0, 25.0).reshape(4, 6)
        info = matrices.matrices_info(old, old[np.ix_([0, 2], [0, 1, 4, 5])], [[0, 2], [0, 2]])
        assert info.gone == 2
        assert np.isnan(info.after[1]).all()
        assert info.after[2, 4] == old[2, 4]
        assert np.isnan(info.after[2, 2])
        assert "2 outputs are gone" in matrices.alt_matrices(info)

    @pytest.mark.parametrize("look", ["light", "dark"])
    def test_zeros_have_a_colour_of_their_own(self, look: str) -> None:
        old = np.full((3, 9), 0.5)
        new = old.copy()
        new[1] = 0
        info = matrices.matrices_info(old, new)
        assert info.zeros == pytest.approx(1 / 3)
        drawn = matrices.matrices_figure(info, look)
        go.Figure(drawn)
        weights, nothing = drawn["data"][1:]
        assert weights["z"][1] == [None] * 9
        assert nothing["z"][1] == [0.0] * 9
        assert nothing["z"][0] == [None] * 9

    def test_a_lesson_needs_one_of_each_a_class(self) -> None:
        with pytest.raises(ValueError, match="one of each a class"):
            lessons.lesson_info(["a", "b"], [1.0, 2.0], [0.1], 0)
        info = lessons.lesson_info(["a", "b"], [0.0, 0.0], [0.5, -0.5], 1, None)
        assert info.teacher == ()
        assert info.student == pytest.approx((0.5, 0.5))
        go.Figure(lessons.lesson_figure(info))
        assert "raises the score of a" in lessons.alt_lesson(info)

    def test_norms_need_before_and_after(self) -> None:
        info = norms.norms_info([[0.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [2.0, 1.0]])
        go.Figure(norms.norms_figure(info, "dark"))
        assert "2 channels: means moved by 0.5" in norms.alt_norms(info)
        with pytest.raises(ValueError, match="before and after"):
            norms.norms_info([[0.0]], [[1.0], [2.0]])


def test_usual_values_give_the_usual_picture() -> None:
    kept = api_methods.pictures()
    for entry in (e for e in ENTRIES if e.kind == "losses"):
        facts, defaults = kept.facts(entry), {k["name"]: k["default"] for k in entry.row["knobs"]}
        if "image" not in entry.row.get("modalities", ("image",)):
            assert facts is None  # the pictures show an image
            continue
        assert facts
        for knob, values in facts["settings"].items():
            row = methods_lesson.row_of(facts, knob, defaults[knob])
            assert facts["values"][row] == facts["values"][0], (entry.name, knob)
            assert len(values) > 1


def test_rows_of_a_loss_s_settings() -> None:
    facts = {"settings": {"a": [1, 2], "b": [0.1, 0.2, 0.3]}}
    assert methods_lesson.row_of(facts, "a", 2) == 2
    assert methods_lesson.row_of(facts, "b", 0.1) == 3


def test_facts_of_a_stage() -> None:
    kept = api_methods.pictures()
    facts = kept.facts(api_methods.find("prune_channels"))
    assert facts
    told = {value for _, value, _ in methods_picture.stage_facts(facts, kept.index)}
    assert "12 × 6 × 3 × 3" in told
    pruned = kept.facts(api_methods.find("prune_n_m"))
    assert pruned
    assert ("50 %") in {value for _, value, _ in methods_picture.stage_facts(pruned, kept.index)}


def test_maps_are_drawn_in_the_colours_of_the_heat_maps() -> None:
    html = methods_html.heat(np.array([[0.0, 1.0]]), 'a "map"')
    assert 'alt="a &quot;map&quot;"' in html
    assert html.startswith('<img class="sh-pixels" src="data:image/png;base64,')


class TestWholePage:
    @pytest.fixture(autouse=True)
    def no_runner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("engine.api.ensure_runner", lambda *_: None)

    def shown(self, name: str = "") -> AppTest:
        test = AppTest.from_string(SCRIPT, default_timeout=60)
        if name:
            test.query_params["method"] = name
        return test.run()

    def html(self, test: AppTest) -> str:
        return " ".join(str(e.proto.body) for e in test.get("html"))

    @pytest.mark.parametrize(
        "name", ["", "attention", "similarity", "recalibrate", "quantize_linear", "plain_10k", "teacher"]
    )
    def test_it_draws(self, name: str) -> None:
        test = self.shown(name)
        assert not test.exception
        assert not test.warning
        assert not test.error
        assert f"<code>{name or 'kd'}</code>" in self.html(test)

    def test_an_unknown_name_is_said(self) -> None:
        test = self.shown("prune_nm")
        assert "prune_n_m" in test.warning[0].value

    def test_a_plug_in_without_a_picture_is_no_mistake(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        text = Path("docs/extending.md").read_text(encoding="utf-8")
        code = next(block for block in text.split("```python\n") if block.startswith("# prune_by_chance.py"))
        (tmp_path / "prune_by_chance.py").write_text(code.split("```")[0], encoding="utf-8")
        monkeypatch.setitem(os.environ, "STILLHOUSE_PLUGINS", str(tmp_path))
        test = self.shown("prune_by_chance")
        assert not test.exception
        assert not test.error
        assert "There is no picture of this method here" in self.html(test)
