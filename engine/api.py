"""Everything that pages and the command line may ask of the engine: plain data in, plain data out, no torch.

``home`` is an :class:`engine.home.Home`; recipes and results are the JSON values that ``stillhouse run --json`` shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import api_estimate, api_home, api_people, api_rows, api_status, preview, scores, store_read
from engine import catalogue as catalogues
from engine.api_rows import Row
from engine.errors import NotFoundError
from engine.execution import presence
from engine.execution.base import unpack_predictions
from engine.export import write
from engine.home import Home
from engine.recipe import Recipe
from engine.store import ENDED, Ask

LOCAL = "local"
POLL_SECONDS, RUNNER_CHECK_SECONDS = 0.05, 1.0
GRID_POINTS = 72  # of engine.search.grid, which cannot be imported here: it needs torch
GRID_PARTS = 2  # jobs that share the points of a grid, so that two workers measure it
OWN, DENSE, GRID, BASELINE = range(4)  # the order in which one user's work runs
status = api_status.status
labels = scores.labels
estimate, OVERHEAD_SECONDS = api_estimate.estimate, api_estimate.OVERHEAD_SECONDS


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """All tasks, models, losses and stages by kind, each a list of rows with ``name``, ``help`` and ``knobs``."""
    rows = catalogues.current().rows
    return {kind: [dict(rows[kind][name]) for name in sorted(rows[kind])] for kind in rows}


def default_recipe(task: str) -> dict[str, Any]:
    """The default run of a task as a complete recipe."""
    return check(catalogues.current().row("tasks", task, "task")["default"]).to_json()


def check(recipe_json: Mapping[str, Any]) -> Recipe:
    """The recipe that the JSON means; raises :class:`InputError` naming field, allowed, meant."""
    return Recipe.from_json(recipe_json)


def ensure_runner(home: Home, patience: float = 0.0) -> None:
    """Start the home's runner when none lives (microseconds when one does) and keep it while this process lives.

    ``patience``: seconds that its workers wait before they warm up, unless there is work.
    """
    presence.hold_open(home)
    presence.start_runner(home, "--patience", str(patience))


def submit(home: Home, recipe_json: Mapping[str, Any], who: str = LOCAL, companions: bool = True,
           test: bool = False, host: bool = False, grids: bool = True) -> dict[str, Any]:  # fmt: skip
    """Ask for a trial; with ``companions`` also for its dense student, that student's grid, the baseline, and for
    teachers that are recipes, so that the charts show them too.

    ``known``: the result is there already. Nothing runs twice: equal keys share one trial. Raises :class:`InputError`
    for a bad recipe, and when ``who`` has too many open trials (:func:`engine.api_people.cap`; the host has no limit),
    and :class:`NotInstalledError` for a task whose data have to be fetched first.
    Call :func:`ensure_runner` (or :func:`wait`, which does) afterwards.
    """
    recipe = check(recipe_json)
    dense, baseline = recipe.dense(), recipe.baseline()
    store = api_home.store_of(home)
    asks = [_ask(recipe, OWN, test)]
    if companions:
        asks += [_ask(dense, DENSE), _ask(baseline, BASELINE)]
        asks += [_ask(t, BASELINE) for p in recipe.phases for t in p.teachers if isinstance(t, Recipe)]
        asks += [_ask_grid(dense, part) for part in range(GRID_PARTS if grids else 0)]
    stored = store_read.result(store, recipe.key)
    known = stored is not None and not stored.preview and not (test and stored.body.get("test") is None)
    if not known:
        scores.check_installed(recipe.task)
    store.submit(asks, who, recipe.key, api_people.cap(host))
    return {"key": recipe.key, "dense": dense.key, "baseline": baseline.key, "known": known}


def cancel(home: Home, key: str, who: str = LOCAL, everybody: bool = False) -> bool:
    """Withdraw one's wish for a trial and its companions; what nobody else wants stops. Whether there was one.

    ``everybody`` withdraws the wishes of all, which only the host may do (the caller checks that).
    """
    store = api_home.store_of(home)
    return store.cancel_all(key) if everybody else store.withdraw(key, who)


def wait(home: Home, keys: Iterable[str],
         on_progress: Callable[[dict[str, Any]], None] | None = None) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Block until all ``keys`` have ended, keeping a runner alive; the last status of each by key.

    ``on_progress`` gets a status whenever one changed.
    """
    last: dict[str, dict[str, Any]] = {key: {} for key in keys}
    checked = -RUNNER_CHECK_SECONDS
    while True:
        for key, before in last.items():
            if before.get("state") not in ENDED:
                now = status(home, key)
                if now != before and on_progress:
                    on_progress(now)
                last[key] = now
        if all(s["state"] in ENDED for s in last.values()):
            return last
        if time.monotonic() - checked >= RUNNER_CHECK_SECONDS:
            ensure_runner(home)
            checked = time.monotonic()
        time.sleep(POLL_SECONDS)


