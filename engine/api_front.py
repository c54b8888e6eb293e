"""What the page *Front* and ``stillhouse recommend`` ask: the best point within limits, and which settings matter."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine import api, api_chances, api_points, catalogue, figures, scores
from engine.api_points import View
from engine.errors import StillhouseError
from engine.home import Home
from engine.search import importance, pareto
from engine.search.importance import MOST_ROWS

Row = Mapping[str, Any]
Right = scores.Scores
MEANS_REDRAWN = 4_000  # the same where every example has a score of its own
REDRAWN = 20_000  # validation sets drawn again from the real one; a probability is then exact to half a point
machines = api_points.machines


def recommend(home: Home, task: str, limits: Mapping[str, float], at_least: float | None = None,
              rows: Sequence[Row] | View | None = None) -> dict[str, Any]:  # fmt: skip
    """The best point within ``limits`` (a cost's most, inclusive) that reaches ``at_least``, and how sure that is.

    ``{"best", "runner_up": row or None, "probability", "basis", "images", "tied", "meets", "fits", "of", "reason",
    "nearest", "machine"}``. ``probability``: of ``best`` being better than ``runner_up`` on other images of the same
    kind, from the kept predictions of both, by a paired bootstrap over validation images; ``basis`` is then ``paired``,
    or ``seeds`` where one of them is a mean over seeds, which are redrawn too. None with the basis ``alone`` (no
    runner-up), ``missing`` (no predictions kept for one of them) or ``uncounted`` (the metric is not a share of right
    answers). ``tied``: the 95 % interval of their difference holds zero. ``meets``: the probability of ``best``
    reaching ``at_least``, in the same way. ``fits`` points of ``of`` keep to the limits. With none, ``reason`` is
    ``empty``, ``costs``, ``quality`` or ``both``; ``nearest`` has the least of each limited cost and the best quality.

    Without ``rows`` all points of the home count, shipped ones too, but no times of other machines. Previews never do.
    """
    chosen = rows if isinstance(rows, View) else _view(home, task, rows)
    direction = str(catalogue.current().row("tasks", task, "task")["direction"])
    columns = {name: chosen.numbers(name) for name in {"quality", *limits, *pareto.SIZES}}
    order = pareto.ranking(columns, limits, at_least, direction=direction)
    first, second = ([chosen.row(i) for i in order[:2]] + [None, None])[:2]
    answer = {"best": first, "runner_up": second, "fits": len(order), "of": int(np.isfinite(columns["quality"]).sum())}
    sure = _sure(home, task, first, second, at_least) if first else {"probability": None, "basis": "none", "images": 0,
                                                              "meets": None, "tied": None}  # fmt: skip
    why = {"reason": "" if first else _reason(columns, limits, at_least, direction),
           "nearest": {} if first else _nearest(columns, limits, direction)}  # fmt: skip
    return answer | sure | why | {"machine": chosen.machine}


def better(home: Home, task: str, a: str, b: str) -> tuple[float, int]:
    """(probability, images): of ``a`` being right more often than ``b`` on other images of the same kind.

    A paired bootstrap over validation images (Efron and Tibshirani 1993, chapter 6): only images that one of them gets
    right and the other wrong tell them apart, so drawing N images again means drawing those two counts. Equal counts
    go half to each. One training run each: what another seed would give is not in it. Raises :class:`NotFoundError`
    where predictions are missing.
    """
    return _better(home, task, a, b)


def fits(view: View, limits: Mapping[str, float], at_least: float | None = None) -> Right:
    """[M] which points of a view keep to every limit, previews never; ``limits`` as in :func:`recommend`."""
    direction = str(catalogue.current().row("tasks", view.table.task, "task")["direction"])
    columns = {name: view.numbers(name) for name in {"quality", *limits}}
    mask = np.zeros(len(view.index), bool)
    mask[pareto.ranking(columns, limits, at_least, direction=direction)] = True
    return mask


def box(view: View, cost: str, quality: str, direction: str) -> tuple[float, float, float, float]:
    """The corners of what a front can dominate among a view's points (see :func:`engine.figures.box_of`)."""
    return figures.box_of(view.numbers(cost), view.numbers(quality), direction)


def importances(home: Home, task: str, target: str | Sequence[str], rows: Sequence[Row] | View,
                wait: bool = True) -> dict[str, float] | None:  # fmt: skip
    """Each knob's share in reaching the best tenth of ``target``, largest first, sum 1; empty with too few points.

    ``target`` is a column (``quality``, ``packed_bytes``, ...), or two of them for reaching their common front.
    Optuna's PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255) in a child process, kept in the home's cache. Without
    ``wait`` the child is only started: None until it is done, then ask again.
    """
    columns = [target] if isinstance(target, str) else list(target)
    ways = {name: _direction(task, name) for name in columns}
    if isinstance(rows, View):
        picked = [rows.rows[i] for i in importance.sample(len(rows.index))]
        values = {name: rows.numbers(name)[importance.sample(len(rows.index))] for name in columns}
        picked = [{**row, **{n: float(values[n][i]) for n in columns}} for i, row in enumerate(picked)]
    else:
        picked = [rows[i] for i in importance.sample(len(rows))]
    question = importance.question(picked, ways)
    return importance.ask(home, question, wait) if question["values"] else {}


def _view(home: Home, task: str, rows: Iterable[Row] | None) -> View:
    found = api_points.table(home, task) if rows is None else api_points.table_of(rows, task)
    return api_points.view(found)


def _direction(task: str, name: str) -> str:
    if name in api_points.QUALITIES:
        return api_points.QUALITIES[name] or str(catalogue.current().row("tasks", task, "task")["direction"])
    return "minimize"


def _sure(home: Home, task: str, first: Row, second: Row | None, at_least: float | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"probability": None, "basis": "alone", "images": 0, "meets": None, "tied": None}
    if first.get("metric") not in scores.PAIRED:
        return facts | {"basis": "uncounted"}
    if at_least is not None:
        facts["meets"] = _meets(home, task, first, at_least)
    if second is None:
        return facts
    facts["tied"] = api_chances.tied(home, first, second)
    try:
        probability, images = better(home, task, first["key"], second["key"])
        if first.get("members") or second.get("members"):  # means of several seeds, which are drawn as well
            moved = api_chances.better(home, first, second)
            return facts | {
                "probability": moved,
                "images": images,
                "basis": "seeds" if moved is not None else "missing",
            }
    except StillhouseError:  # shipped results keep no predictions
        return facts | {"basis": "missing"}
    return facts | {"probability": probability, "basis": "paired", "images": images}


def _meets(home: Home, task: str, row: Row, at_least: float) -> float | None:
    if row.get("members"):
        return api_chances.reaches(home, row, at_least)
    try:
        right = _right(home, task, row["key"])
    except StillhouseError:
        return None
    if right.dtype != bool:
        return api_chances.reaches(home, row, at_least)
    drawn = _chance(row["key"]).binomial(len(right), right.mean(), REDRAWN)
    # a share that is reached on paper is not missed by the last binary digit
    return float((drawn >= at_least * len(right) - 1e-6).mean())


@functools.lru_cache(maxsize=2048)
def _better(home: Home, task: str, a: str, b: str) -> tuple[float, int]:
    first, second = _right(home, task, a), _right(home, task, b)
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    if first.dtype != bool:
        return _ahead(first - second, task, a + b), count
    shares = np.array([(first & ~second).sum(), (second & ~first).sum(), 0.0]) / count
    shares[2] = 1 - shares[:2].sum()
    drawn = _chance(a + b).multinomial(count, shares, REDRAWN)
    gap = drawn[:, 0] - drawn[:, 1]
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean()), count


