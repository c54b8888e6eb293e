"""The class chart's figure and its panels: who sees whose points, what a host may do, names that are no markup."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from api_tools import TASK, finish
from figure_rows import row
from lesson_tools import row as lesson_row
from lesson_tools import toml
from runner_tools import recipe
from streamlit.testing.v1 import AppTest

from engine import api, api_class, api_people, lessons
from engine.errors import InputError
from engine.figures.class_points import GROUPS, NAMED, alt_text, class_figure, class_info
from engine.figures.labels import labels_of
from engine.home import Home
from pages.parts import class_answers, class_chart, words

NASTY = "<img src=x onerror=alert(1)> **b** [l](http://e)"
LESSON = "temperature"


def info(**more: Any) -> Any:
    rows = [row(1, quality=0.8, packed_bytes=2000), row(2, quality=0.9, packed_bytes=9000),
            row(3, quality=0.7, packed_bytes=1000, latency_ms=None)]  # fmt: skip
    names = [["you"], ["Ann", "Bob"], [NASTY]]
    return class_info(rows, names, [True, False, False], people=4, **more)


class TestFigure:
    def test_groups_tell_ones_own_from_one_and_from_several(self) -> None:
        found = info()
        assert [p.group for p in found.points] == ["mine", "several", "other"]
        traces = class_figure(found)["data"]
        assert len({t["marker"]["color"] for t in traces}) == len({t["marker"]["symbol"][0] for t in traces}) == 3
        assert {t["name"]: t["text"] for t in traces}["several people"] == ["×2"]

    def test_more_people_make_a_larger_marker_up_to_a_bound(self) -> None:
        rows = [row(n) for n in range(3)]
        found = class_info(rows, [["a"] * n for n in (1, 9, 1000)], [False] * 3)
        sizes = sorted(s for t in class_figure(found)["data"] for s in t["marker"]["size"])
        assert sizes[0] < sizes[1] < sizes[2] <= 26

    def test_a_cost_that_is_missing_leaves_the_point_out_and_is_counted(self) -> None:
        found = info(cost="latency_ms")
        assert ([p.key[-1] for p in found.points], found.left_out) == (["1", "2"], 1)
        with pytest.raises(InputError, match="packed_bytes"):
            info(cost="packed_byte")

    def test_names_are_text_and_many_are_counted(self) -> None:
        hover = info().points[2].hover
        assert "<img" not in hover
        assert "&lt;img src=x" in hover
        many = [f"p{n}" for n in range(30)]
        (dot,) = class_info([row(1)], [many], [False]).points
        assert dot.people == 30
        assert f"p{NAMED - 1} and {30 - NAMED} more" in dot.hover
        assert f"p{NAMED}," not in dot.hover

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("direction", ["maximize", "minimize"])
    def test_it_is_a_sound_figure_whose_axes_name_units_and_where_better_is_up(
        self, theme: str, direction: str
    ) -> None:
        drawn = class_figure(info(teacher=0.95, direction=direction), theme)
        go.Figure(drawn)
        json.dumps(drawn, allow_nan=False)
        layout = drawn["layout"]
        low, high = layout["yaxis"]["range"]
        assert (low < high) == (direction == "maximize")
        assert "log scale" in layout["xaxis"]["title"]["text"]
        assert any("kB" in text for text in layout["xaxis"]["ticktext"])
        assert layout["shapes"][0]["y0"] == 0.95
        assert "95.0 %" in layout["annotations"][0]["text"]

    def test_everything_lies_inside_the_axes(self) -> None:
        found = info(teacher=0.99)
        assert all(found.x_range[0] < p.x < found.x_range[1] for p in found.points)
        assert all(found.y_range[0] < p.y_low <= p.y_high < found.y_range[1] for p in found.points)
        assert found.y_range[1] > 0.99

    def test_alt_text(self) -> None:
        said = alt_text(info())
        assert "3 measured points that 4 people asked for" in said
        assert "Best: 90.0 % at 9 kB" in said
        assert "Yours: 80.0 % at 2 kB" in said
        nothing = class_info([], [], [])
        assert alt_text(nothing) == labels_of(None)["class_empty"]
        assert class_figure(nothing)["layout"]["annotations"][0]["text"] == labels_of(None)["class_empty"]
        assert list(GROUPS) == ["other", "several", "mine"]


def _page() -> None:
    from engine.home import Home
    from pages.parts import class_answers, class_chart, frame

    class_chart.panel(Home.locate(), "fashion_mnist", "light")
    class_answers.panel(Home.locate(), "temperature")
    for problem in frame.failures():
        import streamlit as st

        st.error(problem)


class Seat:
    """One person's browser: the page run by Streamlit's driver, with the id and the rights that a cookie would give."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str, host: bool = False, shared: bool = True) -> None:
        self.patch, self.name, self.host, self.shared = patch, name, host, shared
        self.app = AppTest.from_function(_page, default_timeout=60)

    def run(self) -> AppTest:
        self.sit()
        self.app.run()
        assert not self.app.exception
        return self.app

    def sit(self) -> None:
        for module in (class_chart.who, class_answers.who):
            self.patch.setattr(module, "who", lambda: self.name)
            self.patch.setattr(module, "is_host", lambda: self.host)
            self.patch.setattr(module, "shared", lambda: self.shared)

    def chart(self) -> dict[str, Any]:
        (found,) = self.app.get("plotly_chart")
        spec: dict[str, Any] = json.loads(found.proto.spec or found.proto.figure.spec)
        return spec

    def html(self) -> str:
        return "\n".join(str(h.proto.body) for h in self.app.get("html"))


