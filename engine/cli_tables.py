"""``list``, ``results``, ``front`` and ``recommend``: what there is, as a table, CSV or JSON."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from engine import api, api_chances, api_front, api_points, catalogue
from engine.cli_parser import KINDS
from engine.cli_run import SHOWN_KEY, print_json
from engine.errors import InputError, NotFoundError
from engine.figures.hover import plain_text, quality_words
from engine.figures.labels import labels_of
from engine.figures.pareto_info import cost_words, free_of, pareto_info
from engine.home import Home
from engine.knobs import Knob
from engine.units import format_share

COLUMNS = (
    "key", "task", "origin", "role", "state", "preview", "student", "teacher", "loss", "temperature", "weight",
    "pruning", "schedule", "sparsity", "bits", "labels", "data", "epochs", "seed", "metric", "quality", "quality_low",
    "quality_high", "packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs", "latency_ms", "latency_low_ms",
    "latency_high_ms", "latency32_ms", "runtime", "simulated", "slower_here", "cause", "ratio", "machine", "created",
    "dense_key", "seeds", "chance", "tied_with",
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
    """The Pareto front of quality against the cost, cheapest first, with each point's chance of being on it.

    ``tied_with``: the cheapest point of the front whose quality cannot be told from the point's own.
    """
    rows = api_chances.together(_rows(home, options.task))
    info = pareto_info(rows, options.cost, direction=_direction(options.task))
    sure = api_chances.chances_of(home, options.task, rows, options.cost, free_of(rows, options.cost))
    by_key = {row["key"]: {**row, "chance": chance} for row, chance in zip(rows, sure, strict=True)}
    line = [by_key[info.points[i].key] for i in info.front]
    for row, other in zip(line, api_chances.ties(home, line, [row[options.cost] for row in line]), strict=True):
        row["tied_with"] = None if other is None else line[other]["key"]
    knee = None if info.knee is None else info.points[info.knee].key
    return _print(line, options, {"task": options.task, "cost": options.cost, "front": line, "knee": knee}, knee)


def recommend(options: argparse.Namespace, home: Home) -> int:
    """The best point within the budgets, the runner-up and how sure that is; 1 when none fits."""
    limits = {"packed_bytes": options.max_bytes, "latency_ms": options.max_latency, "macs": options.max_macs}
    limits = {name: most for name, most in limits.items() if most is not None}
    if not limits and options.min_quality is None:
        given = "at least one of --max-bytes, --max-latency, --max-macs and --min-quality"
        raise InputError("recommend", None, given)
    points = api_points.table_of(_rows(home, options.task), options.task)
    view = api_points.view(points, api_points.ANY if options.any_machine else "")
    found = api_front.recommend(home, options.task, limits, options.min_quality, view)
    if options.json:
        budget = {"max_bytes": options.max_bytes, "max_latency_ms": options.max_latency, "max_macs": options.max_macs,
                  "min_quality": options.min_quality}  # fmt: skip
        rest = {name: value for name, value in found.items() if name != "best"}
        print_json({"task": options.task, "budget": budget, "recommendation": found["best"], **rest})
    if found["best"] is None:
        raise NotFoundError(f"none of the {found['of']} measured points fits; {_nearest(found, limits, options)}")
    if not options.json:
        sys.stdout.write("".join(f"{line}\n" for line in _advice(found, bool(limits))))
    return 0


def _advice(found: Mapping[str, Any], doubted: bool) -> list[str]:
    """The best point, its key, and what speaks for it; without a budget the smallest was asked for: no doubt there."""
    best, second = found["best"], found["runner_up"]
    lines = [_plain(best), str(best["key"]), f"the best of {found['fits']} points that fit, of {found['of']} measured"]
    if found["meets"] is not None:
        lines.append(f"reaches --min-quality on other images with probability {found['meets']:.2f}")
    if second is None:
        return [*lines, "nothing else fits"]
    lines.append(f"runner-up: {_plain(second)}; {second['key'][:SHOWN_KEY]}")
    if doubted and found["probability"] is None:
        lines.append("how sure that is cannot be told: predictions are kept for runs of this home only")
    elif doubted and found["basis"] == "seeds":
        lines.append(f"better than the runner-up with probability {found['probability']:.2f} "
                     f"({found['images']} validation images, seeds where several ran)")  # fmt: skip
    elif doubted:
        lines.append(f"better than the runner-up with probability {found['probability']:.2f} "
                     f"(paired, {found['images']} validation images, one training run each)")  # fmt: skip
    if doubted and found["tied"]:
        lines.append("the two cannot be told apart: the 95 % interval of their difference holds zero")
    return lines


def _plain(row: Row) -> str:
    return plain_text(row, labels_of(None), str(row.get("metric") or "accuracy"))


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
    if row.get("seeds"):
        marks.insert(0, f"mean of {row['seeds']} seeds")
    if row.get("chance") is not None:
        marks.append(f"on the front {100 * row['chance']:.0f} %")
    if row.get("tied_with"):
        marks.append(f"not distinguishable from {row['tied_with'][:SHOWN_KEY]}")
    text = f"{row['key'][:SHOWN_KEY]}  {quality:>7}  {shown:>9}  {row.get('student') or '?':<16} {name:<8}  {pruned}"
    return ", ".join([text, *filter(None, [bits, *marks])])


def _nearest(found: Mapping[str, Any], limits: Mapping[str, float], options: argparse.Namespace) -> str:
    """What the budget would have to be."""
    if limits and options.min_quality is not None:
        return "ask for a lower --min-quality or a larger budget"
    if not limits:
        best = found["nearest"]["quality"]
        return "nothing has a quality" if best is None else f"the best one reaches {best:.4g}"
    least = [(name, found["nearest"][name]) for name in limits]
    return ", ".join(f"none has {name} of this machine (--any-machine counts all)" if value is None else
                     f"the smallest {name} is {cost_words(value, name)}" for name, value in least)  # fmt: skip


def _knob_line(knob: Knob) -> str:
    usual = "none" if knob.default is None else str(knob.default).lower() if knob.type == "bool" else knob.default
    return f"{knob.name}={usual} ({knob.allowed})"
