"""Two to four trials side by side: settings that differ, numbers with paired intervals, curves."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine import api, catalogue, figures
from engine.errors import StillhouseError
from engine.figures.compare import LETTERS, SYMBOLS, colours_of
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_bytes, format_ms, format_seconds
from pages.parts import catalogue_words, charts, control, links, results_compare, results_state, story, subject, widgets
from pages.parts.results_compare import Place
from pages.parts.words import count, find, labels, number, say, times

Row = Mapping[str, Any]
SIGNS = dict(zip(SYMBOLS, "●■◆▲", strict=True))
CONFIG = {"displaylogo": False, "displayModeBar": False, "scrollZoom": False}
HEIGHT = 250
NOTHING = "–"
SECONDARY = (*widgets.SECONDARY, "layers")


def panel(home: Home, rows: Sequence[Row], theme: str) -> None:
    """The comparison above the table; A is the one that the others are held against."""
    with control.container(border=True, key="results_beside"):
        head, close = st.columns([6, 1], vertical_alignment="center")
        head.html(charts.title(say("results_beside.title"), say("results_beside.sub")))
        with close:
            control.button(
                say("fact.close"),
                key="results_beside_close",
                width="stretch",
                help=say("results_help.close"),
                on_click=functools.partial(results_state.choose, beside=False),
            )
        runs = [api.result(home, row["key"]) for row in rows]
        gaps = [_gap(home, row, rows[0]) for row in rows[1:]]
        st.html(_table(rows, runs, gaps, theme))
        _charts(runs, gaps, theme)


def _charts(runs: Sequence[Row], gaps: Sequence[Mapping[str, float | None]], theme: str) -> None:
    metric = str(runs[0]["quality"]["metric"])
    left, right = st.columns(2, gap="small")
    with left:
        st.html(charts.title(say("results_beside.gaps"), say("results_beside.gaps_sub")))
        found = figures.gaps_info(gaps)
        _draw("results_gaps", figures.gaps_figure(found, theme, height=HEIGHT, metric=metric, labels=labels()),
              figures.alt_gaps(found, labels(), metric=metric))  # fmt: skip
    with right:
        st.html(charts.title(say("results_beside.curves"), say("results_beside.curves_sub")))
        info = figures.compare_info([run.get("curve") or () for run in runs], metric)
        _draw("results_curves", figures.compare_figure(info, theme, height=HEIGHT, labels=labels()),
              figures.alt_compare(info, labels()))  # fmt: skip


def _draw(key: str, drawn: dict[str, Any], alt: str) -> None:
    drawn["layout"] |= {"margin": {"l": 8, "r": 12, "t": 10, "b": 8}}
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    control.plotly_chart(go.Figure(drawn), key=key, theme=None, config=CONFIG, alt=alt)


def _gap(home: Home, row: Row, first: Row) -> dict[str, float | None]:
    """Quality minus the first one's, with the paired interval where the predictions of both are kept."""
    try:
        return dict(_paired(home, row["key"], first["key"], bool(row.get("preview") or first.get("preview"))))
    except StillhouseError:
        return {"difference": row["quality"] - first["quality"], "low": None, "high": None}


@st.cache_resource(max_entries=512, show_spinner=False)
def _paired(_home: Home, key: str, other: str, preview: bool) -> dict[str, float]:
    return api.paired(_home, key, other)


def _table(rows: Sequence[Row], runs: Sequence[Row], gaps: Sequence[Mapping[str, Any]], theme: str) -> str:
    heads = "".join(_head(place, row, theme) for place, row in enumerate(rows))
    settings = results_compare.differences([run["recipe"] for run in runs])
    lines = [_line(_place(place), [_value(v, place) for v in values]) for place, values in settings]
    same = "" if lines else _wide(say("results_beside.same"), len(rows))
    numbers = [_line(title, cells) for title, cells in _numbers(rows, runs, gaps)]
    body = _group(say("results_beside.settings"), len(rows)) + "".join(lines) + same
    body += _group(say("results_beside.numbers"), len(rows)) + "".join(numbers)
    if results_compare.differ_in_machine(rows):
        body += _wide(say("results_beside.machines"), len(rows))
    return f'<div class="sh-beside"><table><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(place: int, row: Row, theme: str) -> str:
    letter, sign = LETTERS[place], SIGNS[SYMBOLS[place]]
    mark = f'<span style="color:{colours_of(theme)[place]}">{sign}</span>'
    link = f'<a href="{escape(links.trial(row["key"]))}" target="_self">{escape(row["key"][: links.SHOWN_KEY])}</a>'
    return f"<th>{mark} {letter} · {link}<small>{escape(story.recipe_words(row))}</small></th>"


