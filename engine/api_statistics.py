"""How sure the numbers are: intervals of every measure, paired differences, seeds, the chance of being on the front.

Plain data for pages and the command line; no torch. ``home`` is an :class:`engine.home.Home`, keys may be cut short.
Differences are of qualities, fractions of one, and positive where the first has more; a ``verdict`` says ``above`` or
``below`` in the metric's own direction, or ``tied`` where the 95 % interval holds zero.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import api, api_home, api_rows, api_status, api_trial, metrics, scores, statistics, store_read
from engine.api_images import validation
from engine.errors import InputError, StillhouseError
from engine.home import Home
from engine.recipe import Recipe
from engine.search import replicates
from engine.search.replicates import MOST_SEEDS, USUAL_SEEDS

__all__ = ["MOST_SEEDS", "OTHERS", "USUAL_SEEDS", "differences", "intervals", "keys", "seeds", "submit", "summary"]

OTHERS = ("teacher", "dense", "baseline")
Json = dict[str, Any]
Right = scores.Scores


def submit(home: Home, recipe_json: Mapping[str, Any], seeds: int = USUAL_SEEDS, who: str = api.LOCAL,
           companions: bool = True, test: bool = False, host: bool = False) -> Json:  # fmt: skip
    """Ask for a recipe with ``seeds`` seeds, its own first: ``{"key", "keys", "companions", "known"}``, ``known``: all.

    With ``companions`` each seed has its own dense student and baseline, so that differences are paired by seed; the
    grid is that of the first. Raises :class:`InputError` as :func:`engine.api.submit`, and then nothing was asked for.
    """
    recipes = replicates.with_seeds(api.check(recipe_json), seeds)
    sent: list[Json] = []
    try:
        for number, recipe in enumerate(recipes):
            sent.append(api.submit(home, recipe.to_json(), who, companions, test, host, grids=number == 0))
    except InputError:  # more than this person may have open: all or nothing
        for one in sent:
            if not one["known"]:
                api.cancel(home, one["key"], who)
        raise
    return {
        "key": sent[0]["key"], "keys": [s["key"] for s in sent], "known": all(s["known"] for s in sent),
        "companions": [s[name] for s in sent for name in ("dense", "baseline")] if companions else [],
    }  # fmt: skip


def intervals(home: Home, key: str) -> dict[str, Json]:
    """Every measure of a point with its 95 % interval: ``{"value", "low", "high", "method", "count"}`` by name.

    From the kept answers on validation; where none are kept (shipped results), the quality alone as it was written.
    Raises :class:`NotFoundError`.
    """
    run = api.result(home, key)
    if run["quality"] is None:
        return {}
    found = _intervals(home, run["key"], _stamp(home, run["key"]))
    if found:
        return found
    quality = run["quality"]
    count = len(validation(run["recipe"]["task"]).labels)
    method = quality.get("method", statistics.WILSON)
    return {quality["metric"]: {**{n: quality[n] for n in ("value", "low", "high")}, "method": method, "count": count}}


def differences(home: Home, key: str) -> dict[str, Json]:
    """A point's quality minus that of its ``teacher``, ``dense`` student and ``baseline``, where both answers are kept.

    ``{"difference", "low", "high", "examples", "seeds", "direction", "verdict", "key"}`` by name, on the same
    validation examples. One run each (``seeds`` is 1): what another seed would give is not in it; see :func:`seeds`.
    """
    run = api.result(home, key)
    if run["quality"] is None or run["quality"]["metric"] not in scores.PAIRED:
        return {}
    direction = run["quality"].get("direction", "maximize")
    found = {}
    for name in OTHERS:
        other = run.get(name)
        if other and other["key"] != run["key"]:
            pair = _difference(home, run, name, direction)
            if pair is not None:
                found[name] = pair.to_json() | {"key": other["key"]}
    return found


def seeds(home: Home, key: str) -> Json:
    """What the seeds of a point's recipe say together.

    ``{"key", "seeds": [{"seed", "key", "quality", "low", "high", "packed_bytes", "latency_ms"}], "quality":
    {"value", "low", "high", "method", "count"}, "packed_bytes", "differences": {name: ...}, "running": [keys]}``: the
    runs of the very same recipe but for the seed, the mean of their quality with Student's t interval over seeds (None
    for one run), and paired differences to the companions over seeds and examples.
    """
    run = api.result(home, key)
    rows = _members(home, run)
    shown = [
        {name: r[name] for name in ("seed", "key", "quality", "packed_bytes", "latency_ms")}
        | {"low": r["quality_low"], "high": r["quality_high"]}
        for r in rows
    ]  # fmt: skip
    several = len(rows) >= replicates.LEAST
    means = {n: statistics.over_seeds([r[n] for r in rows]) for n in ("quality", "packed_bytes")} if several else {}
    quality, size = means.get("quality"), means.get("packed_bytes")
    return {
        "key": run["key"], "seeds": shown, "quality": quality.to_json() if quality else None,
        "packed_bytes": size.to_json() if size else None, "running": _running(home, run),
        "differences": _over_seeds(home, rows, run) if several else {},
    }  # fmt: skip


def keys(home: Home, recipe_json: Mapping[str, Any], count: int = USUAL_SEEDS) -> list[str]:
    """The keys of a recipe with ``count`` seeds, its own first."""
    return [recipe.key for recipe in replicates.with_seeds(api.check(recipe_json), count)]


def summary(home: Home, key: str) -> Json:
    """``intervals``, ``differences`` and ``seeds`` of a point, as ``run --json`` prints them."""
    return {"intervals": intervals(home, key), "differences": differences(home, key), "seeds": seeds(home, key)}


@functools.lru_cache(maxsize=512)
def _intervals(home: Home, key: str, stamp: int) -> dict[str, Json]:
    run = api.result(home, key)
    found = api_trial.answers_of(home, run)
    if found.student is None or run["quality"]["metric"] not in metrics.COUNTED:
        return {}
    measured = statistics.classification(found.student, found.labels, found.teacher)
    return {name: estimate.to_json() for name, estimate in measured.items()}


def _difference(home: Home, run: Mapping[str, Any], name: str, direction: str) -> statistics.Difference | None:
    own, other = right(home, run["key"]), _right_of(home, run, name)
    if own is None or other is None:
        return None
    count = min(len(own), len(other))
    return statistics.difference(own[:count], other[:count], direction)


def _over_seeds(home: Home, rows: Sequence[api_rows.Row], run: Mapping[str, Any]) -> dict[str, Json]:
    """Differences to the companions, each seed beside its own; the teacher is the same for all of them."""
    direction = run["quality"].get("direction", "maximize") if run["quality"] else "maximize"
    found = {}
    for name in OTHERS:
        pairs = []
        for row in rows:
            member = api.result(home, row["key"])
            other = member.get(name)
            if other and other["key"] != row["key"]:
                pairs.append((right(home, row["key"]), _right_of(home, member, name)))
        whole = [(a, b) for a, b in pairs if a is not None and b is not None and len(a) == len(b)]
        if len(whole) >= replicates.LEAST:
            first, second = (np.array(side) for side in zip(*whole, strict=True))
            found[name] = statistics.difference(first, second, direction).to_json()
    return found


def _members(home: Home, run: Mapping[str, Any]) -> list[api_rows.Row]:
    """The rows of a recipe's replicates of the same version, by seed; the point itself alone where it is unknown."""
    row = api_trial.row(home, run)
    if row is None:
        return []
    every = api.rows_here(home, run["recipe"]["task"], api_trial.ORIGINS)
    same = [r for r in every if r["family"] == row["family"] and not r["preview"]]
    try:
        recipe = api.check(run["recipe"])
        same = [r for r in same if _key(recipe, int(r["seed"])) == r["key"]]
    except StillhouseError:  # a plug-in that is not installed here, or a teacher
        same = [r for r in same if r["key"] == run["key"]]
    return sorted(same, key=lambda r: int(r["seed"]))


