"""``list``, ``results``, ``front`` and ``recommend``: what there is, as a table, CSV or JSON."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from engine import api, catalogue
from engine.cli_parser import KINDS
from engine.cli_run import SHOWN_KEY, print_json
from engine.errors import InputError, NotFoundError
from engine.figures.hover import plain_text, quality_words
from engine.figures.labels import labels_of
from engine.figures.pareto_info import cost_words, pareto_info
from engine.home import Home
from engine.knobs import Knob
from engine.search import pareto
from engine.units import format_share

COLUMNS = (
    "key", "task", "origin", "role", "state", "preview", "student", "teacher", "loss", "temperature", "weight",
    "pruning", "schedule", "sparsity", "bits", "labels", "data", "epochs", "seed", "metric", "quality", "quality_low",
    "quality_high", "packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs", "latency_ms", "latency_low_ms",
    "latency_high_ms", "latency32_ms", "runtime", "simulated", "slower_here", "cause", "ratio", "machine", "created",
    "dense_key",
)  # fmt: skip
Row = Mapping[str, Any]


def list_(options: argparse.Namespace, home: Home | None = None) -> int:
    """Everything registered, with its settings."""
    known = api.catalogue()
    chosen = {kind: known[kind] for kind in KINDS if options.kind in (None, kind)}
    if options.json:
        print_json(chosen)
        return 0
    for kind, rows in chosen.items():
        sys.stdout.write(f"{kind}\n")
        for row in rows:
            sys.stdout.write(f"  {row['name']:<20} {row['title']}\n")
            for knob in row["knobs"]:
                sys.stdout.write(f"    {_knob_line(Knob.from_json(knob))}\n")
    return 0


def results(options: argparse.Namespace, home: Home) -> int:
    """All measured points, cheapest first."""
    rows = sorted(_rows(home, options.task), key=lambda row: _cost_or_last(row, options.cost))
    return _print(rows, options, {"task": options.task, "cost": options.cost, "results": rows})


def front(options: argparse.Namespace, home: Home) -> int:
    """The Pareto front of quality against the cost, cheapest first."""
    rows = _rows(home, options.task)
    info = pareto_info(rows, options.cost, direction=_direction(options.task))
    by_key = {row["key"]: row for row in rows}
    line = [by_key[info.points[i].key] for i in info.front]
    knee = None if info.knee is None else info.points[info.knee].key
    return _print(line, options, {"task": options.task, "cost": options.cost, "front": line, "knee": knee}, knee)


def recommend(options: argparse.Namespace, home: Home) -> int:
    """The best point within the budgets; 1 when none fits."""
    limits = {"packed_bytes": options.max_bytes, "latency_ms": options.max_latency}
    limits = {name: most for name, most in limits.items() if most is not None}
    if not limits and options.min_quality is None:
        raise InputError("recommend", None, "at least one of --max-bytes, --max-latency and --min-quality")
    rows = [row for row in _rows(home, options.task) if not row.get("preview")]
    found = pareto.best_under(rows, limits, options.min_quality, direction=_direction(options.task))
    row = None if found is None else rows[found]
    if options.json:
        budget = {"max_bytes": options.max_bytes, "max_latency_ms": options.max_latency,
                  "min_quality": options.min_quality}  # fmt: skip
        print_json({"task": options.task, "budget": budget, "recommendation": row})
    if row is None:
        raise NotFoundError(f"none of the {len(rows)} measured points fits; {_nearest(rows, limits, options)}")
    if not options.json:
        sys.stdout.write(plain_text(row, labels_of(None), str(row.get("metric") or "accuracy")) + "\n")
        sys.stdout.write(f"{row['key']}\n")
    return 0


def _rows(home: Home, task: str) -> list[dict[str, Any]]:
    catalogue.current().row("tasks", task, "--task")
    done = [dict(row) for row in api.rows(home, task) if row.get("state", "done") == "done"]
    if not done:
        raise NotFoundError(
            f"no measured points of {task} in {home.root} yet; `stillhouse run --task {task}` makes one"
        )
    return done


def _direction(task: str) -> str:
    return str(catalogue.current().row("tasks", task)["direction"])


def _cost_or_last(row: Row, cost: str) -> tuple[bool, float, str]:
    value = row.get(cost)
    return value is None, 0.0 if value is None else float(value), str(row["key"])


def _print(rows: Sequence[Row], options: argparse.Namespace, value: Mapping[str, Any], knee: str | None = None) -> int:
    if options.json and options.csv:
        raise InputError("--csv", "--json", "one of --json and --csv")
    if options.json:
        print_json(value)
    elif options.csv:
        # fields are numbers and registered names; none begins with a sign that a spreadsheet runs as a formula
        writer = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        for row in rows:
            sys.stdout.write(_line(row, options.cost) + ("  knee" if row["key"] == knee else "") + "\n")
    return 0


def _line(row: Row, cost: str) -> str:
    value = row.get(cost)
    shown = "not timed" if value is None else cost_words(float(value), cost)
    quality = quality_words(row["quality"], str(row.get("metric") or "accuracy"))
    pruned = f"{format_share(row['sparsity'])} {row['pruning']}" if row.get("sparsity") else "unpruned"
    bits = f"{row['bits']} bits" if row.get("bits") else ""
    name = row["role"] if row.get("role") != "trial" else row["origin"]
    shipped = row["origin"] == "shipped" and name != "shipped"  # whose milliseconds are another machine's
    marks = [word for word, on in (("simulated", row.get("simulated")), ("slower here", row.get("slower_here")),
                                   ("preview", row.get("preview")), ("shipped", shipped)) if on]  # fmt: skip
    text = f"{row['key'][:SHOWN_KEY]}  {quality:>7}  {shown:>9}  {row.get('student') or '?':<16} {name:<8}  {pruned}"
    return ", ".join([text, *filter(None, [bits, *marks])])


def _nearest(rows: Sequence[Row], limits: Mapping[str, float], options: argparse.Namespace) -> str:
    """What the budget would have to be."""
    if limits and options.min_quality is not None:
        return "ask for a lower --min-quality or a larger budget"
    if not limits:
        values = [row["quality"] for row in rows]
        best = max(values) if _direction(options.task) == "maximize" else min(values)
        return f"the best one reaches {best:.4g}"
    smallest = []
    for name in limits:
        values = [row[name] for row in rows if row.get(name) is not None]
        smallest.append(f"the smallest {name} is {cost_words(min(values), name)}" if values else f"none has {name}")
    return ", ".join(smallest)


def _knob_line(knob: Knob) -> str:
    usual = "none" if knob.default is None else str(knob.default).lower() if knob.type == "bool" else knob.default
    return f"{knob.name}={usual} ({knob.allowed})"
