"""A Recipe is everything that a trial depends on: a frozen value with canonical JSON and a key.

``Recipe.from_json`` fills in every default from the catalogue and refuses what cannot run, so two recipes that mean the
same thing have the same canonical JSON and therefore the same key. Only knobs that a plug-in was given late are left
out of it at their defaults: a recipe from before keeps its key, and its results.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine import catalogue, modalities
from engine.errors import InputError, unknown_name
from engine.knobs import canonical_float, check_values
from engine.recipe_fields import class_of, listed, only, wanted, whole

KEY_VERSION = 1
ORDERS = ("shape", "mask", "quantizer", "recalibration")
DATA = ("sample", "full")
MAX_SEED = 2**32 - 1
MAX_EPOCHS = 200
MAX_PHASES = 20
MAX_NESTING = 5
_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Part:
    """A loss or a stage as plain data: its name and the value of every knob."""

    kind: str
    name: str
    values: tuple[tuple[str, Any], ...]
    factor: float = 1.0

    @classmethod
    def from_json(cls, kind: str, row: Any, where: str) -> Part:
        """Read ``{"name": ..., knob: value, ...}``; a loss in a list may add ``"factor"``."""
        if isinstance(row, str):
            row = {"name": row}
        if not isinstance(row, Mapping) or "name" not in row:
            raise InputError(where, row, 'an object with a "name"')
        knobs = catalogue.current().knobs(kind, row["name"], f"{where}.name")
        own = ("name", "factor") if kind == "losses" else ("name",)  # only losses are added up
        values = {k: v for k, v in row.items() if k not in own}
        factor = row.get("factor", 1.0) if "factor" in own else 1.0
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor <= 1000:
            raise InputError(f"{where}.factor", factor, "a number above 0, at most 1000")
        checked = check_values(knobs, values, f"{where}.{row['name']}")
        return cls(kind, row["name"], tuple(checked.items()), canonical_float(factor))

    @property
    def row(self) -> Mapping[str, Any]:
        """This part's catalogue row."""
        return catalogue.current().row(self.kind, self.name)

    @property
    def needs_epochs(self) -> str | None:
        """The setting that cannot work in a phase of 0 epochs (``"schedule=gradual"``), or None."""
        for name, words in self.row.get("needs_epochs", {}).items():
            if self.get(name) in words:
                return f"{name}={self.get(name)}"
        return None

    def get(self, name: str, default: Any = None) -> Any:
        """The value of one knob."""
        return dict(self.values).get(name, default)

    def to_json(self) -> dict[str, Any]:
        """Canonical form: name and all knobs, without late ones at their defaults (see :class:`engine.knobs.Knob`)."""
        factor = {} if self.factor == 1.0 else {"factor": self.factor}
        late = catalogue.current().late(self.kind, self.name)
        values = {name: value for name, value in self.values if name not in late or value != late[name]}
        return {"name": self.name, **values, **factor}


