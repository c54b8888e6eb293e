"""What every registered loss says to the shipped student about ten real images: its value, and where it pushes.

The teacher is the shipped one. Gradients are those of the loss's own code; "push" is minus the gradient, times the
number of images because a loss is a mean over them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import catalogue, registry
from engine.home import Home
from engine.knobs import Knob
from engine.losses._base import Objective
from engine.preview import PER_CLASS, preview
from engine.recipe import Part
from engine.step import Batch, Output, Step
from engine.taps import TapReader, tap_paths
from engine.tasks._fashion_mnist_files import DEVIATION, MEAN
from engine.teaching import load_teacher
from engine.training import LiveTeacher, build_objective
from engine.workbench import Bench
from sample_data.pictures_student import STUDENT, TASK, recipe, shipped_student

MOST_VALUES = 5  # of a knob
TEACHER = "teacher"
SECOND = "plain_150k"  # the other teacher where a loss needs several
SHOWN = 4  # images whose inner maps are kept
SIDE = 14  # of a map, at most


@dataclass(frozen=True)
class Answer:
    """One batch under one loss: its value, minus the gradient by logit [B, C], and what both networks made of it.

    ``changed``: the inputs that the student learned from where they are not the batch's own.
    """

    value: float
    push: Tensor | None
    changed: Tensor | None
    student: Mapping[str, Tensor]
    teacher: Mapping[str, Tensor]
    tap_push: Mapping[str, Tensor]


def picture(name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The entry of one loss: values at several settings, pushes by image and class, inner maps where it has taps."""
    facts: dict[str, Any] = {"version": registry.get("losses", name).version, "settings": {}, "values": []}
    pushes: list[NDArray[np.float16]] = []
    found = answer(name, {})
    tried = {knob: [answer(name, {knob: v}) for v in values] for knob, values in variations(name).items()}
    telling = {knob: answers for knob, answers in tried.items() if len({round(a.value, 6) for a in answers}) > 1}
    facts["settings"] = {knob: variations(name)[knob] for knob in telling}
    for made in [found, *(a for answers in telling.values() for a in answers)]:
        facts["values"].append(float(f"{made.value:.5g}"))
        if made.push is not None:
            pushes.append(made.push.numpy().astype(np.float16))
    arrays = {"push": np.stack(pushes)} if len(pushes) == len(facts["values"]) else {}
    if found.changed is not None:
        arrays["images"] = _pixels(found.changed)
    arrays |= _maps(found)
    facts["taps"] = [k for k in found.student if f"student/{k}" in arrays]
    facts["together"] = depends_on_others(name, found)
    if facts["taps"] and facts["together"]:
        arrays |= _alike(found, facts["taps"][-1])
    return facts, arrays


def facts() -> dict[str, Any]:
    """The images of all losses: their places in the preview, labels and class names."""
    seen = preview(TASK)
    return {"images": places(), "labels": [int(seen.labels[i]) for i in places()], "classes": list(seen.class_names)}


def answers() -> dict[str, NDArray[Any]]:
    """Logits [B, C] of student and teacher."""
    with torch.no_grad():
        pair = {"student": shipped_student()(batch().inputs), "teacher": teacher_model()(batch().inputs)}
    return {name: logits.numpy().astype(np.float32) for name, logits in pair.items()}