@pytest.fixture
def room(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A home in which three people asked for two recipes, and a lesson; a function that seats somebody."""
    import streamlit

    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / f"{LESSON}.toml").write_text(toml(lesson_row()), encoding="utf-8")
    monkeypatch.setattr(lessons, "FOLDER", tmp_path / "lessons")
    streamlit.cache_resource.clear()
    for seed in (1, 2):
        api.cancel(home, finish(home, recipe(seed)))
        with api_class.api_home.store_of(home).change() as db:
            db.execute("UPDATE requests SET withdrawn = 1")
    for name, seed in (("ann0ann0", 1), ("bob0bob0", 2), ("cem0cem0", 1)):
        api.submit(home, recipe(seed), name, companions=False)
    yield lambda name, **more: Seat(monkeypatch, name, **more)
    streamlit.cache_resource.clear()


def groups(chart: dict[str, Any]) -> dict[str, int]:
    return {t["name"]: len(t["x"]) for t in chart["data"]}


class TestPanels:
    def test_everybody_sees_everybodys_points_and_ones_own_marked(self, room: Any, home: Home) -> None:
        api_people.remember(home, "ann0ann0", NASTY[:40])
        bob, dan = room("bob0bob0"), room("dan0dan0")
        bob.run()
        assert groups(bob.chart()) == {"yours": 1, "several people": 1}
        assert "<img" not in bob.html().replace("&lt;img", "")
        assert "&lt;img src=x" in bob.html()
        assert "guest cem0" in bob.html()
        assert words.say("class_chart.you") in bob.html()
        dan.run()
        assert groups(dan.chart()) == {"one person": 1, "several people": 1}

    def test_alone_they_are_simply_ones_own_points(self, room: Any) -> None:
        alone = room("local", shared=False, host=True)
        app = alone.run()
        assert groups(alone.chart()) == {"yours": 2}
        assert words.say("class_chart.title_alone") in alone.html()
        assert "guest" not in alone.html()
        assert words.say("class_answers.title") not in alone.html()
        assert any(b.key == "class_clear_yes" for b in app.button)

    def test_the_host_clears_and_a_participant_has_no_button(self, room: Any, home: Home) -> None:
        bob, host = room("bob0bob0"), room("h0h0h0h0", host=True)
        assert not [b for b in bob.run().button if "clear" in str(b.key)]
        host.run().button(key="class_clear_yes").click()
        host.run()
        assert not api_class.board(home, TASK).points
        assert "since 20" in host.html()
        assert len(api.rows(home, TASK, ["trial"])) == 2

    def test_a_press_of_who_is_no_host_any_more_is_refused(self, room: Any, home: Home) -> None:
        seat = room("bob0bob0", host=True)
        seat.run()
        seat.app.button(key="class_clear_yes").click()
        seat.host = False
        seat.run()
        assert "the host alone" in str(seat.app.error[0].value)
        assert len(api_class.board(home, TASK).points) == 2

    def test_the_cost_is_in_the_address(self, room: Any) -> None:
        seat = room("bob0bob0")
        seat.app.query_params["class_cost"] = "latency_ms"
        seat.run()
        assert "time" in seat.chart()["layout"]["xaxis"]["title"]["text"]
        seat.app.button_group(key="class_cost").set_value("packed_bytes")
        seat.run()
        assert "size" in seat.chart()["layout"]["xaxis"]["title"]["text"]
        assert "class_cost" not in seat.app.query_params
        other = room("dan0dan0")
        other.app.query_params["class_cost"] = "latency"
        assert "latency_ms" in str(other.run().warning[0].value)
        assert "size" in other.chart()["layout"]["xaxis"]["title"]["text"]

    def test_predictions_are_shown_to_the_host_at_once_and_to_others_after_their_own(
        self, room: Any, home: Home
    ) -> None:
        for name, choice in (("ann0ann0", "more"), ("cem0cem0", "more")):
            api_class.predict(home, name, LESSON, 0, choice)
        bob, host = room("bob0bob0"), room("h0h0h0h0", host=True)
        bob.run()
        assert words.say("class_answers.first") in bob.html()
        assert "It is more." not in bob.html()
        host.run()
        assert "It is more." in host.html()
        assert words.say("class_answers.many", count="2") in html.unescape(host.html())
        api_class.predict(home, "bob0bob0", LESSON, 0, "less")
        bob.run()
        assert "It is less." + words.say("class_answers.own") in bob.html()
        assert "ann" not in bob.html().split("sh-answers")[1]


def test_the_bars_are_as_long_as_the_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / f"{LESSON}.toml").write_text(toml(lesson_row()), encoding="utf-8")
    monkeypatch.setattr(lessons, "FOLDER", tmp_path)
    drawn = class_answers.bars(LESSON, {"more": 4, "less": 1, "same": 0}, "less")
    assert [drawn.index(f"width:{share}%") for share in (100, 25, 0)] == sorted(
        drawn.index(f"width:{share}%") for share in (100, 25, 0)
    )
    assert '<span class="sh-true">It is less.' in drawn
