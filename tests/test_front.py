"""Points as columns, the chart of fronts, parallel lines, bars of importances, the page's address."""

from __future__ import annotations

import json
import time
from typing import Any

import figure_rows
import numpy as np
import plotly.graph_objects as go
import pytest

from engine import api_points, figures
from engine.errors import InputError
from engine.figures.labels import labels_of
from engine.search import pareto
from pages.parts import front_state

HERE, THERE = "here", "there"


def row(number: int, **changed: Any) -> dict[str, Any]:
    """Keys that differ in their first digits, as real ones do: a chart carries twelve of them."""
    return figure_rows.row(number, **changed) | {"key": f"{number:012x}" + 20 * "0"}


def many(count: int, seed: int = 0) -> list[dict[str, Any]]:
    return [{**r, "key": r["key"][::-1]} for r in figure_rows.many(count, seed)]


def number(key: str) -> int:
    return int(key[:12], 16)


def view(rows: Any, *arguments: Any, **more: Any) -> api_points.View:
    return api_points.view(api_points.table_of(rows, "fashion_mnist"), *arguments, **more)


def info_of(found: api_points.View, cost: str = "packed_bytes", **more: Any) -> Any:
    return figures.front_info(found.rows, cost, found.columns, counts=found.full, **more)


class TestPoints:
    ROWS = (
        row(1, machine=HERE, machine_id="a", latency_ms=0.2),
        row(2, machine=HERE, machine_id="b", latency_ms=0.1),
        row(3, machine=THERE, machine_id="b", latency_ms=None, preview=True),
        row(4, machine=THERE, machine_id="b", origin="shipped", created="2026-01-02"),
        row(5, state="failed"),
    )

    def test_times_of_another_machine_are_not_mixed_in_unless_asked(self) -> None:
        own = view(self.ROWS, "a")
        assert np.isfinite(own.columns["latency_ms"]).tolist() == [True, False, False, False]
        assert np.isfinite(own.columns["packed_bytes"]).all(), "sizes are the same everywhere"
        assert own.foreign == 2
        every = view(self.ROWS, api_points.ANY)
        assert np.isfinite(every.columns["latency_ms"]).tolist() == [True, True, False, True]
        assert every.foreign == 0

    def test_machines_are_told_apart_by_their_ids_and_the_one_with_the_newest_run_is_the_usual(self) -> None:
        found = api_points.machines(self.ROWS[:4])
        assert [(m["id"], m["rows"]) for m in found] == [("b", 2), ("a", 1)]
        assert api_points.usual(found) == view(self.ROWS).machine == "b"
        assert api_points.usual([]) == api_points.ANY

    def test_this_very_machine_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api_points.machines_here, "facts", lambda: {"machine_id": "a"})
        found = api_points.machines(self.ROWS[:4])
        assert [m["id"] for m in found] == ["a", "b"]
        assert [m["here"] for m in found] == [True, False]

    def test_filters_and_their_stamp(self) -> None:
        assert [number(r["key"]) for r in view(self.ROWS, origins=["shipped"]).rows] == [4]
        chosen = view(self.ROWS, keys=frozenset({self.ROWS[1]["key"]}))
        assert [number(r["key"]) for r in chosen.rows] == [2]
        assert chosen.stamp != view(self.ROWS).stamp
        assert view(self.ROWS, "a").stamp != view(self.ROWS, "b").stamp
        assert view(self.ROWS, "a").stamp == view(self.ROWS, "a").stamp

    def test_previews_have_no_numbers_to_compete_with(self) -> None:
        assert np.isnan(view(self.ROWS).numbers("quality")).tolist() == [False, False, True, False]

    def test_a_table_is_made_once_a_change(self, home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        change = [1]
        monkeypatch.setattr(api_points, "_version", lambda _: tuple(change))
        first = api_points.table(home, "fashion_mnist")
        assert api_points.table(home, "fashion_mnist") is first
        change[0] = 2
        assert api_points.table(home, "fashion_mnist") is not first

    def test_an_unknown_task_is_refused(self, home: Any) -> None:
        with pytest.raises(InputError, match="fashion_mnist"):
            api_points.table(home, "fashion_mnis")


class TestFront:
    ROWS = many(120, seed=3)

    def test_front_knee_and_share_are_those_of_the_definitions(self) -> None:
        info = info_of(view(self.ROWS))
        costs, qualities = [r["packed_bytes"] for r in self.ROWS], [r["quality"] for r in self.ROWS]
        line = info.lines[0]
        assert line.points.tolist() == pareto.front(costs, qualities)
        assert line.knee == pareto.knee(costs, qualities)
        low, high, worst, best = figures.box_of(info.xs, info.ys, "maximize")
        area = pareto.hypervolume(costs, qualities, (high, worst), log=True)
        assert line.share == pytest.approx(area / (np.log10(high / low) * (best - worst)))
        assert 0 < line.share < 1

    def test_one_point_that_is_cheapest_and_best_covers_everything(self) -> None:
        rows = [row(1, packed_bytes=10, quality=0.9), row(2, packed_bytes=100, quality=0.5)]
        assert info_of(view(rows)).lines[0].share == pytest.approx(1.0)

    def test_a_quality_that_should_be_low(self) -> None:
        rows = [row(i, packed_bytes=b, cross_entropy=c) for i, (b, c) in enumerate([(10, 0.9), (20, 0.4), (30, 0.6)])]
        info = info_of(view(rows), quality="cross_entropy", direction="minimize")
        assert [number(info.keys[i]) for i in info.lines[0].points] == [0, 1]
        drawn = figures.front_figure(info)
        assert "lower is better" in drawn["layout"]["yaxis"]["title"]["text"]

    def test_series_have_fronts_of_their_own_with_a_colour_and_a_symbol(self) -> None:
        found = view(self.ROWS)
        odd = np.arange(len(self.ROWS)) % 2 == 1
        info = info_of(found, series=[("odd", odd), ("even", ~odd)])
        assert [line.name for line in info.lines] == ["odd", "even"]
        for line, mask in zip(info.lines, (odd, ~odd), strict=True):
            own = [i for i in range(len(self.ROWS)) if mask[i]]
            expected = pareto.front([self.ROWS[i]["packed_bytes"] for i in own], [self.ROWS[i]["quality"] for i in own])
            assert line.points.tolist() == [own[i] for i in expected]
        markers = [t["marker"] for t in figures.front_figure(info)["data"] if t["mode"] == "markers"]
        assert len({str(m["symbol"]) for m in markers}) == len({m["color"] for m in markers}) == 2

    def test_limits_are_lines_and_what_breaks_them_is_faint(self) -> None:
        found = view(self.ROWS)
        inside = found.columns["packed_bytes"] <= 10_000
        best, second = self.ROWS[0]["key"], self.ROWS[1]["key"]
        info = info_of(found, limit=10_000.0, at_least=0.7, inside=inside, best=best, runner_up=second)
        assert (info.keys[info.best], info.keys[info.runner_up]) == (best[:12], second[:12])
        drawn = figures.front_figure(info)
        lines = [s for s in drawn["layout"]["shapes"] if s["type"] == "line"]
        assert (lines[0]["x0"], lines[1]["y0"]) == (10_000.0, 0.7)
        assert info.y_range[0] < 0.7 < info.y_range[1]
        texts = [note["text"] for note in drawn["layout"]["annotations"]]
        assert {"at most 10 kB", "at least 70.0 %"} <= set(texts)
        quiet = next(t for t in drawn["data"] if t["mode"] == "markers" and len(t["x"]) > 40)
        assert len(set(np.asarray(quiet["marker"]["opacity"]).tolist())) == 2

    def test_previews_are_drawn_and_never_on_a_front(self) -> None:
        rows = [row(1), row(2, preview=True, quality=0.99, packed_bytes=10)]
        info = info_of(view(rows))
        assert len(info.xs) == 2
        assert [number(info.keys[i]) for i in info.lines[0].points] == [1]

    @pytest.mark.parametrize("count", [0, 1, 3000])
    def test_any_number_of_points_can_be_drawn_clicked_and_read_aloud(self, count: int) -> None:
        info = info_of(view(many(count)))
        for theme in ("light", "dark"):
            drawn = go.Figure(figures.front_figure(info, theme))
            json.loads(drawn.to_json())
            keys = {k for t in drawn.data if t.customdata is not None for k in t.customdata}
            assert keys == set(info.keys)
        kinds = {t.type for t in drawn.data}
        assert ("scattergl" in kinds) == (count > 1000)
        assert figures.alt_front(info)

    def test_an_unknown_cost_is_refused(self) -> None:
        with pytest.raises(InputError, match="packed_bytes"):
            info_of(view([row(1)]), "packed_byte")

    def test_twenty_thousand_points_take_no_time(self) -> None:
        rows = many(20_000)
        table = api_points.table_of(rows, "fashion_mnist")
        start = time.perf_counter()
        found = api_points.view(table)
        figures.front_figure(info_of(found))
        assert time.perf_counter() - start < 1.0, "about 0.04 s on an idle core"


class TestParallel:
    def test_only_settings_that_differ_get_an_axis_and_the_best_colour_is_the_best(self) -> None:
        rows = [row(i, bits=b, student=s, quality=q) for i, (b, s, q) in enumerate(
            [(8, "plain_5k", 0.8), (4, "plain_10k", 0.9), (2, "plain_10k", 0.7)])]  # fmt: skip
        found = view([*rows, row(9, role="teacher", student="teacher", quality=0.99)])
        info = figures.parallel_info(found.rows, "packed_bytes", found.columns)
        words = labels_of(None)
        assert [a.name for a in info.axes] == [words[n] for n in ("knob_student", "knob_bits", "metric_accuracy",
                                                                  "short_packed_bytes")]  # fmt: skip
        assert info.shown == 3, "a teacher has no settings"
        bits = info.axes[1]
        assert bits.words == ("2", "4", "8")
        quality = info.axes[2].values
        assert info.colours[quality.index(max(quality))] == 1.0
        assert info.colours[quality.index(min(quality))] == 0.0
        go.Figure(figures.parallel_figure(info, "dark"))
        assert "3 points" in figures.alt_parallel(info)

    def test_only_the_best_of_too_many_are_drawn(self) -> None:
        found = view(many(2500))
        info = figures.parallel_info(found.rows, "packed_bytes", found.columns)
        assert (info.shown, info.left_out) == (2000, 500)
        assert min(info.axes[-2].values) == pytest.approx(sorted(r["quality"] for r in found.rows)[500])

    def test_nothing_is_an_empty_drawing(self) -> None:
        found = view([])
        info = figures.parallel_info([], "packed_bytes", found.columns)
        assert figures.parallel_figure(info)["data"] == []
        assert figures.alt_parallel(info)


def test_importances_as_bars_largest_first() -> None:
    info = figures.importances_info({"bits": 0.3, "student": 0.7})
    assert (info.names, info.shares) == (("student", "bits"), (0.7, 0.3))
    drawn = figures.importances_figure(info)
    go.Figure(drawn)
    assert drawn["data"][0]["text"] == ["70.0 %", "30.0 %"]
    assert "student 70.0 %" in figures.alt_importances(info)
    assert figures.importances_figure(figures.importances_info({}))["data"] == []


class TestAddress:
    def test_there_and_back(self) -> None:
        chosen = front_state.defaults() | {
            "cost": "macs", "quality": "macro_f1", "origins": ["trial", "grid"], "sweeps": ["abc", "def"],
            "machine": "67be", "view": "parallel", "max_bytes": 100_000.0, "max_latency": 0.5, "max_macs": 7e5,
            "min_quality": 0.885,
        }  # fmt: skip
        assert front_state.read(front_state.to_address(chosen)) == (chosen, [])
        assert front_state.to_address(front_state.defaults()) == {}

    def test_people_write_units(self) -> None:
        values, problems = front_state.read({"max_bytes": "100 kB", "max_latency": "50us", "min_quality": "88%"})
        assert (values["max_bytes"], values["min_quality"], problems) == (100_000, 0.88, [])
        assert values["max_latency"] == pytest.approx(0.05)
        assert front_state.limits_of(values) == ({"packed_bytes": 100_000, "latency_ms": values["max_latency"]}, 0.88)

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [("cost", "macz", "macs"), ("max_bytes", "-5", "100kB"), ("min_quality", "90", "0.9"), ("view", "x", "table"),
         ("origins", "trial,mars", "grid"), ("task", "fashion", "fashion_mnist"), ("max_macs", "nan", "700k")],
    )  # fmt: skip
    def test_what_cannot_be_falls_back_and_is_told(self, name: str, text: str, said: str) -> None:
        values, problems = front_state.read({name: text, "cost2": "x"})
        assert values == front_state.defaults()
        assert len(problems) == 2
        assert any(said in problem for problem in problems)
        assert any("cost2" in problem and "did you mean 'cost'" in problem for problem in problems)
