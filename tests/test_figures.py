"""What a Pareto chart shows, and that its drawing is valid plotly with clickable, readable marks."""

from __future__ import annotations

import json
import math
from typing import Any

import plotly.graph_objects as go
import pytest
from figure_rows import many, row

from engine import figures
from engine.errors import InputError
from engine.figures.labels import labels_of
from engine.figures.theme import CLEAR

THEMES = ("light", "dark")


def traces(figure: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    return [t for t in figure["data"] if all(t.get(name) == value for name, value in wanted.items())]


def keys(figure: dict[str, Any]) -> list[str]:
    return [entry[0] for t in figure["data"] for entry in t.get("customdata", ())]


class TestPareto:
    ROWS = (
        row(1, packed_bytes=1000, quality=0.80, quality_low=0.79, quality_high=0.81),
        row(2, packed_bytes=8000, quality=0.89),
        row(3, packed_bytes=9000, quality=0.85, origin="grid", bits=4, simulated=True),
        row(4, packed_bytes=36000, quality=0.90, role="dense", bits=32, sparsity=0.0),
        row(5, packed_bytes=36000, quality=0.88, role="baseline", bits=32, sparsity=0.0, loss="cross_entropy"),
        row(6, packed_bytes=2_300_000, quality=0.935, role="teacher", origin="shipped", student="teacher"),
        row(7, packed_bytes=7000, quality=0.87, slower_here=True, cause="too small", ratio=1.3),
        row(8, packed_bytes=None),
        row(9, quality=math.nan),
        row(10, state="failed"),
    )

    def info(self, cost: str = "packed_bytes", **more: Any) -> Any:
        return figures.pareto_info(self.ROWS, cost, **more)

    def test_groups_front_knee_and_what_is_left_out(self) -> None:
        info = self.info(selected=self.ROWS[6]["key"])
        groups = {p.key[-1]: p.group for p in info.points}
        assert groups == {
            "1": "trial",
            "2": "trial",
            "3": "grid",
            "4": "dense",
            "5": "baseline",
            "6": "teacher",
            "7": "trial",
        }
        assert [info.points[i].key[-1] for i in info.front] == ["1", "7", "2", "4", "6"]
        assert info.points[info.knee].key[-1] == "2"
        assert info.points[info.selected].key[-1] == "7"
        assert info.left_out == 3
        assert [p.key[-1] for p in info.points if p.slower] == ["7"]

    def test_intervals_are_those_of_the_rows(self) -> None:
        first = self.info("latency_ms").points[0]
        assert (first.y_low, first.y_high, first.x_low, first.x_high) == (0.79, 0.81, 0.048, 0.052)

    def test_simulated_times_are_hollow_on_a_time_axis_only(self) -> None:
        assert [p.key[-1] for p in self.info("latency_ms").points if p.hollow] == ["3"]
        assert not any(p.hollow for p in self.info("packed_bytes").points)

    def test_previews_are_shown_but_not_on_the_front(self) -> None:
        info = figures.pareto_info([row(1), row(2, preview=True, quality=0.99, packed_bytes=10)])
        assert len(info.points) == 2
        assert [info.points[i].key[-1] for i in info.front] == ["1"]

    def test_times_of_another_machine_do_not_compete_once_something_ran_here(self) -> None:
        shipped = row(1, origin="shipped", machine="there", latency_ms=0.001, quality=0.99)
        mine = row(2, machine="here", latency_ms=0.05)
        info = figures.pareto_info([shipped, mine], "latency_ms")
        assert [info.points[i].key[-1] for i in info.front] == ["2"]
        assert [p.elsewhere for p in info.points] == [True, False]
        alone = figures.pareto_info([shipped], "latency_ms")
        assert len(alone.front) == 1, "before anything ran here the shipped times are all there is"
        sizes = figures.pareto_info([shipped, mine], "packed_bytes")
        assert [sizes.points[i].key[-1] for i in sizes.front] == ["1"], "bytes are the same everywhere"

    def test_machines_of_one_name_are_told_apart_by_their_ids(self) -> None:
        shipped = row(1, origin="shipped", machine="AMD EPYC", machine_id="a", latency_ms=0.001, quality=0.99)
        mine = row(2, machine="AMD EPYC", machine_id="b", latency_ms=0.05)
        again = {**shipped, "machine_id": "b"}
        assert [p.elsewhere for p in figures.pareto_info([shipped, mine], "latency_ms").points] == [True, False]
        assert [p.elsewhere for p in figures.pareto_info([again, mine], "latency_ms").points] == [False, False]

    def test_ruined_points_start_below_the_chart_and_are_counted(self) -> None:
        rows = [row(i, quality=q, packed_bytes=1000 * (i + 1)) for i, q in enumerate((0.12, 0.30, 0.85, 0.90))]
        info = figures.pareto_info(rows)
        assert info.below == 2
        assert 0.5 < info.y_range[0] < 0.85
        assert len(info.points) == 4
        chosen = figures.pareto_info(rows, selected=rows[1]["key"])
        assert chosen.y_range[0] < 0.30, "the chosen point is always in sight"
        assert chosen.below == 1

    def test_hover_says_recipe_and_warnings_in_plain_words(self) -> None:
        hover = {p.key[-1]: p.hover for p in self.info().points}
        assert "8 kB packed" in hover["2"]
        assert "taught by teacher: kd, temperature 4, weight 0.9" in hover["2"]
        assert "50 % of the weights are zero (while training), 8 bits" in hover["2"]
        assert "1.30x slower than its dense student here: the net is too small" in hover["7"]
        assert "simulated" in hover["3"]
        assert "all weights kept, 32 bits" in hover["4"]

    def test_zeros_that_save_no_time_say_so(self) -> None:
        same, faster = (figures.pareto_info([row(1, ratio=r, bits=32)]).points[0].hover for r in (1.0, 0.8))
        assert "zeros save no time" in same
        assert "zeros save no time" not in faster

    def test_hover_knows_every_way_of_pruning_and_factoring(self) -> None:
        for name, words in (("taylor", "50 % of the weights are zero"), ("n_m", "50 % of the weights are zero"),
                            ("channels", "50 % of the channels removed")):  # fmt: skip
            assert words in figures.pareto_info([row(1, pruning=name, sparsity=0.5)]).points[0].hover
        factored = figures.pareto_info([row(1, pruning="factor_low_rank", sparsity=0.0, bits=32)]).points[0].hover
        assert "factored" in factored
        assert "all weights kept" not in factored

    def test_hover_escapes_what_comes_from_outside(self) -> None:
        point = figures.pareto_info([row(1, student="<img src=x>", origin="shipped", machine="<b>m</b>")]).points[0]
        assert "<img" not in point.hover
        assert "&lt;b&gt;m" in point.hover
        assert figures.plain_text(row(1, student="a&b"), labels_of(None), "accuracy").startswith("89.0 % accuracy")

    @pytest.mark.parametrize("theme", THEMES)
    @pytest.mark.parametrize("cost", ["packed_bytes", "onnx_bytes", "latency_ms", "latency32_ms", "macs"])
    def test_drawing_is_valid_and_every_point_can_be_clicked(self, cost: str, theme: str) -> None:
        info = self.info(cost, selected=self.ROWS[1]["key"])
        drawn = figures.pareto_figure(info, theme)
        go.Figure(drawn)
        json.dumps(drawn, allow_nan=False)
        assert set(keys(drawn)) == {p.key for p in info.points}
        assert drawn["layout"]["paper_bgcolor"] == CLEAR
        assert "title" not in drawn["layout"]
        assert drawn["layout"]["xaxis"]["type"] == "log"
        assert "(log scale)" in drawn["layout"]["xaxis"]["title"]["text"]

    def test_marks_have_symbols_of_their_own(self) -> None:
        drawn = figures.pareto_figure(self.info("latency_ms", selected=self.ROWS[1]["key"]))
        symbols = {}
        for trace in drawn["data"]:
            if "marker" in trace and trace.get("customdata"):
                one = trace["marker"]["symbol"]
                names = [one] * len(trace["customdata"]) if isinstance(one, str) else one
                for name, (key,) in zip(names, trace["customdata"], strict=True):
                    symbols.setdefault(key[-1], set()).add(name)
        assert symbols["6"] == {"star"}
        assert symbols["4"] == {"triangle-up"}
        assert symbols["5"] == {"triangle-down"}
        assert symbols["3"] == {"square-open"}
        assert symbols["7"] == {"circle", "x-thin"}
        assert symbols["2"] == {"circle", "circle-open"}, "the selected point has a ring"

    def test_front_is_a_step_line_and_the_knee_is_named(self) -> None:
        drawn = figures.pareto_figure(self.info())
        line = traces(drawn, mode="lines")[0]
        assert line["line"]["shape"] == "hv"
        assert line["x"] == sorted(line["x"])
        assert line["y"] == sorted(line["y"])
        knee = next(a for a in drawn["layout"]["annotations"] if a["text"] == "knee")
        assert knee["x"] == pytest.approx(math.log10(8000))

    def test_rest_is_fainter_than_the_front_and_grid_points_faintest(self) -> None:
        rows = [*self.ROWS, row(20, quality=0.7)]
        drawn = figures.pareto_figure(figures.pareto_info(rows))
        opacity = {t["customdata"][0][0][-2:]: t["marker"]["opacity"] for t in drawn["data"] if t.get("customdata")}
        assert opacity["03"] < opacity["14"] < opacity["01"] == 1.0

    def test_ticks_have_units(self) -> None:
        ticks = figures.pareto_figure(self.info())["layout"]["xaxis"]["ticktext"]
        assert {"1 kB", "10 kB", "100 kB", "1 MB"} <= set(ticks)
        ticks = figures.pareto_figure(self.info("latency_ms"))["layout"]["xaxis"]["ticktext"]
        assert all(t.endswith(("µs", "ms")) for t in ticks)
        assert len(ticks) >= 2

    def test_empty_table(self) -> None:
        info = figures.pareto_info([])
        go.Figure(figures.pareto_figure(info))
        assert figures.alt_pareto(info) == "No measured points yet."

    def test_alt_text_names_ends_knee_and_selection(self) -> None:
        text = figures.alt_pareto(self.info(selected=self.ROWS[6]["key"]))
        assert "7 measured points" in text
        assert "from 80.0 % at 1 kB to 93.5 % at 2.3 MB" in text
        assert "knee is 89.0 % at 8 kB" in text
        assert "Selected: 87.0 % at 7 kB." in text

    def test_unknown_cost_and_theme_are_refused_with_the_nearest(self) -> None:
        with pytest.raises(InputError, match="packed_bytes"):
            figures.pareto_info([], "packed_byte")
        with pytest.raises(InputError, match="dark"):
            figures.pareto_figure(self.info(), "darc")

    def test_many_points_use_webgl(self) -> None:
        info = figures.pareto_info(many(2000))
        assert len(info.points) == 2000
        drawn = figures.pareto_figure(info)
        assert {t["type"] for t in drawn["data"] if len(t["x"]) > 300} == {"scattergl"}
        assert {t["type"] for t in figures.pareto_figure(self.info())["data"]} == {"scatter"}

    def test_translated_words_reach_every_text(self) -> None:
        german = {"knee": "Knie", "axis_packed_bytes": "Größe", "metric_accuracy": "Genauigkeit", "trial": "Versuche"}
        info = self.info(labels=german)
        drawn = figures.pareto_figure(info, labels=german)
        assert drawn["layout"]["xaxis"]["title"]["text"] == "Größe"
        assert drawn["layout"]["yaxis"]["title"]["text"].startswith("Genauigkeit")
        assert any(a["text"] == "Knie" for a in drawn["layout"]["annotations"])
        assert "Genauigkeit" in info.points[0].hover
