"""The heat map, soft targets, curves, the facts of a comparison, and the words of all figures."""

from __future__ import annotations

import json
import math
import string
from typing import Any

import plotly.graph_objects as go
import pytest
from figure_rows import row

from engine import figures
from engine.errors import InputError
from engine.figures.labels import ENGLISH, labels_of

THEMES = ("light", "dark")


class TestHeat:
    SPARSITIES = (0.0, 0.5, 0.9)

    def rows(self) -> list[dict[str, Any]]:
        found = []
        for i, sparsity in enumerate(self.SPARSITIES):
            for bits in range(1, 9):
                quality = 0.9 - 0.4 * sparsity**4 - 0.5 / 2**bits
                found.append(row(100 * i + bits, origin="grid", sparsity=sparsity, bits=bits, quality=quality))
        return found

    def test_every_point_has_its_place(self) -> None:
        info = figures.heat_info(self.rows(), "d" * 32, selected=(0.5, 4))
        assert info.sparsities == self.SPARSITIES
        assert info.bits == tuple(range(1, 9))
        assert len(info.cells) == 24
        chosen = info.cells[info.selected]
        assert (info.sparsities[chosen.x], info.bits[chosen.y]) == (0.5, 4)
        best = info.cells[info.best]
        assert (info.sparsities[best.x], info.bits[best.y]) == (0.0, 8)
        assert figures.heat_info(self.rows(), selected=chosen.key).selected == info.selected

    def test_only_this_dense_student_and_only_grid_points(self) -> None:
        rows = [*self.rows(), row(900, origin="grid", dense_key="e" * 32), row(901), row(902, role="dense")]
        assert len(figures.heat_info(rows, "d" * 32).cells) == 24

    def test_a_full_measurement_replaces_its_preview_in_any_order(self) -> None:
        preview = row(1, origin="grid", preview=True, quality=0.5)
        full = row(2, origin="grid", quality=0.8)
        for rows in ([preview, full], [full, preview]):
            (cell,) = figures.heat_info(rows).cells
            assert (cell.value, cell.preview) == (0.8, False)

    def test_colours_start_where_differences_matter(self) -> None:
        rows = [row(1, origin="grid", quality=0.10, bits=1), row(2, origin="grid", quality=0.90)]
        info = figures.heat_info(rows)
        assert info.floor == pytest.approx(0.75)
        assert info.ceiling == pytest.approx(0.90)

    @pytest.mark.parametrize("theme", THEMES)
    def test_drawing_outlines_the_selected_cell_and_writes_numbers_where_they_fit(self, theme: str) -> None:
        info = figures.heat_info(self.rows(), selected=(0.5, 4))
        drawn = figures.heat_figure(info, theme)
        go.Figure(drawn)
        json.dumps(drawn, allow_nan=False)
        heat, marks = drawn["data"]
        assert heat["z"][3][1] == pytest.approx(info.cells[info.selected].value)
        assert [s["x0"] for s in drawn["layout"]["shapes"]] == [0.5, 0.5]
        assert len(marks["customdata"]) == 24
        assert marks["text"][0] == f"{100 * info.cells[0].value:.1f}"
        assert "text" in marks["mode"]
        assert "text" not in figures.heat_figure(info, theme, width=200)["data"][1]["mode"]

    def test_numbers_stand_out_against_their_cell(self) -> None:
        marks = figures.heat_figure(figures.heat_info(self.rows()))["data"][1]
        by_value = sorted(zip((float(t) for t in marks["text"]), marks["textfont"]["color"], strict=True))
        assert by_value[0][1] == "#ffffff"
        assert by_value[-1][1] == "#000000"

    def test_alt_text_and_empty(self) -> None:
        text = figures.alt_heat(figures.heat_info(self.rows(), selected=(0.5, 4)))
        assert "24 what-if points" in text
        assert "best at 0 % zeros and 8 bits" in text
        assert "50 % zeros and 4 bits give" in text
        empty = figures.heat_info([])
        go.Figure(figures.heat_figure(empty))
        assert figures.alt_heat(empty) == "No what-if points yet."

    def test_hover_says_preview(self) -> None:
        (cell,) = figures.heat_info([row(1, origin="grid", preview=True)]).cells
        assert "(preview)" in cell.hover
        assert "8 kB packed" in cell.hover


