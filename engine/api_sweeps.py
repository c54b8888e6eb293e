"""Sweeps for pages and the command line: plan, start, follow, pause, resume, extend, cancel. Plain data, no torch.

A sweep's file is described in :mod:`engine.search.space`; ids are 12 hexadecimal digits, a unique beginning is enough.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from engine import api, api_estimate, api_home, api_people, catalogue, store_sweeps
from engine.errors import InputError, NotFoundError
from engine.execution.base import default_slots
from engine.home import Home
from engine.search import orders, space
from engine.search import plan as plans
from engine.search.plan import Plan
from engine.store import Ask
from engine.store_sweeps import Counts, Sweep

GRID_EPOCHS = 5.0  # a grid takes one worker about as long as so many epochs of its student
GRID_SECONDS = 10.0  # of one worker for one grid of a small student, until one has been measured
MEASURE_SECONDS = 1.5  # writing and measuring one artifact when its graph has been timed before
SPREAD = 0.4
NOT_YOURS = "the one who started it, or the host"
Status = dict[str, Any]
Row = dict[str, Any]


def ready(task: str) -> list[dict[str, Any]]:
    """Ready-made sweeps of a task: ``name``, ``title``, ``help`` and ``spec``, to start from or to change."""
    return [{"name": r.name, "title": r.title, "help": r.help, "spec": dict(r.spec)} for r in orders.ready(task)]


def plan(home: Home, spec: Mapping[str, Any], trials: int | None = None) -> dict[str, Any]:
    """What the sweep would do. ``trials`` in place of what the file says.

    ``trials`` of ``combinations`` would run, ``known`` of them have a result; they consist of ``trainings`` of which
    ``trained`` are kept; ``grids`` with ``grid_points``; ``seconds`` with ``low`` and ``high``; ``skipped`` (at most
    100 of ``left_out``) with reasons; ``axes`` with path, label and values. Raises :class:`InputError`.
    """
    made = plans.plan(home, spec, trials, api_home.store_of(home))
    seconds = _seconds(home, made)
    known = sum(p.recipe.key in made.known for p in made.points)
    return {
        "name": made.space.options.name, "task": made.space.task, "combinations": made.space.combinations,
        "trials": len(made.points), "known": known, "trainings": len(made.trainings), "trained": len(made.kept),
        "grids": len(made.dense), "grid_points": len(made.dense) * api.GRID_POINTS, "baselines": len(made.baselines),
        "seconds": seconds, "low": seconds * (1 - SPREAD), "high": seconds * (1 + SPREAD),
        "skipped": [{"setting": dict(s.setting), "reason": s.reason} for s in made.skipped[:100]],
        "left_out": len(made.skipped), "axes": _axes(made.space), "spec": dict(made.space.spec),
    }  # fmt: skip


def start(home: Home, spec: Mapping[str, Any], who: str = api.LOCAL, host: bool = False) -> Status:
    """Start a sweep; its status. Raises :class:`InputError` when nothing of it is possible, or for a person's cap."""
    store = api_home.store_of(home)
    made = plans.plan(home, spec, None, store)
    options = made.space.options
    sweep = Sweep(
        secrets.token_hex(6), options.name, made.space.task, made.space.spec, who, "paused", "it is being entered",
        len(made.points), options.budget_seconds, 0.0, time.time(),
    )  # fmt: skip
    # a sweep that was killed between its entry and its requests stands there paused, and can be resumed
    store_sweeps.create(store, sweep, _trials(made))
    try:
        store.submit(_asks(made), who, sweep.parent, api_people.cap(host))
    except InputError:  # more than this person may have open
        store_sweeps.forget(store, sweep.id)
        raise
    store_sweeps.decide(store, sweep.id, "running")
    return status(home, sweep.id)


def sweeps(home: Home, task: str | None = None) -> list[Status]:
    """The status of every sweep (of a task), newest first."""
    return [_status(home, sweep) for sweep in store_sweeps.every(api_home.store_of(home), task)]


def status(home: Home, id_or_prefix: str) -> Status:
    """How far a sweep is. Raises :class:`NotFoundError`.

    ``state`` is running, paused, done or cancelled, ``reason`` why it is paused or cancelled. ``done``, ``failed``,
    ``running``, ``queued`` and ``cancelled`` count its ``trials``; ``seconds_left`` is None while paused.
    ``spent_seconds`` is the time during which any of its work ran. ``errors``: key, setting and error of what failed.
    """
    return _status(home, _found(home, id_or_prefix))


def pause(home: Home, name: str, who: str = api.LOCAL, host: bool = False) -> Status:
    """Withdraw what is queued of a running sweep; what runs ends as usual."""
    sweep = _own(home, name, who, host)
    _allowed(home, sweep, ("running",), "pause")
    store_sweeps.pause(api_home.store_of(home), sweep.id, "paused" if who == sweep.who else "paused by the host")
    return status(home, sweep.id)


