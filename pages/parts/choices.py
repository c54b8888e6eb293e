"""What a person has chosen, as plain values: read from a URL or from widgets, checked, written back, a recipe.

No Streamlit here. The fields follow from the catalogue: the loss that is chosen brings its knobs, and so do the pruning
stage and the quantizer; a new knob appears on the page, in the URL and in the recipe without a line in this file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from engine import catalogue
from engine.catalogue import Catalogue
from engine.errors import InputError, unknown_name
from engine.knobs import Knob
from engine.modalities import positions
from engine.recipe import DATA, MAX_EPOCHS, MAX_SEED
from pages.parts import carried, catalogue_words, teachers
from pages.parts.form import Field as Field
from pages.parts.form import Form as Form
from pages.parts.words import find, line, say

FULL_PRECISION = 32
PRUNING = {"none": None, "magnitude": "prune_magnitude", "channels": "prune_channels",
           "heads": "prune_heads"}  # fmt: skip
REMOVES = ("channels", "heads")  # whole parts, which needs training afterwards
QUANTIZER = "quantize_linear"  # what every number of bits can be done by
ROUNDING = {"linear": QUANTIZER, "codebook": "share_codebook", "learned": "quantize_lsq"}
VIEW = ("image", "point", "figure", "seeds")
FIGURES = ("packed_bytes", "latency_ms", "what_if", "soft")  # what a presenter shows large
FIXED = ("task", "teacher", "student", "loss", "labels", "epochs", "pruning", "bits", "rounding", "finetune", "seed",
         "data", "without", *teachers.NAMES, *VIEW)  # fmt: skip
RESERVED = ("embed", "embed_options", *carried.NAMES, "visit", "class_cost")


def read(source: Mapping[str, Any], parse: bool = False) -> Form:
    """A form from a URL's parameters (``parse``) or from widget values; what is refused falls back to its default."""
    form = Form()
    for entry in _fields(form, catalogue.current()):
        value = entry.knob.default
        if entry.name in source:
            try:
                value = entry.check(source[entry.name], parse)
            except InputError as problem:
                form.problems.append(line(problem))
        form.fields.append(entry)
        form.values[entry.name] = value
    known = [f.name for f in form.fields]
    for name in source if parse else ():
        if name not in known and name not in (*RESERVED, *every_name()):
            form.problems.append(line(unknown_name(say("url.setting"), name, known)))
    return form


def to_url(form: Form) -> dict[str, str]:
    """The parameters that differ from their defaults."""
    return {f.name: _text(form.values[f.name]) for f in form.fields if form.values[f.name] != f.knob.default}


def defaults(task: str) -> dict[str, Any]:
    """The values of the task's default run."""
    return values_of(catalogue.current().row("tasks", task)["default"])


def usual(task: str) -> dict[str, Any]:
    """What every setting is when a task is chosen: its default run."""
    values = read({"task": task}).values
    return {name: value for name, value in values.items() if name not in VIEW}


def to_recipe(form: Form) -> dict[str, Any]:
    """The recipe in JSON.

    Stages that act while training join the training phase, the others follow it. What is pruned at once is pruned after
    training; bits that are trained then train in the repair that follows, since masks come before quantizers.
    """
    get = form.get
    loss = _part(form, "losses", get("loss"))
    train: dict[str, Any] = {"epochs": get("epochs"), "loss": loss, "teachers": teachers.of(form.values), "stages": []}
    repair: dict[str, Any] = {**train, "epochs": get("finetune"), "stages": []}
    after: dict[str, Any] = {"epochs": 0, "stages": []}
    cut = _cut_after_training(form)
    for name in _stages(form):
        stage = _part(form, "stages", name)
        if _acts_in_training(stage):
            place = repair if cut else train
        else:
            place = repair if name not in ROUNDING.values() and repair["epochs"] else after
        place["stages"].append(stage)
    if train["stages"] or repair["stages"] or after["stages"]:
        after["stages"] += _usual_stages(get("task"), _rounds(form))
    phases = [train] + [p for p in (repair, after) if p["stages"]]
    names = ("task", "data", "labels", "without", "student", "seed")
    return {**{n: get(n) for n in names}, "phases": phases}


def _usual_stages(task: str, rounded: bool) -> list[dict[str, Any]]:
    """What else the task's default run applies at its end: norms measured again, tables of words rounded."""
    last = [s for p in catalogue.current().row("tasks", task)["default"]["phases"] if not p["epochs"]
            for s in p.get("stages", ())]  # fmt: skip
    shown = (*PRUNING.values(), *ROUNDING.values())
    return [dict(s) for s in last if s["name"] not in shown and (rounded or "bits" not in s)]