def places() -> list[int]:
    """One image a class, of those that the teacher finds hard."""
    seen = preview(TASK)
    return list(range(PER_CLASS // 2, len(seen.labels), PER_CLASS))


@functools.cache
def teacher_model() -> nn.Module:
    """The shipped teacher."""
    return load_teacher(TEACHER)


@functools.cache
def batch() -> Batch:
    """The images as one batch, all with their labels."""
    split = registry.get("tasks", TASK).split("sample", "validation")
    rows = torch.from_numpy(preview(TASK).indices[places()])
    return Batch(split.inputs[rows], split.labels[rows], torch.ones(len(rows), dtype=torch.bool), rows)


def variations(name: str) -> dict[str, list[Any]]:
    """The values of each setting to try, one setting at a time; expert settings and switches of layers are left out."""
    knobs = catalogue.from_lists(catalogue.build()).knobs("losses", name)
    return {k.name: values_of(k) for k in knobs if not k.advanced and k.name != "layer"}


def values_of(knob: Knob) -> list[Any]:
    """Up to five values of a knob in order, its default among them."""
    if knob.choices:
        return list(knob.choices)
    if knob.type == "bool":
        return [False, True]
    low, high = knob.low, knob.high
    if low is None or high is None or knob.type == "str":
        return [knob.default]
    spaced = np.geomspace(low, high, MOST_VALUES) if knob.log and low > 0 else np.linspace(low, high, MOST_VALUES)
    found = {low, high, *(_round(v, knob) for v in spaced.tolist())}
    # a value close to the default tells nothing new
    ends = [v for v in found if v in (low, high) or abs(v - knob.default) > 0.12 * (high - low) or knob.log]
    far = [v for v in ends if not (knob.log and 0.6 < v / knob.default < 1.6)]
    return sorted({knob.check(v, knob.name) for v in far if low <= v <= high} | {knob.default})


def _round(value: float, knob: Knob) -> float:
    """On the knob's own steps, else with two digits."""
    if knob.type == "int" or (knob.step and value >= knob.step):
        step = knob.step or 1
        return round(round(value / step) * step, 10)
    return float(f"{value:.2g}")


def answer(name: str, values: Mapping[str, Any], rows: Sequence[int] | None = None) -> Answer:
    """The loss of the batch (of ``rows`` of it) at these settings, and its gradients."""
    torch.manual_seed(0)
    given = batch() if rows is None else _part(batch(), rows)
    student, spec = shipped_student(), registry.get("models", STUDENT)
    part = Part.from_json("losses", {"name": name, **values}, "picture")
    bench = Bench(recipe([{"epochs": 1}]), Home.locate())
    objective = build_objective([part], spec.taps, bench.task.split("sample", "train").inputs, bench.peer)
    teachers = []
    if registry.get("losses", name).needs_teacher:
        taps = tap_paths(objective.teacher_taps, registry.get("models", TEACHER).taps, TEACHER)
        teachers = [LiveTeacher(teacher_model(), taps)]
        if registry.get("losses", name).least_teachers > 1:
            paths = tap_paths(objective.teacher_taps, registry.get("models", SECOND).taps, SECOND)
            teachers.append(LiveTeacher(shipped_student(SECOND), paths))
    with TapReader(student, objective.student_paths) as reader:
        watched = _Watched(reader)
        _prepare(objective, reader, teachers, given)
        optimizer = torch.optim.SGD([*student.parameters(), *objective.parameters()], 0.0)
        step = Step(student, given, teachers, optimizer, 0, 10, watched)
        loss = objective.loss(step)
        loss.backward()
        taught = [t(given.inputs, given.index, False) for t in teachers][:1]
    return watched.answer(float(loss.detach()), given.inputs, taught)


def depends_on_others(name: str, found: Answer) -> bool:
    """Whether what is taught about one image depends on which others are in its batch."""
    half = list(range(len(batch().inputs) // 2))
    again = answer(name, {}, half)
    pairs = [(found.push, again.push), *((found.tap_push.get(k), again.tap_push.get(k)) for k in found.tap_push)]
    return any(
        a is not None and b is not None and not torch.allclose(a[half], b, rtol=1e-2, atol=1e-4 * float(a.abs().max()))
        for a, b in pairs
    )


class _Watched:
    """Runs the student and keeps what each forward saw and made, with gradients."""

    def __init__(self, reader: TapReader) -> None:
        self.reader = reader
        self.runs: list[tuple[Tensor, Output]] = []
        self.beside: list[tuple[Tensor, Tensor]] = []  # every forward, also those that a loss makes by itself
        reader.model.register_forward_hook(self._keep)

    def _keep(self, _model: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        if logits.requires_grad:
            logits.retain_grad()
        self.beside.append((inputs[0].detach(), logits))

    def __call__(self, inputs: Tensor) -> Output:
        made = self.reader(inputs)
        for tensor in (made.logits, *made.taps.values()):
            if tensor.requires_grad:
                tensor.retain_grad()
        self.runs.append((inputs.detach(), made))
        return made

    def answer(self, value: float, given: Tensor, taught: Sequence[Output]) -> Answer:
        """Of the first forward that the loss has a gradient for."""
        count, learned = len(given), [(x, m) for x, m in self.runs if _push(m.logits) is not None]
        _, made = (learned or self.runs)[0]
        taught_on = [x for x, z in reversed(self.beside) if _push(z) is not None and x.shape == given.shape]
        changed = next((x for x in taught_on if not x.equal(given)), None)
        push = _push(made.logits)
        taps = {k: t.detach() for k, t in made.taps.items()}
        pushes = {k: p * count for k, t in made.taps.items() if (p := _push(t)) is not None}
        teacher = {k: t.detach() for t in taught for k, t in t.taps.items()}
        return Answer(value, None if push is None else push * count, changed, taps, teacher, pushes)


def _push(tensor: Tensor) -> Tensor | None:
    return None if tensor.grad is None else -tensor.grad.detach()


def _prepare(objective: Objective, reader: TapReader, teachers: Sequence[LiveTeacher], given: Batch) -> None:
    """As the loop does it: the objective sees two examples before it starts."""
    if objective.student_taps or objective.teacher_taps:
        inputs, rows = given.inputs[:2], given.index[:2]
        with torch.no_grad():
            objective.prepare(reader(inputs), [teacher(inputs, rows, False) for teacher in teachers])


def _part(whole: Batch, rows: Sequence[int]) -> Batch:
    chosen = torch.tensor(list(rows))
    return Batch(whole.inputs[chosen], whole.labels[chosen], whole.labelled[chosen], whole.index[chosen])


def _maps(found: Answer) -> dict[str, NDArray[Any]]:
    """Where in the image each side is active at each tap (sums of squares), and where the loss pushes the student."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, made in found.student.items():
        if made.ndim == 4 and name in found.teacher and found.teacher[name].ndim == 4 and name in found.tap_push:
            sides = {"student": made, "teacher": found.teacher[name], "pushed": found.tap_push[name]}
            arrays |= {f"{side}/{name}": _energy(t[:SHOWN]) for side, t in sides.items()}
    return arrays


def _energy(tensor: Tensor) -> NDArray[np.float16]:
    """[n, C, H, W] -> [n, H, W]: the sum of squares over channels as a share of each map's largest."""
    energy = tensor.square().sum(1)
    if energy.shape[-1] > SIDE:
        energy = nn.functional.adaptive_avg_pool2d(energy, SIDE)
    top = energy.amax((1, 2), keepdim=True).clamp(min=1e-30)
    return (energy / top).numpy().astype(np.float16)


def _alike(found: Answer, tap: str) -> dict[str, NDArray[Any]]:
    """How much each image resembles each other one inside both networks: cosines of the tapped tensors [B, B]."""
    pairs = {"student": found.student[tap], "teacher": found.teacher[tap]}
    made = {k: nn.functional.normalize(t.flatten(1), dim=1) for k, t in pairs.items()}
    return {f"alike_{k}": (t @ t.T).numpy().astype(np.float16) for k, t in made.items()}


def _pixels(inputs: Tensor) -> NDArray[np.uint8]:
    """The images as the student saw them, grey 0 to 255."""
    grey = (inputs[:, 0] * float(DEVIATION) + float(MEAN)).clamp(0, 1) * 255
    return grey.round().numpy().astype(np.uint8)
