"""Time: what a call takes at each batch size, where it is spent operator by operator, and why it may be slower here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.result import LATENCIES
from engine.units import format_bytes, format_ms, format_share
from pages.parts import charts, control, story, trial_charts, trial_html, trial_state
from pages.parts.trial_state import BATCHES, Asked
from pages.parts.words import say

Row = Mapping[str, Any]
TIMES = ("batch", "network", "median", "interval", "cpu", "ratio", "memory", "rounds")
OPERATORS = ("operator", "name", "kind", "time", "share", "moved")


def panel(run: Row, inside: Row | None, asked: Asked, look: str) -> None:
    """Latencies of the result, then the profile of the look inside."""
    with control.container(border=True, key="trial_times"):
        st.html(charts.title(say("trial_profile.times"), where(run)))
        st.html(trial_html.table([say(f"trial_profile.column.{n}") for n in TIMES], times(run), numbers=2))
        for line in reasons(run):
            st.markdown(line)
        st.caption(say("trial_profile.times_help"))
    with control.container(border=True, key="trial_profile"):
        _profile(run["key"], (inside or {}).get("profile"), inside is not None, asked, look)


def where(run: Row) -> str:
    """Processor, its vector features, the runtime and its threads."""
    cost, made = run.get("cost") or {}, run.get("environment") or {}
    one = cost.get("latency") or {}
    features = ", ".join(made.get("features") or ()) or say("trial_profile.none")
    threads = one.get("threads") or 1
    return say("trial_profile.where" if threads == 1 else "trial_profile.where_threads",
               processor=made.get("processor") or made.get("machine") or say("trial_profile.none"), features=features,
               runtime=one.get("runtime") or say("trial_profile.none"), threads=threads)  # fmt: skip


def times(run: Row) -> list[list[str]]:
    """A line for each batch size of this network, and of its dense student where it is known."""
    dense = run.get("dense") or {}
    sides = [("own", run.get("cost") or {})]
    if dense.get("cost") and dense.get("key") != run["key"]:
        sides.append(("dense", dense["cost"]))
    return [
        _line(batch, side, cost[name]) for batch, name in LATENCIES.items() for side, cost in sides if cost.get(name)
    ]


def reasons(run: Row) -> list[str]:
    """Why it is slower, once for each reason, with the batch sizes."""
    found: dict[str | None, list[str]] = {}
    for batch, name in LATENCIES.items():
        latency = (run.get("cost") or {}).get(name) or {}
        if latency.get("slower_here"):
            found.setdefault(latency.get("cause"), []).append(str(batch))
    joined = say("trial_profile.and")
    return [say("trial_profile.slower", batches=joined.join(b), cause=story.cause(c)) for c, b in found.items()]


def _line(batch: int, side: str, row: Row) -> list[str]:
    none = say("trial_profile.none")
    ratio = none
    if row.get("ratio") is not None and side == "own":
        ratio = say("trial_profile.ratio", ratio=f"{row['ratio']:.2f}", low=f"{row['ratio_low']:.2f}",
                    high=f"{row['ratio_high']:.2f}")  # fmt: skip
    cpu, memory = row.get("cpu_ms"), row.get("memory_bytes")
    return [
        str(batch), say(f"trial_profile.{side}"), format_ms(row["median_ms"]),
        say("trial_profile.interval", low=format_ms(row["low_ms"]), high=format_ms(row["high_ms"])),
        none if cpu is None else format_ms(cpu), ratio, none if memory is None else format_bytes(memory),
        str(row.get("rounds") or none),
    ]  # fmt: skip


def _profile(key: str, found: Row | None, looked: bool, asked: Asked, look: str) -> None:
    if not found or not found.get("student"):
        st.html(charts.title(say("trial_profile.title"), say("trial_profile.sub")))
        st.caption(say("trial_profile.missing" if looked else "trial_profile.waiting"))
        return
    title, pick = st.columns([3, 1], vertical_alignment="center")
    title.html(charts.title(say("trial_profile.title"), say("trial_profile.sub")))
    with pick:
        control.segmented_control(
            say("trial_profile.batch"),
            BATCHES,
            key=trial_state.widget("batch"),
            required=True,
            format_func=lambda b: say(f"trial_profile.batches.{b}"),
            on_change=trial_state.changed,
            args=("batch",),
            help=say("trial_profile.batch_help"),
            label_visibility="collapsed",
        )
    sides = {side: rows[asked.batch] for side, rows in found.items() if asked.batch in rows}
    trial_charts.show(trial_charts.by_operator(key, asked.batch, sides, look), "chart_profile")
    st.caption(say("trial_profile.help"))
    with control.expander(say("trial_profile.numbers"), key="profile_numbers"):
        head = [say(f"trial_profile.column.{n}") for n in OPERATORS]
        st.html(trial_html.table(head, [_operator(sides["student"], n) for n in sides["student"]["nodes"]], numbers=3))


def _operator(profile: Row, node: Row) -> list[str]:
    share = node["milliseconds"] / (profile["milliseconds"] or 1.0)
    return [str(node["op"]), str(node["name"]), say(f"trial_profile.kind.{node['kind']}"),
            format_ms(node["milliseconds"]), format_share(share), format_bytes(node["moved_bytes"])]  # fmt: skip