@functools.lru_cache(maxsize=4096)
def _key(recipe: Recipe, seed: int) -> str:
    return replicates.with_seed(recipe, seed).key


def _running(home: Home, run: Mapping[str, Any]) -> list[str]:
    """Keys of usual replicates that are queued or running."""
    if api_rows.role_of(run["recipe"]) == "teacher":
        return []
    try:
        wanted = keys(home, run["recipe"], USUAL_SEEDS)
    except StillhouseError:
        return []
    works = store_read.works(api_home.store_of(home), wanted)
    return [w.id for w in works if w.state in ("queued", "running")]


def right(home: Home, key: str) -> Right | None:
    """[N] whether each validation example is answered rightly, or its score; None where nothing is kept.

    Do not change it.
    """
    return _right(home, key, _stamp(home, key))


@functools.lru_cache(maxsize=2048)
def _right(home: Home, key: str, stamp: int) -> Right | None:
    logits = api_trial.logits(home, key)
    body = api_status.body(home, key)
    if logits is None or body is None:
        return None
    found = scores.scores(body["recipe"]["task"], logits)
    found.setflags(write=False)
    return found


def _right_of(home: Home, run: Mapping[str, Any], name: str) -> Right | None:
    """A companion's right answers; the teacher's from its shipped outputs."""
    if name != "teacher":
        return right(home, run[name]["key"])
    found = api_trial.answers_of(home, run)
    return None if found.teacher is None else metrics.correct(found.teacher, found.labels)


def _stamp(home: Home, key: str) -> int:
    """Changes when a point does (a preview becomes whole, a deleted one comes back)."""
    found = api_home.store_of(home).row("SELECT changed FROM results WHERE key = ?", key)
    return -1 if found is None else int(found["changed"])