class TestSoftTargets:
    NAMES = ("shirt", "coat", "bag")

    def test_shares_are_the_softmax_at_the_temperature(self) -> None:
        info = figures.soft_targets_info([2.0, 1.0, 0.0], 2.0, self.NAMES, 0)
        powers = [math.exp(v / 2) for v in (2.0, 1.0, 0.0)]
        assert info.shares == pytest.approx([p / sum(powers) for p in powers])
        assert info.top == 0

    def test_hotter_is_softer_and_the_order_stays(self) -> None:
        cold, warm, hot = (figures.soft_targets_info([5.0, 1.0, 0.0], t, self.NAMES) for t in (0.5, 4.0, 50.0))
        assert cold.entropy < warm.entropy < hot.entropy < math.log2(3)
        assert cold.shares[0] > warm.shares[0] > hot.shares[0] > 1 / 3
        assert all(s.shares[0] > s.shares[1] > s.shares[2] for s in (warm, hot))

    def test_huge_logits_do_not_overflow(self) -> None:
        assert figures.soft_targets_info([1e4, -1e4, 0.0], 0.5, self.NAMES).shares == pytest.approx([1.0, 0.0, 0.0])

    @pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
    def test_impossible_temperature_is_refused(self, bad: float) -> None:
        with pytest.raises(InputError, match="above 0"):
            figures.soft_targets_info([1.0, 2.0, 3.0], bad, self.NAMES)

    def test_names_and_logits_must_match(self) -> None:
        with pytest.raises(ValueError, match="2 logits and 3 class names"):
            figures.soft_targets_info([1.0, 2.0], 1.0, self.NAMES)

    @pytest.mark.parametrize("theme", THEMES)
    def test_label_is_marked_by_more_than_a_colour(self, theme: str) -> None:
        drawn = figures.soft_targets_figure(figures.soft_targets_info([1, 2, 3], 4, self.NAMES, 1), theme)
        go.Figure(drawn)
        assert drawn["layout"]["yaxis"]["ticktext"] == ["shirt", "<b>coat</b> (label)", "bag"]
        assert drawn["data"][0]["marker"]["line"]["width"] == [0, 2, 0]
        assert "temperature 4" in drawn["layout"]["xaxis"]["title"]["text"]

    def test_alt_text(self) -> None:
        text = figures.alt_soft_targets(figures.soft_targets_info([0, 9, 0], 1, self.NAMES, 0))
        assert text.startswith("At temperature 1 the teacher gives coat: 100.0 %")
        assert text.endswith("The label is shirt.")


class TestCurves:
    CURVE = (
        {"epoch": 1, "loss": 1.5, "quality": 0.8, "phase": 0},
        {"epoch": 2, "loss": math.nan, "quality": 0.85, "phase": 0},
        {"epoch": 1, "loss": 0.5, "quality": 0.88, "phase": 1},
    )

    def test_epochs_count_on_through_phases_and_gaps_stay_gaps(self) -> None:
        info = figures.curves_info(self.CURVE)
        assert info.epochs == (1, 2, 3)
        assert info.losses == (1.5, None, 0.5)
        assert info.breaks == (2,)

    @pytest.mark.parametrize("theme", THEMES)
    def test_drawing(self, theme: str) -> None:
        drawn = figures.curves_figure(figures.curves_info(self.CURVE), theme)
        go.Figure(drawn)
        json.dumps(drawn, allow_nan=False)
        assert [t["yaxis"] for t in drawn["data"]] == ["y", "y2"]
        assert drawn["layout"]["shapes"][0]["x0"] == 2.5
        go.Figure(figures.curves_figure(figures.curves_info([]), theme))

    def test_alt_text(self) -> None:
        text = figures.alt_curves(figures.curves_info(self.CURVE))
        assert "3 epochs" in text
        assert "from 1.5 to 0.5" in text
        assert "from 80.0 % to 88.0 %" in text
        assert figures.alt_curves(figures.curves_info([])) == "No finished epoch yet."


