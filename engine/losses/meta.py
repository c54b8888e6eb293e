"""Temperature and weight that are learned: by their effect on examples that the student does not train on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from engine.attack import aside
from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.losses.kd import softened_kl
from engine.registry import register
from engine.step import Batch, Step

TEMPERATURES = (0.5, 20.0)
WEIGHTS = (0.02, 0.98)
GOLDEN = 2_654_435_769  # 2^32 over the golden ratio: multiples of it are spread evenly over 0 .. 2^32 (Knuth)


def held_out(index: Tensor, share: float) -> Tensor:
    """[B] bool: which rows of the training split are never trained on; the same ``share`` of them in every trial."""
    return (index * GOLDEN) % 2**32 < share * 2**32


def mixed(student: Tensor, teachers: list[Tensor], batch: Batch, used: Tensor, temperature: Tensor,
          weight: Tensor) -> Tensor:  # fmt: skip
    """(1 - weight) CE + weight T^2 KL, the mean over the rows that ``used`` [B] marks; logits are [B, C]."""
    hard = labelled_cross_entropy(student, replace(batch, labelled=batch.labelled & used))
    # a row that is not used agrees with itself; the mean over all rows becomes one over those that count
    soft = [softened_kl(student, torch.where(used[:, None], t, student.detach()), temperature) for t in teachers]
    share = used.float().mean().clamp(min=1 / len(used))
    return (1 - weight) * hard + weight * torch.stack(soft).mean() / share


class MetaObjective(Objective):
    """``mixed`` with a temperature and a weight that an Adam of their own moves, outside the loop's optimizer.

    The two stand in buffers as ``settings`` [2]: log T and the logit of the weight.
    """

    settings: Tensor

    def __init__(self, start: tuple[float, float], rate: float, every: int, share: float) -> None:
        super().__init__()
        temperature, weight = start
        low, high = WEIGHTS
        weight = min(max(weight, low), high)
        self.register_buffer("settings", torch.tensor([math.log(temperature), math.log(weight / (1 - weight))]))
        self.rate, self.every, self.share = rate, every, share
        self.optimizer: torch.optim.Optimizer | None = None

    def loss(self, step: Step) -> Tensor:
        """The mix over the rows that are not held out; every so often the settings learn first."""
        student = step.student().logits
        teachers = [step.teacher(k=k).logits for k in range(len(step.teachers))]
        if step.number % self.every == 0:
            self._move(self.gradient(step, student, teachers))
        used = ~held_out(step.batch.index, self.share)
        return mixed(student, teachers, step.batch, used, self.settings[0].exp(), self.settings[1].sigmoid())

    def gradient(self, step: Step, student: Tensor, teachers: list[Tensor]) -> Tensor:
        """d CE(held out) / d settings [2] through one virtual step of SGD, second derivatives included.

        The virtual step takes the loop's learning rate; nothing that it computes stays in the student.
        """
        settings = self.settings.clone().requires_grad_()
        held = held_out(step.batch.index, self.share)
        inner = mixed(student, teachers, step.batch, ~held, settings[0].exp(), settings[1].sigmoid())
        names, weights = zip(*((n, p) for n, p in step.model.named_parameters() if p.requires_grad), strict=True)
        slopes = torch.autograd.grad(inner, weights, create_graph=True)
        rate = step.optimizer.param_groups[0]["lr"]
        moved = {n: w - rate * s for n, w, s in zip(names, weights, slopes, strict=True)}
        logits = aside(step.model, step.batch.inputs, moved)
        outer = labelled_cross_entropy(logits, replace(step.batch, labelled=step.batch.labelled & held))
        (found,) = torch.autograd.grad(outer, settings)
        return found

    def moved(self) -> dict[str, float]:
        """Temperature and weight as they stand."""
        return {"temperature": float(self.settings[0].exp()), "weight": float(self.settings[1].sigmoid())}

    @torch.no_grad()
    def _move(self, gradient: Tensor) -> None:
        self.optimizer = self.optimizer or torch.optim.Adam([self.settings], lr=self.rate)
        self.settings.grad = gradient
        self.optimizer.step()
        low, high = (torch.logit(torch.tensor(w)).item() for w in WEIGHTS)
        self.settings[0].clamp_(*(math.log(t) for t in TEMPERATURES))
        self.settings[1].clamp_(low, high)


@register
@dataclass(frozen=True)
class Meta(Loss):
    """Settings learned on held-out examples."""

    name: ClassVar[str] = "meta"
    title: ClassVar[str] = "Distillation (learned temperature and weight)"
    help: ClassVar[str] = (
        "Nobody chooses the temperature and the weight: they are learned while the student trains. Some labelled "
        "images are kept from the student, and every few steps both settings move to where one more step of training "
        "would have answered these better. The curve says where they went."
    )
    formula: ClassVar[str] = (
        r"\theta' = \theta - \eta\,\nabla_\theta \left[(1-\alpha)\,\mathrm{CE} + \alpha\,T^2\,\mathrm{KL}\left(p_t^{T} "
        r"\,\|\, p_s^{T}\right)\right], \quad (T, \alpha) \leftarrow (T, \alpha) - \beta\,\nabla_{T, \alpha}\, "
        r"\mathrm{CE}_{\text{held out}}(\theta')"
    )
    source: ClassVar[str] = (
        "Liu et al. 2022, Meta Knowledge Distillation, arXiv:2202.07940 (temperatures); Zhou, Xu, McAuley 2022, "
        "MetaDistil, arXiv:2106.04570 (held-out quiz)"
    )
    expect: ClassVar[str] = (
        "What soft targets give with settings that are good already, less the images held out: in two epochs the "
        "settings hardly leave 4 and 0.9, and 0.2 points are lost. At a high rate they wander: from T = 16 "
        "one seed went to 9, another to 20. A batch holds few held-out images, and one step ahead is near-sighted."
    )

    temperature: float = knob(
        4.0, 0.5, 20.0, "The temperature with which training starts, before it is learned.", step=0.5, log=True
    )
    weight: float = knob(0.9, 0.02, 0.98, "How much the teacher counts against the labels at the start.", step=0.02)
    rate: float = knob(0.02, 0.0, 0.2, "How fast the two settings move; at 0 they stay where they start.")
    every: int = knob(5, 1, 100, "How many steps of training lie between two moves of the settings.")
    held_out: float = knob(
        0.1, 0.02, 0.5, "Share of the images that the student never trains on: by them the settings are judged.",
        step=0.02,
    )  # fmt: skip

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return MetaObjective((self.temperature, self.weight), self.rate, self.every, self.held_out)
