"""A tiny network for images and one for texts, tiny data and a short way through a phase, for tests of stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from text_tools import texts
from torch import Tensor, nn

from engine import registry
from engine.losses._base import LossContext
from engine.losses.cross_entropy import CrossEntropy
from engine.stages._base import Stage, StageContext
from engine.tasks._base import Split
from engine.training import FitPlan, fit
from engine.weights import code
from sample_models import bert
from sample_models._blocks import ConvBlock, DepthwiseBlock, Residual

CLASSES, WORDS = 4, 40


class TinyNet(nn.Module):
    """Convolution, pool, norm, depthwise-separable block, linear head: [B, 1, 8, 8] -> logits [B, 4].

    With ``repeats`` so many residual blocks of one shape before the head.
    """

    def __init__(self, repeats: int = 0) -> None:
        super().__init__()
        same = [Residual(ConvBlock(8, 8, pool=False)) for _ in range(repeats)]
        self.blocks = nn.Sequential(ConvBlock(1, 6, pool=True), DepthwiseBlock(6, 8, pool=True), *same)
        self.head = nn.Linear(8 * 4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.head(self.blocks(x).flatten(1))
        return logits


def fresh(seed: int = 0, repeats: int = 0, text: bool = False, classes: int = CLASSES) -> nn.Module:
    """The network with initial weights that depend on ``seed`` alone, in the training loop's memory format.

    ``text``: a transformer of one layer, or of ``repeats``, instead: ids of tokens [B, 16] -> logits [B, classes].
    """
    torch.manual_seed(seed)
    if text:
        return bert.make(WORDS, classes, max(repeats, 1), 16)
    return TinyNet(repeats).to(memory_format=torch.channels_last)


def data(count: int = 96, text: bool = False) -> Split:
    """Images whose brightest quadrant is their class, or texts that hold their class's words more often."""
    if text:
        return texts(count, WORDS, classes=CLASSES)
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(count) % CLASSES
    images = torch.randn(count, 1, 8, 8, generator=generator)
    for i, label in enumerate(labels.tolist()):
        images[i, :, 4 * (label // 2) :, 4 * (label % 2) :][:, :4, :4] += 1.5
    return Split(images, labels)


def reads(model: nn.Module) -> bool:
    """Whether a network is the one for texts."""
    return isinstance(model, bert.BertClassifier)


def context(steps: int = 0, text: bool = False) -> StageContext:
    """Two calibration batches."""
    split = data(text=text)
    batches = [(split.inputs[i::2], split.labels[i::2]) for i in range(2)]
    return StageContext(batches, split.inputs[:1], _loss, torch.Generator().manual_seed(1), steps)


def stage(name: str, **values: Any) -> Stage:
    """A registered stage with some of its knobs set."""
    made: Stage = registry.get("stages", name)(**values)
    return made


def phase(model: nn.Module, stages: Sequence[Stage], epochs: int = 0, number: int = 0) -> list[list[Any]]:
    """One phase as the pipeline runs it; returns the stages' plans."""
    split, plans = data(text=reads(model)), []
    found = context(steps=epochs * 12, text=reads(model))
    found.initial = lambda: shaped_like(model)
    for one in stages:
        plans.append(one.plan(model, found))
        one.attach(model, plans[-1])
        one.prepare(model, found)
    if epochs:
        objective = CrossEntropy().build(LossContext({}))
        rows = torch.arange(len(split))
        settings = FitPlan(epochs, 8, 1e-2, 0.0, seed=0, phase=number)
        fit(model, objective, split, rows, [], stages, settings, found, lambda _: None, lambda _: 0.0)
    for one in stages:
        one.finish(model, found)
    return plans


def shaped_like(model: nn.Module) -> nn.Module:
    """The untrained network, narrowed to the leading channels of ``model`` where that has lost some."""
    if reads(model):
        return fresh(text=True)
    first = fresh(repeats=len(model.get_submodule("blocks")) - 2)  # type: ignore[arg-type]
    made = code.bake(model)
    for name, parameter in first.state_dict().items():
        wanted = made.state_dict()[name].shape
        made.state_dict()[name].copy_(parameter[tuple(slice(0, n) for n in wanted)])
    return made


def outputs(model: nn.Module) -> Tensor:
    """Logits of the tiny data in evaluation mode."""
    with torch.no_grad():
        logits: Tensor = model.eval()(data(text=reads(model)).inputs)
    return logits


def _loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(inputs), labels)
