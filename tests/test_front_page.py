"""The page Front without a browser: sweeps side by side, 20,000 points, what to do where there is nothing."""

from __future__ import annotations

import time
from typing import Any

import figure_rows
import pytest
from streamlit.testing.v1 import AppTest

from engine import api, api_sweeps
from engine.errors import NotFoundError

SWEEPS = {"aaaa": ("small nets", range(40)), "bbbb": ("", range(40, 100))}


def page() -> None:
    from pages import front

    front.draw()


@pytest.fixture
def rows(home: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found = [{**r, "key": r["key"][::-1]} for r in figure_rows.many(100)]

    def status(_: Any, sweep: str) -> dict[str, Any]:
        if sweep not in SWEEPS:
            raise NotFoundError(sweep)
        return {"id": sweep, "name": SWEEPS[sweep][0]}

    monkeypatch.setattr(api, "rows", lambda *_: found)
    monkeypatch.setattr(api_sweeps, "sweeps", lambda *_: [status(None, s) for s in SWEEPS])
    monkeypatch.setattr(api_sweeps, "status", status)
    monkeypatch.setattr(api_sweeps, "rows", lambda _, sweep: [found[i] for i in SWEEPS[sweep][1]])
    return found


def shown(**address: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return " ".join(str(h.proto.body) for h in app.get("html"))


def test_sweeps_side_by_side_each_with_its_own_front(rows: Any) -> None:
    said = words(shown(sweeps="aaaa,bbbb"))
    assert "2 sweeps side by side" in said
    assert "<b>small nets</b>" in said
    assert "of 40 points" in said
    assert "of 60 points" in said
    assert "100 points" in words(shown()), "without one all points share a front"


def test_a_sweep_that_is_gone_leaves_the_others(rows: Any) -> None:
    said = words(shown(sweeps="aaaa,cccc"))
    assert "of 40 points" in said or "40 points are on the front" in said


def test_nothing_measured_says_what_to_do(rows: Any) -> None:
    rows.clear()
    assert "run something on Explore or Sweep" in words(shown())
    rows.append(figure_rows.row(1))


def test_a_limit_that_is_typed_is_answered_and_kept_in_the_address(rows: Any) -> None:
    app = shown()
    app.text_input(key="front_max_bytes").set_value("10 kB").run()
    assert "Best with at most 10" in words(app)
    assert app.query_params["max_bytes"] in ("10000", ["10000"])
    app.text_input(key="front_max_bytes").set_value("much").run()
    assert "100kB" in app.warning[0].value
    assert app.text_input(key="front_max_bytes").value == "10 kB"


def test_twenty_thousand_points_stay_quick(rows: Any) -> None:
    rows[:] = [{**r, "key": r["key"][::-1]} for r in figure_rows.many(20_000)]
    app = shown()
    start = time.perf_counter()
    app.text_input(key="front_max_bytes").set_value("5 kB").run()
    assert time.perf_counter() - start < 2.0, "about 0.1 s on an idle core"
