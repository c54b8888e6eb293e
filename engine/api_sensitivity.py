"""How much each layer matters, and a setting for each under a number of bytes: what the page *Trial* asks. No torch."""

from __future__ import annotations

import glob
import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine import api, api_home, api_rows, api_status, catalogue, sensitivity_files, store_read
from engine.errors import InputError, NotFoundError
from engine.home import Home
from engine.recipe import Phase, Recipe
from engine.search.allocation import Option, allocate, monotone
from engine.sensitivity_files import KIND
from engine.store import ENDED, Ask
from engine.units import format_bytes

RESERVE = 8  # bytes for each layer: settings that differ make the graph and the index a little longer
PRIORITY = -1  # somebody waits for it, and it takes seconds, as an inspection
WHOLE = 32  # bits of a layer that is left alone
USUAL_BITS = 4  # a budget that nobody has chosen yet is the size that this width everywhere gives
EXAMPLES, TRAINED = 5000, 20_000  # of validation, and of an epoch of the sample
BACKWARD = 3  # a training step costs about three forward passes
SETTINGS, SETTING_SECONDS, USUAL_LAYERS = 10, 0.3, 8
Json = dict[str, Any]


def ask(home: Home, key: str, who: str = api.LOCAL) -> str:
    """Ask for the sensitivity of a point's dense student; the job's id for :func:`engine.api.status` and cancel.

    Nothing happens where it is known already. Call :func:`engine.api.ensure_runner` afterwards. Raises
    :class:`NotFoundError` for an unknown point, :class:`InputError` for a teacher, which is never compressed.
    """
    dense = dense_of(home, key)
    name = f"{KIND}:{dense.key}"
    if sensitivity_files.load(home, dense.key) is None:
        first = dense.first_training()
        work = Ask(name, KIND, dense.task, {"dense": dense.to_json()}, dense.key, PRIORITY, again=True,
                   prefix=first.key if first else "")  # fmt: skip
        api_home.store_of(home).submit([work], who, name)
    return name


def sensitivity(home: Home, key: str) -> Json:
    """How far it is: ``state`` (none, queued, running, done, failed, cancelled), ``progress``, ``error``, ``data``.

    ``data`` is None until it is done, then what :meth:`engine.sensitivity.Student.facts` describes; shared between
    callers, who must not change it.
    """
    dense = dense_of(home, key).key
    data = sensitivity_files.load(home, dense)
    if data is not None:
        return {"state": "done", "progress": {"fraction": 1.0}, "error": None, "data": data}
    try:
        now = api_status.status(home, f"{KIND}:{dense}")
    except NotFoundError:
        return {"state": "none", "progress": {}, "error": None, "data": None}
    progress = {**now["progress"], "place": now["place"], "seconds_left": now["seconds_left"]}
    state = "none" if now["state"] == "done" else now["state"]
    return {"state": state, "progress": {} if now["state"] in ENDED else progress, "error": now["error"], "data": None}


def estimate(home: Home, key: str, layers: int | None = None) -> float:
    """Seconds that measuring will take where the dense student is trained already."""
    dense = dense_of(home, key)
    pace = float(catalogue.current().row("models", dense.student)["seconds_per_epoch"])
    one = SETTING_SECONDS + pace * EXAMPLES / TRAINED / BACKWARD
    return one * SETTINGS * (layers or USUAL_LAYERS)


def usual_budget(data: Mapping[str, Any]) -> int:
    """Bytes of the packed file that rounding every layer to 4 bits gives; a budget to begin with."""
    column = 1 + data["bits"].index(USUAL_BITS)
    return _rest(data) + sum(int(table[0][column]) for table in data["sizes"].values())


