"""On-policy distillation: the student continues texts by itself, and the teacher judges its own words (GKD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.errors import TrialFailedError
from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.losses.jsd import generalized_jsd
from engine.losses.kd import softened_kl
from engine.registry import register
from engine.step import Step

DIVERGENCES = ("forward_kl", "reverse_kl", "jsd")
BETA = 0.5  # of the Jensen-Shannon divergence


@torch.no_grad()
def continued(model: nn.Module, ids: Tensor, tokens: int) -> Tensor:
    """``ids`` [B, T] with ``tokens`` more, each drawn from ``model``'s probabilities at temperature 1.

    Draws from torch's own generator, which the loop seeds; the model is in eval mode meanwhile.
    """
    was_training = model.training
    model.eval()
    with nn.utils.parametrize.cached():
        for _ in range(tokens):
            chances = torch.softmax(model(ids)[:, -1].float(), 1)
            ids = torch.cat([ids, torch.multinomial(chances, 1)], 1)
    model.train(was_training)
    return ids


class OnPolicyObjective(Objective):
    """Algorithm 1: with probability ``student_share`` a batch of the student's own continuations, else the batch."""

    teacher_mode = "either"  # known texts have known answers; what the student makes up is new to the teacher

    def __init__(self, settings: OnPolicy) -> None:
        super().__init__()
        self.settings = settings

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch; the labels count for known texts only."""
        if torch.rand(()) < self.settings.student_share:
            return self.settings.weight * self.judged(step)
        student = step.student().logits
        terms = [self.divergence(student, step.teacher(k=k).logits) for k in range(len(step.teachers))]
        hard = labelled_cross_entropy(student, step.batch)
        return (1 - self.settings.weight) * hard + self.settings.weight * torch.stack(terms).mean()

    def judged(self, step: Step) -> Tensor:
        """The divergence at the places of the words that the student has made up."""
        ids, tokens = step.batch.inputs, self.settings.new_tokens
        if len(step.batch.labels) != ids.numel():
            raise TrialFailedError("on_policy continues texts: it is for models that answer at every place of a text")
        start = min(self.settings.prompt_tokens, ids.shape[1] - tokens)
        if start < 1:
            raise TrialFailedError(f"new_tokens {tokens} leaves no prompt of texts of {ids.shape[1]}")
        told = continued(step.model, ids[:, :start], tokens)[:, :-1].contiguous()  # nothing follows the last one

        def own(logits: Tensor) -> Tensor:
            return logits.reshape(*told.shape, -1)[:, start - 1 :].flatten(0, 1)

        student = own(step.student(told).logits)
        teachers = [own(step.teacher(told, k=k).logits) for k in range(len(step.teachers))]
        return torch.stack([self.divergence(student, teacher) for teacher in teachers]).mean()

    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean over places [M, V] of the chosen divergence, in nats."""
        temperature = self.settings.temperature
        if self.settings.divergence == "jsd":
            return generalized_jsd(student, teacher, BETA, temperature)
        pair = (teacher, student) if self.settings.divergence == "reverse_kl" else (student, teacher)
        return softened_kl(*pair, temperature)


@register
@dataclass(frozen=True)
class OnPolicy(Loss):
    """Learning from one's own words."""

    name: ClassVar[str] = "on_policy"
    modalities: ClassVar[tuple[str, ...]] = ("tokens",)
    title: ClassVar[str] = "Distillation (on the student's own words)"
    help: ClassVar[str] = (
        "A model that writes sees its own words, not Shakespeare's, and one odd word leads to the next. Here the "
        "student continues the beginnings of training texts by itself, and the teacher says what should have come at "
        "each place. The rest of the batches are ordinary texts."
    )
    formula: ClassVar[str] = (
        r"L = (1-\lambda)\,\mathbb{E}_{x \sim \text{data}}\big[(1-\alpha)\,\mathrm{CE}(y, p_s) + "
        r"\alpha\,D(p_t \,\|\, p_s)(x)\big] + \lambda\,\alpha\,\mathbb{E}_{x \sim p_s}\big[D(p_t \,\|\, p_s)(x)\big]"
    )
    source: ClassVar[str] = (
        "Agarwal et al. 2023, On-Policy Distillation of Language Models (GKD), arXiv:2306.13649, algorithm 1 and "
        "eq. 4; no gradient flows through the drawing, as there"
    )
    expect: ClassVar[str] = (
        "The divergence from the teacher on the student's own continuations falls, compared with that on known texts: "
        "by 0.05 nats with forward KL, 0.3 with reverse KL (gpt_2, 3 epochs, 3 seeds). Half of the batches are then "
        "missing on known texts, where it is 0.09 bits a character worse. An epoch takes several times as long."
    )

    divergence: str = knob("reverse_kl", help="How student and teacher are compared at each place: the teacher in "
                           "front (forward), the student in front (reverse), or both with their mixture.",
                           choices=DIVERGENCES)  # fmt: skip
    student_share: float = knob(0.5, 0.0, 1.0, "The share of batches that the student writes by itself.", step=0.05)
    prompt_tokens: int = knob(32, 1, 96, "How many tokens of a training text are given before the student goes on.")
    new_tokens: int = knob(16, 2, 64, "How many tokens the student makes up; each takes one more forward.")
    temperature: float = knob(1.0, 0.5, 8.0, "How much both sides' probabilities are softened before they are "
                              "compared; the words themselves are drawn at 1.", step=0.5, log=True)  # fmt: skip
    weight: float = knob(
        0.9, 0.0, 1.0, "How much the teacher counts against the labels of known texts: 0 is labels only.", step=0.05
    )

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return OnPolicyObjective(self)
