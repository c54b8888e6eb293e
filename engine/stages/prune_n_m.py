"""Semi-structured pruning: N of every M neighbouring weights stay (2:4 and its relatives)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._masking import FIRST_HELP, SCHEDULE_HELP, SCHEDULES, Masking
from engine.weights.constraint import Mask, incoming
from engine.weights.sparsity import n_m_mask

PATTERNS = ("2:4", "1:2", "4:8", "1:4", "2:8", "1:8")


@register
@dataclass(frozen=True)
class PruneNM(Masking):
    """Masks with at most N kept weights in every M along the rows of the matrix that a layer multiplies by."""

    name = "prune_n_m"
    title = "Prune N of every M"
    help = (
        "Keeps the N largest of every M neighbouring weights (2:4: two of four) and sets the others to zero. Zeros "
        "in so regular a place are what some graphics processors can skip; the kernels here cannot, so they only "
        "make the file smaller. Neighbours are neighbouring input channels; a rest of fewer than M stays dense."
    )
    formula = r"m_i = [\,|w_i| \text{ is among the } N \text{ largest of its } M\,],\qquad s = 1 - N/M"
    source = (
        "Mishra et al. 2021, arXiv:2104.08378 (2:4 by magnitude); Zhou et al. 2021, arXiv:2102.04010 (N:M); gradual: "
        "Zhu & Gupta 2017, arXiv:1710.01878, eq. 1"
    )
    expect = (
        "2:4 costs a little more than the same half of the zeros chosen freely, because every four must give two; "
        "larger groups (4:8) come nearer. Train afterwards, or recalibrate BatchNorm at least."
    )

    pattern: str = knob("2:4", choices=PATTERNS, help="How many weights stay in every group of how many.")
    schedule: str = knob("one_shot", choices=SCHEDULES, help=SCHEDULE_HELP)
    keep_first: bool = knob(True, help=FIRST_HELP)

    @property
    def share(self) -> float:
        """``1 - N / M``."""
        return 1 - self._kept / self._group

    @property
    def gradual(self) -> bool:
        """As declared."""
        return self.schedule == "gradual"

    @property
    def dense_first(self) -> bool:
        """As declared."""
        return self.keep_first

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """The weight's magnitude."""
        return incoming(layer, mask).abs()

    def keeps(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """While the share rises, every group loses one weight after another."""
        zeros = min(round(share * self._group), self._group - self._kept)
        return {name: n_m_mask(score, zeros, self._group) for name, score in scores.items()}

    @property
    def _kept(self) -> int:
        return int(self.pattern.split(":")[0])

    @property
    def _group(self) -> int:
        return int(self.pattern.split(":")[1])
