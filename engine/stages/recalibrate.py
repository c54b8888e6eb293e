"""BatchNorm recalibration: the statistics of the compressed network instead of the dense one's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.weights import batchnorm, inputs


@register
@dataclass(frozen=True)
class Recalibrate(Stage):
    """Runs 512 training images through the network and averages what BatchNorm sees."""

    name = "recalibrate"
    title = "Recalibrate BatchNorm"
    help = (
        "Pruned or rounded weights give other activations than those that BatchNorm has counted on. This measures "
        "their mean and variance again on 512 training images; no weight changes, no label is used, and it takes a "
        "fraction of a second. Networks without BatchNorm stay as they are."
    )
    formula = r"\mu \leftarrow \frac{1}{K}\sum_k \mu_k,\qquad \sigma^2 \leftarrow \frac{1}{K}\sum_k \sigma_k^2"
    source = (
        "Ioffe & Szegedy 2015, arXiv:1502.03167, alg. 2; for compressed networks: Li et al. 2020, EagleEye, "
        "arXiv:2007.02491"
    )
    expect = "Decides what pruning and few bits score without training: at 70 % zeros and 4 bits it is worth 30 points."
    order = "recalibration"

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """New statistics; then the ranges of quantized activations, which have moved with them."""
        norms = [m for _, m in self.selected(model, (_BatchNorm,)) if isinstance(m, _BatchNorm)]
        if norms:
            with inputs.paused(model):
                batchnorm.restimate(model, norms, context.calibration)
            inputs.calibrate(model, context.calibration)