def resume(home: Home, name: str, who: str = api.LOCAL, host: bool = False) -> Status:
    """Ask again for what is not done of a paused, cancelled or partly failed sweep; a spent budget is given again."""
    sweep = _own(home, name, who, host)
    _again(home, sweep, sweep.trials, host)
    return status(home, sweep.id)


def cancel(home: Home, name: str, who: str = api.LOCAL, host: bool = False) -> Status:
    """Withdraw everything of a sweep; what nobody else wants stops. Results stay."""
    sweep = _own(home, name, who, host)
    _allowed(home, sweep, ("running", "paused"), "cancel")
    reason = "cancelled" if who == sweep.who else "cancelled by the host"
    store_sweeps.cancel(api_home.store_of(home), sweep.id, reason)
    return status(home, sweep.id)


def extend(home: Home, name: str, trials: int, who: str = api.LOCAL, host: bool = False) -> Status:
    """Add ``trials`` more of its combinations to a sweep, in the order that it began with, and go on with it."""
    sweep = _own(home, name, who, host)
    most = space.read(sweep.spec).combinations
    if isinstance(trials, bool) or not isinstance(trials, int) or not 1 <= trials <= space.MAX_TRIALS - sweep.trials:
        allowed = f"a whole number from 1 to {space.MAX_TRIALS - sweep.trials}"
        raise InputError("trials", trials, allowed)
    points = space.read(sweep.spec).points(sweep.trials + trials)
    if len(points) <= sweep.trials:
        raise InputError("trials", trials, f"none: all {most} combinations that are possible are in this sweep")
    _again(home, sweep, sweep.trials + trials, host)
    return status(home, sweep.id)


def rename(home: Home, name: str, words: str, who: str | None = None, host: bool = False) -> Status:
    """Call a sweep by another name of 1 to 80 characters; ``who`` None asks for no right."""
    sweep = _found(home, name) if who is None else _own(home, name, who, host)
    store_sweeps.rename(api_home.store_of(home), sweep.id, space.name_of(words))
    return status(home, sweep.id)


def forget(home: Home, name: str, who: str | None = None, host: bool = False) -> None:
    """Remove a sweep that is not running from the list; its results stay. ``who`` None asks for no right."""
    sweep = _found(home, name) if who is None else _own(home, name, who, host)
    _allowed(home, sweep, ("paused", "done", "cancelled"), "forget")
    store_sweeps.forget(api_home.store_of(home), sweep.id)


def keys(home: Home, name: str) -> list[str]:
    """The keys of a sweep's trials in their order."""
    return [key for key, _ in store_sweeps.trials(api_home.store_of(home), _found(home, name).id)]


def rows(home: Home, name: str) -> list[Row]:
    """The measured points of a sweep: trials, baselines and grid points as rows with ``sweep`` and ``setting``.

    A point that is no trial of the sweep itself has the settings that all trials on its dense student share.
    """
    sweep, store = _found(home, name), api_home.store_of(home)
    settings = dict(store_sweeps.trials(store, sweep.id))
    members = store_sweeps.members(store, sweep.id)
    own = {key for key, kind, _ in members if kind == "trial"} | set(settings)
    grids = {dense for _, kind, dense in members if kind == "grid"}
    shared: dict[str, dict[str, Any]] = {}
    found = [r for r in api.rows(home, sweep.task, ("trial", "grid")) if _belongs(r, own, grids)]
    for row in found:
        if row["key"] in settings:
            had = shared.setdefault(row["dense_key"], dict(settings[row["key"]]))
            shared[row["dense_key"]] = {k: v for k, v in had.items() if settings[row["key"]].get(k, had) == v}
    chosen = (settings.get(row["key"], shared.get(row["dense_key"], {})) for row in found)
    return [{**row, "sweep": sweep.id, "setting": dict(setting)} for row, setting in zip(found, chosen, strict=True)]


def _belongs(row: Row, own: set[str], grids: set[str]) -> bool:
    return row["key"] in own or (row["origin"] == "grid" and row["dense_key"] in grids)


def _again(home: Home, sweep: Sweep, trials: int, host: bool) -> None:
    """Ask for ``trials`` trials of a sweep and what goes with them, whatever of it was withdrawn or has failed."""
    store, read = api_home.store_of(home), space.read(sweep.spec)
    made = plans.of(home, read, *read.choose(trials), store)
    fresh = sweep.budget_seconds is not None and sweep.spent >= sweep.budget_seconds
    budget = sweep.spent + (read.options.budget_seconds or sweep.budget_seconds or 0.0) if fresh else None
    store.submit(_asks(made), sweep.who, sweep.parent, api_people.cap(host))
    store_sweeps.extend(store, sweep.id, _trials(made))
    store_sweeps.decide(store, sweep.id, "running", budget_seconds=budget)


