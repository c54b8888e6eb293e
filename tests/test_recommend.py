"""The best point within limits: which, before whom, and how probable it is that it really is the better one."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from figure_rows import row

from engine import api, api_front, api_points, cli, scores
from engine.errors import NotFoundError

TASK = "fashion_mnist"
COUNT = 400


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """Keys with whether each of the images is answered rightly; all others keep no predictions."""
    kept: dict[str, np.ndarray[Any, Any]] = {}
    truth = np.random.default_rng(0).integers(0, 10, COUNT)

    def predictions(_: Any, key: str) -> np.ndarray[Any, Any]:
        if key not in kept:
            raise NotFoundError(f"trial {key}: no predictions are kept")
        told = np.where(kept[key], truth[: len(kept[key])], (truth[: len(kept[key])] + 1) % 10)
        return np.eye(10, dtype=np.float16)[told]

    monkeypatch.setattr(api, "predictions", predictions)
    monkeypatch.setattr(scores, "labels", lambda _: truth)
    api_front._better.cache_clear()
    return kept


def right(count: int, start: int = 0, size: int = COUNT) -> np.ndarray[Any, Any]:
    """``count`` right answers, the first at ``start``."""
    return (np.arange(size) >= start) & (np.arange(size) < start + count)


def test_equal_trials_are_even_and_a_large_gap_is_certain(home: Any, answers: Any) -> None:
    answers |= {"a": right(350), "b": right(350), "c": right(200), "d": right(350, 50)}
    assert api_front.better(home, TASK, "a", "b") == (0.5, COUNT)
    assert api_front.better(home, TASK, "a", "c")[0] == pytest.approx(1.0, abs=1e-3)
    even, _ = api_front.better(home, TASK, "a", "d")
    assert even == pytest.approx(0.5, abs=0.02), "equally many, on other images"


def test_it_is_a_bootstrap_over_images(home: Any, answers: Any) -> None:
    """Against the plain definition: draw the images again, with replacement, and count."""
    a, b = right(320), right(310, 20)
    answers |= {"a": a, "b": b}
    drawn = np.random.default_rng(3).integers(0, COUNT, (20_000, COUNT))
    gap = a[drawn].sum(1) - b[drawn].sum(1)
    plain = (gap > 0).mean() + 0.5 * (gap == 0).mean()
    found, images = api_front.better(home, TASK, "a", "b")
    assert (found, images) == (pytest.approx(plain, abs=0.015), COUNT)
    assert api_front.better(home, TASK, "b", "a")[0] == pytest.approx(1 - found, abs=0.015)
    assert found == api_front.better(home, TASK, "a", "b")[0], "it does not flicker"


def test_a_shorter_preview_is_compared_on_what_both_have(home: Any, answers: Any) -> None:
    answers |= {"a": right(350), "b": right(50, 0, 100)}
    assert api_front.better(home, TASK, "a", "b") == (pytest.approx(1.0, abs=1e-3), 100)


def points() -> list[dict[str, Any]]:
    return [
        row(1, quality=0.88, packed_bytes=5000), row(2, quality=0.90, packed_bytes=9000),
        row(3, quality=0.91, packed_bytes=20_000), row(4, quality=0.99, packed_bytes=100, preview=True),
        row(5, quality=0.95, packed_bytes=None),
    ]  # fmt: skip


def test_best_and_runner_up_with_their_probability(home: Any, answers: Any) -> None:
    rows = points()
    answers |= {rows[1]["key"]: right(360), rows[0]["key"]: right(352)}
    found = api_front.recommend(home, TASK, {"packed_bytes": 10_000}, rows=rows)
    assert (found["best"], found["runner_up"]) == (rows[1], rows[0])
    assert (found["fits"], found["of"], found["basis"], found["images"]) == (2, 4, "paired", COUNT)
    assert found["probability"] > 0.95
    assert found["reason"] == ""
    assert found["meets"] is None


def test_without_predictions_no_probability_is_made_up(home: Any, answers: Any) -> None:
    rows = points()
    answers[rows[1]["key"]] = right(360)
    found = api_front.recommend(home, TASK, {"packed_bytes": 10_000}, rows=rows)
    assert (found["probability"], found["basis"]) == (None, "missing")
    alone = api_front.recommend(home, TASK, {"packed_bytes": 6000}, rows=rows)
    assert (alone["runner_up"], alone["probability"], alone["basis"]) == (None, None, "alone")
    other = [r | {"metric": "perplexity"} for r in rows]
    assert api_front.recommend(home, TASK, {"packed_bytes": 10_000}, rows=other)["basis"] == "uncounted"


def test_a_floor_is_met_with_a_probability_of_its_own(home: Any, answers: Any) -> None:
    rows = points()
    answers[rows[1]["key"]] = right(360)  # 90 %
    meets = [api_front.recommend(home, TASK, {}, floor, rows)["meets"] for floor in (0.89, 0.90)]
    assert api_front.recommend(home, TASK, {}, 0.89, rows)["best"] == rows[1], "the smallest that is good enough"
    assert meets[0] == pytest.approx(0.77, abs=0.05)
    assert meets[1] == pytest.approx(0.53, abs=0.03)


@pytest.mark.parametrize(
    ("limits", "floor", "reason"),
    [({"packed_bytes": 10}, None, "costs"), ({}, 0.97, "quality"), ({"packed_bytes": 6000}, 0.9, "both"),
     ({"packed_bytes": 10}, 0.9, "costs"), ({"packed_bytes": 1e6}, 0.97, "quality")],
)  # fmt: skip
def test_where_nothing_fits_it_says_what_would(home: Any, limits: Any, floor: Any, reason: str) -> None:
    found = api_front.recommend(home, TASK, limits, floor, points())
    assert (found["best"], found["runner_up"], found["fits"], found["reason"]) == (None, None, 0, reason)
    assert found["nearest"]["quality"] == 0.95
    assert all(found["nearest"][name] == 5000 for name in limits)


def test_nothing_measured_is_empty_and_times_elsewhere_do_not_count(home: Any) -> None:
    assert api_front.recommend(home, TASK, {"packed_bytes": 10}, rows=[])["reason"] == "empty"
    rows = [row(1, machine_id="a", latency_ms=0.5, quality=0.8), row(2, machine_id="b", latency_ms=0.01, created=1.0)]
    found = api_front.recommend(home, TASK, {"latency_ms": 1.0}, rows=rows)
    assert (found["best"], found["runner_up"], found["machine"]) == (rows[0], None, "a")
    mixed = api_points.view(api_points.table_of(rows, TASK), api_points.ANY)
    assert api_front.recommend(home, TASK, {"latency_ms": 1.0}, rows=mixed)["best"] == rows[1]


def test_fits_is_the_mask_of_what_may_be_recommended() -> None:
    view = api_points.view(api_points.table_of(points(), TASK))
    assert api_front.fits(view, {"packed_bytes": 10_000}).tolist() == [True, True, False, False, False]
    assert api_front.fits(view, {}, 0.9).tolist() == [False, True, True, False, True]


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _rows(self, home: Any, monkeypatch: pytest.MonkeyPatch, answers: Any) -> None:
        rows = points()
        answers |= {rows[1]["key"]: right(360), rows[0]["key"]: right(352)}
        monkeypatch.setattr(api, "rows", lambda *_: rows)

    def test_runner_up_and_probability_in_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["recommend", "--task", TASK, "--max-bytes", "10kB"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[1] == points()[1]["key"]
        assert said[2] == "the best of 2 points that fit, of 4 measured"
        assert said[3].startswith("runner-up: 88.0 %")
        assert "probability 0.9" in said[4] or "probability 1.0" in said[4]

    def test_the_same_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["recommend", "--task", TASK, "--max-macs", "700k", "--max-bytes", "10kB", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["budget"]["max_macs"] == 700_000
        assert (found["recommendation"]["key"], found["runner_up"]["key"]) == (points()[1]["key"], points()[0]["key"])
        assert (found["basis"], found["images"], found["fits"], found["of"]) == ("paired", COUNT, 2, 4)
        assert 0.9 < found["probability"] <= 1

    def test_a_floor_alone_tells_how_likely_it_is_reached(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["recommend", "--task", TASK, "--min-quality", "0.89"]) == 0
        said = capsys.readouterr().out
        assert "reaches --min-quality on other images with probability 0.7" in said
        assert "better than" not in said

    def test_what_would_fit(self, capsys: pytest.CaptureFixture[str]) -> None:
        wanted = {"--max-macs=3": "the smallest macs is 700", "--min-quality=0.99": "the best one reaches 0.95"}
        for (option, said), tail in itertools.product(wanted.items(), ([], ["--json"])):
            assert cli.main(["recommend", "--task", TASK, option, *tail]) == 1
            assert said in capsys.readouterr().err
