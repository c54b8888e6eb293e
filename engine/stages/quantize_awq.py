"""Weights scaled up where the activations are large, before they are rounded (AWQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._calibrated import Calibrated
from engine.weights import inputs
from engine.weights.compensated import Lattice, error
from engine.weights.constraint import incoming
from engine.weights.layer_inputs import mean_magnitudes, second_moments
from engine.weights.rescaling import Fold, by_channel, folds

STEPS = 20  # of alpha between 0 and 1


@register
@dataclass(frozen=True)
class QuantizeAWQ(Calibrated):
    """The quantizer of ``quantize_linear`` behind scales that are taken out again by the norm or layer before."""

    name = "quantize_awq"
    title = "Protect what large activations meet (AWQ)"
    help = (
        "A weight that meets large activations does more harm when it is rounded. So its column is scaled up before "
        "the rounding, which makes its error smaller, and the norm or layer before is scaled down: the same function. "
        "How far is searched for on calibration examples. No labels, no epochs, and the file is no larger."
    )
    formula = (
        r"s = s_X^{\alpha},\; s_X = \overline{|X|},\qquad \alpha^* = \arg\min_\alpha "
        r"\lVert Q(W\,\mathrm{diag}(s))\,\mathrm{diag}(s)^{-1} X - W X \rVert^2"
    )
    source = "Lin et al. 2023, arXiv:2306.00978, eq. 4 and 5 (scales are folded; no clipping search of its own)"
    expect = (
        "Little in a model this small, whose activations have no outliers: in gpt_2 at most 0.002 bits a character at "
        "3 and 2 bits (three seeds). Layers that no norm or layer before can make up for (behind a GELU, or where a "
        "sum reads the same) are just rounded."
    )

    @torch.no_grad()
    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Scales for every group of layers that read one tensor, then the rounding."""
        held = self.held(model)
        with inputs.paused(model):
            found = folds(model, list(held), context.calibration[0][0])
            first = [fold.layers[0] for fold in found]
            sizes = mean_magnitudes(model, first, context.calibration)
            moments = second_moments(model, first, context.calibration)
        for fold, size, moment in zip(found, sizes, moments, strict=True):
            weights = [incoming(layer, held[layer]) for layer in fold.layers]
            fold.apply(self.search(fold, by_channel(size, fold.layers[0]).mean(1), moment, weights))
        self.complete(held, model, context)

    def search(self, fold: Fold, size: Tensor, moments: Tensor, weights: list[Tensor]) -> Tensor:
        """The scales [C] with the least error of all layers together; ``size`` [C]: mean magnitudes."""
        lattice = Lattice(self.bits, self.granularity, self.scale, self.scheme, self.group)
        best, least = torch.ones_like(size), torch.inf
        for step in range(STEPS + 1):
            factor = scales(size, step / STEPS)
            lost = sum(float(scaled_error(weight, moments, lattice, factor)) for weight in weights)
            if lost < least:
                best, least = factor, lost
        return best


def scales(size: Tensor, alpha: float) -> Tensor:
    """``size^alpha`` [C], its extremes on either side of one; channels without any input keep the least."""
    powered = size.clamp(min=float(size.max()) * 1e-4 + 1e-12).pow(alpha)
    return powered / (powered.max() * powered.min()).sqrt()


def scaled_error(weight: Tensor, moments: Tensor, lattice: Lattice, factor: Tensor) -> Tensor:
    """The squared error of a layer whose weight is scaled, rounded and scaled back, ()."""
    column = factor.view(1, -1, *[1] * (weight.ndim - 2))
    scaled = weight * column
    back = lattice.rounded(scaled, *lattice.fit(scaled)) / column
    return error(weight.flatten(1), moments, back.flatten(1)).sum()
