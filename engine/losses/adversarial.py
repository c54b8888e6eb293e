"""Adversarial distillation: changed inputs with the teacher's clean answers, or a discriminator on logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from engine.attack import Ball, ascend, aside, ball_around, evaluating
from engine.errors import InputError
from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._discriminator import DiscriminatorObjective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.losses.kd import softened_kl
from engine.registry import register
from engine.step import Step

MODES = ("noise", "fgsm", "pgd", "discriminator")


class PerturbedObjective(Objective):
    """(1 - weight) CE on clean inputs + weight T^2 KL(teacher on clean || student on changed inputs).

    The clean forward is the one that moves BatchNorm's running statistics; the changed inputs run beside it, with
    batch statistics of their own. They are searched in eval mode.
    """

    def __init__(self, settings: Adversarial, ball: Ball) -> None:
        super().__init__()
        self.settings, self.ball = settings, ball
        self.uses_unlabelled = settings.weight > 0

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch; with several teachers, their mean KL."""
        weight, hard = self.settings.weight, labelled_cross_entropy(step.student().logits, step.batch)
        teachers = [step.teacher(k=k).logits for k in range(len(step.teachers))]
        logits = aside(step.model, self.changed(step, teachers))
        return (1 - weight) * hard + weight * self.distance(logits, teachers)

    def distance(self, logits: Tensor, teachers: list[Tensor]) -> Tensor:
        """What the student pays, and what the attack raises: mean T^2 KL to the teachers' logits [B, C]."""
        return torch.stack([softened_kl(logits, t, self.settings.temperature) for t in teachers]).mean()

    def changed(self, step: Step, teachers: list[Tensor]) -> Tensor:
        """The batch's inputs [B, ...] as the mode changes them."""
        clean, mode, ball = step.batch.inputs, self.settings.mode, self.ball.to(step.batch.inputs.device)
        if mode == "noise":
            return (clean + ball.radius * _by_row(torch.randn_like(clean), step)).clamp(ball.low, ball.high)
        rate = ball.radius * (1.0 if mode == "fgsm" else self.settings.step_size)
        steps, start = 1, None
        if mode == "pgd":
            steps, start = self.settings.steps, clean + ball.radius * _by_row(2 * torch.rand_like(clean) - 1, step)
        with evaluating(step.model) as model:
            return ascend(lambda moved: self.distance(model(moved), teachers), clean, ball, steps, rate, start)


def _by_row(lots: Tensor, step: Step) -> Tensor:
    """One draw [B, ...] for each row in the order of their indices, so that a batch's order does not matter."""
    dealt = torch.empty_like(lots)
    dealt[step.batch.index.argsort(stable=True)] = lots
    return dealt


@register
@dataclass(frozen=True)
class Adversarial(Loss):
    """Noise, worst cases, or a judge."""

    name: ClassVar[str] = "adversarial"
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    title: ClassVar[str] = "Distillation (adversarial)"
    help: ClassVar[str] = (
        "The student has to give the teacher's answer to a clean image also when the image is changed against it: by "
        "noise, or by the small change that misleads the student most. The mode discriminator changes no image: a "
        "second small network learns to tell the student's answers from the teacher's, and the student to pass."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s(x)) + \alpha\,T^2\,\mathrm{KL}\left(p_t^{T}(x) \,\|\, "
        r"p_s^{T}(x')\right), \quad x' = \arg\max_{\lVert x' - x \rVert_\infty \le \epsilon} \mathrm{KL}\left("
        r"p_t^{T}(x) \,\|\, p_s^{T}(x')\right); \qquad \text{discriminator: } L = (1-\alpha)\,\mathrm{CE} - "
        r"\alpha \left[\log D(z_s) + \log D_y(z_s)\right]"
    )
    source: ClassVar[str] = (
        "pgd: Goldblum et al. 2020, ARD, arXiv:1905.09747, and Zi et al. 2021, RSLAD, arXiv:2108.07969; fgsm: "
        "Goodfellow et al. 2015, arXiv:1412.6572; discriminator: Xu et al. 2018, arXiv:1709.00513"
    )
    expect: ClassVar[str] = (
        "pgd: a 10k student of two epochs keeps 76 % right under changes of 5 % of the range (11 % without it), pays "
        "4.3 points on clean images, and trains five times as long. The discriminator at weight 0.5 loses 2 points "
        "against labels alone; beside kd, with a factor of 0.1, it changes little."
    )

    mode: str = knob(
        "pgd",
        help="How the images are changed: at random (noise), one step against the student (fgsm), several such steps "
        "(pgd); or not at all, with a network that judges the answers (discriminator).",
        choices=MODES,
    )
    epsilon: float = knob(
        0.05,
        0.0,
        0.5,
        "How far each number of an input may be moved, as a share of the range from the least to the greatest value in "
        "the data. In the mode noise the deviation of the noise.",
        step=0.01,
    )
    steps: int = knob(3, 1, 40, "Of pgd: how many steps the search takes, which is most of the training time.")
    step_size: float = knob(0.75, 0.05, 1.0, "Of pgd: the length of one step, as a share of epsilon.", step=0.05)
    weight: float = knob(
        0.9, 0.0, 1.0, "How much this term counts against the labels on clean images: 0 is labels only.", step=0.05
    )
    temperature: float = knob(
        1.0,
        0.5,
        20.0,
        "How much both sides' probabilities are softened (not by the discriminator).",
        step=0.5,
        log=True,
    )
    judge_rate: float = knob(
        1e-3, 1e-5, 0.1, "Of the discriminator: the learning rate of its own optimizer, Adam.", log=True, advanced=True
    )

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase; inputs that are whole numbers (tokens) cannot be moved a little."""
        if self.mode == "discriminator":
            return DiscriminatorObjective(self.weight, self.judge_rate)
        inputs = context.training_inputs()
        if not inputs.is_floating_point():
            raise InputError("adversarial.mode", self.mode, "discriminator, where inputs are tokens", "discriminator")
        return PerturbedObjective(self, ball_around(inputs, self.epsilon))
