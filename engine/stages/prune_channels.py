"""Structured pruning: whole channels are removed and the network is really narrower."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages import _channels
from engine.stages._base import Stage, StageContext
from engine.weights.saliency import products

ROOTS = (nn.Conv2d, nn.Linear)
SCORES = ("magnitude", "batchnorm", "taylor")
SCOPES = ("layer", "global")


@register
@dataclass(frozen=True)
class PruneChannels(Stage):
    """Removes the weakest channels, with everything that depends on them, along the dependency graph."""

    name = "prune_channels"
    title = "Remove whole channels"
    help = (
        "Removes the weakest channels of every layer together with all that reads or writes them, so the network "
        "becomes a smaller ordinary one: fewer bytes, fewer multiplications. The output layer keeps its classes and "
        "every layer keeps at least one channel. Repeating it removes the same fraction of what is left."
    )
    formula = (
        r"I_c = \frac{1}{|G|}\sum_{W \in G}\lVert W_c\rVert_2^2 \ \text{ or } \ \mathrm{mean}\,|\gamma_c| \ \text{ or }"
        r"\ \mathbb{E}\Big[\big(\textstyle\sum_{w \text{ reads } c} \frac{\partial L}{\partial w} w\big)^2\Big],\quad"
        r"\text{remove the } \mathrm{round}(s\,C) \text{ channels of smallest } I_c"
    )
    source = (
        "Li et al. 2017, arXiv:1608.08710 (filters by norm); Liu et al. 2017, arXiv:1708.06519 (BatchNorm scales); "
        "Molchanov et al. 2019, arXiv:1906.10771 (Taylor); Fang et al. 2023, DepGraph, arXiv:2301.12900 (dependency "
        "graph, by torch-pruning)"
    )
    expect = (
        "Cuts deeper than pruning single weights at the same fraction (half of the channels is about three quarters "
        "of the weights), so it needs training afterwards; in return the speed-up is real."
    )
    order = "shape"
    modalities = ("image",)

    sparsity: float = knob(0.5, 0.0, 0.95, step=0.05, help="Fraction of each layer's channels that is removed.")
    score: str = knob(
        "magnitude",
        choices=SCORES,
        help="What makes a channel weak: small weights, a small BatchNorm scale (layers without one stay whole), or "
        "little effect on the loss of 512 training images (taylor).",
        late=True,
    )
    scope: str = knob(
        "layer",
        choices=SCOPES,
        help="The same fraction of every layer, or of all channels together wherever they are (global).",
        late=True,
    )

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """``[{"input": shape, "history": [[layer, is_output, channels], ...]}]``, decided on a copy of ``model``."""
        trial = copy.deepcopy(model)
        graph = _graph(trial, context.example)
        last = _last_layer(trial, context.example)
        unmatched = [m for n, m in trial.named_modules() if not fnmatch.fnmatchcase(n, self.layers)]
        ignored = [last, *(m for m in unmatched if isinstance(m, ROOTS))]
        # widths change below, and importance is judged on the dense network: so all groups are scored first
        groups = [g for g in graph.get_all_groups(ignored, ROOTS) if _simple(g)]
        scored = [(g, s) for g, s in zip(groups, self.scores(trial, groups, context), strict=True) if s is not None]
        gone = _channels.weakest([s for _, s in scored], self.sparsity, self.scope == "global")
        for (group, _), channels in zip(scored, gone, strict=True):
            if channels:
                dep = group[0].dep
                graph.get_pruning_group(dep.target.module, dep.handler, channels).prune()
        history = [[name, bool(out), [int(i) for i in channels]] for name, out, channels in graph.pruning_history()]
        return [{"input": list(context.example.shape), "history": history}] if history else []

    def scores(self, model: nn.Module, groups: Sequence[Any], context: StageContext) -> list[Tensor | None]:
        """What each channel of each group is worth; None for a group that this score cannot judge."""
        if self.score == "batchnorm":
            return [_channels.batchnorm(g) for g in groups]
        if self.score == "taylor":
            names = {m: n for n, m in model.named_modules()}
            layers = {names[m]: m for g in groups for m, *_ in _channels.readers(g)}
            sums = _channels.by_input(products(model, layers, context.calibration, context.loss)) if layers else {}
            effects = {layer: sums[name] for name, layer in layers.items()}
            return [_channels.taylor(g, effects) for g in groups]
        return [_channels.magnitude(g) for g in groups]

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """Remove the channels that ``plan`` names, on any copy of the model that it was made for."""
        for entry in plan:
            device = next(model.parameters()).device
            _graph(model, torch.zeros(entry["input"], device=device)).load_pruning_history(entry["history"])
        if plan:
            # narrowing makes tensors contiguous; training uses this format, and a resumed model must compute alike
            model.to(memory_format=torch.channels_last)


def _graph(model: nn.Module, example: Tensor) -> Any:
    """The dependency graph; tracing runs the model, so BatchNorm must not see it."""
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    graph = tp.DependencyGraph().build_dependency(model, example_inputs=example)
    for module, mode in modes:
        module.training = mode
    return graph


def _last_layer(model: nn.Module, example: Tensor) -> nn.Module:
    """The layer that gives the logits: the last one that runs."""
    called: list[nn.Module] = []
    hooks = [m.register_forward_hook(lambda m, *_: called.append(m)) for m in model.modules() if isinstance(m, ROOTS)]
    model.eval()(example)
    for hook in hooks:
        hook.remove()
    return called[-1]


def _simple(group: Any) -> bool:
    """Whether every convolution of the group is an ordinary or a depthwise one."""
    convolutions = [dep.target.module for dep, _ in group if isinstance(dep.target.module, nn.Conv2d)]
    return all(c.groups == 1 or c.groups == c.in_channels == c.out_channels for c in convolutions)