@dataclass(frozen=True)
class Phase:
    """Train ``epochs`` with one objective under ``stages``; with 0 epochs the stages are only applied."""

    epochs: int = 0
    loss: tuple[Part, ...] = ()
    teachers: tuple[str | Recipe, ...] = ()
    stages: tuple[Part, ...] = ()

    @classmethod
    def from_json(cls, row: Any, where: str) -> Phase:
        """Read and check one phase."""
        only(row, ("epochs", "loss", "teachers", "stages"), where)
        epochs = whole(row.get("epochs", 0), 0, MAX_EPOCHS, f"{where}.epochs")
        loss = row.get("loss")
        losses = [] if loss is None else list(loss) if isinstance(loss, (list, tuple)) else [loss]
        losses = losses or ([{"name": "cross_entropy"}] if epochs else [])
        teachers = listed(row.get("teachers"), f"{where}.teachers")
        stages = listed(row.get("stages"), f"{where}.stages")
        phase = cls(
            epochs,
            tuple(Part.from_json("losses", p, f"{where}.loss") for p in losses),
            tuple(t if isinstance(t, str) else Recipe.from_json(t, f"{where}.teachers") for t in teachers),
            tuple(Part.from_json("stages", s, f"{where}.stages[{i}]") for i, s in enumerate(stages)),
        )
        phase._check(where)
        return phase

    def _check(self, where: str) -> None:
        if not self.epochs and (self.loss or self.teachers):
            raise InputError(f"{where}.loss", self.loss[0].name if self.loss else "teachers",
                             "a loss only in a phase that trains; give it epochs of at least 1")  # fmt: skip
        for part in self.loss:
            least = part.row.get("least_teachers", 1) if part.row.get("needs_teacher") else 0
            if len(self.teachers) < least:
                raise InputError(f"{where}.teachers", self._named(), wanted(least, part.name))
        for stage in self.stages:
            if not self.epochs and stage.needs_epochs:
                raise InputError(f"{where}.epochs", 0, f"at least 1 with {stage.name}:{stage.needs_epochs}, "
                                 "which acts while training; put it into a phase that trains")  # fmt: skip

    def _named(self) -> list[str]:
        return [t if isinstance(t, str) else t.student for t in self.teachers]

    @property
    def trains(self) -> bool:
        """Whether this phase changes weights by gradient steps."""
        return self.epochs > 0

    def to_json(self) -> dict[str, Any]:
        """Canonical form; a single loss of factor 1 is an object, otherwise a list."""
        row: dict[str, Any] = {"epochs": self.epochs, "stages": [s.to_json() for s in self.stages]}
        if self.loss:
            losses = [p.to_json() for p in self.loss]
            row["loss"] = losses[0] if len(losses) == 1 else losses
            row["teachers"] = [t if isinstance(t, str) else t.to_json() for t in self.teachers]
        return row