def limits(data: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the most bytes that a recommendation can take."""
    tables = data["sizes"].values()
    smallest = _rest(data) + sum(min(min(line) for line in table) for table in tables)
    return smallest, max(smallest, int(data["packed_bytes"]))


def recommend(home: Home, key: str, max_bytes: int) -> Json:
    """The setting of each layer with the least measured loss whose packed file fits into ``max_bytes``.

    - ``layers``: ``layer``, ``weights``, ``dense_bytes``, ``bits`` (32: float), ``sparsity``, ``bytes``, ``loss``.
    - ``loss``: their sum with ``repaired_loss``, what recalibration alone loses.
    - ``packed_bytes``, ``quality`` with ``quality_low`` to ``quality_high``: what is predicted by adding up bytes and
      losses of single layers; the interval is that of the losses, examples being the same.
    - ``recipe``, ``key``: the recipe that does it; ``measured``: None, or its ``state`` and, once it is done,
      ``quality``, ``quality_low``, ``quality_high``, ``packed_bytes``.
    - ``equal``: None, or the best point of the dense student's grid that fits, with the same setting for all layers:
      ``key``, ``sparsity``, ``bits`` and the same four numbers. Measured, and therefore to be believed first.

    Raises :class:`NotFoundError` before the sensitivity is measured, :class:`InputError` for too small a budget.
    """
    dense = dense_of(home, key)
    data = sensitivity_files.load(home, dense.key)
    if data is None:
        raise NotFoundError(f"trial {key}: its layers have not been measured one by one yet")
    found = choose(data, max_bytes)
    recipe = recipe_for(dense, found["layers"])
    beside = {"measured": _measured(home, recipe.key), "equal": _equal(home, dense, max_bytes)}
    return {**found, "recipe": recipe.to_json(), "key": recipe.key, **beside}


def choose(data: Mapping[str, Any], max_bytes: int, weigh: str = "shift") -> Json:
    """The numbers of :func:`recommend` from the measured ``data`` alone.

    ``weigh``: what is made small, how far the answers move away from the dense student's ("shift": it is never
    negative, adds up over layers where changes are small, and tells settings apart whose answers are equally often
    right) or the quality lost ("loss").
    """
    options = [_options(data, row["name"], weigh) for row in data["layers"]]
    places = allocate([[o for o, _ in row] for row in options], max_bytes - _rest(data))
    if places is None:
        least = format_bytes(limits(data)[0])
        raise InputError("max_bytes", format_bytes(max_bytes), f"at least {least}, the smallest that was measured")
    rows, spread, lost = [], 0.0, float(data["repaired_loss"])
    for layer, row, place in zip(data["layers"], options, places, strict=True):
        option, (loss, half) = row[place]
        sparsity, bits = option.name
        lost, spread = lost + loss, spread + half**2
        rows.append({"layer": layer["name"], "weights": layer["weights"], "dense_bytes": layer["packed_bytes"],
                     "bits": bits, "sparsity": sparsity, "bytes": option.bytes, "loss": loss})  # fmt: skip
    half, quality = math.sqrt(spread), data["quality"] - lost
    if data["direction"] == "maximize":  # losses of ruined layers add up to more than there is
        quality = max(0.0, quality)
    return {
        "max_bytes": max_bytes, "packed_bytes": _rest(data) + sum(r["bytes"] for r in rows), "layers": rows,
        "loss": lost, "repaired_loss": data["repaired_loss"], "quality": quality,
        "quality_low": max(0.0, quality - half), "quality_high": quality + half,
        "metric": data["metric"], "direction": data["direction"],
    }  # fmt: skip


def recipe_for(dense: Recipe, layers: Sequence[Mapping[str, Any]]) -> Recipe:
    """The dense student's recipe with one more phase: its layers pruned, then rounded, then BatchNorm repaired."""
    pruned = _parts(layers, "sparsity", 0.0, {"name": "prune_magnitude", "scope": "layer", "keep_first": False})
    rounded = _parts(layers, "bits", WHOLE, {"name": "quantize_linear"})
    if not pruned and not rounded:
        return dense
    stages = [*pruned, *rounded, {"name": "recalibrate"}]
    phase = Phase.from_json({"epochs": 0, "stages": stages}, "recommended")
    return Recipe.from_json({**dense.to_json(), "phases": [*(p.to_json() for p in dense.phases), phase.to_json()]})


def run(home: Home, key: str, max_bytes: int, who: str = api.LOCAL, host: bool = False) -> str:
    """Submit the recommended recipe; its key."""
    found = recommend(home, key, max_bytes)
    return str(api.submit(home, found["recipe"], who, companions=False, host=host)["key"])


