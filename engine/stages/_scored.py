"""Pruning by a score for each weight: what magnitude, chance, Taylor, SNIP and movement have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from engine.knobs import knob
from engine.stages._masking import FIRST_HELP, SCHEDULE_HELP, SCHEDULES, Masking
from engine.weights.sparsity import SCOPES, score_mask


@dataclass(frozen=True)
class ScoredPruning(Masking):
    """The weights of lowest score go, ``sparsity`` of them exactly."""

    sparsity: float = knob(0.5, 0.0, 0.99, step=0.05, help="Fraction of the weights that become zero.")
    scope: str = knob(
        "global",
        choices=SCOPES,
        help="Rank all layers together (global), or take the same fraction of every layer (layer).",
    )
    schedule: str = knob("one_shot", choices=SCHEDULES, help=SCHEDULE_HELP)
    keep_first: bool = knob(True, help=FIRST_HELP)

    @property
    def share(self) -> float:
        """As declared."""
        return self.sparsity

    @property
    def gradual(self) -> bool:
        """As declared."""
        return self.schedule == "gradual"

    @property
    def dense_first(self) -> bool:
        """As declared."""
        return self.keep_first

    def keeps(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """All but the ``round(share * n)`` weights of lowest score, of all layers together or of each."""
        return score_mask(scores, share, self.scope)
