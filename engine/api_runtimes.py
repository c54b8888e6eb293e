"""The same weights in other runtimes: asked for by a person, measured by a worker, kept. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import api, api_home, api_rows, api_status, metrics, other_runtimes_files
from engine.errors import InputError, NotFoundError
from engine.home import Home
from engine.other_runtimes_files import KIND
from engine.store import ENDED, Ask

PRIORITY = -1  # somebody waits for it, and it takes seconds, as an inspection
NEAR_TIE = 1e-4  # logits this near may change places when sums are rounded in another order


def ask(home: Home, key: str, who: str = api.LOCAL) -> str:
    """Ask for a comparison of runtimes (see :func:`runtimes`); the job's id for :func:`engine.api.status` and cancel.

    Nothing happens where it has been made already. Call :func:`engine.api.ensure_runner` afterwards. Raises
    :class:`NotFoundError` for a point that has no result, :class:`InputError` for a teacher, which is never compressed.
    """
    key = api.resolve(home, key)
    body = api_status.body(home, key)
    if body is None:
        raise NotFoundError(f"trial {key}: it has no result yet; only a finished point can be compared")
    recipe, name = body["recipe"], f"{KIND}:{key}"
    if api_rows.role_of(recipe) == "teacher":
        raise InputError("trial", recipe["student"], "a student; a shipped teacher runs in float only")
    if other_runtimes_files.load(home, key) is None:
        checked = api.check(recipe)
        first = checked.first_training()
        work = Ask(name, KIND, recipe["task"], {"key": key, "recipe": recipe}, checked.dense().key, PRIORITY,
                   again=True, prefix=first.key if first else "")  # fmt: skip
        api_home.store_of(home).submit([work], who, name)
    return name


def runtimes(home: Home, key: str) -> dict[str, Any]:
    """How far the comparison is: ``state`` (none, queued, running, done, failed, cancelled), and its ``rows``.

    ``rows`` (empty until it is done) are those of :func:`engine.other_runtimes.facts`, float first; ``machine`` and
    ``machine_id`` say where they were measured. ``progress`` is what the job reports, with ``place`` in the queue and
    ``seconds_left``; ``error`` why it failed.
    """
    key = api.resolve(home, key)
    found = other_runtimes_files.load(home, key)
    if found is not None:
        kept = {name: found[name] for name in ("rows", "machine", "machine_id")}
        return {"state": "done", "progress": {"fraction": 1.0}, "error": None, **kept}
    empty: dict[str, Any] = {"rows": [], "machine": "", "machine_id": ""}
    try:
        now = api_status.status(home, f"{KIND}:{key}")
    except NotFoundError:
        return {"state": "none", "progress": {}, "error": None, **empty}
    progress = {**now["progress"], "place": now["place"], "seconds_left": now["seconds_left"]}
    state = "none" if now["state"] == "done" else now["state"]
    return {"state": state, "progress": {} if now["state"] in ENDED else progress, "error": now["error"], **empty}


def gap(run: Mapping[str, Any], inside: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """How a point's file differs from the network that was trained, on validation; None where nobody has looked.

    From the run's own metrics, else from the last step of its inspection ``inside`` (grid points, older results).
    ``gap``: quality minus the trained network's; ``changed``: share of other answers; ``margin``: the most that the two
    best logits of those were apart; ``near_ties``: that this is no more than rounding; ``far``: that the quality is
    more than half a point off.
    """
    kept = run.get("metrics") or {}
    if metrics.ARTIFACT_GAP not in kept:
        kept = ((inside or {}).get("phases") or [{}])[-1].get("gap") or {}
    if metrics.ARTIFACT_GAP not in kept:
        return None
    names = {"gap": metrics.ARTIFACT_GAP, "changed": metrics.ARTIFACT_CHANGED, "margin": metrics.ARTIFACT_MARGIN}
    found: dict[str, Any] = {short: float(kept[name]) for short, name in names.items()}
    return found | {"near_ties": found["margin"] <= NEAR_TIE, "far": abs(found["gap"]) > metrics.GAP}