def _numbers(
    rows: Sequence[Row], runs: Sequence[Row], gaps: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, (value, note) of each trial) of everything that was measured."""
    first = rows[0]

    def sized(name: str, write: Any) -> list[tuple[str, str]]:
        return [_sized(row.get(name), first.get(name), write, row is first) for row in rows]

    qualities = [(subject.quality(r), _range(r, "quality", lambda v: quality_words(v, subject.metric()))) for r in rows]
    apart = [(say("results_beside.first"), "")] + [_apart(gap) for gap in gaps]
    took = [(format_seconds(run["seconds"]) if run.get("seconds") else NOTHING, "") for run in runs]
    return [
        (say("fact.quality"), qualities),
        (say("results_beside.apart"), apart),
        (say("fact.packed"), sized("packed_bytes", format_bytes)),
        (say("results_column.onnx_bytes_plain"), sized("onnx_bytes", format_bytes)),
        (say("fact.latency"), [_timed(row, first) for row in rows]),
        (say("fact.batch"), sized("latency32_ms", format_ms)),
        (say("fact.nonzero"), sized("nonzero", count)),
        (say("fact.macs"), sized("macs", count)),
        (say("results_beside.took"), took),
    ]


def _apart(gap: Mapping[str, Any]) -> tuple[str, str]:
    measure = subject.metric()
    points = say("results_beside.points", points=subject.gap(gap["difference"], measure))
    if gap["low"] is None:
        return points, say("results_beside.no_interval")
    ends = {name: subject.gap(gap[name], measure) for name in ("low", "high")}
    more = subject.direction() == "maximize"
    verdict = "level" if gap["low"] <= 0 <= gap["high"] else "better" if (gap["low"] > 0) == more else "worse"
    return points, say(f"results_beside.{verdict}", **ends)


def _sized(value: Any, first: Any, write: Any, is_first: bool) -> tuple[str, str]:
    if value is None:
        return NOTHING, ""
    ratio = say("results_beside.ratio", ratio=times(value / first)) if first and not is_first else ""
    return write(value), ratio


def _timed(row: Row, first: Row) -> tuple[str, str]:
    if not row.get("latency_ms"):
        return NOTHING, say("results_beside.untimed")
    note = say("fact.simulated") if row.get("simulated") else _range(row, "latency", format_ms, "_ms")
    same_machine = not results_compare.differ_in_machine([row, first])
    ratio = _sized(row["latency_ms"], first.get("latency_ms"), format_ms, row is first or not same_machine)[1]
    return format_ms(row["latency_ms"]), say("story.comma").join(filter(None, (ratio, note)))


def _range(row: Row, name: str, write: Any, unit: str = "") -> str:
    low, high = row.get(f"{name}_low{unit}"), row.get(f"{name}_high{unit}")
    return "" if low is None or high is None else say("fact.range", low=write(low), high=write(high))


def _place(place: Place) -> str:
    """Where a setting stands, in words."""
    if len(place) == 1:
        return _name(place[0])
    phase = say("results_beside.phase", number=place[0] + 1)
    parts = [phase, *(_name(str(p)) for p in (place[2:] if len(place) > 2 else place[1:]) if isinstance(p, str) and p)]
    return say("recipe.join").join(parts)


def _name(name: str) -> str:
    return find(f"results_setting.{name}") or catalogue_words.setting(name)


def _value(value: Any, place: Place = ()) -> tuple[str, str]:
    if isinstance(value, Mapping):
        words = say("story.comma").join(f"{_name(k)} {_value(v, (k,))[0]}" for k, v in _told(place, value).items())
        return words or say("results_beside.with"), ""
    if value is None:
        return NOTHING, ""
    if isinstance(value, bool):
        return say("results_beside.yes" if value else "results_beside.no"), ""
    name = str(place[-1]) if place else ""
    return (number(value) if isinstance(value, float) else catalogue_words.option(name, value)), ""


def _told(place: Place, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of a part without those that nobody has touched and few ever do."""
    kind = "losses" if place[1] == "loss" else "stages"
    usual = {k.name: k.default for k in catalogue.current().knobs(kind, place[2]) if k.advanced or k.name in SECONDARY}
    return {name: value for name, value in knobs.items() if name not in usual or usual[name] != value}


def _line(title: str, cells: Sequence[tuple[str, str]]) -> str:
    drawn = "".join(f"<td>{escape(v)}<small>{escape(n)}</small></td>" for v, n in cells)
    return f"<tr><th>{escape(title)}</th>{drawn}</tr>"


def _group(title: str, columns: int) -> str:
    return f'<tr class="sh-group"><th colspan="{columns + 1}">{escape(title)}</th></tr>'


def _wide(text: str, columns: int) -> str:
    return f'<tr><td colspan="{columns + 1}" class="sh-note">{escape(text)}</td></tr>'