def active(home: Home, who: str | None = None, most: int | None = None,
           also: Iterable[str] = ()) -> list[dict[str, Any]]:  # fmt: skip
    """The status of everything queued or running, oldest first.

    With ``who`` only what they want, and the ids in ``also``, whoever wants those. ``most`` limits what ``who`` wants:
    what runs counts first, then what will be served next.
    """
    return api_status.active(home, who, most, tuple(also))


def resolve(home: Home, prefix: str) -> str:
    """The one key that starts with ``prefix``; raises :class:`NotFoundError` when none or several do."""
    found = set(store_read.keys_starting(api_home.store_of(home), prefix)) if prefix else set()
    found |= {e["result"]["key"] for e in api_rows.shipped() if prefix and e["result"]["key"].startswith(prefix)}
    if prefix in found:
        return prefix
    if len(found) != 1:
        several = ", ".join(sorted(found)[:5])
        reason = f"several trials start with it: {several}; type more of it" if found else "no trial starts with it"
        raise NotFoundError(f"trial {prefix!r}: {reason}; `stillhouse results --task NAME` lists them")
    return found.pop()


def result(home: Home, key_or_prefix: str) -> dict[str, Any]:
    """The object of ``run --json``: the result with its baseline, dense student and teacher.

    A trial that has no result has ``state`` and ``error`` and None for what was never measured.
    """
    key = resolve(home, key_or_prefix)
    body = api_status.body(home, key)
    if body is None:
        return api_status.without_result(home, key)
    folder = home.artifact(key)
    files = {name: str(folder / file) for name, file in (body.get("artifact") or {}).items()}
    return {**body, "artifact": files, "error": None, **_companions(home, body["recipe"])}


def rows(home: Home, task: str, origins: Iterable[str] = ("trial", "grid", "shipped")) -> list[Row]:
    """Every measured point of a task as a flat row (see :func:`engine.api_rows.row_of`); fast enough for each rerun.

    The rows are shared between calls: copy before changing one.
    """
    return rows_here(home, task, tuple(origins))


def rows_here(home: Home, task: str, origins: tuple[str, ...]) -> list[Row]:
    """Rows of some origins: ``trial``, ``grid``, ``shipped``."""
    catalogues.current().row("tasks", task, "task")
    return api_home.rows_of(home, task, origins)


def predictions(home: Home, key: str) -> npt.NDArray[np.float16]:
    """What is kept of a trial's answers on validation (its first examples for a preview): logits [N, classes].

    One score an example, [N, 1], where a task's logits are too many. Raises :class:`NotFoundError`.
    """
    found = store_read.predictions(api_home.store_of(home), key)
    if found is None:
        raise NotFoundError(f"trial {key}: no predictions are kept for it here; run it in this home")
    return unpack_predictions(*found)


