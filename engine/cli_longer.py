"""``stillhouse longer``: run some trials again for longer, and say how well short runs rank long ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from engine import api, api_longer
from engine.cli_run import CANCELLED, SHOWN_KEY, print_json
from engine.errors import InputError, TrialFailedError
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_seconds

SAID = {"clear": "yes", "likely": "with care", "weak": "no", "unsure": "uncertain", "few": "too few"}
Json = dict[str, Any]


def longer(options: argparse.Namespace, home: Home) -> int:
    """Run the long runs of some trials (or only plan them), or without trials tell what short runs are worth."""
    if not options.trials:
        return _trust(options, home)
    keys = [api.resolve(home, prefix) for prefix in options.trials]
    plan = api_longer.plan(home, keys, options.times)
    if options.plan:
        return _said(plan, _plan_lines(plan), options.json)
    started = api_longer.start(home, keys, options.times, host=True)
    sys.stderr.write("\n".join(_plan_lines(plan)) + "\n")
    try:
        last = api.wait(home, started)
    except KeyboardInterrupt:
        api_longer.cancel(home, started)
        sys.stderr.write("stillhouse: the long runs were cancelled\n")
        return CANCELLED
    rows = [_both(home, t["key"], t["longer"]) for t in plan["trials"] if last[t["longer"]]["state"] == "done"]
    status = _said({"trials": rows}, [_row_line(row) for row in rows], options.json)
    failed = [s for s in last.values() if s["state"] != "done"]
    if failed:
        raise TrialFailedError(f"{len(failed)} of {len(last)} long runs did not end well: {failed[0]['error']}")
    return status


def _trust(options: argparse.Namespace, home: Home) -> int:
    if options.task is None:
        raise InputError("longer", None, "trials to run for longer, or --task NAME for what short runs are worth")
    found = api_longer.short_and_long(home, options.task)
    lines = [line for step in found["steps"] for line in trust_lines(step, found["metric"])]
    _said(found, lines or ["nothing was run both short and long yet"], options.json)
    return 0 if found["steps"] else 1


def trust_lines(step: Mapping[str, Any], metric: str) -> list[str]:
    """One step of :func:`engine.api_longer.short_and_long` as a table of plain lines."""
    named = [("all settings", step["whole"]), ("one student's runs", step["within"])]
    named += [(f"{k['knob']}: {', '.join(k['values'])}"[:44], k) for k in step["knobs"]]
    lines = [f"{step['short']} against {step['long']} epochs: {step['pairs']} recipes, {step['here']} of this home"]
    for name, row in named:
        numbers = f"{row['pairs']:>4} pairs"
        if row["spearman"] is not None:
            numbers += f"  rank {row['spearman']:5.2f} ({row['low']:5.2f} to {row['high']:5.2f})"
            numbers += f"  short winner costs {_difference(row['regret'], metric)}"
        lines.append(f"  {name:<44} {numbers}  trust: {SAID[row['verdict']]}")
    return lines


def _plan_lines(plan: Mapping[str, Any]) -> list[str]:
    lines = [f"{len(plan['trials'])} long runs, {plan['known']} known, {plan['open']} under way: about "
             f"{format_seconds(plan['seconds'])}"]  # fmt: skip
    return lines + [f"  {row['key'][:SHOWN_KEY]} cannot: {row['reason']}" for row in plan["refused"]]


def _both(home: Home, short: str, long: str) -> Json:
    sides = {name: api.result(home, key) for name, key in (("short", short), ("long", long))}
    return {name: {"key": side["key"], "quality": side["quality"], "epochs": _epochs(side["recipe"])}
            for name, side in sides.items()}  # fmt: skip


def _epochs(recipe: Mapping[str, Any]) -> int:
    return sum(phase["epochs"] for phase in recipe["phases"])


def _row_line(row: Mapping[str, Any]) -> str:
    sides = [f"{side['key'][:SHOWN_KEY]}  {quality_words(side['quality']['value'], side['quality']['metric'])} after "
             f"{side['epochs']} epochs" for side in (row["short"], row["long"])]  # fmt: skip
    return " -> ".join(sides)


def _difference(value: float, metric: str) -> str:
    return f"{100 * value:.2f} points" if metric == "accuracy" else f"{value:.3g}"


def _said(body: Mapping[str, Any], lines: list[str], as_json: bool) -> int:
    if as_json:
        print_json(dict(body))
    else:
        sys.stdout.write("\n".join(lines) + "\n")
    return 0
