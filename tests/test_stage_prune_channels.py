"""Removing channels: what each score says, and that nothing but the removed channels is gone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import small_nets
import torch
import torch_pruning as tp
from small_nets import context, fresh, phase, stage
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine import registry
from engine.recipe import Recipe
from engine.stages import _channels
from engine.stages.prune_channels import SCORES

MODELS = ("plain_5k", "depthwise_5k", "resnet18", "mobilenet_v3_small")
CLASSES = 10


class Branches(nn.Module):
    """Two ways into one sum, two readers of it, a gate, a flattened head: [B, 1, 8, 8] -> logits [B, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.left_norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.right = nn.Conv2d(1, 6, 1)
        self.squeeze = nn.Conv2d(6, 6, 1)
        self.mix, self.mix_norm = nn.Conv2d(6, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5)
        self.head = nn.Linear(5 * 16, small_nets.CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        total = torch.relu(self.left_norm(self.left(x)) + self.right(x))
        gated = total * torch.sigmoid(self.squeeze(total.mean((2, 3), keepdim=True)))
        logits: Tensor = self.head(torch.relu(self.mix_norm(self.mix(gated))).flatten(1))
        return logits


def branches() -> nn.Module:
    torch.manual_seed(0)
    return Branches()


def score_of(model: nn.Module, score: str, layer: str) -> Tensor | None:
    """What the channels that ``layer`` writes are worth."""
    graph = tp.DependencyGraph().build_dependency(model.eval(), example_inputs=torch.zeros(1, 1, 8, 8))
    writer = model.get_submodule(layer)
    groups = list(graph.get_all_groups([model.head], (nn.Conv2d, nn.Linear)))
    one: Any = stage("prune_channels", score=score)
    found = zip(groups, one.scores(model, groups, context()), strict=True)
    writes = graph.get_pruner_of_module(writer).prune_out_channels
    return next(s for g, s in found if any(d.target.module is writer and d.handler == writes for d, _ in g))


# Taylor


def gate_effects(model: nn.Module, channels: int, readers: list[str]) -> Tensor:
    """Mean over parts of (dL/dz)^2 for a gate z = 1 on each channel where ``readers`` take it in: by autograd."""
    found = []
    for x, y in ((a, b) for pair in context().calibration for a, b in zip(*(t.split(32) for t in pair), strict=True)):
        twin = copy.deepcopy(model).train()
        gate = torch.ones(channels, requires_grad=True)

        def gated(module: nn.Module, args: tuple[Tensor, ...], gate: Tensor = gate) -> tuple[Tensor]:
            (inputs,) = args
            if inputs.ndim == 2:  # flattened: the channel is the slow index
                return (inputs * gate.repeat_interleave(inputs.shape[1] // len(gate)),)
            return (inputs * gate[:, None, None],)

        for name in readers:
            twin.get_submodule(name).register_forward_pre_hook(gated)
        loss = nn.functional.cross_entropy(twin(x), y)
        found.append(torch.autograd.grad(loss, gate)[0])
    return torch.stack(found).square().mean(0)


@pytest.mark.parametrize(
    ("model", "group", "channels", "readers"),
    [
        (fresh(), "blocks.0.conv", 6, ["blocks.1.pointwise"]),
        (fresh(), "blocks.1.pointwise", 8, ["head"]),
        (branches(), "left", 6, ["squeeze", "mix"]),
        (branches(), "mix", 5, ["head"]),
    ],
    ids=["depthwise", "flattened", "sum-and-gate", "head"],
)
def test_taylor_is_the_squared_gradient_of_a_gate(
    model: nn.Module, group: str, channels: int, readers: list[str]
) -> None:
    expected = gate_effects(model, channels, readers)
    torch.testing.assert_close(score_of(model, "taylor", group), expected, rtol=1e-4, atol=1e-9)
    assert len(set(expected.tolist())) == channels


def test_taylor_removes_what_the_loss_does_not_feel_however_large_it_is() -> None:
    model = fresh()
    with torch.no_grad():
        model.blocks[0].conv.weight[2] *= 50  # the norm takes the factor out again
        model.blocks[1].pointwise.weight[:, 2] = 0
    for score, gone in (("taylor", True), ("magnitude", False)):
        pruned = copy.deepcopy(model)
        phase(pruned, [stage("prune_channels", sparsity=1 / 6, score=score, layers="blocks.*")])
        assert pruned.blocks[0].conv.out_channels == 5
        assert (float(pruned.blocks[0].conv.weight.detach().abs().max()) < 10) == gone


def test_scoring_leaves_the_model_as_it_was() -> None:
    model, before = fresh(), fresh().state_dict()
    stage("prune_channels", score="taylor").plan(model, context())
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


# BatchNorm


def test_batchnorm_takes_the_mean_scale_of_a_channels_norms() -> None:
    model = fresh()
    with torch.no_grad():
        model.blocks[0].norm.weight.copy_(torch.tensor([0.5, 0.1, 0.9, 0.2, 0.8, 0.4]))
        model.blocks[1].depthwise_norm.weight.copy_(torch.tensor([0.5, 0.3, 0.1, 0.8, 0.2, 0.4]))
    found = score_of(model, "batchnorm", "blocks.0.conv")
    torch.testing.assert_close(found, torch.tensor([0.5, 0.2, 0.5, 0.5, 0.5, 0.4]))
    assert score_of(branches(), "batchnorm", "left").tolist() == [1.0] * 6  # the other way in has no norm


def test_layers_without_a_norm_stay_whole_under_batchnorm() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4))
    given = context()
    assert stage("prune_channels", score="batchnorm").plan(model, given) == []
    assert stage("prune_channels", score="taylor").plan(model, given) != []


def test_over_all_layers_it_is_network_slimmings_threshold() -> None:
    """Liu 2017, section 3: all scales of the network under one percentile go."""
    torch.manual_seed(1)
    model = registry.get("models", "plain_10k").make()
    with torch.no_grad():
        for norm in norms(model):
            norm.weight.copy_(torch.rand(norm.weight.shape))
    scales = torch.cat([n.weight.detach() for n in norms(model)])
    threshold = scales.sort().values[round(0.4 * len(scales)) - 1]
    kept = [n.weight[n.weight > threshold].detach() for n in norms(model)]
    assert len({round(len(k) / n.num_features, 2) for k, n in zip(kept, norms(model), strict=True)}) > 1
    one = stage("prune_channels", score="batchnorm", scope="global", sparsity=0.4)
    one.attach(model, one.plan(model, large_context()))
    for norm, wanted in zip(norms(model), kept, strict=True):
        assert torch.equal(norm.weight, wanted)


def test_over_all_layers_each_keeps_its_best_channel() -> None:
    scores = [torch.tensor([3.0, 1.0, 2.0]), torch.tensor([9.0, 8.0])]
    assert _channels.weakest(scores, 0.4, True) == [[1, 2], []]
    assert _channels.weakest(scores, 0.95, True) == [[1, 2], [1]]
    assert _channels.weakest(scores, 0.4, False) == [[1], [1]]
    assert _channels.weakest(scores, 0.95, False) == [[1, 2], [1]]
    assert _channels.weakest([], 0.5, True) == []


# what stays


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def large_context() -> Any:
    given = context()
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(8, 1, 28, 28, generator=generator)
    given.example, given.calibration = images[:1], [(images, torch.arange(8))]
    return given


def scrambled(name: str) -> nn.Module:
    """A model whose norms and biases hold values that all differ, so that a channel is known by them."""
    torch.manual_seed(0)
    model: nn.Module = registry.get("models", name).make()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.weight.copy_(torch.rand_like(module.weight) + 0.5)
                module.running_mean.copy_(0.1 * torch.randn_like(module.running_mean))
                module.running_var.copy_(torch.rand_like(module.running_var) + 0.5)
            elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.copy_(0.1 * torch.randn_like(module.bias))
    return model.eval()


def lost(dense: nn.Module, narrow: nn.Module) -> Iterator[tuple[nn.Module, Tensor]]:
    """Norms and biased layers of ``dense``, each with the channels that ``narrow`` lacks, found by their values."""
    others = dict(narrow.named_modules())
    for name, module in dense.named_modules():
        own = module.weight if isinstance(module, _BatchNorm) else getattr(module, "bias", None)
        if isinstance(own, Tensor):
            left = others[name].weight if isinstance(module, _BatchNorm) else others[name].bias
            places = (own[:, None] == left[None]).any(1)
            assert int(places.sum()) == len(left), name  # what stays is what was there, in its order
            assert torch.equal(own[places], left), name
            yield module, ~places


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", MODELS)
def test_the_narrow_network_is_the_dense_one_with_those_channels_switched_off(name: str, score: str) -> None:
    dense = scrambled(name)
    narrow = copy.deepcopy(dense)
    one = stage("prune_channels", sparsity=0.3, score=score)
    one.attach(narrow, one.plan(narrow, large_context()))
    check_fit(dense, copy.deepcopy(narrow).eval())
    with torch.no_grad():
        for module, gone in lost(dense, narrow):
            module.weight[gone], module.bias[gone] = 0, 0
    images = torch.randn(3, 1, 28, 28)
    expected = dense(images)
    assert narrow.eval()(images).shape == (3, CLASSES)
    torch.testing.assert_close(narrow(images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def check_fit(dense: nn.Module, narrow: nn.Module) -> None:
    """Every layer has the shapes of those beside it, and each norm lost its share."""
    seen = []

    def check(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        (x,) = args
        seen.append(module)
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
            assert module.groups in (1, module.in_channels)
            assert (x.shape[1], output.shape[1]) == (module.in_channels, module.out_channels)
        elif isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
            assert (x.shape[1], output.shape[1]) == (module.in_features, module.out_features)
        elif isinstance(module, _BatchNorm):
            assert x.shape[1] == module.num_features == len(module.weight) == len(module.running_var)

    for module in narrow.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | _BatchNorm):
            module.register_forward_hook(check)
    assert narrow(torch.randn(2, 1, 28, 28)).shape == (2, CLASSES)
    assert len(seen) == sum(isinstance(m, nn.Conv2d | nn.Linear | _BatchNorm) for m in dense.modules())
    pairs = zip(norms(dense), norms(narrow), strict=True)
    assert all(b.num_features == a.num_features - round(0.3 * a.num_features) for a, b in pairs)


def test_at_their_defaults_the_new_settings_are_in_no_recipe() -> None:
    body = {"task": "fashion_mnist", "student": "plain_5k", "phases": [{"stages": [{"name": "prune_channels"}]}]}
    (row,) = Recipe.from_json(body).to_json()["phases"][0]["stages"]
    assert row == {"name": "prune_channels", "layers": "*", "sparsity": 0.5}
    assert Recipe.from_json(body).key == "d7c1027a518db1c598cf5b71895f6b3c"
