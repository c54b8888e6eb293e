"""Step by step: what each phase and stage cost, as a figure and a table; and how the training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.figures.hover import quality_words
from engine.units import format_bytes, format_count, format_ms
from pages.parts import catalogue_words, charts, control, subject, trial_charts, trial_html
from pages.parts.words import find, listed, say

Row = Mapping[str, Any]


def panel(run: Row, inside: Row | None, look: str) -> None:
    """The steps (of the inspection, or the two ends as long as there is none) and the curves."""
    phases = named(inside["phases"]) if inside else ends(run)
    with control.container(border=True, key="trial_steps"):
        st.html(charts.title(say("trial_steps.title"), say("trial_steps.sub" if inside else "trial_steps.ends")))
        quality = run["quality"]
        stamp = f"{run['key']}:{bool(inside)}:{len(phases)}"
        drawn = trial_charts.steps(stamp, phases, quality["metric"], quality.get("direction", "maximize"), look)
        trial_charts.show(drawn, "chart_steps")
    left, right = st.columns([1.3, 1], gap="small")
    with left, control.container(border=True, height="stretch", key="trial_table"):
        st.html(charts.title(say("trial_steps.table"), say("trial_steps.table_sub")))
        st.html(trial_html.table(_head(), [_line(p) for p in phases], numbers=1, strong=len(phases) - 1))
    with right, control.container(border=True, height="stretch", key="trial_curves"):
        st.html(charts.title(say("trial_steps.curves"), say("trial_steps.curves_sub")))
        if run.get("curve"):
            trial_charts.show(trial_charts.training(run["key"], run["curve"], quality["metric"], look), "chart_curves")
            if told := moved_words(run["curve"]):
                st.caption(told)
        else:
            st.caption(say("trial_steps.no_curve"))


def moved_words(curve: Sequence[Row]) -> str:
    """Where the settings went that a loss learns, epoch by epoch; empty where no loss learns any."""
    names = dict.fromkeys(name for point in curve for name in point.get("moved") or {})
    values = {n: [f"{p['moved'][n]:.2f}" for p in curve if n in (p.get("moved") or {})] for n in names}
    told = [say("trial_steps.moved_one", name=n, values=listed(v)) for n, v in values.items()]
    return say("trial_steps.moved", settings=say("story.also").join(told)) if told else ""


def ends(run: Row) -> list[dict[str, Any]]:
    """The dense student, where it is known, and the finished point, in the form of an inspection's phases."""
    sides = [("dense", run.get("dense")), ("own", run)]
    if (run.get("dense") or {}).get("key") == run["key"]:
        sides = sides[1:]
    return [_end(say(f"trial_steps.{name}"), side) for name, side in sides if side and side.get("cost")]


def named(phases: Sequence[Row]) -> list[dict[str, Any]]:
    """Phases of an inspection with names that people read."""
    return [{**p, "name": name_of(p)} for p in phases]


def name_of(phase: Row) -> str:
    """A step's name in words: what was trained, or which stages were applied with which main setting."""
    kind, stages = phase.get("kind"), phase.get("stages") or ()
    if kind in ("dense", "untrained", "teacher", "file"):
        return say(f"trial_steps.kind.{kind}")
    if kind == "apply" and len(stages) > 1 and len({s["name"] for s in stages}) == 1:
        return say("trial_sensitivity.step", stage=stage_name(stages[0]))
    told = say("trial_steps.and").join(stage_words(s) for s in stages if isinstance(s, Mapping))
    if kind == "train":
        epochs = phase.get("epochs") or 0
        trained = say("trial_steps.trained_one" if epochs == 1 else "trial_steps.trained", epochs=epochs)
        return say("trial_steps.under", trained=trained, stages=told) if told else trained
    return told or str(phase["name"])


def stage_words(stage: Row) -> str:
    """A stage with the one setting that matters most."""
    name = stage_name(stage)
    if "bits" in stage:
        return say("trial_steps.with_bits", stage=name, bits=stage["bits"])
    share = next((stage[n] for n in ("sparsity", "ratio", "amount", "fraction") if n in stage), None)
    return name if share is None else say("trial_steps.with_share", stage=name, share=f"{100 * share:.0f} %")


def stage_name(stage: Row) -> str:
    """A stage's name in words."""
    return find(f"trial_stage.{stage['name']}") or catalogue_words.called("stages", str(stage["name"]))


def _end(name: str, side: Row) -> dict[str, Any]:
    quality, cost = side["quality"], side["cost"]
    time = cost.get("latency") or {}
    return {
        "name": name, "quality": quality["value"], "quality_low": quality["low"], "quality_high": quality["high"],
        **{n: cost[n] for n in ("packed_bytes", "onnx_bytes", "macs", "nonzero")}, "latency_ms": time.get("median_ms"),
        "latency_low_ms": time.get("low_ms"), "latency_high_ms": time.get("high_ms"),
        "simulated": bool(time.get("simulated")),
    }  # fmt: skip


def _head() -> list[str]:
    names = ("step", "quality", "packed", "onnx", "latency", "nonzero", "macs")
    return [say(f"trial_steps.column.{n}") for n in names]


def _line(phase: Row) -> list[str]:
    time = phase.get("latency_ms")
    timed = say("trial_steps.untimed") if time is None else format_ms(time)
    return [
        phase["name"], quality_words(phase["quality"], subject.metric()), format_bytes(phase["packed_bytes"]),
        format_bytes(phase["onnx_bytes"]), timed + (say("trial_steps.simulated") if phase.get("simulated") else ""),
        f"{phase['nonzero']:,}", format_count(phase["macs"]),
    ]  # fmt: skip
