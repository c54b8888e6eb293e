"""The part Time of the page Trial: the figure of operators, the lines of the table, the reasons."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from engine.figures import profile
from pages.parts import trial_profile

THEMES = ("light", "dark")


def valid(drawn: dict[str, Any]) -> None:
    go.Figure(drawn)


class TestProfile:
    def side(self, *nodes: tuple[str, str, float], total: float = 1.0) -> dict[str, Any]:
        made = [{"op": op, "kind": kind, "milliseconds": ms, "name": op, "moved_bytes": 0} for op, kind, ms in nodes]
        return {"batch": 8, "calls": 9, "milliseconds": total, "copy_rate": 1e10, "nodes": made}

    def both(self) -> dict[str, Any]:
        student = self.side(("QuantizeLinear", "conversion", 0.1), ("QLinearConv", "integer", 0.3),
                            ("QLinearConv", "integer", 0.2), ("MaxPool", "other", 0.1))  # fmt: skip
        return {"student": student, "dense": self.side(("Conv", "float", 0.4), ("MaxPool", "other", 0.2), total=0.7)}

    def test_operators_are_added_up_by_type_and_the_rest_is_the_runtimes(self) -> None:
        info = profile.profile_info(self.both())
        assert [r.op for r in info.rows] == ["QLinearConv", "Conv", "MaxPool", "QuantizeLinear", profile.REST]
        conv, rest = info.rows[0], info.rows[-1]
        assert (conv.counts, conv.kind) == ({"student": 2}, "integer")
        assert conv.times["student"] == pytest.approx(0.5)
        assert rest.times == pytest.approx({"student": 0.3, "dense": 0.1})
        assert info.shares["student"] == pytest.approx({"integer": 0.5, "float": 0, "conversion": 0.1, "other": 0.1})

    @pytest.mark.parametrize("theme", THEMES)
    def test_conversions_alone_are_hatched(self, theme: str) -> None:
        drawn = profile.profile_figure(profile.profile_info(self.both()), theme)
        valid(drawn)
        hatched = [t for t in drawn["data"] if "pattern" in t["marker"]]
        assert [(t["name"], t["x"]) for t in hatched if t["x"]] == [("this network, converting", [0.1])]
        assert sum(len(t["x"]) for t in drawn["data"]) == 7
        assert all(t["ticktext"] for a, t in drawn["layout"].items() if a == "xaxis")
        assert "µs" in str(drawn["layout"]["xaxis"]["ticktext"])

    def test_many_types_of_operators_end_in_one_row(self) -> None:
        many = self.side(*((f"Op{i}", "other", 0.01) for i in range(30)))
        info = profile.profile_info({"student": many})
        assert len(info.rows) == profile.MOST + 1
        assert info.rows[-2].counts["student"] == 30 - profile.MOST + 1
        valid(profile.profile_figure(info))

    def test_alt_text(self) -> None:
        assert profile.alt_text(profile.profile_info(self.both())) == (
            "A call with a batch of 8 takes 1 ms. Most of it, 500 µs, is spent in QLinearConv. Integer kernels take "
            "50.0 %, float kernels 0.0 %, conversions 10.0 %. A call of the dense student takes 700 µs."
        )
        assert profile.alt_text(profile.profile_info({"student": self.side()})) == "No time was measured by operator."


def test_times_say_what_is_known_and_why_it_is_slower() -> None:
    latency = {"median_ms": 0.05, "low_ms": 0.04, "high_ms": 0.06, "cpu_ms": 0.048, "ratio": 1.3, "ratio_low": 1.2,
               "ratio_high": 1.4, "memory_bytes": 8_400_000, "rounds": 12, "slower_here": True,
               "cause": "memory-bound", "runtime": "onnxruntime 1.32.0 CPU", "threads": 2}  # fmt: skip
    old = {**latency, "cpu_ms": None, "memory_bytes": None, "ratio": None, "rounds": 0}
    made = {"processor": "A chip", "features": ["avx2", "avx512_vnni"]}
    run = {"key": "a", "cost": {"latency": latency, "latency_batch8": latency, "latency_batch32": old},
           "environment": made}  # fmt: skip
    first, second, third = trial_profile.times(run)
    assert first == ["1", "this network", "50 µs", "40 µs to 60 µs", "48 µs", "1.30 (1.20 to 1.40)", "8.4 MB", "12"]
    assert second[0] == "8"
    assert third[4:] == ["–", "–", "–", "–"]
    assert trial_profile.where(run) == "On A chip (avx2, avx512_vnni), onnxruntime 1.32.0 CPU, 2 threads."
    (reason,) = trial_profile.reasons(run)
    assert reason.startswith("**Slower than its dense student** with a batch of 1 and 8 and 32, because its time is")
    assert trial_profile.reasons({"key": "a", "cost": None}) == []


def _page() -> None:
    from pages.parts import trial_profile
    from pages.parts.trial_state import Asked

    def side(op: str, kind: str, *more: tuple[str, str]) -> dict[str, object]:
        nodes = [
            {"name": o, "op": o, "kind": k, "milliseconds": 0.03, "moved_bytes": 640} for o, k in ((op, kind), *more)
        ]
        return {"8": {"batch": 8, "calls": 9, "milliseconds": 0.06, "copy_rate": 1e10, "nodes": nodes}}

    found = {"student": side("QGemm", "integer", ("Cast", "conversion")), "dense": side("Gemm", "float")}
    run = {"key": "a", "cost": None, "environment": {}}
    trial_profile.panel(run, {"profile": found}, Asked(batch="8"), "light")


def test_the_part_shows_every_operator_of_the_chosen_batch() -> None:
    app = AppTest.from_function(_page, default_timeout=60)
    app.run()
    assert not app.exception
    shown = " ".join(str(h.proto.body) for h in app.get("html"))
    assert "products in an integer kernel" in shown
    assert "converts numbers or their layout" in shown
    assert "50.0 %" in shown
