"""The trial page's figures: steps, layers, weights, filters, confusion. What they show, and that plotly takes it."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import pytest

from engine.figures import confusion, histograms, layers, waterfall
from engine.figures.panes import ticks, wrapped

THEMES = ("light", "dark")


def phase(name: str, quality: float, size: int, ms: float | None, **more: Any) -> dict[str, Any]:
    """One step in the form of an inspection."""
    ends = {"quality_low": quality - 0.01, "quality_high": quality + 0.01}
    if ms:
        ends |= {"latency_low_ms": ms * 0.98, "latency_high_ms": ms * 1.02}
    return {
        "name": name,
        "quality": quality,
        "packed_bytes": size,
        "latency_ms": ms,
        "simulated": False,
        **ends,
        **more,
    }


STEPS = (
    phase("dense student", 0.8962, 35_711, 0.0428),
    phase("prune_magnitude", 0.8928, 21_000, 0.0430),
    phase("quantize_linear", 0.8850, 8_002, 0.0560),
    phase("recalibrate", 0.8924, 8_002, 0.0560, simulated=True),
)


def valid(drawn: dict[str, Any]) -> None:
    go.Figure(drawn)
    json.dumps(drawn, allow_nan=False)


class TestWaterfall:
    def pane(self, measure: str, phases: Any = STEPS, **more: Any) -> waterfall.Pane:
        return next(p for p in waterfall.waterfall_info(phases, **more).panes if p.measure == measure)

    def test_each_step_starts_where_the_last_one_ended(self) -> None:
        steps = self.pane("packed_bytes").steps
        assert [s.start for s in steps] == [None, 35_711, 21_000, 8_002]
        assert [s.value for s in steps] == [35_711, 21_000, 8_002, 8_002]

    def test_better_worse_and_level_by_measure(self) -> None:
        assert [s.change for s in self.pane("quality").steps] == ["first", "worse", "worse", "better"]
        assert [s.change for s in self.pane("packed_bytes").steps] == ["first", "better", "better", "level"]
        assert [s.change for s in self.pane("latency_ms").steps] == ["first", "level", "worse", "level"]

    def test_what_is_said(self) -> None:
        assert [s.said for s in self.pane("quality").steps] == ["", "−0.3 points", "−0.8 points", "+0.7 points"]
        assert [s.said for s in self.pane("packed_bytes").steps] == ["", "1.7× smaller", "2.6× smaller", "same size"]
        assert [s.said for s in self.pane("latency_ms").steps] == ["", "about as fast", "1.3× slower", "simulated"]

    @pytest.mark.parametrize(
        ("after", "ends", "said"),
        [
            (1.04, (1.03, 1.05), "1.04× slower"),
            (1.04, (0.99, 1.09), "about as fast"),
            (1.01, (1.005, 1.015), "about as fast"),
            (0.50, (0.49, 0.51), "2× faster"),
        ],
    )
    def test_a_time_differs_when_the_intervals_say_so(self, after: float, ends: tuple[float, float], said: str) -> None:
        one = phase("a", 0.9, 1, 1.0, latency_low_ms=0.995, latency_high_ms=1.002)
        other = phase("b", 0.9, 1, after, latency_low_ms=ends[0], latency_high_ms=ends[1])
        steps = self.pane("latency_ms", (one, other)).steps
        assert steps[1].said == said
        assert self.pane("quality", (one, other)).steps[1].said == "no change"

    def test_without_intervals_small_differences_of_time_mean_nothing(self) -> None:
        ends = {"latency_low_ms": None, "latency_high_ms": None}
        for after, change in ((1.04, "level"), (1.06, "worse")):
            rows = (phase("a", 0.9, 1, 1.0, **ends), phase("b", 0.9, 1, after, **ends))
            assert self.pane("latency_ms", rows).steps[1].change == change

    def test_where_less_is_better_a_fall_of_quality_is_one(self) -> None:
        falls = self.pane("quality", (phase("a", 0.5, 1, 1.0), phase("b", 0.4, 1, 1.0)), direction="minimize")
        assert falls.steps[1].change == "better"

    def test_a_missing_time_leaves_a_gap_and_the_next_step_starts_at_the_last_known(self) -> None:
        rows = (STEPS[0], phase("untimed", 0.89, 9_000, None), STEPS[2])
        steps = self.pane("latency_ms", rows).steps
        assert steps[1] is None
        assert steps[2].start == pytest.approx(0.0428)
        valid(waterfall.waterfall_figure(waterfall.waterfall_info(rows)))

    def test_a_measure_that_nobody_took_has_no_chart(self) -> None:
        info = waterfall.waterfall_info([phase("a", 0.5, 10, None), phase("b", 0.4, 9, None)])
        assert [p.measure for p in info.panes] == ["quality", "packed_bytes"]

    def test_sizes_and_times_start_at_zero_and_quality_where_it_can_be_seen(self) -> None:
        assert self.pane("packed_bytes").low == self.pane("latency_ms").low == 0.0
        assert 0.8 < self.pane("quality").low < 0.8750
        assert self.pane("quality").high > 0.9062

    @pytest.mark.parametrize("theme", THEMES)
    def test_drawing(self, theme: str) -> None:
        drawn = waterfall.waterfall_figure(waterfall.waterfall_info(STEPS), theme)
        valid(drawn)
        bars = [t for t in drawn["data"] if t["type"] == "bar"]
        assert [t["xaxis"] for t in bars] == ["x", "x2", "x3"]
        assert bars[1]["base"] == [0.0, 35_711, 21_000, 8_002]
        assert bars[1]["x"] == [35_711, -14_711, -12_998, 0]
        assert bars[0]["y"] == [1, 2, 3], "no bar from a zero that the axis of quality does not have"
        marks = [t for t in drawn["data"] if t["type"] == "scatter"]
        assert marks[2]["marker"]["symbol"] == ["diamond"] * 3 + ["diamond-open"], "a simulated time is hollow"
        said = " ".join(n["text"] for n in drawn["layout"]["annotations"])
        assert "1.3× slower" in said
        assert "kB" in " ".join(drawn["layout"]["xaxis2"]["ticktext"])
        assert drawn["layout"]["yaxis"]["ticktext"][0] == "dense student"

    def test_alt_text_names_every_step_with_its_numbers(self) -> None:
        text = waterfall.alt_text(waterfall.waterfall_info(STEPS))
        assert text.startswith("4 steps. dense student: 89.6 %, 35.7 kB, 42.8 µs;")
        assert "quantize_linear: 88.5 % (−0.8 points), 8 kB (2.6× smaller), 56 µs (1.3× slower)" in text
        empty = waterfall.waterfall_info([])
        assert waterfall.alt_text(empty) == "No steps yet."
        valid(waterfall.waterfall_figure(empty))

    def test_names_are_wrapped_and_safe(self) -> None:
        assert wrapped("<script>") == "&lt;script&gt;"
        assert "<br>" in wrapped("quantize_linear, then recalibrate on 512 images")

    @pytest.mark.parametrize("ends", [(0.0, 35_711.0), (0.86, 0.91), (0.0, 1e-9), (0.0, 0.0)])
    def test_ticks_are_few_round_and_inside(self, ends: tuple[float, float]) -> None:
        found = ticks(*ends, "{:g}".format)["tickvals"]
        assert 1 <= len(found) <= 6
        assert all(ends[0] - 1e-12 <= v <= ends[1] + 1e-12 for v in found)


class TestLayers:
    ROWS = (
        {"name": "features.0", "kind": "Conv", "shape": [16, 1, 3, 3], "parameters": 144, "nonzero": 144, "zeros": 0.0,
         "bits": 8, "packed_bytes": 160, "macs": 112_896},
        {"name": "head", "kind": "Gemm", "shape": [10, 64], "parameters": 640, "nonzero": 160, "zeros": 0.75, "bits": 4,
         "packed_bytes": 240, "macs": 640},
        {"name": "<odd>", "kind": "Conv", "shape": [], "parameters": 5, "nonzero": 5, "zeros": None, "bits": None,
         "packed_bytes": None, "macs": None},
    )  # fmt: skip

    def test_totals_and_order(self) -> None:
        info = layers.layers_info(self.ROWS)
        assert [y.name for y in info.layers] == ["features.0", "head", "<odd>"]
        assert info.packed_bytes == 400
        assert info.macs == 113_536

    @pytest.mark.parametrize("theme", THEMES)
    def test_drawing(self, theme: str) -> None:
        drawn = layers.layers_figure(layers.layers_info(self.ROWS), theme)
        valid(drawn)
        size, macs, zeros, bits = drawn["data"]
        assert size["x"] == [160, 240, 0]
        assert size["text"] == ["160 B", "240 B", "?"], "what is not known is not shown as zero"
        assert macs["text"][0] == "113 k"
        assert zeros["text"][:2] == ["0 %", "75 %"]
        assert bits["text"][:2] == ["8", "4"]
        assert "&lt;odd&gt;" in drawn["layout"]["yaxis"]["ticktext"][2]
        assert "40.0 % of the packed weights" in size["hovertext"][0]

    def test_alt_text(self) -> None:
        text = layers.alt_text(layers.layers_info(self.ROWS))
        assert "The largest is head with 240 B of 400 B" in text
        assert "features.0 does 99.4 % of the multiply-adds" in text
        assert layers.alt_text(layers.layers_info([])) == "No layers yet."
        valid(layers.layers_figure(layers.layers_info([])))


class TestHistograms:
    COUNTS = {"edges": [-0.3, -0.1, 0.1, 0.3], "before": [40, 50, 10], "after": [5, 95, 0]}

    def test_the_bin_around_zero(self) -> None:
        info = histograms.histogram_info("head", self.COUNTS)
        assert info.zeros == 95
        assert info.before == (40, 50, 10)

    def test_edges_and_counts_must_match(self) -> None:
        with pytest.raises(ValueError, match="one edge more"):
            histograms.histogram_info("head", {**self.COUNTS, "after": [1]})

    @pytest.mark.parametrize("theme", THEMES)
    def test_an_empty_bin_has_no_bar_and_one_weight_can_be_seen(self, theme: str) -> None:
        counts = {**self.COUNTS, "after": [1, 99, 0]}
        drawn = histograms.histogram_figure(histograms.histogram_info("head", counts), theme)
        valid(drawn)
        bars, line = drawn["data"]
        assert bars["y"][2] is None
        assert bars["y"][0] > 10 ** drawn["layout"]["yaxis"]["range"][0]
        assert bars["width"] == pytest.approx([0.2] * 3)
        assert line["line"]["dash"] == "dash", "told apart without colour"
        assert drawn["layout"]["showlegend"]

    def test_alt_text(self) -> None:
        text = histograms.alt_histogram(histograms.histogram_info("head", self.COUNTS))
        assert text.startswith("100 weights of head from -0.3 to 0.1, 95 of them around zero")
        assert "fill 2 bins, before (dense student) 3" in text
        alone = {"edges": [-1.0, 1.0], "after": [3]}
        assert histograms.alt_histogram(histograms.histogram_info("x", alone)).endswith("they fill 1 bins.")
        first = histograms.histogram_figure(
            histograms.histogram_info("head", self.COUNTS), labels={"weights_before": "before training"}
        )["data"][1]
        assert first["name"] == "before training"
        assert first["hovertemplate"].startswith("before training: %{customdata:,} weights")
        assert histograms.alt_histogram(histograms.histogram_info("x", {"edges": [0, 1]})) == "No weights to show."


class TestFilters:
    KERNELS = [[[0.5, -1.0], [0.0, 0.25]], [[0.0, 0.0], [0.0, 0.0]]]

    def test_scale_is_shared_and_dead_filters_are_counted(self) -> None:
        info = histograms.filters_info({"layer": "features.0", "before": [[[2.0]]] * 3, "after": self.KERNELS})
        assert info.scale == 2.0
        assert info.kept == 1
        assert histograms.alt_filters(info) == "2 filters of features.0; 1 of them are not all zero."

    @pytest.mark.parametrize("theme", THEMES)
    def test_drawing_tiles_with_gaps_and_zero_in_the_middle(self, theme: str) -> None:
        drawn = histograms.filters_figure(
            histograms.filters_info({"layer": "c", "before": self.KERNELS, "after": self.KERNELS}), theme
        )
        valid(drawn)
        assert len(drawn["data"]) == 2
        assert drawn["data"][0]["z"] == [[0.5, -1.0, None, 0.0, 0.0], [0.0, 0.25, None, 0.0, 0.0]]
        assert drawn["data"][0]["zmin"] == -drawn["data"][0]["zmax"] == -1.0

    def test_many_filters_take_several_lines_and_no_dense_student_one_picture(self) -> None:
        drawn = histograms.filters_figure(histograms.filters_info({"layer": "c", "after": [[[1.0]]] * 40}))
        valid(drawn)
        (heat,) = drawn["data"]
        assert len(heat["z"]) == 9  # five lines of 8 filters of one weight, a gap between them
        assert sum(v is not None for line in heat["z"] for v in line) == 40


class TestConfusion:
    NAMES = ("shirt", "coat", "<bag>")
    MATRIX = ((80, 15, 5), (30, 70, 0), (0, 1, 99))
    CHANGE = ((-5, 4, 1), (9, -9, 0), (0, 0, 0))

    def test_worst_is_off_the_diagonal(self) -> None:
        info = confusion.confusion_info(self.NAMES, self.MATRIX)
        assert info.worst == (1, 0, 30)
        assert info.most == 30
        assert confusion.confusion_info(self.NAMES, self.CHANGE, "change").worst == (1, 0, 9)
        assert confusion.confusion_info(("a", "b"), ((3, 0), (0, 4))).worst is None

    def test_a_matrix_that_is_not_square_is_refused(self) -> None:
        with pytest.raises(ValueError, match="square"):
            confusion.confusion_info(self.NAMES, self.MATRIX[:2])

    @pytest.mark.parametrize("theme", THEMES)
    def test_right_answers_have_no_colour_among_answers(self, theme: str) -> None:
        drawn = confusion.confusion_figure(confusion.confusion_info(self.NAMES, self.MATRIX), theme, selected=(1, 0))
        valid(drawn)
        heat, numbers = drawn["data"]
        assert [heat["z"][i][i] for i in range(3)] == [None] * 3
        assert (heat["zmin"], heat["zmax"]) == (0, 30)
        assert numbers["text"][0] == "80"
        assert numbers["text"][5] == "", "nothing stands in a cell that nobody fell into"
        assert drawn["layout"]["shapes"][0]["x0"] == -0.5
        assert drawn["layout"]["shapes"][0]["y0"] == 0.5
        assert "&lt;bag&gt;" in drawn["layout"]["xaxis"]["ticktext"]

    @pytest.mark.parametrize("theme", THEMES)
    def test_change_has_signs_and_a_scale_around_zero(self, theme: str) -> None:
        drawn = confusion.confusion_figure(confusion.confusion_info(self.NAMES, self.CHANGE, "change"), theme)
        valid(drawn)
        heat, numbers = drawn["data"]
        assert (heat["zmin"], heat["zmax"]) == (-9, 9)
        assert numbers["text"][3] == "+9"
        assert numbers["text"][4] == "−9"
        valid(confusion.confusion_figure(confusion.confusion_info(("a", "b"), ((0, 0), (0, 0)), "change"), theme))

    def test_a_click_gives_label_and_answer(self) -> None:
        assert confusion.cell_of({"selection": {"points": [{"customdata": [1, 0]}]}}) == (1, 0)
        assert confusion.cell_of({"selection": {"points": [{"customdata": {"0": 2, "1": 1}}]}}) == (2, 1)
        for nothing in (None, {}, {"selection": {"points": [{}]}}, {"selection": {"points": [{"customdata": ["k"]}]}}):
            assert confusion.cell_of(nothing) is None

    def test_alt_text(self) -> None:
        said = confusion.alt_text(confusion.confusion_info(self.NAMES, self.MATRIX))
        assert said == "249 of 300 images are answered right. Most often coat is taken for shirt: 30 times."
        change = confusion.alt_text(confusion.confusion_info(self.NAMES, self.CHANGE, "change"))
        assert change == "-14 right answers against the dense student. What grew most: coat taken for shirt, 9 more."