def dense_of(home: Home, key: str) -> Recipe:
    """The dense student of a point; raises as :func:`ask` says."""
    key = api.resolve(home, key)
    body = api_status.body(home, key)
    recipe = body["recipe"] if body else api_status.status(home, key)["recipe"]
    if api_rows.role_of(recipe) == "teacher":
        raise InputError("trial", recipe["student"], "a student; a shipped teacher is never compressed")
    return api.check(recipe).dense()


Choice = tuple[Option, tuple[float, float]]


def _options(data: Mapping[str, Any], layer: str, weigh: str) -> list[Choice]:
    """Every (sparsity, bits) of a layer, each with the quality it loses and half of that interval's width.

    Losses of pruning and of rounding are added up, too; bits are tried from the most on, so that of equal ones the
    first is the mildest.
    """
    cells = [c for c in data["cells"] if c["layer"] == layer]
    sign = 1.0 if data["direction"] == "maximize" else -1.0
    table, found = data["sizes"][layer], []
    rows = [
        _harsher([c for c in cells if c["kind"] == kind], kind, weigh, sign, data["repaired_loss"])
        for kind in ("sparsity", "bits")
    ]
    for i, (sparsity, pain, loss, half) in enumerate(rows[0]):
        for j, (bits, pain2, loss2, half2) in enumerate(rows[1]):
            option = Option(int(table[i][j]), pain + pain2, (sparsity, int(bits)))
            found.append((option, (sign * (loss + loss2), math.hypot(half, half2))))
    return found


def _harsher(
    cells: Sequence[Mapping[str, Any]], kind: str, weigh: str, sign: float, repaired: float
) -> list[tuple[float, float, float, float]]:
    """(level, what is made small, quality lost, half its interval) of the untouched layer and of each level.

    ``repaired``: what recalibration alone loses, which is counted once for the whole network.
    """
    losses = monotone([sign * (c["loss"] - repaired) for c in cells])
    pains = losses if weigh == "loss" else monotone([c["shift"] for c in cells])
    halves = [(c["loss_high"] - c["loss_low"]) / 2 for c in cells]
    untouched = (0.0 if kind == "sparsity" else float(WHOLE), 0.0, 0.0, 0.0)
    levels = [float(c["level"]) for c in cells]
    return [untouched, *zip(levels, pains, losses, halves, strict=True)]


def _parts(layers: Sequence[Mapping[str, Any]], name: str, none: float, stage: Json) -> list[Json]:
    """A part for each layer that is changed; one for all of them where all get the same."""
    values = [row[name] for row in layers]
    if len(set(values)) == 1:
        return [] if values[0] == none else [stage | {name: values[0], "layers": "*"}]
    return [stage | {name: row[name], "layers": glob.escape(row["layer"])} for row in layers if row[name] != none]


def _rest(data: Mapping[str, Any]) -> int:
    """Bytes of the packed file that belong to no layer, with a reserve."""
    known = sum(int(row["packed_bytes"]) for row in data["layers"])
    return int(data["packed_bytes"]) - known + RESERVE * len(data["layers"])


def _equal(home: Home, dense: Recipe, max_bytes: int) -> Json | None:
    rows = [r for r in api.rows_here(home, dense.task, ("grid", "shipped")) if r["dense_key"] == dense.key]
    rows = [r for r in rows if r["role"] == "trial" and not r["preview"] and r["packed_bytes"] <= max_bytes]
    best = max(rows, key=lambda r: float(r["quality"]), default=None)
    names = ("key", "sparsity", "bits", "quality", "quality_low", "quality_high", "packed_bytes")
    return best and {name: best[name] for name in names}


def _measured(home: Home, key: str) -> Json | None:
    stored = store_read.result(api_home.store_of(home), key)
    if stored is not None:
        quality = stored.body["quality"]
        return {"state": "done", "packed_bytes": stored.body["cost"]["packed_bytes"], "quality": quality["value"],
                "quality_low": quality["low"], "quality_high": quality["high"]}  # fmt: skip
    try:
        now = api_status.status(home, key)
    except NotFoundError:
        return None
    return {"state": now["state"], "error": now["error"]}


__all__ = [
    "USUAL_BITS", "WHOLE", "ask", "choose", "dense_of", "estimate", "limits", "recipe_for", "recommend", "run",
    "sensitivity", "usual_budget",
]  # fmt: skip
