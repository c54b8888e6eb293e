"""Which settings decide whether a trial is among the best: Optuna's importances, computed in a process of its own.

Optuna takes a second to load and a while to count, so neither the pages' process nor the command line's waits in it.
``python -m engine.search.importance QUESTION.json ANSWER.json`` is that process; questions and answers are JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import FileError
from engine.files import atomic_write
from engine.home import Home

Row = Mapping[str, Any]
NUMBERS = ("temperature", "weight", "sparsity", "bits", "epochs")
WORDS = ("student", "teacher", "loss", "pruning", "schedule", "labels", "data", "seed")
FEWEST_ROWS, MOST_ROWS = 10, 2000
BEST_SHARE, FEWEST_BEST = 0.1, 5  # the best tenth, but at least five: below that PED-ANOVA is not stable
SECONDS = 120.0
VERSION = 1

_lock = threading.Lock()
_children: dict[Path, subprocess.Popen[bytes]] = {}


def sample(count: int) -> list[int]:
    """Positions of at most MOST_ROWS of ``count`` rows, always the same ones."""
    if count <= MOST_ROWS:
        return list(range(count))
    chosen = np.random.default_rng(0).choice(count, MOST_ROWS, replace=False)
    return [int(i) for i in np.sort(chosen)]


def question(rows: Sequence[Row], ways: Mapping[str, str]) -> dict[str, Any]:
    """What the child is asked: ``{"ways", "knobs": [{name: value}], "values": [[...]]}``; no values with too few rows.

    ``ways`` maps one or two columns to ``maximize`` or ``minimize``. Only knobs that differ between rows are asked
    about; a knob that a row does not have (a temperature without soft targets) is left out of that row.
    """
    kept = [row for row in rows if not row.get("preview") and all(_number(row.get(name)) for name in ways)]
    kept = [row for row in kept if row.get("role") != "teacher"]
    names = [n for n in (*NUMBERS, *WORDS) if len({_value(row, n) for row in kept} - {None}) > 1]
    if len(kept) < FEWEST_ROWS or not names:
        return {"ways": dict(ways), "knobs": [], "values": [], "version": VERSION}
    knobs = [{n: _value(row, n) for n in names if _value(row, n) is not None} for row in kept]
    values = [[float(row[name]) for name in ways] for row in kept]
    return {"ways": dict(ways), "knobs": knobs, "values": values, "version": VERSION}


def ask(home: Home, asked: Mapping[str, Any], wait: bool = True) -> dict[str, float] | None:
    """The answer to a question from the cache, or from a child that is started for it; None while that one works.

    Raises :class:`FileError` when the child fails.
    """
    text = json.dumps(asked, sort_keys=True, allow_nan=False)
    place = home.cache("importance") / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
    if (found := _read(place)) is not None:
        return found
    with _lock:
        child = _children.get(place)
        if child is None:
            asking = place.with_suffix(".ask")
            atomic_write(asking, text)
            command = [sys.executable, "-m", "engine.search.importance", str(asking), str(place)]
            with place.with_suffix(".log").open("wb") as log:
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
            _children[place] = child
    if not wait and child.poll() is None:
        return None
    return _ended(place, child)


def answer(asked: Mapping[str, Any]) -> dict[str, float]:
    """Optuna's PED-ANOVA on the question's rows: each knob's share, largest first. Loads Optuna."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = _distributions(asked["knobs"])
    study = optuna.create_study(directions=list(asked["ways"].values()))
    for knobs, values in zip(asked["knobs"], asked["values"], strict=True):
        study.add_trial(optuna.trial.create_trial(
            params=knobs, distributions={n: distributions[n] for n in knobs}, values=values))  # fmt: skip
    share = min(max(BEST_SHARE, FEWEST_BEST / len(asked["values"])), 0.5)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
    target = None
    if len(asked["ways"]) == 1:  # with a target of its own PED-ANOVA takes less for better
        sign = -1.0 if "maximize" in asked["ways"].values() else 1.0
        target = _first(sign)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a target is taken for a cost: it is one
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, target=target)
    return {str(name): float(value) for name, value in found.items()}


def _first(sign: float) -> Any:
    return lambda trial: sign * trial.values[0]


def _distributions(knobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import optuna.distributions as kinds

    seen: dict[str, set[Any]] = {}
    for row in knobs:
        for name, value in row.items():
            seen.setdefault(name, set()).add(value)
    found: dict[str, Any] = {}
    for name, values in seen.items():
        if name in WORDS:
            found[name] = kinds.CategoricalDistribution(sorted(values))
        else:
            low, high = min(values), max(values)
            # temperatures and bits double rather than add up
            found[name] = kinds.FloatDistribution(low, high, log=low > 0 and high / low >= 4)
    return found


def _value(row: Row, name: str) -> Any:
    """A knob as a number, or as words where only being equal counts; None where the row does not have it."""
    value = row.get(name)
    if name == "labels":
        return "all" if value is None else str(value)
    if value is None:
        return None
    return float(value) if name in NUMBERS else str(value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _read(place: Path) -> dict[str, float] | None:
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        return {str(name): float(share) for name, share in found["shares"]}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: it is counted again
        return None


def _ended(place: Path, child: subprocess.Popen[bytes]) -> dict[str, float]:
    """Wait for the child (several may) and read its answer."""
    try:
        child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        raise FileError(f"importances took more than {SECONDS:.0f} s; ask about fewer points") from None
    with _lock:
        _children.pop(place, None)
    found = _read(place)
    if found is None:
        log = place.with_suffix(".log")
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        raise FileError(f"importances could not be counted: {lines[-1] if lines else 'no reason was given'}")
    place.with_suffix(".log").unlink(missing_ok=True)
    return found


def main(asking: str, place: str) -> None:
    """Read a question, write its answer, remove the question."""
    source = Path(asking)
    shares = answer(json.loads(source.read_text(encoding="utf-8")))
    atomic_write(Path(place), json.dumps({"shares": list(shares.items())}))
    source.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
