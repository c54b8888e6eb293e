"""Weight sharing: all weights of a layer take their values from a short table."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._rounding import Rounding
from engine.weights.codebook import Codebook
from engine.weights.constraint import incoming

CENTROIDS = ("fixed", "trained")


@register
@dataclass(frozen=True)
class ShareCodebook(Rounding[Codebook]):
    """A table behind the mask (if any) of every convolution and linear layer."""

    name = "share_codebook"
    title = "Share weights in a codebook"
    help = (
        "Sorts the weights of each layer into a few groups of similar ones (k-means); a group shares one value, and "
        "the file holds a short table and a number for each weight. Unlike rounding, the values need not be evenly "
        "spaced. Trained goes on learning the table's values. Zeros of a pruned weight stay zero, beside the table."
    )
    formula = (
        r"\min_{c} \sum_{k=1}^{2^b} \sum_{w \in C_k} |w - c_k|^2,\quad \hat w_i = c_{k(i)};\qquad "
        r"\frac{\partial L}{\partial c_k} = \sum_{i:\, k(i) = k} \frac{\partial L}{\partial \hat w_i}"
    )
    source = "Han et al. 2016, Deep Compression, arXiv:1510.00149, sections 3.1 to 3.3 (linear initialisation)"
    expect = (
        "Like rounding a whole layer with levels that fit it better. With recalibration the usual student (89.6 % in "
        "float) has 89.2 % at 4 bits, 88.3 at 3 and 84.1 at 2, a little less than rounding with a scale for each "
        "channel (89.5, 88.7, 84.1). One epoch of trained values brings 2 bits to 88.8 % (one seed). It computes in "
        "floats, so its latency is simulated."
    )
    needs_epochs = {"centroids": ("trained",)}

    bits: int = knob(4, 1, 7, help="Bits of a weight's number in the table: 2^bits values for each layer.")
    centroids: str = knob(
        "fixed",
        choices=CENTROIDS,
        help="Make the tables after the phase (fixed), or before it, and train their values (trained, needs epochs).",
    )

    def lattice(self, weight: Tensor) -> Codebook:
        """As the knobs say."""
        return Codebook(weight, self.bits)

    def again(self, lattice: Codebook, weight: Tensor) -> None:
        """Fewer bits make a new table; otherwise the values stay."""
        if self.bits < lattice.bits:
            lattice.configure(weight, self.bits)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Trained: share from the first step on."""
        if self.centroids == "trained":
            self._fit(model)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Fixed: share the weights as they are now."""
        self._fit(model)

    def _fit(self, model: nn.Module) -> None:
        for lattice, layer in self.lattices(model):
            if not lattice.active:
                lattice.fit(incoming(layer, lattice))