@dataclass(frozen=True)
class Recipe:
    """``labels`` is the number of labelled training images (None: all); the rest is an unlabelled transfer set.

    ``without``: a class whose training images the student never sees, by its name (None: it sees all).
    """

    task: str
    student: str
    phases: tuple[Phase, ...]
    data: str = "sample"
    labels: int | None = None
    seed: int = 0
    without: str | None = None

    @classmethod
    def from_json(cls, row: Any, where: str = "recipe") -> Recipe:
        """Read and check a recipe; raises :class:`InputError` naming the offending field."""
        names = [f.name for f in dataclasses.fields(cls)]
        only(row, names, where)
        if where.count(".teachers") > MAX_NESTING:
            raise InputError(where, "a recipe", f"teachers of teachers up to {MAX_NESTING} deep")
        for name in ("task", "student", "phases"):
            if name not in row:
                raise InputError(f"{where}.{name}", None, "a value; it is missing")
        phases = listed(row["phases"], f"{where}.phases")
        read = tuple(Phase.from_json(p, f"{where}.phases[{i}]") for i, p in enumerate(phases))
        labels, seed, without = row.get("labels"), row.get("seed", 0), row.get("without")
        without = None if without is None else class_of(row["task"], without, where)
        recipe = cls(row["task"], row["student"], read, row.get("data", "sample"), labels, seed, without)
        recipe._check(where)
        return dataclasses.replace(recipe, seed=int(seed), labels=None if labels is None else int(labels))

    def _check(self, where: str) -> None:
        rows = catalogue.current()
        task = rows.row("tasks", self.task, f"{where}.task")
        if self.student not in rows.students(self.task):
            raise unknown_name(f"{where}.student", self.student, rows.students(self.task))
        if self.data not in DATA:
            raise unknown_name(f"{where}.data", self.data, DATA)
        if self.labels is not None:
            most = task["train_size"] * (task["classes"] - bool(self.without)) // task["classes"]
            whole(self.labels, task["classes"] if modalities.positions(task) == 1 else 1, most, f"{where}.labels")
        whole(self.seed, 0, MAX_SEED, f"{where}.seed")
        if not 1 <= len(self.phases) <= MAX_PHASES:
            raise InputError(f"{where}.phases", len(self.phases), f"1 to {MAX_PHASES} phases")
        for teacher in (t for p in self.phases for t in p.teachers):
            self._check_teacher(teacher, f"{where}.phases.teachers")
        for part in (part for p in self.phases for part in (*p.loss, *p.stages)):
            modalities.check(part.row, task, f"{where}.phases")
        _check_order([s for p in self.phases for s in p.stages], where)

    def _check_teacher(self, teacher: str | Recipe, where: str) -> None:
        if isinstance(teacher, Recipe):
            if teacher.task != self.task:
                raise InputError(where, teacher.task, f"a teacher of the task {self.task}")
        elif teacher not in catalogue.current().teachers(self.task):
            raise unknown_name(where, teacher, catalogue.current().teachers(self.task))

    def to_json(self) -> dict[str, Any]:
        """Canonical form: every field and every knob; ``without`` only where a class is left out."""
        without = {} if self.without is None else {"without": self.without}
        return {
            "task": self.task, "data": self.data, "labels": self.labels, "student": self.student,
            "phases": [p.to_json() for p in self.phases], "seed": self.seed, **without,
        }  # fmt: skip

    @property
    def stages(self) -> list[Part]:
        """All stages of all phases, in order."""
        return [s for p in self.phases for s in p.stages]

    @functools.cached_property
    def key(self) -> str:
        """32 hexadecimal digits: the recipe, the versions of its plug-ins, its data and its shipped weights."""
        content = {"version": KEY_VERSION, "recipe": self.to_json(), "depends": self._depends()}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def prefix(self, count: int) -> Recipe:
        """The recipe of the first ``count`` phases, whose trained state can be resumed."""
        return dataclasses.replace(self, phases=self.phases[:count])

    def first_training(self) -> Recipe | None:
        """The recipe up to its first phase that trains, which other recipes may share; None when nothing trains."""
        first = next((i for i, p in enumerate(self.phases) if p.trains), None)
        return None if first is None else self.prefix(first + 1)

    def dense(self) -> Recipe:
        """The dense student: no pruning or quantization (nor the recalibration that repairs them)."""
        kept = tuple(dataclasses.replace(p, stages=()) for p in self.phases if p.trains)
        return dataclasses.replace(self, phases=kept or (_plain_phase(1),))

    def baseline(self) -> Recipe:
        """The dense student trained on labels alone: same labelled data, steps, optimizer, learning rate."""
        return dataclasses.replace(self, phases=tuple(_plain_phase(p.epochs) for p in self.dense().phases))

    def with_one_shot(self, sparsity: float, bits: int) -> Recipe:
        """The grid point of this (dense) recipe: one-shot pruning, post-training quantization, recalibration."""
        stages: list[dict[str, Any]] = [{"name": "quantize_linear", "bits": bits}, {"name": "recalibrate"}]
        if sparsity > 0:
            stages.insert(0, {"name": "prune_magnitude", "sparsity": sparsity, "schedule": "one_shot"})
        extra = Phase.from_json({"epochs": 0, "stages": stages}, "grid")
        return dataclasses.replace(self, phases=(*self.phases, extra))

    def _depends(self) -> dict[str, Any]:
        rows = catalogue.current()
        losses = {p.name for ph in self.phases for p in ph.loss}
        teachers = [t for ph in self.phases for t in ph.teachers]
        models = {self.student, *(t for t in teachers if isinstance(t, str))}
        task = rows.row("tasks", self.task)
        return {
            "task": [task["version"], task["hashes"].get(self.data, "")],
            "losses": {n: rows.row("losses", n)["version"] for n in sorted(losses)},
            "stages": {n: rows.row("stages", n)["version"] for n in sorted({s.name for s in self.stages})},
            "models": {n: _model_facts(rows.row("models", n)) for n in sorted(models)},
            "teachers": [t.key for t in teachers if isinstance(t, Recipe)],
        }


def _model_facts(row: Mapping[str, Any]) -> list[Any]:
    return [row["version"], row.get("weights_sha256", "")]


def _plain_phase(epochs: int) -> Phase:
    return Phase.from_json({"epochs": epochs, "loss": {"name": "cross_entropy"}}, "baseline")


def _check_order(stages: Iterable[Part], where: str) -> None:
    """Shapes, masks, quantizers, recalibration, over the concatenated phases."""
    last: Part | None = None
    for stage in stages:
        if last and ORDERS.index(stage.row["order"]) < ORDERS.index(last.row["order"]):
            raise InputError(f"{where}.phases", f"{last.name} before {stage.name}",
                             f"{' before '.join(ORDERS)}; move {stage.name} in front of {last.name}")  # fmt: skip
        last = stage
