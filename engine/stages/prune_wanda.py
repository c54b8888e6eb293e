"""Unstructured pruning by weights and activations (Wanda): magnitude times the norm of the input, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._masking import FIRST_HELP, Held, Masking
from engine.weights.constraint import Mask, incoming
from engine.weights.layer_inputs import squared_norms
from engine.weights.sparsity import n_m_mask, score_mask

ROW, LAYER = "row", "layer"
PATTERNS = (ROW, LAYER, "2:4", "4:8")


@register
@dataclass(frozen=True)
class PruneWanda(Masking):
    """Masks by ``|w_ij| ||x_j||``, compared within each output's weights."""

    name = "prune_wanda"
    title = "Prune by weights and activations (Wanda)"
    help = (
        "A small weight may carry a large input, and a large one an input that is nearly always zero. So each weight "
        "is multiplied by how large its input is on calibration examples, and of the weights of every output the same "
        "fraction goes, those of least product. One pass, no gradients, no training; made for large language models."
    )
    formula = r"S_{ij} = |W_{ij}| \cdot \lVert X_j \rVert_2, \qquad \text{compared within each row } i"
    source = (
        "Sun et al. 2023, arXiv:2306.11695, eq. 1 (compared within rows; also N:M, and whole layers as its control)"
    )
    expect = (
        "Its score is the better one within a layer: gpt_2 with half of its weights has 2.729 bits a character, by "
        "magnitude 2.744 (three seeds). Compared by row, as in the source, half of that gain is lost, and magnitude "
        "over all layers beats both (2.705): layers, and words in the table of answers, can spare different shares."
    )
    needs_epochs = {}

    sparsity: float = knob(0.5, 0.0, 0.99, step=0.05, help="Fraction of the weights that becomes zero.")
    pattern: str = knob(
        ROW,
        choices=PATTERNS,
        help="Compared within a row or a layer, or so many kept of every few neighbours (half, whatever the fraction).",
    )
    keep_first: bool = knob(True, help=FIRST_HELP)

    @property
    def share(self) -> float:
        """As declared, one half for a pattern."""
        return 0.5 if ":" in self.pattern else self.sparsity

    @property
    def gradual(self) -> bool:
        """Never: the inputs are measured once."""
        return False

    @property
    def dense_first(self) -> bool:
        """As declared."""
        return self.keep_first

    def watch(self, held: Held, model: nn.Module, context: StageContext) -> None:
        """The norm of each input of each layer, [groups, K]."""
        norms = squared_norms(model, [layer for _, layer in held.values()], context.calibration)
        self.memory.update(zip(held, (norm.sqrt() for norm in norms), strict=True))

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """Magnitude times the norm of the input."""
        weight, norm = incoming(layer, mask).abs(), self.memory[name]
        rows = weight.reshape(len(norm), -1, norm.shape[1])
        return (rows * norm[:, None]).reshape(weight.shape)

    def keeps(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """The same number of zeros in every row, layer, or group of neighbours."""
        if self.pattern == LAYER:
            return score_mask(scores, share, LAYER)
        if self.pattern != ROW:
            group = int(self.pattern.split(":")[1])
            return {name: n_m_mask(score, group // 2, group) for name, score in scores.items()}
        sizes = {name: score[0].numel() for name, score in scores.items()}
        return {name: n_m_mask(score, round(share * sizes[name]), sizes[name]) for name, score in scores.items()}
