"""Trying the finalists for longer, and how far short runs can be trusted: what the page *Front* asks. No torch.

Pairs of a short and a long run come from the store and from the shipped atlas, by equality of their recipes but for
the epochs (:mod:`engine.search.longer`); nothing else has to be remembered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import api, api_estimate, api_home, api_people, api_points, api_rows, api_status, catalogue, store_read
from engine.api_points import View
from engine.errors import InputError, NotFoundError, StillhouseError
from engine.execution.base import default_slots
from engine.home import Home
from engine.recipe import Recipe
from engine.search import atlas, longer, pareto
from engine.search import plan as plans
from engine.search.longer import Pair, Run
from engine.search.ranking import TOPS, TRUSTED, Agreement
from engine.store import ENDED

TIMES = (2, 4, 8, 16)
RULES = ("front", "best")
MOST_FINALISTS = 24
SPREAD = 0.4
MEASURE_SECONDS = 1.5
RECIPES = (
    "SELECT key, json_extract(body, '$.recipe') AS recipe FROM results WHERE key IN (SELECT value FROM json_each(?))"
)
Row = Mapping[str, Any]
Json = dict[str, Any]

_lock = threading.Lock()
_answers: dict[tuple[Path, str], tuple[Hashable, Json]] = {}


def finalists(view: View, count: int, rule: str = RULES[0], cost: str = "packed_bytes", quality: str = "quality",
              direction: str = "maximize") -> list[str]:  # fmt: skip
    """Keys of at most ``count`` points of a view to try for longer, cheapest first.

    ``front``: spread evenly over the front of ``cost`` and ``quality`` from its knee to its best point, both among
    them (all of a front without a knee); ``best``: the best ones. Teachers, previews and what does not train are left
    out.
    """
    usable = np.fromiter((bool(r.get("epochs")) and r.get("role") != "teacher" for r in view.rows), bool,
                         len(view.index))  # fmt: skip
    costs, values = (np.where(usable, view.numbers(name), np.nan) for name in (cost, quality))
    if rule == "front":
        order = _upper(costs, values, direction)
        count = min(max(count, 0), len(order))
        chosen = order[np.unique(np.round(np.linspace(0, len(order) - 1, count)).astype(int))] if count else order[:0]
    else:
        good = -values if direction == "minimize" else values
        found = np.flatnonzero(np.isfinite(good))
        best = found[np.argsort(-good[found], kind="stable")][: max(count, 0)]
        chosen = best[np.argsort(costs[best], kind="stable")]
    return [str(view.table.rows[i]["key"]) for i in view.index[chosen].tolist()]


def plan(home: Home, keys: Iterable[str], times: int) -> Json:
    """What running some trials again at ``times`` their epochs would take.

    ``{"trials": [{"key", "longer", "student", "epochs", "state"}], "known", "open", "seconds", "low", "high",
    "refused": [{"key", "reason"}]}``. ``longer`` is the long run's key; ``state`` is None (not asked for), ``done``,
    or what the queue says. ``seconds``: for what is not there yet, shared trainings counted once.
    """
    store, trials, refused = api_home.store_of(home), [], []
    recipes: dict[str, Recipe] = {}
    for key in list(dict.fromkeys(keys))[:MOST_FINALISTS]:
        try:
            made = longer.longer(_recipe(home, key), times)
        except StillhouseError as problem:
            refused.append({"key": key, "reason": str(problem)})
            continue
        state = _state(home, made.key)
        if state in (None, "failed", "cancelled"):
            recipes[made.key] = made
        epochs = sum(p.epochs for p in made.phases)
        trials.append({"key": key, "longer": made.key, "student": made.student, "epochs": epochs, "state": state})
    states = [t["state"] for t in trials]
    seconds = _seconds(home, recipes.values())
    return {
        "trials": trials, "known": states.count("done"), "open": states.count("queued") + states.count("running"),
        "seconds": seconds, "low": seconds * (1 - SPREAD), "high": seconds * (1 + SPREAD), "refused": refused,
        "cap": api_people.cap(), "busy": store_read.busy(store),
    }  # fmt: skip


def start(home: Home, keys: Iterable[str], times: int, who: str = api.LOCAL, host: bool = False) -> list[str]:
    """Ask for the long runs of some trials; their keys. What is there or under way is shared.

    Raises :class:`InputError` when none of them can run for longer, or ``who`` would have too many open trials.
    """
    chosen, problems, recipes = list(dict.fromkeys(keys)), [], []
    if not 1 <= len(chosen) <= MOST_FINALISTS:
        raise InputError("finalists", len(chosen), f"1 to {MOST_FINALISTS} trials")
    for key in chosen:
        try:
            recipes.append(longer.longer(_recipe(home, key), times))
        except InputError as problem:
            problems.append(problem)
    if not recipes:
        raise problems[0]
    asks = [api._ask(recipe, api.OWN) for recipe in {r.key: r for r in recipes}.values()]
    name = hashlib.sha256(json.dumps(sorted(a.id for a in asks)).encode()).hexdigest()[:12]
    api_home.store_of(home).submit(asks, who, f"longer:{name}", api_people.cap(host))
    return [ask.id for ask in asks]


def cancel(home: Home, keys: Iterable[str], who: str = api.LOCAL) -> int:
    """Withdraw one's wish for the long runs with these keys; how many there were."""
    return sum(api.cancel(home, key, who) for key in keys)


