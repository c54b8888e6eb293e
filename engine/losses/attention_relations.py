"""Attention and relations between words: what a transformer compares with what (MiniLM; TinyBERT)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import TrialFailedError
from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._features import FeatureObjective, label_weight_knob
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.registry import register
from engine.step import Step

ATTENTION, VALUES = ("query", "key"), ("value", "value")
PAIRS = {"attention": (ATTENTION,), "values": (VALUES,), "both": (ATTENTION, VALUES)}
DEPTHS = ("first", "middle", "last")
NEAR = 8  # how far a word looks in the local scope
PADDING = 0
Taps = Mapping[str, Tensor]


def relations(a: Tensor, b: Tensor, heads: int, allowed: Tensor) -> Tensor:
    """log softmax(a b^T / sqrt(d)) in ``heads`` parts of the width: [B, T, W] twice -> [B, heads, T, T].

    ``allowed`` [B, T, T]: which pairs of places exist; the others have no probability.
    """
    if a.ndim != 3:
        raise TrialFailedError(f"relations need states [B, T, W] of a transformer, this layer gives {list(a.shape)}")
    parts = [x.reshape(*x.shape[:2], heads, -1).transpose(1, 2) for x in (a, b)]
    scores = parts[0] @ parts[1].transpose(2, 3) / math.sqrt(parts[0].shape[3])
    return F.log_softmax(scores.masked_fill(~allowed[:, None], -math.inf), -1)


def relation_distance(student: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    """Mean over heads and the places ``present`` [B, T] of KL(teacher || student) of two log relations."""
    terms = teacher.exp() * (teacher - student).masked_fill(teacher == -math.inf, 0.0)
    return (terms.sum(-1) * present[:, None]).sum() / (present.sum() * teacher.shape[1]).clamp(min=1)


def pairs_allowed(ids: Tensor, causal: bool, near: int | None = None) -> Tensor:
    """[B, T, T] which places may look where: not at padding; back only where ``causal``; at most ``near`` places away.

    A place may always look at itself, so that no row is empty.
    """
    places = torch.arange(ids.shape[1], device=ids.device)
    away = places[:, None] - places[None]
    fits = (away >= 0) if causal else torch.ones_like(away, dtype=torch.bool)
    if near is not None:
        fits = fits & (away.abs() <= near)
    present = torch.ones_like(ids, dtype=torch.bool) if causal else ids != PADDING
    return (fits & present[:, None]) | torch.eye(len(places), dtype=torch.bool, device=ids.device)


class RelationObjective(FeatureObjective):
    """The KL of every chosen relation at every chosen depth, added up; labels beside it."""

    def __init__(self, settings: AttentionRelations) -> None:
        depths = DEPTHS if settings.scope == "hierarchical" else ("last",)
        self.pairs = [tuple(f"{d}_{part}" for part in pair) for d in depths for pair in PAIRS[settings.relation]]
        super().__init__(tuple(dict.fromkeys(r for pair in self.pairs for r in pair)), settings.relation_weight,
                         settings.label_weight)  # fmt: skip
        self.heads, self.near = settings.heads, NEAR if settings.scope == "local" else None

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch; a model that answers at every place looks back only."""
        ids, student = step.batch.inputs, step.student()
        causal = len(step.batch.labels) == ids.numel()
        present = torch.ones_like(ids, dtype=torch.bool) if causal else ids != PADDING
        places = pairs_allowed(ids, causal, self.near), present
        terms = [self.distance(student.taps, step.teacher(k=k).taps, *places) for k in range(len(step.teachers))]
        hard = labelled_cross_entropy(student.logits, step.batch)
        return self.label_weight * hard + self.weight * torch.stack(terms).mean()

    def distance(self, student: Taps, teacher: Taps, allowed: Tensor, present: Tensor) -> Tensor:
        """The sum over depths and relations for one teacher."""
        found = []
        for first, second in self.pairs:
            heads = math.gcd(self.heads, student[first].shape[-1], teacher[first].shape[-1])
            sides = [relations(taps[first], taps[second], heads, allowed) for taps in (student, teacher)]
            found.append(relation_distance(sides[0], sides[1], present))
        return torch.stack(found).sum()


@register
@dataclass(frozen=True)
class AttentionRelations(Loss):
    """Which words a layer compares with which."""

    name: ClassVar[str] = "attention_relations"
    modalities: ClassVar[tuple[str, ...]] = ("text", "tokens")
    title: ClassVar[str] = "Distillation (relations between words)"
    help: ClassVar[str] = (
        "In a transformer every word looks at others: its attention says at which, and the relations of its values "
        "say which words it treats alike. The student learns the teacher's tables of both, word by word. Widths and "
        "numbers of heads may differ: both sides are cut into equally many parts first."
    )
    formula: ClassVar[str] = (
        r"L = \lambda\,\mathrm{CE}(y, p_s) + \gamma \sum_{(A, B)} \frac{1}{H\,|x|}\sum_{h, i} \mathrm{KL}\left("
        r"\mathrm{softmax}\tfrac{A^t_h B_h^{t\top}}{\sqrt{d_t}} \,\Big\|\, "
        r"\mathrm{softmax}\tfrac{A^s_h B_h^{s\top}}{\sqrt{d_s}}\right), \quad (A, B) \in \{(Q, K), (V, V)\}"
    )
    source: ClassVar[str] = (
        "Wang et al. 2020, MiniLM, arXiv:2002.10957, eq. 4 to 6; equal numbers of relation heads: Wang et al. 2021, "
        "MiniLMv2, arXiv:2012.15828, section 3.1; several depths: Jiao et al. 2020, TinyBERT, arXiv:1909.10351, eq. 7"
    )
    expect: ClassVar[str] = (
        "In its sources it replaces the training on labels before fine-tuning, with millions of unlabelled texts. "
        "Here it stands beside labels and shapes the layers of students with few labels; it needs the teacher's "
        "weights, not only its answers, and asks it at every step, which takes several times as long."
    )

    scope: str = knob("global", help="All words of the last layer, words at most 8 places apart (local), or the first, "
                      "a middle and the last layer at once (hierarchical).",
                      choices=("global", "local", "hierarchical"))  # fmt: skip
    relation: str = knob("both", help="Whether the attention (queries with keys), the relations of the values, or both "
                         "tables are compared.", choices=tuple(PAIRS))  # fmt: skip
    heads: int = knob(4, 1, 16, "Into how many parts both widths are cut; lowered to a number that divides both.")
    relation_weight: float = knob(1.0, 0.01, 100.0, "How much the tables count beside the labels.", log=True)
    label_weight: float = label_weight_knob()

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return RelationObjective(self)