class TestFacts:
    def run(self, **latency: Any) -> dict[str, Any]:
        def side(value: float, size: int) -> dict[str, Any]:
            return {"quality": {"value": value}, "cost": {"packed_bytes": size}}

        times = {"median_ms": 0.05, "simulated": False, "slower_here": True, "cause": "too small", "ratio": 1.3,
                 "ratio_low": 1.2, "ratio_high": 1.4} | latency  # fmt: skip
        return {
            "quality": {"value": 0.90, "metric": "accuracy", "direction": "maximize"},
            "cost": {"packed_bytes": 4000, "latency": times},
            "dense": side(0.91, 36400),
            "teacher": side(0.93, 2_300_000),
            "baseline": side(0.89, 36400),
        }

    def test_the_sentence_of_the_issue(self) -> None:
        known = figures.facts(self.run())
        assert known.size == "smaller"
        assert known.size_factor == pytest.approx(9.1)
        assert known.times_smaller_than_teacher == pytest.approx(575)
        assert known.points_over_teacher == pytest.approx(-3.0)
        assert known.points_over_baseline == pytest.approx(1.0)
        assert (known.speed, known.speed_factor, known.cause) == ("slower", 1.3, "too small")
        assert known.slower_here

    @pytest.mark.parametrize(
        ("ends", "speed"), [((1.01, 1.2), "slower"), ((0.5, 0.9), "faster"), ((0.9, 1.1), "level")]
    )
    def test_speed_is_judged_by_the_interval(self, ends: tuple[float, float], speed: str) -> None:
        assert figures.facts(self.run(ratio_low=ends[0], ratio_high=ends[1])).speed == speed

    def test_faster_is_a_factor_above_one_too(self) -> None:
        known = figures.facts(self.run(ratio=0.5, ratio_low=0.4, ratio_high=0.6))
        assert known.speed_factor == 2.0

    def test_paired_differences_decide_between_above_level_and_below(self) -> None:
        paired = {"teacher": {"difference": -0.02, "low": -0.03, "high": -0.01},
                  "dense": {"difference": 0.001, "low": -0.004, "high": 0.006}}  # fmt: skip
        known = figures.facts(self.run(), paired)
        assert (known.beside_teacher, known.beside_dense, known.beside_baseline) == ("below", "level", "unknown")
        assert known.points_over_teacher == pytest.approx(-2.0), "the paired difference counts, not the other one"

    def test_what_is_not_measured_is_unknown(self) -> None:
        run = {**self.run(), "dense": None, "teacher": None, "baseline": None}
        run["cost"] = {"packed_bytes": 4000, "latency": None}
        known = figures.facts(run)
        assert (known.size, known.speed, known.points_over_teacher) == ("unknown", "unknown", None)

    def test_where_less_is_better_points_turn_round(self) -> None:
        run = self.run()
        run["quality"]["direction"] = "minimize"
        assert figures.facts(run).points_over_teacher == pytest.approx(3.0)


class TestWords:
    def test_a_click_gives_the_key(self) -> None:
        assert figures.key_of({"selection": {"points": [{"customdata": ["abc"]}]}}) == "abc"
        assert figures.key_of({"selection": {"points": [{"customdata": {"0": 1}}, {"customdata": "def"}]}}) == "def"
        for nothing in (None, {}, {"selection": {"points": []}}, {"selection": {"points": [{}]}}):
            assert figures.key_of(nothing) is None

    def test_unknown_metrics_and_causes_read_as_themselves(self) -> None:
        assert labels_of(None)["metric_word_error_rate"] == "word error rate"

    def test_templates_are_well_formed(self) -> None:
        for name, text in ENGLISH.items():
            assert text.strip() == text, name
            assert all(field is None or field.isidentifier() for _, field, _, _ in string.Formatter().parse(text)), name
