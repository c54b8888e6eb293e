"""Layer by layer: what each layer of the dense student can bear, and a setting for each within a number of bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine import api, api_rows, api_sensitivity
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_bytes, format_seconds
from pages.parts import charts, control, frame, links, subject, trial_charts, trial_html, trial_state, trial_wait, who
from pages.parts.trial_state import Asked
from pages.parts.words import say

Row = Mapping[str, Any]
ALIVE = ("queued", "running")
KINDS = ("sparsity", "bits")
KILO, STEP = 1000.0, 10
COLUMNS = ("layer", "zeros", "bits", "before", "after", "loss")


def panel(home: Home, run: Row, inside: Row | None, asked: Asked, look: str) -> None:
    """The two maps, or the button that has them measured; below them the recommended settings."""
    if api_rows.role_of(run["recipe"]) == "teacher":
        st.caption(say("trial_sensitivity.teacher"))
        return
    now = api_sensitivity.sensitivity(home, run["key"])
    with control.container(border=True, key="trial_sense"):
        st.html(charts.title(say("trial_sensitivity.title"), say("trial_sensitivity.sub")))
        if now["data"] is None:
            _unmeasured(home, run["key"], now, len((inside or {}).get("layers") or ()) or None)
            return
        for column, kind in zip(st.columns(2, gap="medium"), KINDS, strict=True):
            with column:
                st.html(f'<h3 class="sh-model">{say(f"trial_sensitivity.map_{kind}")}</h3>')
                trial_charts.show(trial_charts.sensitivity(now["data"]["dense_key"], now["data"], kind, look),
                                  f"chart_sense_{kind}")  # fmt: skip
        st.caption(say("trial_sensitivity.help", count=f"{now['data']['examples']:,}"))
    with control.container(border=True, key="trial_advice"):
        _advice(home, run["key"], now["data"], asked)


def rows(advice: Row) -> list[list[str]]:
    """A line for each layer: its setting, its bytes, what that loses alone; then recalibration and the sums."""
    lines = [_line(row, advice["metric"]) for row in advice["layers"]]
    sizes = [format_bytes(sum(row[n] for row in advice["layers"])) for n in ("dense_bytes", "bytes")]
    repaired = [say("trial_sensitivity.repaired"), "", "", "", "", _lost(advice["repaired_loss"], advice["metric"])]
    return [*lines, repaired, [say("trial_sensitivity.all"), "", "", *sizes, _lost(advice["loss"], advice["metric"])]]


def _line(row: Row, metric: str) -> list[str]:
    none = say("trial_sensitivity.none")
    zeros = f"{100 * row['sparsity']:g} %" if row["sparsity"] else none
    bits = say("trial_sensitivity.float") if row["bits"] == api_sensitivity.WHOLE else str(row["bits"])
    return [row["layer"], zeros, bits, format_bytes(row["dense_bytes"]), format_bytes(row["bytes"]),
            _lost(row["loss"], metric)]  # fmt: skip


def compared(advice: Row) -> list[list[str]]:
    """Predicted, measured, and the best equal setting that is measured: quality with its interval, bytes."""
    found = [_result(say("trial_sensitivity.predicted"), advice, advice["metric"])]
    measured = advice["measured"]
    if measured and measured["state"] == "done":
        found.append(_result(say("trial_sensitivity.measured"), measured, advice["metric"]))
    equal = advice["equal"]
    if equal:
        named = say("trial_sensitivity.equal", zeros=f"{100 * (equal['sparsity'] or 0):g} %", bits=equal["bits"])
        found.append(_result(named, equal, advice["metric"]))
    return found


def _unmeasured(home: Home, key: str, now: Row, layers: int | None) -> None:
    if now["state"] in ALIVE:
        st.fragment(frame.guarded(_measuring), run_every=1.0)(home, key)
        return
    if now["state"] in ("failed", "cancelled"):
        st.warning(say(f"trial_sensitivity.{now['state']}", reason=now["error"] or ""))
    seconds = format_seconds(api_sensitivity.estimate(home, key, layers))
    st.markdown(say("trial_sensitivity.why"))
    control.button(say("trial_sensitivity.measure", seconds=seconds), key="sense_measure", type="primary",
                   help=say("trial_sensitivity.measure_help"), on_click=_ask, args=(home, key))  # fmt: skip


def _measuring(home: Home, key: str) -> None:
    """Polled once a second; the whole page is drawn again when it is done."""
    now = api_sensitivity.sensitivity(home, key)
    if now["state"] not in ALIVE:
        st.rerun()
    share = min(1.0, max(0.0, float(now["progress"].get("fraction") or 0.0)))
    st.progress(share, text=say("trial_sensitivity.measuring", doing=trial_wait.describe(now)))


def _advice(home: Home, key: str, data: Row, asked: Asked) -> None:
    heading, field = st.columns([3, 1], vertical_alignment="center")
    heading.html(charts.title(say("trial_sensitivity.advice"), say("trial_sensitivity.advice_sub")))
    with field:
        budget = _budget(data, asked)
    advice = api_sensitivity.recommend(home, key, budget)
    head = [say(f"trial_sensitivity.column.{n}") for n in COLUMNS]
    lines = rows(advice)
    st.html(trial_html.table(head, lines, numbers=1, strong=len(lines) - 1))
    st.html(trial_html.table([say(f"trial_sensitivity.result.{n}") for n in ("which", "quality", "interval", "bytes")],
                             compared(advice), numbers=1))  # fmt: skip
    if said := beside_equal(advice):
        st.markdown(say(f"trial_sensitivity.{said}"))
    _recipe(home, key, advice)


def beside_equal(advice: Row) -> str:
    """What to say of an equal setting beside what was measured, or as long as it was not, what is predicted.

    ``equal_alike``: inside its 95 % interval; ``equal_better``: beyond it; nothing where it is worse.
    """
    own = advice["measured"] if (advice["measured"] or {}).get("state") == "done" else advice
    if not advice["equal"]:
        return ""
    other, sign = advice["equal"]["quality"], 1 if advice["direction"] == "maximize" else -1
    if own["quality_low"] <= other <= own["quality_high"]:
        return "equal_alike"
    return "equal_better" if sign * own["quality"] < sign * other else ""


def _budget(data: Row, asked: Asked) -> int:
    """The bytes of the address, else the usual ones; what is out of reach is said, and the nearest is taken."""
    low, high = api_sensitivity.limits(data)
    least, most = math.ceil(low / STEP) * STEP, math.ceil(high / STEP) * STEP  # two digits of a kilobyte
    usual = api_sensitivity.usual_budget(data)
    wanted = asked.budget or math.ceil(usual / STEP) * STEP
    budget = min(max(wanted, least), most)
    told = {"low": f"{least / KILO:.2f}", "high": f"{most / KILO:.2f}"}
    if asked.budget and budget != wanted:
        st.warning(say("trial_sensitivity.out_of_reach", value=f"{wanted / KILO:.2f}", **told))
    st.session_state[trial_state.widget("budget")] = budget / KILO
    control.number_input(
        say("trial_sensitivity.budget"), least / KILO, most / KILO, step=max(STEP, round(usual / 20, -1)) / KILO,
        format="%.2f", key=trial_state.widget("budget"), help=say("trial_sensitivity.budget_help", **told),
        on_change=_choose_budget,
    )  # fmt: skip
    return budget


def _choose_budget() -> None:
    trial_state.choose({"budget": round(KILO * st.session_state[trial_state.widget("budget")])})


def _recipe(home: Home, key: str, advice: Row) -> None:
    """The button that runs it, its progress, or the way to what came of it."""
    measured = advice["measured"] or {}
    state = measured.get("state")
    if state == "done":
        gap = measured["quality"] - advice["quality"]
        st.markdown(say("trial_sensitivity.outcome", gap=_lost(gap, advice["metric"], signed=True)))
        links.link("trial", {"key": advice["key"][: links.SHOWN_KEY]}, say("trial_sensitivity.open"))
    elif state in ALIVE:
        st.fragment(frame.guarded(_running), run_every=1.0)(home, advice["key"])
    else:
        if state:
            st.warning(say("trial_sensitivity.run_ended", reason=measured.get("error") or state))
        control.button(
            say("trial_sensitivity.run"),
            key="sense_run",
            type="primary",
            help=say("trial_sensitivity.run_help"),
            on_click=_run,
            args=(home, key, advice["max_bytes"]),
        )
    st.caption(say("trial_sensitivity.adding"))


def _running(home: Home, key: str) -> None:
    now = api.status(home, key)
    if now["state"] not in ALIVE:
        st.rerun()
    share = min(1.0, max(0.0, float(now["progress"].get("fraction") or 0.0)))
    told = {"state": now["state"], "progress": {**now["progress"], "place": now["place"]}}
    st.progress(share, text=say("trial_sensitivity.running", doing=trial_wait.describe(told)))


def _ask(home: Home, key: str) -> None:
    with frame.told():
        api.ensure_runner(home)
        api_sensitivity.ask(home, key, who.who())


def _run(home: Home, key: str, max_bytes: int) -> None:
    with frame.told():
        api.ensure_runner(home)
        api_sensitivity.run(home, key, max_bytes, who.who(), who.is_host())


def _result(which: str, row: Row, metric: str) -> list[str]:
    value, low, high = (quality_words(row[n], metric) for n in ("quality", "quality_low", "quality_high"))
    return [which, value, say("trial_sensitivity.interval", low=low, high=high),
            format_bytes(row["packed_bytes"])]  # fmt: skip


def _lost(loss: float, metric: str, signed: bool = False) -> str:
    scale, form = (100, ".2f") if subject.is_share(metric) else (1, ".3f")
    return say("trial_sensitivity.points", points=f"{scale * loss:{'+' if signed else ''}{form}}")


__all__ = ["beside_equal", "compared", "panel", "rows"]