def short_and_long(home: Home, task: str) -> Json:
    """How well short runs ranked long ones in this home and in the atlas; quick unless a point is new.

    ``{"task", "metric", "direction", "trusted", "atlas": where and when it was measured or None, "steps": [...]}``,
    a step for every two lengths (most pairs first): ``short`` and ``long`` epochs, ``pairs``, ``here`` (not only from
    the atlas), ``whole`` and ``within`` (one student's only), ``knobs`` with ``knob`` and ``values``, each an agreement
    as :class:`engine.search.ranking.Agreement` with ``advised`` and ``tries``; ``points``: the settings of the short
    run with ``short_key``, ``long_key``, ``short`` and ``long`` quality, ``here``. ``tries``: how many of the short
    runs' best to try for longer, None where no advice is given.
    """
    version = (api_points.table(home, task).version, _stamp())
    with _lock:
        known = _answers.get((home.root, task))
        if known is None or known[0] != version:
            known = _answers[home.root, task] = (version, _answer(home, task))
        return known[1]


def runs(home: Home, task: str) -> list[Run]:
    """The runs that may be part of a pair: rows that are equal in their settings but for the epochs, and the atlas."""
    usable = [r for r in api.rows(home, task) if _usable(r)]
    extra = atlas.read().of(task)
    lengths: dict[Hashable, set[int]] = {}
    for row in (*usable, *(api_rows.settings(run.recipe) for run in extra)):
        lengths.setdefault(_rough(row), set()).add(row["epochs"])
    near = [r for r in usable if len(lengths[_rough(r)]) > 1]
    recipes = _recipes(home, task, [str(r["key"]) for r in near])
    found = [Run(str(r["key"]), recipes[r["key"]], float(r["quality"]), str(r["origin"]))
             for r in near if r["key"] in recipes]  # fmt: skip
    return [*found, *extra]


def _upper(costs: api_points.Numbers, values: api_points.Numbers, direction: str) -> npt.NDArray[np.intp]:
    """The front from its knee on: what lies below costs so much quality that nobody would train it for longer."""
    order = pareto.front_of(costs, values, direction)
    knee = pareto.knee(costs[order].tolist(), values[order].tolist(), direction)
    found: npt.NDArray[np.intp] = order[knee or 0 :]
    return found


def _answer(home: Home, task: str) -> Json:
    row = catalogue.current().row("tasks", task, "task")
    direction = str(row["direction"])
    steps = longer.steps(longer.pairs(runs(home, task)))
    about = (atlas.read().about or {}).get(task)
    made = [_step(step, some, direction) for step, some in steps.items()]
    return {"task": task, "metric": str(row["metric"]), "direction": direction, "trusted": TRUSTED,
            "atlas": dict(about) if about else None, "steps": made}  # fmt: skip


