"""Other runtimes: the same weights in every way of computing with them, asked for here and measured by a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api, api_rows, api_runtimes
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_bytes, format_ms
from pages.parts import charts, control, frame, subject, trial_html, trial_wait, who
from pages.parts.trial_state import BATCHES
from pages.parts.words import find, say, sentences, times

Row = Mapping[str, Any]
COLUMNS = ("runtime", "quality", "difference", "onnx", "packed", *BATCHES)
FLOAT = "float"


def panel(home: Home, run: Row, inside: Row | None) -> None:
    """The table, or the button that has it measured, or how far that is."""
    with control.container(border=True, key="trial_runtimes"):
        st.html(charts.title(say("trial_runtimes.title"), say("trial_runtimes.sub")))
        if api_rows.role_of(run["recipe"]) == "teacher":
            st.caption(say("trial_runtimes.teacher"))
            return
        now = api_runtimes.runtimes(home, run["key"])
        if now["rows"]:
            _measured(now)
        elif now["state"] in trial_wait.ALIVE:
            st.fragment(frame.guarded(_waiting), run_every=1.0)(home, run["key"])
        else:
            _unmeasured(home, run["key"], now)
        for line in against_training(api_runtimes.gap(run, inside)):
            st.caption(line)


def against_training(found: Row | None) -> list[str]:
    """The difference between file and training in words, nothing where it is not known."""
    if found is None:
        return []
    if not found["changed"]:
        return [say("trial_runtimes.gap_same")]
    said = say("trial_runtimes.gap", changed=f"{100 * found['changed']:.2f} %", gap=_signed(found["gap"]))
    if found["near_ties"]:
        said = sentences(said, say("trial_runtimes.gap_ties", margin=f"{found['margin']:.1g}"))
    return [said]


def too_far(run: Row, inside: Row | None) -> str:
    """A warning where the file is more than half a point off the trained network, else nothing."""
    found = api_runtimes.gap(run, inside)
    return say("trial_runtimes.gap_far", gap=_signed(found["gap"])) if found and found["far"] else ""


def lines(rows: Sequence[Row]) -> list[list[str]]:
    """The table: one row a runtime, in COLUMNS."""
    return [_line(row) for row in rows]


def fastest(rows: Sequence[Row]) -> str:
    """Which is fastest with one image, where that is certain."""
    one = {row["name"]: row["latencies"][BATCHES[0]] for row in rows}
    faster = {name: r["ratio"] for name, r in one.items() if name != FLOAT and r["ratio_high"] and r["ratio_high"] < 1}
    if not faster:
        return say("trial_runtimes.fastest_float")
    best = min(faster, key=lambda name: float(faster[name]))
    return say("trial_runtimes.fastest", name=_name(best), times=times(1 / faster[best]))


def _measured(now: Row) -> None:
    rows = now["rows"]
    head = [say(f"trial_runtimes.column.{n}") for n in COLUMNS]
    ships = next((n for n, row in enumerate(rows) if row["ships"]), None)
    st.html(trial_html.table(head, lines(rows), numbers=1, strong=ships))
    st.markdown(fastest(rows))
    simulated = [row for row in rows if row["simulated"]]
    if simulated:
        st.caption(say("trial_runtimes.simulated", bits=simulated[0]["bits"]))
    st.caption(say("trial_runtimes.latency_help", machine=now["machine"]))
    st.caption("  \n".join(say(f"trial_runtimes.about.{row['name']}") for row in rows))


def _line(row: Row) -> list[str]:
    quality, gap, none = row["quality"], row["difference"], say("trial_runtimes.none")
    value, low, high = (quality_words(quality[n], subject.metric()) for n in ("value", "low", "high"))
    over = none
    if gap is not None and row["name"] != FLOAT:
        over = say("trial_runtimes.difference", **{n: _signed(gap[n]) for n in ("value", "low", "high")})
    return [
        _tagged(row), say("trial_runtimes.quality", value=value, low=low, high=high), over,
        format_bytes(row["onnx_bytes"]), format_bytes(row["packed_bytes"]),
        *(_latency(row, row["latencies"].get(batch)) for batch in BATCHES),
    ]  # fmt: skip


def _latency(row: Row, found: Row | None) -> str:
    if not found:
        return say("trial_runtimes.none")
    if row["name"] == FLOAT or found.get("ratio") is None:
        return format_ms(found["median_ms"])
    ends = {name: f"{found[field]:.2f}" for name, field in (("ratio", "ratio"), ("low", "ratio_low"),
                                                           ("high", "ratio_high"))}  # fmt: skip
    return say("trial_runtimes.latency", time=format_ms(found["median_ms"]), **ends)


def _tagged(row: Row) -> str:
    tags = [say(f"trial_runtimes.tag_{name}") for name in ("ships", "simulated") if row[name]]
    name = _name(row["name"])
    return say("trial_runtimes.tags", name=name, tags=say("trial_runtimes.and").join(tags)) if tags else name


def _name(name: str) -> str:
    return find(f"trial_runtimes.name.{name}") or name


def _signed(difference: float) -> str:
    return subject.gap(difference, subject.metric())


def _unmeasured(home: Home, key: str, now: Row) -> None:
    if now["state"] == "failed":
        st.warning(say("trial_runtimes.failed", reason=now["error"] or ""))
    again = now["state"] in ("failed", "cancelled")
    control.button(say("trial_runtimes.ask_again" if again else "trial_runtimes.ask"), key="runtimes_ask",
                   help=say("trial_runtimes.ask_help"), on_click=_ask, args=(home, key))  # fmt: skip


def _ask(home: Home, key: str) -> None:
    with frame.told():
        api_runtimes.ask(home, key, who.who())
        api.ensure_runner(home)


def _waiting(home: Home, key: str) -> None:
    """Polled once a second; the whole page is drawn again when it is done."""
    now = api_runtimes.runtimes(home, key)
    if now["state"] not in trial_wait.ALIVE:
        st.rerun()
    doing = now["progress"]
    told = find(f"trial_runtimes.doing.{doing.get('doing')}") or trial_wait.describe(now)
    share = min(1.0, max(0.0, float(doing.get("fraction") or 0.0)))
    st.progress(share, text=say("trial_runtimes.measuring", doing=told))