def paired(home: Home, a: str, b: str) -> dict[str, float]:
    """Quality of ``a`` minus quality of ``b`` on the same validation examples, with its 95 % interval."""
    first, second = predictions(home, a), predictions(home, b)
    body = api_status.body(home, a)
    if body is None:
        raise NotFoundError(f"trial {a}: it has no result in this home")
    value, low, high = scores.paired(*(scores.scores(body["recipe"]["task"], kept) for kept in (first, second)))
    return {"difference": value, "low": low, "high": high}


def grid_jobs(dense_key: str) -> list[str]:
    """The ids of the jobs that measure a dense student's grid, for :func:`status` and :func:`wait`."""
    return [f"grid:{dense_key}" + (f":{part}" if part else "") for part in range(GRID_PARTS)]


def grid_status(home: Home, dense_key: str) -> dict[str, Any]:
    """How far a dense student's grid is: ``done`` points measured in full, ``preview`` points on 1,000 images only.

    ``state`` is one of queued, running, done, failed, cancelled, or none when nobody has asked for the grid.
    """
    store = api_home.store_of(home)
    jobs = [job for job in (store_read.work(store, name) for name in grid_jobs(dense_key)) if job]
    full, preview = store_read.grid_counts(store, dense_key)
    state = _overall({job.state for job in jobs})
    total = full if state == "done" else max(GRID_POINTS, full + preview)
    error = next((job.error for job in jobs if job.error), None)
    return {"state": state, "done": full, "total": total, "preview": preview, "error": error}


def retime(home: Home, task: str, who: str = LOCAL) -> str:
    """Ask for the shipped artifacts of a task to be timed again on this machine; the job's id for :func:`status`."""
    catalogues.current().row("tasks", task, "task")
    name = f"retime:{task}"
    api_home.store_of(home).submit([Ask(name, "retime", task, {"task": task}, again=True)], who, name)
    return name


def soft_targets(task: str) -> Any:
    """Preview images with labels, class names and the teacher's logits (see :class:`engine.preview.Preview`)."""
    return preview.preview(task)


def export(home: Home, key: str, folder: Path) -> list[Path]:
    """Write a trial's files, decoder, recipe, result and README into the new or empty ``folder``; the files written."""
    return write(result(home, key), Path(folder))


def _ask(recipe: Recipe, priority: int, test: bool = False) -> Ask:
    dense, first = recipe.dense().key, recipe.first_training()
    body, prefix = recipe.to_json(), first.key if first else ""
    return Ask(recipe.key, "trial", recipe.task, body, dense, priority, test=test, prefix=prefix)


def _ask_grid(dense: Recipe, part: int) -> Ask:
    body = {"dense": dense.to_json(), "part": part, "parts": GRID_PARTS}
    return Ask(grid_jobs(dense.key)[part], "grid", dense.task, body, dense.key, GRID, after=dense.key)


def _overall(states: set[str]) -> str:
    if "running" in states or {"queued", "done"} <= states:
        return "running"
    return next((s for s in ("queued", "failed", "cancelled", "done") if s in states), "none")


def _companions(home: Home, recipe_json: Mapping[str, Any]) -> dict[str, Row | None]:
    facts: dict[str, Row | None] = {"teacher": api_rows.block(_teacher(home, recipe_json))}
    if api_rows.role_of(recipe_json) == "teacher":
        return {"baseline": None, "dense": None, **facts}
    recipe = check(recipe_json)
    pairs = {"baseline": recipe.baseline().key, "dense": recipe.dense().key}
    return {name: api_rows.block(api_status.body(home, key)) for name, key in pairs.items()} | facts


def _teacher(home: Home, recipe_json: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The result of the recipe's last teacher, with which agreement is counted too; the task's where it has none."""
    named = [t for p in recipe_json["phases"] for t in p.get("teachers", ())]
    if named and isinstance(named[-1], Mapping):
        return api_status.body(home, check(named[-1]).key)
    wanted = named[-1:] or catalogues.current().teachers(recipe_json["task"])
    shipped = (e["result"] for e in api_rows.shipped(recipe_json["task"]))
    return next((r for r in shipped if r["recipe"]["student"] in wanted), None)
