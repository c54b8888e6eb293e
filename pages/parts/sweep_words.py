"""Phases, settings and values of a sweep in words. No Streamlit here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine import catalogue
from pages.parts import catalogue_words
from pages.parts.words import find, inside, say


def value_words(value: Any, axis: str = "") -> str:
    """A value of an axis: ``none`` is "all", numbers as short as they go."""
    if isinstance(value, str):
        return catalogue_words.axis_value(axis, value)
    return say("sweep_form.all") if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def setting_words(setting: Mapping[str, Any]) -> str:
    """A combination: ``bits 4, training qat``."""
    return say("sweep_form.values_join").join(
        f"{catalogue_words.axis(name)} {value_words(value, name)}" for name, value in setting.items()
    )


def phases_words(phases: Any) -> str:
    """The phases of an order in one line: ``2 epochs: soft targets → 2 epochs: labels alone, prune ... 0.7``."""
    if not isinstance(phases, (list, tuple)):
        return ""
    return say("sweep_words.then").join(_phase(p) for p in phases if isinstance(p, Mapping))


def orders_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """The orders of a sweep's JSON by label, each in words; empty where there is only one."""
    axis = spec.get("phases")
    if not isinstance(axis, Mapping):
        return {}
    return dict(zip(axis.get("labels", ()), (phases_words(p) for p in axis.get("values", ())), strict=False))


def _phase(phase: Mapping[str, Any]) -> str:
    epochs = phase.get("epochs", 0)
    several = not isinstance(epochs, int)
    word = "epochs" if several or epochs > 1 else "epochs_one" if epochs else "epochs_none"
    count = say("sweep_words.several") if several else epochs
    parts = [*_loss(phase.get("loss")), *(_stage(s) for s in phase.get("stages") or () if isinstance(s, Mapping))]
    said = say(f"sweep_words.{word}", count=count)
    return say("sweep_words.phase", epochs=said, parts=say("sweep_words.join").join(parts)) if parts else said


def _loss(loss: Any) -> list[str]:
    rows: Sequence[Any] = loss if isinstance(loss, (list, tuple)) else [loss]
    names = [str(row["name"]) for row in rows if isinstance(row, Mapping) and "name" in row]
    return [find(f"recipe.loss.{name}") or catalogue_words.called("losses", name) for name in names]


def _stage(stage: Mapping[str, Any]) -> str:
    """Its title, and the number that says most about it."""
    name = str(stage.get("name"))
    title = catalogue_words.title_of("stages", name) if name in catalogue.current().rows["stages"] else name
    amount = next((v for v in stage.values() if isinstance(v, (int, float)) and not isinstance(v, bool)), None)
    lower = inside(title)
    return lower if amount is None else say("sweep_words.part", title=lower, value=f"{amount:g}")
