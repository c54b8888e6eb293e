"""``stillhouse sweep``: run every combination of a file in which a recipe's values are several, print what came out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from engine import api, api_sweeps, catalogue
from engine.cli_recipe import read_recipe
from engine.cli_run import CANCELLED, SHOWN_KEY, print_json
from engine.errors import TrialFailedError
from engine.figures.hover import quality_words
from engine.home import Home
from engine.search import pareto
from engine.units import format_bytes, format_count, format_seconds

COST = "packed_bytes"
POLL_SECONDS, RUNNER_CHECK_SECONDS, CANCEL_SECONDS = 0.1, 1.0, 5.0
SHOWN_REASONS = 3
Json = dict[str, Any]


def sweep(options: argparse.Namespace, home: Home) -> int:
    """Run a sweep (or only plan it); 0 done or paused at its budget, 1 when a trial failed, 130 cancelled."""
    spec = _spec(options)
    plan = api_sweeps.plan(home, spec)
    if options.plan:
        if options.json:
            print_json(plan)
        else:
            sys.stdout.write("\n".join(plan_lines(plan)) + "\n")
        return 0
    sys.stderr.write("\n".join(plan_lines(plan)) + "\n")
    started = api_sweeps.start(home, spec, host=True)
    line = Line(sys.stderr)
    try:
        api.ensure_runner(home)
        end = _wait(home, started["id"], line)
    except KeyboardInterrupt:
        line.end()
        return _cancel(home, started["id"], options.json)
    line.end()
    return _report(home, end, options.json)


class Line:
    """One line of progress that is drawn again on a terminal; elsewhere a line whenever another trial has ended."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._terminal, self._width, self._said = out, out.isatty(), 0, ""

    def __call__(self, status: Mapping[str, Any]) -> None:
        """Show one status of :func:`engine.api_sweeps.status`."""
        text, milestone = progress_text(status), str([status[name] for name in ("done", "failed", "grid_points")])
        if self._terminal:
            self._out.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif milestone != self._said:
            self._out.write(text + "\n")
        self._said = milestone
        self._out.flush()

    def end(self) -> None:
        """Leave the line that was drawn."""
        if self._width:
            self._out.write("\n")
            self._width = 0


def progress_text(status: Mapping[str, Any]) -> str:
    """One line: how many trials are done, how many run, how long it still takes."""
    parts = [f"{status['done']} of {status['trials']} trials done"]
    if status["grid_points"]:
        parts.append(f"{status['grid_points']} grid points")
    if status["failed"]:
        parts.append(f"{status['failed']} failed")
    if status["running"]:
        parts.append(f"{status['running']} running")
    if status["seconds_left"]:
        parts.append(f"about {format_seconds(status['seconds_left'])} left")
    return ", ".join(parts)


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """A plan in plain lines: what varies, how many trials and trainings, how long, what is left out and why."""
    lines = [f"sweep {plan['name']}: {plan['trials']} of {plan['combinations']} combinations"]
    lines += [f"  {axis['label']}: {', '.join(map(_value, axis['values']))}" for axis in plan["axes"]]
    known = f", {plan['known']} known already" if plan["known"] else ""
    kept = f", {plan['trained']} of them kept already" if plan["trained"] else ""
    lines.append(f"  {plan['trials']} trials{known}; {plan['trainings']} trainings{kept}")
    if plan["grids"]:
        lines.append(f"  {plan['grids']} grids of {api.GRID_POINTS} points")
    lines.append(f"  about {format_seconds(plan['seconds'])} expected")
    if plan["left_out"]:
        lines.append(f"  {plan['left_out']} combinations left out:")
        lines += [f"    {_setting(s['setting'])}: {s['reason']}" for s in plan["skipped"][:SHOWN_REASONS]]
        if plan["left_out"] > SHOWN_REASONS:
            lines.append(f"    and {plan['left_out'] - SHOWN_REASONS} more (--plan --json lists them)")
    return lines


def _spec(options: argparse.Namespace) -> Json:
    spec = read_recipe(Path(options.file))
    own = spec.get("sweep")
    given = {"trials": options.trials, "budget_seconds": options.budget_seconds}
    given = {name: value for name, value in given.items() if value is not None}
    if given and isinstance(own, Mapping | None):  # anything else is refused with its name when it is read
        spec["sweep"] = {**(own or {}), **given}
    return spec


def _wait(home: Home, name: str, line: Line) -> Json:
    """Follow the sweep until nothing of it is left to do, keeping a runner alive; its last status."""
    checked = time.monotonic()
    while True:
        status = api_sweeps.status(home, name)
        line(status)
        if status["state"] != "running" and not status["running"]:
            return status
        if time.monotonic() - checked >= RUNNER_CHECK_SECONDS:
            api.ensure_runner(home)
            checked = time.monotonic()
        time.sleep(POLL_SECONDS)


def _report(home: Home, status: Json, as_json: bool) -> int:
    rows = api_sweeps.rows(home, status["id"])
    front = _front(rows, status["task"])
    if as_json:
        print_json({**status, "results": rows, "front": front})
    else:
        sys.stdout.write("\n".join([_ended(status), *map(_row_line, front)]) + "\n")
    if status["state"] == "cancelled":
        return CANCELLED
    if status["failed"]:
        first = status["errors"][0]
        raise TrialFailedError(f"{status['failed']} of {status['trials']} trials failed; the first, "
                               f"{first['key'][:SHOWN_KEY]}: {first['error']}")  # fmt: skip
    return 0


def _cancel(home: Home, name: str, as_json: bool) -> int:
    """Ctrl-C: cancel, wait until it has really stopped (a second one leaves at once)."""
    api_sweeps.cancel(home, name, host=True)
    ends = time.monotonic() + CANCEL_SECONDS
    try:
        while api_sweeps.status(home, name)["running"] and time.monotonic() < ends:
            time.sleep(POLL_SECONDS)
        if as_json:
            _report(home, api_sweeps.status(home, name), as_json)
    except (KeyboardInterrupt, TrialFailedError):
        pass  # it is cancelled already; nothing more to tell
    sys.stderr.write(f"stillhouse: the sweep {name} was cancelled\n")
    return CANCELLED


def _front(rows: list[Json], task: str) -> list[Json]:
    full = [row for row in rows if not row["preview"]]
    direction = str(catalogue.current().row("tasks", task)["direction"])
    chosen = pareto.front([row[COST] for row in full], [row["quality"] for row in full], direction)
    return [full[i] for i in chosen]


def _ended(status: Mapping[str, Any]) -> str:
    why = f" ({status['reason']})" if status["reason"] else ""
    points = f", {format_count(status['grid_points'])} grid points" if status["grid_points"] else ""
    return (
        f"sweep {status['id']} {status['state']}{why}: {status['done']} of {status['trials']} trials{points} "
        f"in {format_seconds(status['spent_seconds'])}; the front:"
    )


def _row_line(row: Mapping[str, Any]) -> str:
    quality = quality_words(row["quality"], str(row["metric"]))
    grid = f" grid {row['sparsity']:.0%} pruned, {row['bits']} bits" if row["origin"] == "grid" else ""
    return f"{row['key'][:SHOWN_KEY]}  {quality:>7}  {format_bytes(row[COST]):>9}  {_setting(row['setting'])}{grid}"


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in setting.items())


def _value(value: Any) -> str:
    return "none" if value is None else str(value)
