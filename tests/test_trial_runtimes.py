"""The section Other runtimes of the page Trial: its table, its button, its words about the file."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_trial_page import _key, _show
from test_trial_page import app as app
from test_trial_page import filled as filled

from engine import api_runtimes
from engine.errors import InputError
from engine.home import Home
from pages.parts import trial_runtimes
from pages.parts.words import say


def row(name: str, ratio: float, ships: bool = False, simulated: bool = False) -> dict[str, Any]:
    latencies = {
        str(b): {"median_ms": 0.1 * ratio * b, "ratio": ratio, "ratio_low": 0.95 * ratio, "ratio_high": 1.05 * ratio}
        for b in (1, 8, 32)
    }
    return {"name": name, "ships": ships, "simulated": simulated, "rounds_inputs": False, "bits": 4,
            "onnx_bytes": 42_000, "packed_bytes": 6_100, "quality": {"value": 0.8924, "low": 0.8835, "high": 0.9007},
            "difference": {"value": -0.0012, "low": -0.004, "high": 0.0016}, "latencies": latencies}  # fmt: skip


ROWS = [row("float", 1.0, ships=True, simulated=True), row("dynamic_int8", 0.5, simulated=True),
        row("matmul_nbits", 0.8)]  # fmt: skip


def test_a_line_for_each_runtime_says_what_is_simulated_and_shipped() -> None:
    base, dynamic, packed = trial_runtimes.lines(ROWS)
    assert base[0] == "Float (the recipe ships this, simulated)"
    assert (dynamic[0], packed[0]) == ("Dynamic int8 (simulated)", "Few-bit products")
    assert base[1] == "89.2 % (88.3 % to 90.1 %)"
    assert (base[2], dynamic[2]) == ("–", "−0.12 (−0.40 to +0.16)")
    assert dynamic[3:5] == ["42 kB", "6.1 kB"]
    assert base[5:] == ["100 µs", "800 µs", "3.2 ms"]
    assert dynamic[5] == "50 µs, ×0.50 (0.47 to 0.53)"
    assert len(dynamic) == len(trial_runtimes.COLUMNS)


def test_the_fastest_is_named_only_where_it_is_certain() -> None:
    assert trial_runtimes.fastest(ROWS) == "Fastest with one image: **Dynamic int8**, 2.0× as fast as float."
    unsure = [ROWS[0], row("dynamic_int8", 0.98)]
    assert trial_runtimes.fastest(unsure) == say("trial_runtimes.fastest_float")


def gap(value: float, changed: float, margin: float) -> dict[str, float]:
    return {"artifact_gap": value, "artifact_changed": changed, "artifact_margin": margin}


def test_the_file_beside_the_trained_network() -> None:
    told = trial_runtimes.against_training
    assert told(api_runtimes.gap({"metrics": {"accuracy": 0.9}})) == []
    assert told(api_runtimes.gap({"metrics": gap(0, 0, 0)})) == [say("trial_runtimes.gap_same")]
    (near,) = told(api_runtimes.gap({"metrics": gap(0.0002, 0.0004, 3e-6)}))
    assert near == ("The file answers 0.04 % of the validation images otherwise than the network that was trained; its "
                    "accuracy differs by +0.02 points. All of them were near ties: the best two logits at most 3e-06 "
                    "apart.")  # fmt: skip
    inside = {"phases": [{}, {"gap": gap(-0.004, 0.02, 0.4)}]}
    (rounded,) = told(api_runtimes.gap({"metrics": {}}, inside))
    assert "2.00 % of the validation images" in rounded
    assert "near ties" not in rounded


@pytest.mark.parametrize(("value", "warned"), [(-0.0051, True), (0.0051, True), (0.005, False), (0.0, False)])
def test_more_than_half_a_point_is_a_warning(value: float, warned: bool) -> None:
    said = trial_runtimes.too_far({"metrics": gap(value, 0.02, 0.4)}, None)
    assert bool(said) is warned
    assert not warned or f"{100 * value:+.2f}".replace("-", "−") in said
    assert trial_runtimes.too_far({"metrics": {}}, {"phases": [{"name": "an older one"}]}) == ""


class TestOnThePage:
    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        told: dict[str, Any] = {"state": "none", "progress": {}, "error": None, "rows": [], "machine": "a chip"}
        monkeypatch.setattr(api_runtimes, "runtimes", lambda *_: told)
        return told

    def test_the_button_asks_and_a_refusal_is_one_line(
        self,
        app: AppTest,
        filled: Home,
        now: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        asked: list[Any] = []
        monkeypatch.setattr(api_runtimes, "ask", lambda home, key, who: asked.append((key, who)))
        _show(app, filled, view="time")
        app.button(key="runtimes_ask").click().run()
        assert asked == [(_key(filled), "local")]

        def refuse(*_: Any) -> None:
            raise InputError("trial", "it", "another")

        now.update(state="failed", error="no room")
        monkeypatch.setattr(api_runtimes, "ask", refuse)
        app.button(key="runtimes_ask").click().run()
        assert not app.exception
        said = [str(w.value) for w in (*app.warning, *app.error)]
        assert any("no room" in line for line in said)
        assert any("allowed: another" in line for line in said)

    def test_what_is_measured_is_a_table_and_the_shipped_one_stands_out(
        self,
        app: AppTest,
        filled: Home,
        now: dict[str, Any],
    ) -> None:
        now.update(state="done", rows=ROWS)
        shown = _show(app, filled, view="time")
        assert '<tr class="sh-strong"><td>Float (the recipe ships this, simulated)' in shown
        assert not [b for b in app.button if b.key == "runtimes_ask"]
        told = " ".join(str(c.value) for c in app.caption)
        assert "recipe's 4-bit format" in told
        assert "Measured on a chip" in told

    def test_its_progress_is_told(self, app: AppTest, filled: Home, now: dict[str, Any]) -> None:
        now.update(state="running", progress={"fraction": 0.7, "doing": "answering"})
        _show(app, filled, view="time")
        assert "reading the accuracy of each" in str([e.proto for e in app.get("progress")])
