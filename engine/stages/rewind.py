"""The lottery ticket: what pruning has left starts again from the weights that it began with."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext

STARTS = ("initial", "shuffled")


@register
@dataclass(frozen=True)
class Rewind(Stage):
    """Puts the untrained weights under the masks that are there."""

    name = "rewind"
    title = "Rewind to the start (lottery ticket)"
    help = (
        "Sets every weight that is left back to its value from before training and keeps the zeros; the phase then "
        "trains this sparse network from the start. Train, prune, rewind, and do it again for fewer weights. "
        "Shuffled is the control: the same starting values, dealt out anew."
    )
    formula = (
        r"w \leftarrow m \odot w_0\qquad(\text{control: } w \leftarrow m \odot \pi(w_0),\ \pi \text{ a permutation})"
    )
    source = (
        "Frankle & Carbin 2019, arXiv:1803.03635, section 1 (tickets); Zhou et al. 2019, arXiv:1905.01067 (reshuffled "
        "starts as control)"
    )
    expect = (
        "At about a fifth of the weights its source finds the rewound network as good as the whole one, and the "
        "shuffled one behind (here by 2.2 points, 5,000 weights). Put it after the pruning, in a phase of as many "
        "epochs as the first."
    )
    order = "mask"
    needs_epochs = {"start": STARTS}  # without training afterwards the network would know nothing

    start: str = knob(
        "initial", choices=STARTS, help="The weights from before training, or the same values in another order."
    )

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Weights, biases and BatchNorm as they were; masks stay."""
        if context.initial is None:
            raise ValueError("rewinding needs the untrained student; the context has none")
        first = plain_state(context.initial())
        for name, value in plain_state(model).items():  # state dicts are detached: copying into them is no step
            if fnmatch.fnmatchcase(name.rpartition(".")[0], self.layers):
                value.copy_(self._dealt(first[name], context.generator))

    def _dealt(self, value: Tensor, generator: torch.Generator) -> Tensor:
        if self.start == "initial":
            return value
        order = torch.randperm(value.numel(), generator=generator).to(value.device)
        return value.flatten()[order].view(value.shape)


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Trained tensors and BatchNorm's statistics under the names that they have in a model without constraints."""
    found = {}
    for name, value in model.state_dict().items():
        owner, inside, rest = name.partition(".parametrizations.")
        if not inside:
            found[name] = value
        elif rest.endswith(".original"):
            found[f"{owner}.{rest.removesuffix('.original')}"] = value
    return found