def values_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The values whose recipe this is, as far as the page can express it; compare :func:`to_recipe` to be sure."""
    values = {n: recipe[n] for n in ("task", "data", "labels", "without", "student", "seed") if n in recipe}
    phases = recipe["phases"]
    first = phases[0]
    loss = first.get("loss") or {"name": "cross_entropy"}
    loss = loss[0] if isinstance(loss, (list, tuple)) else loss
    values |= {"epochs": first["epochs"], "loss": loss["name"], "pruning": "none", "bits": FULL_PRECISION}
    values |= {"finetune": phases[1]["epochs"] if len(phases) > 1 else 0}
    values |= {_name("teaching", k): v for k, v in loss.items() if k not in ("name", "factor")}
    values |= teachers.values_of(list(first.get("teachers", ())), recipe["student"])
    for stage in (s for p in phases for s in p.get("stages", ())):
        values |= _stage_values(stage)
    return values


def _stage_values(stage: Mapping[str, Any]) -> dict[str, Any]:
    for group, field, ways in (("pruning", "pruning", PRUNING), ("bits", "rounding", ROUNDING)):
        for kind, name in ways.items():
            if name == stage["name"]:
                return {field: kind, **{_name(group, k): v for k, v in stage.items() if k != "name"}}
    return {}


def _fields(form: Form, rows: Catalogue) -> Iterator[Field]:
    """Every field, one after the other: later ones look at the values of earlier ones in ``form``."""
    tasks = rows.names("tasks")
    yield _choice("task", tasks, tasks[0], "models")
    task = form.values["task"]
    usual = defaults(task)
    known, students = rows.teachers(task), rows.students(task)
    if known:
        yield _choice("teacher", known, usual.get("teacher", known[0]), "models")
    yield _choice("student", students, usual["student"], "models")
    losses = [n for n in rows.suited("losses", task) if known or not rows.row("losses", n).get("needs_teacher")]
    yield _choice("loss", losses, usual["loss"] if usual["loss"] in losses else losses[0], "teaching")
    yield from (Field(knob, "models") for knob in teachers.knobs(form.values, usual))
    yield from _knobs(form, rows, "losses", form.values["loss"], "teaching", usual)
    yield from _budget(rows.row("tasks", task), usual)
    yield _choice("pruning", _installed(rows, task), usual["pruning"], "pruning")
    stage = PRUNING[form.values["pruning"]]
    if stage:
        yield from _knobs(form, rows, "stages", stage, "pruning", usual)
    yield _bits(rows, usual["bits"])
    if _rounds(form):
        yield _choice("rounding", _ways(rows, task, form.values["bits"]), usual.get("rounding", "linear"), "bits")
        yield from _knobs(form, rows, "stages", ROUNDING[form.values["rounding"]], "bits", usual, skip=("bits",))
    yield from _finish(form, usual, rows.row("tasks", task))


def _budget(task: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[Field]:
    if positions(task) == 1:  # an example that holds many labels has no class to be balanced over, or to be left out
        low, high = task["classes"], task["train_size"]
        yield Field(Knob("labels", "int", usual.get("labels"), _help("labels"), low, high, optional=True), "teaching")
    yield Field(Knob("epochs", "int", usual["epochs"], _help("epochs"), 1, MAX_EPOCHS), "teaching")


def _finish(form: Form, usual: Mapping[str, Any], task: Mapping[str, Any]) -> Iterator[Field]:
    needed = int(_cut_after_training(form) and _trains_bits(form))
    repaired = 1 if form.values["pruning"] in REMOVES else max(needed, usual.get("finetune", 0))
    yield Field(Knob("finetune", "int", repaired, _help("finetune"), needed, 20, advanced=True), "run")
    yield Field(Knob("seed", "int", usual.get("seed", 0), _help("seed"), 0, MAX_SEED), "run")
    yield _choice("data", DATA, usual.get("data", "sample"), "run", advanced=True)
    if positions(task) == 1:
        names = tuple(task.get("class_names", ()))
        yield Field(Knob("without", "str", None, _help("without"), choices=names, optional=True, advanced=True), "run")
    yield Field(Knob("image", "int", 0, _help("image"), 0, 999), "view")
    yield Field(Knob("point", "str", "", _help("point")), "view")
    yield _choice("figure", FIGURES, FIGURES[0], "view")
    yield Field(Knob("seeds", "bool", False, _help("seeds")), "view")  # whether Run takes several


def _bits(rows: Catalogue, usual: int) -> Field:
    row = next(k for k in catalogue_words.knobs("stages", QUANTIZER) if k.name == "bits")
    widths = range(int(row.low or 1), int(row.high or 8) + 1)
    return Field(
        dataclasses.replace(row, default=usual, high=FULL_PRECISION), "bits", QUANTIZER, (*widths, FULL_PRECISION)
    )


def _ways(rows: Catalogue, task: str, bits: int) -> list[str]:
    """The ways of rounding that the task has and that can make so many bits."""
    known = rows.suited("stages", task)
    width = {n: next(k for k in rows.knobs("stages", stage) if k.name == "bits") for n, stage in ROUNDING.items()}
    return [n for n, stage in ROUNDING.items()
            if stage in known and (width[n].low or 1) <= bits <= (width[n].high or 8)]  # fmt: skip


def _knobs(form: Form, rows: Catalogue, kind: str, part: str, group: str, usual: Mapping[str, Any],
           skip: tuple[str, ...] = ()) -> Iterator[Field]:  # fmt: skip
    for knob in catalogue_words.knobs(kind, part):
        if knob.name in skip:
            continue
        name = _name(group, knob.name)
        default = usual.get(name, knob.default) if _accepts(knob, usual.get(name)) else knob.default
        yield Field(dataclasses.replace(knob, name=name, default=default), group, part)


def _accepts(knob: Knob, value: Any) -> bool:
    try:
        knob.check(value, knob.name)
    except InputError:
        return False
    return True


def _choice(name: str, options: Any, default: str, group: str, advanced: bool = False) -> Field:
    knob = Knob(name, "str", default, _help(name), choices=tuple(options), advanced=advanced)
    return Field(knob, group)


def _installed(rows: Catalogue, task: str) -> list[str]:
    known = rows.suited("stages", task)
    return [n for n, stage in PRUNING.items() if stage is None or stage in known]


def _stages(form: Form) -> list[str]:
    pruning = PRUNING[form.get("pruning")]
    return ([pruning] if pruning else []) + ([ROUNDING[form.get("rounding")]] if _rounds(form) else [])


def _rounds(form: Form) -> bool:
    return bool(form.values["bits"] != FULL_PRECISION)


def _part(form: Form, kind: str, name: str) -> dict[str, Any]:
    group = {"losses": "teaching"}.get(kind, "bits" if name in ROUNDING.values() else "pruning")
    knobs = catalogue.current().knobs(kind, name)
    return {"name": name, **{k.name: form.values[_name(group, k.name)] for k in knobs}}


def _cut_after_training(form: Form) -> bool:
    """Whether something is pruned at once, which happens when training is over."""
    stage = PRUNING[form.values["pruning"]]
    return stage is not None and not _acts_in_training(_part(form, "stages", stage))


def _trains_bits(form: Form) -> bool:
    return _rounds(form) and _acts_in_training(_part(form, "stages", ROUNDING[form.values["rounding"]]))


def _acts_in_training(stage: Mapping[str, Any]) -> bool:
    needs = catalogue.current().row("stages", stage["name"]).get("needs_epochs", {})
    return any(stage.get(knob) in words for knob, words in needs.items())


def _owned() -> dict[str, set[str]]:
    """Knob names by the group of the page that shows them."""
    rows = catalogue.current().rows
    stages = {n: [k["name"] for k in row["knobs"]] for n, row in rows["stages"].items()}
    return {
        "teaching": {k["name"] for row in rows["losses"].values() for k in row["knobs"]},
        "pruning": {k for stage in PRUNING.values() for k in stages.get(stage or "", ())},
        "bits": {k for stage in ROUNDING.values() for k in stages.get(stage, ())},
    }


def _name(group: str, knob: str) -> str:
    """A knob's name on the page: its own, with the group in front where two groups use the same one.

    A loss gives way to a stage, so that a new loss never changes what an older link says.
    """
    others = {g for g, names in _owned().items() if g != group and knob in names} - {"teaching"}
    return f"{group}_{knob}" if others and knob != "bits" else knob


def every_name() -> set[str]:
    """Every name that could be a choice or in a URL: a knob of a part that is not chosen is no mistake."""
    return {*FIXED, *(_name(group, knob) for group, names in _owned().items() for knob in names)}


def _help(name: str) -> str:
    return find(f"help.{name}") or ""


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:.12g}" if isinstance(value, float) else str(value)
