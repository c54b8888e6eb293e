"""A recipe from the options of ``run``, or from a file. What is not given is as in the task's default run."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import catalogue
from engine.errors import InputError
from engine.knobs import Knob, check_values
from engine.recipe import MAX_EPOCHS, ORDERS
from engine.teacher_recipes import ASSISTANT, ITSELF, teachers, usual_assistant

RECALIBRATE = "recalibrate"
NONE = "none"
RECIPE_OPTIONS = ("task", "teacher", "student", "loss", "epochs", "stage", "finetune_epochs", "joint", "labels",
                  "without", "data", "seed", "no_recalibrate")  # fmt: skip
STRUCTURE = ("stage", "finetune_epochs", "joint", "no_recalibrate")
MAX_FILE = 1_000_000
Row = dict[str, Any]


def recipe_of(options: argparse.Namespace) -> Row:
    """The recipe as JSON; checked by ``engine.api.check``, not here."""
    given = [name for name in RECIPE_OPTIONS if getattr(options, name) not in (None, False)]
    if options.recipe is None:
        if not options.task:
            known = ", ".join(catalogue.current().names("tasks"))
            raise InputError("run --task", None, f"a task ({known}), or a recipe file instead of options")
        return assemble(options)
    if given:
        raise InputError(f"--{given[0].replace('_', '-')}", options.recipe, "options or a recipe file, not both; "
                         "change the file, or leave it out")  # fmt: skip
    return read_recipe(Path(options.recipe))


def read_recipe(path: Path) -> Row:
    """The JSON object in a file (at most 1 MB); raises :class:`InputError` naming the place."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise InputError(str(path), f"{path.stat().st_size} bytes", "a recipe file of at most 1 MB")
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as problem:
        raise InputError(
            f"{path} line {problem.lineno} column {problem.colno}", problem.msg, "a recipe in JSON"
        ) from None
    except (ValueError, RecursionError):  # not UTF-8, nested too deep, or a number of thousands of digits
        raise InputError(str(path), "its content", "a recipe in JSON (UTF-8 text)") from None
    except OSError as problem:
        reason = f"a file that can be read; it cannot be read: {problem.strerror or problem}"
        raise InputError("recipe file", str(path), reason) from None
    if not isinstance(value, dict):
        raise InputError(str(path), value, 'a recipe: an object with "task", "student" and "phases"')
    return value


def assemble(options: argparse.Namespace) -> Row:
    """The task's default run with the options in place of its values."""
    default = copy.deepcopy(dict(catalogue.current().row("tasks", options.task, "--task")["default"]))
    for name in ("student", "labels", "without", "data", "seed"):
        if getattr(options, name) is not None:
            default[name] = getattr(options, name)
    phases = default["phases"]
    training = next((p for p in phases if p.get("epochs")), {"epochs": 1})
    if str(default.get("without") or "").isdecimal():
        default["without"] = int(default["without"])
    training |= _taught(options, training, default)
    if options.epochs is not None:
        training["epochs"] = options.epochs
    if any(getattr(options, name) not in (None, False) for name in STRUCTURE):
        default["phases"] = _arranged(options, training, phases)
    return default


def parse_part(kind: str, text: str, option: str) -> Row:
    """``NAME:knob=value,knob=value`` as ``{"name": ..., knob: value}``; raises :class:`InputError`."""
    name, _, settings = text.partition(":")
    knobs = catalogue.current().knobs(kind, name.strip(), option)
    return {"name": name.strip(), **read_settings(knobs, settings, f"{option} {name.strip()}")}


def read_settings(knobs: Sequence[Knob], text: str, where: str) -> Row:
    """``knob=value,knob=value`` as values; raises :class:`InputError`."""
    known, found = {k.name: k for k in knobs}, Row()
    for setting in filter(None, (s.strip() for s in text.split(","))):
        knob, equals, value = (s.strip() for s in setting.partition("="))
        if not equals:
            raise InputError(where, setting, "settings written as knob=value")
        if knob in found or knob == "name":
            raise InputError(where, knob, "each setting once")
        if knob not in known:
            check_values(tuple(knobs), {knob: value}, where)
        found[knob] = known[knob].parse(value, f"{where}.{knob}")
    return found


