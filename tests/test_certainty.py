"""How sure the numbers are, as figures and as words on the page Trial."""

from __future__ import annotations

import pytest

from engine.figures import certainty
from engine.figures.certainty import Bar
from pages.parts import trial_sure

PAIR = {"difference": -0.021, "low": -0.033, "high": -0.009, "examples": 5000, "seeds": 5, "direction": "maximize",
        "verdict": "below"}  # fmt: skip
LEVEL = {**PAIR, "low": -0.05, "high": 0.01, "seeds": 1, "verdict": "tied"}


def test_a_row_for_each_companion_over_seeds_and_alone() -> None:
    found = trial_sure.bars({"dense": LEVEL, "teacher": PAIR}, {"dense": PAIR})
    assert [(b.name, b.seeds) for b in found] == [("teacher, 5 seeds", 5), ("dense student, 5 seeds", 5),
                                                  ("dense student, this run", 1)]  # fmt: skip
    assert found[0].text == "-2.10 points, worse (-3.30 to -0.90)"
    assert found[2].text == "-2.10 points, cannot be told apart (-5.00 to +1.00)"


def test_measures_name_their_method() -> None:
    ends = {"value": 0.6, "low": 0.55, "high": 0.65, "count": 5000}
    found = trial_sure.measures(
        {"accuracy": ends | {"method": "wilson"}, "cross_entropy": ends | {"method": "bootstrap"}}
    )
    assert found == [["accuracy", "60.00 %", "55.00 % to 65.00 %", "Wilson, 5,000 images"],
                     ["cross entropy (nats)", "0.6000", "0.5500 to 0.6500", "bootstrap, 5,000 images"]]  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_differences_hold_zero_and_tell_single_runs_from_means(theme: str) -> None:
    bars = [Bar("a", -2.0, -3.0, -1.0, 5, "x"), Bar("b", 0.5, -0.2, 1.2, 1, "y")]
    drawn = certainty.differences_figure(bars, "points", theme)
    assert [t["marker"]["symbol"] for t in drawn["data"]] == ["circle", "circle-open"]
    assert drawn["data"][0]["error_x"] | {"array": [1.0], "arrayminus": [1.0]} == drawn["data"][0]["error_x"]
    low, high = drawn["layout"]["xaxis"]["range"]
    assert low < -3.0 < 0 < 1.2 < high
    assert drawn["layout"]["shapes"][0]["x0"] == 0
    assert certainty.alt_text(bars) == "a: x b: y"


def test_seeds_are_dots_with_their_keys_beside_the_mean() -> None:
    drawn = certainty.seeds_figure([("k1", 80.0, "one"), ("k2", 82.0, "two")], Bar("m", 81, 70, 92, 2, "mean"), "q")
    dots, mean = drawn["data"]
    assert dots["customdata"] == [["k1"], ["k2"]]
    assert dots["marker"]["opacity"] < 0.5
    assert mean["x"] == [81]
    low, high = drawn["layout"]["xaxis"]["range"]
    assert low < 70 < 92 < high
    assert len(certainty.seeds_figure([("k1", 80.0, "one")], None, "q")["data"]) == 1