def _step(step: tuple[int, int], some: Sequence[Pair], direction: str) -> Json:
    """One step as plain data."""
    knobs = [{"knob": k.knob, "values": list(k.values), **_plain(k.agreement)} for k in longer.knobs(some, direction)]
    return {
        "short": step[0], "long": step[1], "pairs": len(some), "here": sum(_here(p) for p in some),
        "whole": _plain(longer.whole(some, direction)), "within": _plain(longer.whole(some, direction, "student")),
        "knobs": knobs, "points": [_point(p) for p in some],
    }  # fmt: skip


def _plain(found: Agreement) -> Json:
    tops = dict(found.tops)
    # enough are tried when what is still lost is no more than a tenth of a point, or as many as were looked at
    enough = next((m for m in TOPS if tops.get(m, 1.0) <= 0.001), TOPS[-1])
    return {**asdict(found), "tops": tops, "advised": found.advised, "tries": enough if found.advised else None}


def _point(pair: Pair) -> Json:
    return {
        **api_rows.settings(pair.short.recipe), "short_key": pair.short.key, "long_key": pair.long.key,
        "short": pair.short.quality, "long": pair.long.quality, "here": _here(pair),
    }  # fmt: skip


def _here(pair: Pair) -> bool:
    return atlas.ORIGIN not in (pair.short.origin, pair.long.origin)


def _usable(row: Row) -> bool:
    return bool(row.get("epochs")) and not row.get("preview") and row.get("role") != "teacher" and (
        row.get("quality") is not None
    )  # fmt: skip


def _rough(row: Row) -> Hashable:
    """What recipes that differ only in their epochs have in common, and some others, too; cheap."""
    return tuple(
        row.get(name)
        for name in (
            *("student", "labels", "data", "seed", "teacher", "loss", "temperature", "weight"),
            *("pruning", "schedule", "sparsity", "bits"),
        )
    )


def _recipes(home: Home, task: str, keys: Sequence[str]) -> dict[str, Row]:
    found = {e["result"]["key"]: e["result"]["recipe"] for e in api_rows.shipped(task)}
    stored = api_home.store_of(home).rows(RECIPES, json.dumps(list(keys)))
    # what was stored before a knob existed is the same recipe with that knob at its default
    return {key: _canonical(json.dumps(r, sort_keys=True)) for key, r in found.items() if key in keys} | {
        row["key"]: _canonical(row["recipe"]) for row in stored
    }


@functools.lru_cache(maxsize=4096)
def _canonical(text: str) -> Row:
    body: Row = json.loads(text)
    try:
        return Recipe.from_json(body).to_json()
    except InputError:  # of a plug-in that is gone
        return body


def _recipe(home: Home, key: str) -> Recipe:
    body = api_status.body(home, key)
    if body is None:
        raise NotFoundError(f"trial {key}: it has no result in this home")
    if api_rows.role_of(body["recipe"]) == "teacher":
        raise InputError("finalists", key[:12], "a student; teachers come trained")
    return api.check(body["recipe"])


def _state(home: Home, key: str) -> str | None:
    work = store_read.work(api_home.store_of(home), key)
    if work is not None and work.state not in ENDED:
        return work.state
    body = api_status.body(home, key)
    if body is not None and not body.get("preview"):
        return "done"
    return work.state if work is not None else None


def _seconds(home: Home, recipes: Iterable[Recipe]) -> float:
    """Expected seconds with as many workers as there are."""
    wanted = list(recipes)
    kept = {path.stem for path in home.cache("prefix").glob("*.prefix")}
    trainings = {t.key: t for recipe in wanted for t in plans.trainings(recipe) if t.key not in kept}
    paces = {r.student: api_estimate.pace(home, r) for r in wanted}
    usual = catalogue.current().rows["models"]
    epochs = sum(t.epochs * paces.get(t.student, usual[t.student]["seconds_per_epoch"]) for t in trainings.values())
    return float(epochs + MEASURE_SECONDS * len(wanted)) / default_slots()


def _stamp() -> int:
    return atlas.PATH.stat().st_mtime_ns if atlas.PATH.exists() else 0
