"""``stillhouse run``: submit a trial, show how far it is, print what came out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TextIO

from engine import api, api_statistics
from engine.cli_recipe import recipe_of
from engine.errors import StillhouseError, TrialFailedError
from engine.figures.hover import cause_words, quality_words
from engine.figures.labels import labels_of
from engine.figures.words import Facts, facts
from engine.home import Home
from engine.units import format_bytes, format_count, format_ms, format_seconds

CANCELLED = 130
REDRAW_SECONDS = 0.2
CANCEL_SECONDS = 5.0
ENDED = ("done", "failed", "cancelled")
SHOWN_KEY = 12
Run = Mapping[str, Any]


def run(options: argparse.Namespace, home: Home) -> int:
    """Run one trial (and its dense student and baseline); 0 done, 1 failed, 130 cancelled."""
    recipe = recipe_of(options)
    api.check(recipe)
    sent = api_statistics.submit(home, recipe, options.seeds, companions=not options.no_baseline, test=options.test)
    keys = list(dict.fromkeys((*sent["keys"], *sent["companions"])))
    progress = Progress(sys.stderr, sent["keys"])
    progress.say(_announced(home, recipe, sent))
    try:
        api.ensure_runner(home)
        ends = api.wait(home, keys, progress)
    except KeyboardInterrupt:
        progress.end()
        return _withdraw(home, sent["keys"], options.json)
    progress.end()
    return _report(home, sent["keys"], ends, options.json)


class Progress:
    """Progress on ``out``: one line that is drawn again on a terminal, a line an epoch elsewhere."""

    def __init__(self, out: TextIO, keys: Collection[str]) -> None:
        self._out, self._keys, self._terminal = out, keys, out.isatty()
        self._drawn, self._width = 0.0, 0
        self._said: dict[str, tuple[Any, ...]] = {}

    def __call__(self, status: Mapping[str, Any]) -> None:
        """Take one status of ``engine.api.wait``."""
        text = progress_text(status, "trial" if status["key"] in self._keys else "beside it")
        milestone = status["state"] in ENDED
        if self._terminal and (milestone or time.monotonic() - self._drawn >= REDRAW_SECONDS):
            self._out.write("\r" + text.ljust(self._width))
            self._width, self._drawn = len(text), time.monotonic()
            self._out.flush()
        now = (status["state"], (status.get("progress") or {}).get("epoch"))
        if not self._terminal and self._said.get(status["key"]) != now:
            self.say(text)
            self._said[status["key"]] = now

    def say(self, text: str) -> None:
        """A line of its own."""
        self._out.write(text + "\n")
        self._out.flush()

    def end(self) -> None:
        """Leave the line that was drawn."""
        if self._width:
            self._out.write("\n")
            self._width = 0


def progress_text(status: Mapping[str, Any], name: str) -> str:
    """One line: what runs, how far it is, what it scores, how long it still takes."""
    now, parts = status.get("progress") or {}, [f"{name} {status['key'][:SHOWN_KEY]}", status["state"]]
    if status["state"] == "queued" and status.get("place") is not None:
        parts.append(f"{status['place']} in front")
    if status["state"] == "running":
        parts += _doing(now)
        if status.get("seconds_left") is not None:
            parts.append(f"{format_seconds(status['seconds_left'])} left")
    if status["state"] == "failed" and status.get("error"):
        parts.append(_one_line(str(status["error"])))
    return ", ".join(parts)


def summary(run_object: Run) -> list[str]:
    """What came out, in plain lines."""
    words, quality, cost = labels_of(None), run_object["quality"], run_object["cost"]
    metric = quality["metric"]
    lines = [f"trial {run_object['key'][:SHOWN_KEY]}: {_quality(quality)} on validation"]
    if run_object.get("test"):
        lines.append(f"  {_quality(run_object['test'])} on the test set")
    lines.append(
        f"  {format_bytes(cost['packed_bytes'])} packed, {format_bytes(cost['onnx_bytes'])} as ONNX, "
        f"{format_count(cost['nonzero'])} of {format_count(cost['parameters'])} parameters not zero"
    )
    latency = cost.get("latency")
    if latency:
        simulated = " (simulated: no kernel here runs these bits)" if latency["simulated"] else ""
        lines.append(f"  {format_ms(latency['median_ms'])} a call on {latency['runtime']}{simulated}")
    lines += _seeds(run_object)
    known = facts(run_object, run_object.get("differences"))
    sentence = [s for s in (_size(known), *_points(known), _speed(known, words)) if s]
    if sentence:
        lines.append("  " + ", ".join(sentence))
    for name in ("teacher", "dense", "baseline"):
        other = (run_object.get(name) or {}).get("quality")
        if other:
            lines.append(f"  {name}: {quality_words(other['value'], metric)}")
    return lines


def _announced(home: Home, recipe: Mapping[str, Any], sent: Mapping[str, Any]) -> str:
    name = f"trial {sent['key'][:SHOWN_KEY]}"
    several = len(sent["keys"])
    name += f" and {several - 1} more seed{'s' * (several > 2)}" if several > 1 else ""
    if sent["known"]:
        return f"{name} {'is' if several == 1 else 'are'} known already"
    expected = api.estimate(home, recipe)
    each = "" if several == 1 else " each"
    return f"{name}: about {format_seconds(expected['seconds'])} expected{each} ({expected['basis']})"


def _report(home: Home, keys: Sequence[str], ends: Mapping[str, Any], as_json: bool) -> int:
    """What came out of the first of ``keys``, the others being its replicates; it fails when one of them did."""
    worst = next((s for s in ("failed", "cancelled") for k in keys if ends[k]["state"] == s), "done")
    key = next(k for k in keys if ends[k]["state"] == worst)
    outcome, state = api.result(home, keys[0]), worst
    if outcome["quality"] is not None:
        outcome |= api_statistics.summary(home, keys[0])
    for other, end in ends.items():
        if other not in keys and end["state"] == "failed":
            sys.stderr.write(f"stillhouse: beside it, {other[:SHOWN_KEY]} failed: {_one_line(str(end.get('error')))}\n")
    if as_json:
        print_json(outcome)
    if state == "failed":
        raise TrialFailedError(f"trial {key[:SHOWN_KEY]} failed: {ends[key].get('error') or 'no reason was recorded'}")
    if state == "cancelled":
        sys.stderr.write(f"stillhouse: trial {key[:SHOWN_KEY]} was cancelled\n")
        return CANCELLED
    if not as_json:
        sys.stdout.write("\n".join(summary(outcome)) + "\n")
    return 0


def _withdraw(home: Home, keys: Sequence[str], as_json: bool) -> int:
    """Ctrl-C: withdraw the trials, wait until they have really stopped (a second one leaves at once)."""
    for each in keys:
        api.cancel(home, each)
    key = keys[0]
    ends = time.monotonic() + CANCEL_SECONDS
    try:
        while any(api.status(home, k)["state"] not in ENDED for k in keys) and time.monotonic() < ends:
            time.sleep(0.05)
        if as_json:
            print_json(api.result(home, key))
    except (KeyboardInterrupt, StillhouseError):
        pass  # it is withdrawn already; nothing more to tell
    sys.stderr.write(f"stillhouse: trial {key[:SHOWN_KEY]} was cancelled\n")
    return CANCELLED


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _doing(now: Mapping[str, Any]) -> list[str]:
    parts = []
    if now.get("doing"):
        first = f", {now['teacher']} first" if now.get("teacher") else ""
        parts.append(str(now["doing"]) + first)
    if now.get("epochs"):
        parts.append(f"epoch {now.get('epoch', 0)} of {now['epochs']}")
    if now.get("fraction") is not None:
        parts.append(f"{100 * now['fraction']:.0f} %")
    if now.get("loss") is not None:
        parts.append(f"loss {now['loss']:.3f}")
    if now.get("quality") is not None:
        parts.append(f"quality {now['quality']:.4f}")
    return parts


def _quality(row: Run) -> str:
    value, low, high = (quality_words(row[name], row["metric"]) for name in ("value", "low", "high"))
    return f"{value} {row['metric']} ({low} to {high})"


def _size(known: Facts) -> str:
    if known.size_factor is None or known.size in ("level", "unknown"):
        return ""
    return f"{known.size_factor:.3g}x {known.size} than the dense student"


def _points(known: Facts) -> list[str]:
    pairs = (("teacher", known.points_over_teacher, known.beside_teacher),
             ("baseline", known.points_over_baseline, known.beside_baseline))  # fmt: skip
    return [f"not distinguishable from the {n} ({p:+.1f} points)" if beside == "level" else
            f"{abs(p):.1f} points {'above' if p > 0 else 'below'} the {n}"
            for n, p, beside in pairs if p is not None]  # fmt: skip


def _seeds(run_object: Run) -> list[str]:
    """The mean over seeds, where there are several."""
    found = run_object.get("seeds") or {}
    mean = found.get("quality")
    if not mean:
        return []
    metric = run_object["quality"]["metric"]
    value, low, high = (quality_words(mean[name], metric) for name in ("value", "low", "high"))
    lines = [f"  {mean['count']} seeds: {value} on average (95 % interval {low} to {high}, Student's t over seeds)"]
    for name, pair in found["differences"].items():
        verdict = "not distinguishable from" if pair["verdict"] == "tied" else f"{pair['verdict']}"
        lines.append(f"  {pair['seeds']} pairs of seeds: {100 * pair['difference']:+.2f} points, {verdict} the {name} "
                     f"({100 * pair['low']:+.2f} to {100 * pair['high']:+.2f})")  # fmt: skip
    return lines


def _speed(known: Facts, words: Any) -> str:
    if known.speed in ("level", "unknown") or known.speed_factor is None:
        return "as fast as the dense student" if known.speed == "level" else ""
    because = f" because {cause_words(known.cause, words)}" if known.slower_here else ""
    return f"{known.speed_factor:.2f}x {known.speed} here{because}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