def _trials(made: Plan) -> list[store_sweeps.Trial]:
    return [(p.recipe.key, p.setting) for p in made.points]


def _asks(made: Plan) -> list[Ask]:
    own = [api._ask(p.recipe, api.OWN) for p in made.points]
    names = {ask.id for ask in own}
    others = [api._ask(r, api.DENSE) for key, r in made.dense.items() if key not in names]
    others += [api._ask(r, api.BASELINE) for key, r in made.baselines.items() if key not in names]
    return own + others + [api._ask_grid(r, part) for r in made.dense.values() for part in range(api.GRID_PARTS)]


def _status(home: Home, sweep: Sweep) -> Status:
    store = api_home.store_of(home)
    now, options = store_sweeps.counts(store, sweep.id), space.read(sweep.spec)
    state = _state(sweep, now)
    count = {name: now.trials.get(name, 0) for name in ("done", "failed", "running", "queued", "cancelled")}
    return {
        "id": sweep.id, "name": sweep.name, "task": sweep.task, "state": state,
        "reason": sweep.reason if state in ("paused", "cancelled") else "", "who": sweep.who,
        "created": sweep.created, "trials": sweep.trials, "combinations": options.combinations, **count,
        "grid_points": now.grid_points, "seconds_left": _seconds_left(home, sweep, state, now),
        "budget_seconds": sweep.budget_seconds, "spent_seconds": sweep.spent, "spec": dict(sweep.spec),
        "axes": _axes(options), "errors": store_sweeps.failures(store, sweep.id),
    }  # fmt: skip


def _state(sweep: Sweep, now: Counts) -> str:
    if sweep.state == "cancelled":
        return "cancelled"
    # a paused sweep still has what was withdrawn; in a running one that was cancelled by itself and is not coming
    waiting = now.left + now.trials.get("cancelled", 0) if sweep.state == "paused" else now.open
    return sweep.state if waiting else "done"


def _seconds_left(home: Home, sweep: Sweep, state: str, now: Counts) -> float | None:
    if state != "running":
        return 0.0 if state == "done" else None
    by_kind = store_sweeps.durations(api_home.store_of(home), sweep.id)
    usual = {"trial": None, "grid": GRID_SECONDS / api.GRID_PARTS}
    total = 0.0
    for kind, (mean, queued, running) in by_kind.items():
        each = mean or usual.get(kind)
        if each is None:  # nothing of its kind has ended
            return None
        total += each * (queued + 0.5 * running)
    return total / default_slots()


def _seconds(home: Home, made: Plan) -> float:
    """Expected seconds until everything is done, with as many workers as there are."""
    paces: dict[tuple[str, str], float] = {}
    for recipe in made.trials.values():
        name = (recipe.student, recipe.data)
        if name not in paces:
            paces[name] = api_estimate.pace(home, recipe)
    work = sum(t.epochs * paces.get((t.student, t.data), _teacher_pace(t.student)) for t in made.needed)
    fresh = made.unknown.values()
    graphs = {(r.student, any(dict(s.values).get("bits") == 8 for s in r.stages)) for r in fresh}
    work += MEASURE_SECONDS * len(fresh) + (api.OVERHEAD_SECONDS - MEASURE_SECONDS) * len(graphs)
    grids = (r for key, r in made.dense.items() if key not in made.grids_done)
    work += sum(GRID_EPOCHS * paces[r.student, r.data] for r in grids)
    return work / default_slots()


def _teacher_pace(student: str) -> float:
    return float(catalogue.current().row("models", student)["seconds_per_epoch"])


def _axes(read: space.Space) -> list[dict[str, Any]]:
    return [{"path": a.path, "label": a.label, "values": list(a.values)} for a in read.axes]


def _found(home: Home, prefix: str) -> Sweep:
    store = api_home.store_of(home)
    names = store_sweeps.starting(store, prefix) if prefix else []
    exact = [name for name in names if name == prefix]
    if len(exact or names) != 1:
        several = f"several start with it: {', '.join(sorted(names)[:5])}; type more of it"
        raise NotFoundError(f"sweep {prefix!r}: {several if names else 'there is none here'}")
    sweep = store_sweeps.get(store, (exact or names)[0])
    if sweep is None:
        raise NotFoundError(f"sweep {prefix!r}: it was removed just now")
    return sweep


def _own(home: Home, name: str, who: str, host: bool) -> Sweep:
    sweep = _found(home, name)
    if who != sweep.who and not host:
        raise InputError(f"sweep {sweep.name}", who, NOT_YOURS)
    return sweep


def _allowed(home: Home, sweep: Sweep, states: Iterable[str], what: str) -> None:
    state = _status(home, sweep)["state"]
    if state not in states:
        raise InputError(f"{what} the sweep {sweep.name}", state, f"a sweep that is {' or '.join(states)}")
