"""How a language model does on its own words, beside texts that are given: exposure bias, and how decided it writes.

A student learns on given texts and is used on what it has written itself. The gap between both losses is what on-policy
distillation is to lower (Agarwal et al. 2023, arXiv:2306.13649, section 3; the measure: Arora et al. 2022,
arXiv:2204.01171, eq. 6, with the teacher in the place of the data). Natural logarithms, nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.losses.on_policy import continued


@dataclass(frozen=True)
class FreeRunning:
    """[N] one number a text, means over the places after its prompt.

    ``own`` and ``given``: KL(teacher || student) where the text goes on in the student's words, and as it really does.
    ``entropy``: of the student's next token while it writes; ``teacher_loss``: -log p of its words for the teacher.
    """

    own: Tensor
    given: Tensor
    entropy: Tensor
    teacher_loss: Tensor

    @property
    def gap(self) -> Tensor:
        """[N] own minus given: what writing by itself costs."""
        return self.own - self.given


@torch.no_grad()
def free_running(student: nn.Module, teacher: nn.Module, ids: Tensor, prompt: int, seed: int = 0) -> FreeRunning:
    """Let ``student`` continue the first ``prompt`` tokens of each text [N, T] to its length, and compare."""
    student, teacher = student.eval(), teacher.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        written = continued(student, ids[:, :prompt], ids.shape[1] - prompt)
    own, given = (_answers(student, teacher, text, prompt) for text in (written, ids))
    words = own[1].gather(2, written[:, prompt:, None]).squeeze(2)
    return FreeRunning(_divergence(*own), _divergence(*given), -(own[0].exp() * own[0]).sum(2).mean(1), -words.mean(1))


def _answers(student: nn.Module, teacher: nn.Module, ids: Tensor, prompt: int) -> tuple[Tensor, Tensor]:
    """Log probabilities [N, T - prompt, V] of both, of the tokens from ``prompt`` on."""
    sides = [F.log_softmax(model(ids[:, :-1]).float(), 2)[:, prompt - 1 :] for model in (student, teacher)]
    return sides[0], sides[1]


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return (teacher.exp() * (teacher - student)).sum(2).mean(1)