def _taught(options: argparse.Namespace, training: Mapping[str, Any], recipe: Row) -> Row:
    """Loss and teachers of the training phase of ``recipe``."""
    usual = training.get("loss") or {"name": "cross_entropy"}
    loss = usual
    if options.loss is not None:
        loss = parse_part("losses", options.loss, "--loss")
        if isinstance(usual, Mapping) and usual["name"] == loss["name"]:
            loss = {**usual, **loss}
    names = [part["name"] for part in (loss if isinstance(loss, list) else [loss])]
    if not any(catalogue.current().row("losses", name).get("needs_teacher") for name in names):
        if options.teacher is not None:
            raise InputError(
                "--teacher", options.teacher[0], f"no teacher with the loss {names[0]}, which learns from labels"
            )
        return {"loss": loss, "teachers": []}
    usual_teachers = training.get("teachers") or catalogue.current().teachers(options.task)[:1]
    given = [_teacher(text, recipe, usual_teachers[0]) for text in options.teacher or ()]
    return {"loss": loss, "teachers": given or usual_teachers}


def _teacher(text: str, recipe: Row, above: str) -> str | Row:
    """A teacher's name; a recipe's file; or ``assistant:student=NAME,epochs=N``, ``itself:epochs=N``, trained first."""
    if text.endswith(".json"):
        return read_recipe(Path(text))
    way, _, settings = text.partition(":")
    if way not in (ASSISTANT, ITSELF):
        return text
    usual = next(p["epochs"] for p in recipe["phases"] if p.get("epochs"))
    knobs = [Knob("epochs", "int", usual, "How long it is trained itself.", 1, MAX_EPOCHS)]
    if way == ASSISTANT:
        known = tuple(catalogue.current().students(recipe["task"]))
        knobs.append(Knob("student", "str", usual_assistant(recipe["task"]), "Which network.", choices=known))
    found = check_values(tuple(knobs), read_settings(knobs, settings, f"--teacher {way}"), f"--teacher {way}")
    return teachers(way, recipe, above, found.get("student", ""), found["epochs"])[0]


def _arranged(options: argparse.Namespace, training: Row, phases: Sequence[Row]) -> list[Row]:
    """The phases: training with the stages that act in it, then the others, then recalibration."""
    stages = _stages(options, phases)
    repairs = [s for s in stages if s["name"] == RECALIBRATE]
    if not repairs and stages and not options.no_recalibrate:
        repairs = [{"name": RECALIBRATE}]
    others = [s for s in stages if s["name"] != RECALIBRATE]
    inside, after = (others, []) if options.joint else _split(others)
    repair_inside = options.joint and not options.finetune_epochs
    first = {**training, "stages": [*inside, *(repairs if repair_inside else [])]}
    last = [*after, *([] if repair_inside else repairs)]
    epochs = options.finetune_epochs or 0
    if not last and not epochs:
        return [first]
    second: Row = {"epochs": epochs, "stages": last}
    if epochs:
        second |= {"loss": training["loss"], "teachers": training["teachers"]}
    return [first, second]


def _stages(options: argparse.Namespace, phases: Sequence[Row]) -> list[Row]:
    if options.stage is None:
        usual = [s if isinstance(s, dict) else {"name": s} for p in phases for s in p.get("stages", ())]
        return [s for s in usual if not (options.no_recalibrate and s["name"] == RECALIBRATE)]
    words = [text for text in options.stage if text.strip() != NONE]
    if len(words) < len(options.stage) and words:
        raise InputError("--stage", NONE, "either none or stages, not both")
    return [parse_part("stages", text, "--stage") for text in words]


def _split(stages: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Stages that join the training phase, and those that follow it.

    Those that act while training join it, and so does what has to come before them in the order shapes, masks,
    quantizers: after training it would come too late.
    """
    orders = [ORDERS.index(catalogue.current().row("stages", s["name"])["order"]) for s in stages]
    acting = [order for stage, order in zip(stages, orders, strict=True) if _acts_in_training(stage)]
    latest = max(acting, default=-1)
    joins = [_acts_in_training(s) or order < latest for s, order in zip(stages, orders, strict=True)]
    pairs = list(zip(stages, joins, strict=True))
    return [s for s, inside in pairs if inside], [s for s, inside in pairs if not inside]


def _acts_in_training(stage: Row) -> bool:
    row = catalogue.current().row("stages", stage["name"])
    usual = {knob["name"]: knob["default"] for knob in row["knobs"]}
    return any(stage.get(name, usual.get(name)) in words for name, words in row.get("needs_epochs", {}).items())
