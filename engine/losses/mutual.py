"""Mutual learning: untrained students that teach each other, without a teacher (Zhang et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.losses.kd import softened_kl
from engine.registry import register
from engine.step import Batch, Step


class MutualObjective(Objective):
    """Each of the student and its peers: CE over labelled rows + weight times its mean KL from the others, all rows.

    The others' probabilities carry no gradient: each network learns from its own loss only, all at once in each step.
    The value is the student's own loss; the peers' add gradients and nothing to it, so that curves can be compared.
    """

    teacher_mode = "none"

    def __init__(self, peers: Sequence[nn.Module], weight: float, temperature: float) -> None:
        super().__init__()
        self.peers = nn.ModuleList(peers)
        self.weight, self.temperature = weight, temperature
        self.uses_unlabelled = weight > 0  # an image without a label can still be agreed upon

    def loss(self, step: Step) -> Tensor:
        """The student's loss of one batch, with the gradients of the peers' losses."""
        logits = [step.student().logits, *(peer(step.batch.inputs) for peer in self.peers)]
        own, *others = (self.of_one(logits, i, step.batch) for i in range(len(logits)))
        beside = torch.stack(others).sum()
        return own + (beside - beside.detach())

    def of_one(self, logits: Sequence[Tensor], i: int, batch: Batch) -> Tensor:
        """The loss of network ``i`` for everybody's logits [B, C]."""
        others = [z.detach() for j, z in enumerate(logits) if j != i]
        mimicry = torch.stack([softened_kl(logits[i], z, self.temperature) for z in others]).mean()
        return labelled_cross_entropy(logits[i], batch) + self.weight * mimicry


@register
@dataclass(frozen=True)
class Mutual(Loss):
    """A cohort of equals."""

    name: ClassVar[str] = "mutual"
    title: ClassVar[str] = "Mutual learning (no teacher)"
    help: ClassVar[str] = (
        "Nobody knows more than the others here: the student and one or more peers of the same kind, each starting "
        "from other random weights, learn from the labels and from each other's probabilities at the same time. At "
        "the end the peers are thrown away."
    )
    formula: ClassVar[str] = (
        r"L_i = \mathrm{CE}(y, p_i) + \frac{\gamma\,T^2}{K-1} \sum_{j \neq i} \mathrm{KL}\left(p_j^{T} \,\|\, "
        r"p_i^{T}\right), \quad i = 1 \ldots K"
    )
    source: ClassVar[str] = "Zhang, Xiang, Hospedales, Lu 2018, Deep Mutual Learning, arXiv:1706.00384, section 2"
    expect: ClassVar[str] = (
        "Its source gains 1 to 2 points over labels alone on CIFAR-100 in 200 epochs. In two epochs here it gains "
        "nothing: beginners have little to tell each other. It takes twice as long; a trained teacher tells more."
    )
    needs_teacher: ClassVar[bool] = False

    peers: int = knob(1, 1, 4, "How many other students learn along. Each makes training longer by its own time.")
    weight: float = knob(
        1.0, 0.0, 10.0, "How much agreeing with the peers counts beside the labels: 0 is labels only.", step=0.1
    )
    temperature: float = knob(
        1.0, 0.5, 20.0, "How much everybody's probabilities are softened before they are compared.", step=0.5, log=True
    )

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase, with fresh peers."""
        peers = [context.another_student(i) for i in range(self.peers)]
        return MutualObjective(peers, self.weight, self.temperature)
