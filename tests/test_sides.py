"""Trials laid side by side: means over seeds, paired differences, what is missing; and their chart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import api, api_sides, metrics, scores
from engine.errors import NotFoundError
from engine.figures.sides import MOST_LINES, alt_text, sides_figure, sides_info
from engine.home import Home

LABELS = np.arange(200) % 10
AXIS, VALUES = "order", ["first", "second"]


def right(share: float, number: int) -> Any:
    """Which of the images a made-up trial gets right."""
    return np.random.default_rng(number).random(200) < share


def logits(correct: Any) -> Any:
    return np.eye(10, dtype=np.float16)[np.where(correct, LABELS, (LABELS + 1) % 10)]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What trials got right, by key, in place of a store's predictions."""
    found: dict[str, Any] = {}

    def predictions(_: Home, key: str) -> Any:
        if key not in found:
            raise NotFoundError(f"trial {key}")
        return logits(found[key])

    monkeypatch.setattr(api, "predictions", predictions)
    monkeypatch.setattr(scores, "labels", lambda _: LABELS)
    return found


def row(kept: dict[str, Any], key: str, order: str, share: float, seed: int = 0, **setting: Any) -> dict[str, Any]:
    kept[key] = right(share, len(kept))
    quality = float(kept[key].mean())
    return {
        "key": key, "task": "fashion_mnist", "origin": "trial", "metric": "accuracy", "quality": quality, "seed": seed,
        "quality_low": quality - 0.05, "quality_high": quality + 0.05, "packed_bytes": 1000 + seed, "onnx_bytes": 5,
        "latency_ms": 0.1, "seconds": 3.0, "simulated": False, "setting": {AXIS: order, "seed": seed, **setting},
    }  # fmt: skip


def test_one_trial_each_is_compared_on_the_same_images(home: Home, kept: dict[str, Any]) -> None:
    rows = [row(kept, "a", "first", 0.8), row(kept, "b", "second", 0.6)]
    (entry,) = api_sides.sides(home, rows, AXIS, VALUES)
    first, second = entry["cells"]
    assert entry["setting"] == {}
    assert first["difference"] is None, "it is what the others are compared with"
    expected = metrics.paired_difference(kept["b"], kept["a"])
    assert (second["difference"], second["difference_low"], second["difference_high"]) == pytest.approx(expected)
    assert (second["low"], second["high"]) == (rows[1]["quality_low"], rows[1]["quality_high"])


def test_seeds_are_replicates_of_one_cell(home: Home, kept: dict[str, Any]) -> None:
    rows = [row(kept, f"{o}{s}", o, share, s) for o, share in (("first", 0.9), ("second", 0.5)) for s in range(3)]
    (entry,) = api_sides.sides(home, rows, AXIS, VALUES)
    first, second = entry["cells"]
    assert (first["count"], second["pairs"], second["packed_bytes"]) == (3, 3, 1001)
    expected = metrics.paired_over_seeds(
        np.stack([kept[f"second{s}"] for s in range(3)]), np.stack([kept[f"first{s}"] for s in range(3)])
    )
    assert second["difference"] == pytest.approx(expected[0])
    assert second["difference_high"] == pytest.approx(expected[2])
    assert first["low"] == pytest.approx(metrics.over_seeds([kept[f"first{s}"].mean() for s in range(3)])[1])


def test_only_seeds_that_both_have_are_paired(home: Home, kept: dict[str, Any]) -> None:
    rows = [row(kept, "a0", "first", 0.8, 0), row(kept, "a1", "first", 0.8, 1), row(kept, "b1", "second", 0.6, 1)]
    ((first, second),) = [e["cells"] for e in api_sides.sides(home, rows, AXIS, VALUES)]
    assert first["count"] == 2
    assert second["pairs"] == 1
    assert second["difference"] == pytest.approx(metrics.paired_difference(kept["b1"], kept["a1"])[0])


def test_other_settings_keep_apart_and_what_is_missing_is_none(home: Home, kept: dict[str, Any]) -> None:
    rows = [row(kept, "a", "first", 0.8, labels=100), row(kept, "b", "second", 0.7, labels=None),
            {**row(kept, "g", "first", 0.1, labels=100), "origin": "grid"}]  # fmt: skip
    few, many = api_sides.sides(home, rows, AXIS, VALUES)
    assert (few["setting"], many["setting"]) == ({"labels": 100}, {"labels": None})
    assert few["cells"][1] is None
    assert many["cells"][0] is None
    assert many["cells"][1]["difference"] is None
    assert few["cells"][0]["count"] == 1, "grid points are no trials of the sweep"


def test_without_kept_predictions_there_is_no_difference(home: Home, kept: dict[str, Any]) -> None:
    rows = [row(kept, "a", "first", 0.8), row(kept, "b", "second", 0.6)]
    del kept["a"]
    assert api_sides.sides(home, rows, AXIS, VALUES)[0]["cells"][1]["difference"] is None


def test_seeds_themselves_are_compared_and_true_is_not_one(home: Home, kept: dict[str, Any]) -> None:
    rows = [{**row(kept, f"s{s}", "first", 0.8, s), "setting": {"seed": s}} for s in range(3)]
    (entry,) = api_sides.sides(home, rows, "seed", [0, 1, 2])
    assert [c["count"] for c in entry["cells"]] == [1, 1, 1]
    assert entry["cells"][2]["pairs"] == 1
    flags = [{**row(kept, f"f{v}", "first", 0.8), "setting": {"keep": v}} for v in (True, 1)]
    (entry,) = api_sides.sides(home, flags, "keep", [True, 1])
    assert [c["keys"] for c in entry["cells"]] == [["fTrue"], ["f1"]]


def test_the_chart_has_a_line_for_each_of_the_other_settings(home: Home, kept: dict[str, Any]) -> None:
    rows = [row(kept, f"{o}{n}", o, 0.8, labels=n) for n in range(8) for o in VALUES]
    entries = api_sides.sides(home, rows, AXIS, VALUES)
    info = sides_info(entries, AXIS, VALUES, lines=[f"labels {e['setting']['labels']}" for e in entries])
    assert len(info.lines) == MOST_LINES
    assert info.left_out == 2
    for theme in ("light", "dark"):
        drawn = sides_figure(info, theme)
        assert len(drawn["data"]) == MOST_LINES
        assert len({t["marker"]["symbol"] for t in drawn["data"]}) == MOST_LINES, "symbols say what colours say"
        assert drawn["layout"]["xaxis"]["ticktext"] == VALUES
        assert drawn["data"][0]["customdata"][0] == ["first0"]
    assert "first" in alt_text(info)
    low, high = info.y_range
    assert all(low < v < high for line in info.lines for v in (*line.lows, *line.highs))


def test_an_empty_chart_says_so() -> None:
    info = sides_info([], AXIS, VALUES)
    assert sides_figure(info)["data"] == []
    assert "No measured" in alt_text(info)


def test_long_names_are_wrapped_and_never_read_as_markup(home: Home, kept: dict[str, Any]) -> None:
    names = ["first <b>distil</b> then compress", "second"]
    entries = api_sides.sides(home, [row(kept, "a", names[0], 0.8)], AXIS, names)
    texts = sides_figure(sides_info(entries, AXIS, names))["layout"]["xaxis"]["ticktext"]
    assert "<b>" not in texts[0]
    assert "<br>" in texts[0]