def _ahead(gap: scores.Scores, task: str, name: str) -> float:
    """The share of redrawn sets of examples in which the mean of the paired differences [N] speaks for the first."""
    sign = -1.0 if _direction(task, "quality") == "minimize" else 1.0
    drawn = sign * gap[_chance(name).integers(len(gap), size=(MEANS_REDRAWN, len(gap)))].mean(1)
    return float((drawn > 0).mean() + 0.5 * (drawn == 0).mean())


def _right(home: Home, task: str, key: str) -> Right:
    """[N] whether each validation example is answered rightly, or its score."""
    return scores.scores(task, api.predictions(home, key))


def _chance(text: str) -> np.random.Generator:
    """The same numbers for the same trials, so that an answer does not flicker."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def _reason(columns: Mapping[str, api_points.Numbers], limits: Mapping[str, float], at_least: float | None,
            direction: str) -> str:  # fmt: skip
    if not np.isfinite(columns["quality"]).any():
        return "empty"
    fits = bool(limits) and len(pareto.ranking(columns, limits, direction=direction)) > 0
    good = at_least is not None and len(pareto.ranking(columns, {}, at_least, direction=direction)) > 0
    if limits and at_least is not None:
        return "both" if fits and good else "quality" if fits else "costs"
    return "costs" if limits else "quality"


def _nearest(columns: Mapping[str, api_points.Numbers], limits: Mapping[str, float],
             direction: str) -> dict[str, float | None]:  # fmt: skip
    def least(name: str, highest: bool = False) -> float | None:
        values = columns[name][np.isfinite(columns[name])]
        return None if not len(values) else float(values.max() if highest else values.min())

    return {**{name: least(name) for name in limits}, "quality": least("quality", direction == "maximize")}


__all__ = ["MOST_ROWS", "better", "box", "fits", "importances", "machines", "recommend"]
