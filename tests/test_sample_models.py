"""Students and teacher: declared facts are true, every one trains, exports and can be made narrower."""

from __future__ import annotations

import copy
import hashlib
import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.artifact.export import named_graph
from engine.model_spec import ModelSpec
from engine.registry import get, registered
from engine.tasks import _fashion_mnist_files as files
from sample_models import teacher, train_teacher
from sample_models._blocks import ConvBlock, PositiveBatchNorm2d, count

PLAIN = ("plain_1k5", "plain_5k", "plain_10k", "plain_29k", "plain_150k")
DEPTHWISE = ("depthwise_1k4", "depthwise_5k", "depthwise_10k", "depthwise_28k", "depthwise_134k")
SMALL = PLAIN + DEPTHWISE
STUDENTS = (*SMALL, "resnet18", "mobilenet_v3_small")


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = get("models", name).make()
    return model


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def test_the_promised_models_are_registered() -> None:
    models = registered("models")
    assert set(STUDENTS) | {"teacher"} <= set(models)
    for names in (PLAIN, DEPTHWISE):
        sizes = [models[name].parameters for name in names]
        assert sizes == sorted(sizes)
        assert sizes[0] < 1_600
        assert sizes[-1] > 130_000


@pytest.mark.parametrize("name", [*STUDENTS, "teacher"])
def test_declared_facts_are_true(name: str) -> None:
    spec: ModelSpec = get("models", name)
    model = made(name).eval()
    assert count(model) == spec.parameters
    assert model(images(3)).shape == (3, 10)
    assert spec.tasks == ("fashion_mnist",)
    modules = dict(model.named_modules())
    assert {"last_feature", "last_map"} <= set(spec.taps)
    assert all(path in modules for path in spec.taps.values())


@pytest.mark.parametrize("name", [*SMALL, "teacher"])
def test_taps_are_what_their_roles_say(name: str) -> None:
    spec: ModelSpec = get("models", name)
    model, seen = made(name).eval(), {}
    for role, path in spec.taps.items():
        model.get_submodule(path).register_forward_hook(lambda *call, role=role: seen.update({role: call[-1]}))
    model(images(2))
    assert seen["last_feature"].ndim == 2
    assert all(seen[role].ndim == 4 for role in spec.taps if role.endswith("map"))
    assert seen["first_map"].shape[-1] >= seen["middle_map"].shape[-1] >= seen["last_map"].shape[-1]


@pytest.mark.parametrize("name", ["plain_1k5", "depthwise_28k", "mobilenet_v3_small"])
def test_weights_come_from_the_global_generator(name: str) -> None:
    first, again = made(name).state_dict(), made(name).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    torch.manual_seed(1)
    other = get("models", name).make().state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_fits_a_few_images(name: str) -> None:
    model, inputs, labels = made(name), images(32), torch.arange(32) % 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", [*STUDENTS, "teacher"])
def test_it_exports_and_the_graph_gives_the_same(name: str) -> None:
    model = moved(made(name)).eval()
    graph = named_graph(model, images(2)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    inputs = images(5, seed=1)
    (logits,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    expected = model(inputs).detach().numpy()
    assert logits.shape == (5, 10)
    np.testing.assert_allclose(logits, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def moved(model: nn.Module) -> nn.Module:
    """The model after a training forward, so that running statistics are not the initial ones."""
    with torch.no_grad():
        model.train()(images(16, seed=2))
    return model


@pytest.mark.parametrize("name", [*SMALL, "resnet18", "mobilenet_v3_small", "teacher"])
def test_channels_can_be_removed(name: str) -> None:
    model, example = made(name).eval(), images(1)
    ignored = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 10]
    importance = torch_pruning.importance.MagnitudeImportance(p=2)
    torch_pruning.pruner.MagnitudePruner(
        model, example, importance=importance, pruning_ratio=0.5, ignored_layers=ignored
    ).step()
    assert count(model) < 0.75 * get("models", name).parameters
    assert model(images(2)).shape == (2, 10)


def test_a_negative_scale_is_reflected_wherever_it_would_be_used() -> None:
    def negative() -> PositiveBatchNorm2d:
        norm = PositiveBatchNorm2d(3)
        norm.weight.data = torch.tensor([-2.0, 0.5, -0.1])
        return norm

    trained = negative()
    trained(torch.randn(8, 3, 4, 4))
    loaded = PositiveBatchNorm2d(3).eval()
    loaded.load_state_dict(negative().state_dict())
    for norm in (trained, negative().eval(), loaded, negative().plain()):
        torch.testing.assert_close(norm.weight.detach(), torch.tensor([2.0, 0.5, 0.1]))
    parent = nn.Sequential(PositiveBatchNorm2d(3)).eval()
    parent.load_state_dict({f"0.{k}": v for k, v in negative().state_dict().items()})
    assert (parent[0].weight >= 0).all()


def test_two_forwards_of_one_step_can_be_differentiated() -> None:
    block = ConvBlock(1, 4, pool=True).train()
    (block(images(4)).sum() + block(images(4, seed=1)).sum()).backward()
    assert block.norm.weight.grad is not None


def test_plain_form_computes_the_same() -> None:
    norm = PositiveBatchNorm2d(4)
    for seed in range(3):
        norm(3 * torch.randn(8, 4, 5, 5, generator=torch.Generator().manual_seed(seed)) + 1)
    x = torch.randn(8, 4, 5, 5)
    plain = norm.eval().plain()
    assert type(plain) is nn.BatchNorm2d
    torch.testing.assert_close(plain(x), norm(x))


def test_norm_behind_the_pool_equals_norm_before_it() -> None:
    block = ConvBlock(1, 6, pool=True)
    block.norm.weight.data = torch.linspace(-1, 1, 6)
    with torch.no_grad():
        moved(block)
        block.eval()
        x = images(3)
        expected = F.max_pool2d(F.relu(block.norm(block.conv(x))), 2)
        torch.testing.assert_close(block(x), expected)


def test_the_norm_can_be_copied_with_its_model() -> None:
    model = made("plain_1k5")
    twin = copy.deepcopy(model).eval()
    x = images(2)
    torch.testing.assert_close(twin(x), model.eval()(x))


@pytest.fixture(scope="module")
def shipped() -> nn.Module:
    model = teacher.make()
    model.load_state_dict(load_file(teacher.WEIGHTS))
    return model.eval()


def test_the_weights_are_small_and_named_by_their_hash() -> None:
    assert teacher.WEIGHTS.stat().st_size <= 4_000_000
    facts = get("models", "teacher").facts()
    assert facts["weights_sha256"] == hashlib.sha256(teacher.WEIGHTS.read_bytes()).hexdigest()


def test_the_teacher_is_right_on_test_images_it_never_saw(shipped: nn.Module) -> None:
    test = files.read_sample("test")
    logits = train_teacher.logits_of(shipped, torch.from_numpy(test.pixels[:1500]))
    assert (logits.argmax(1).numpy() == test.labels[:1500]).mean() >= 0.92
    whole = files.read_outputs("teacher")["test"]
    assert (whole.argmax(1) == test.labels).mean() >= 0.935


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_shipped_outputs_are_those_of_the_weights(shipped: nn.Module, split: str) -> None:
    rows = slice(100, 300)
    live = train_teacher.logits_of(shipped, torch.from_numpy(files.read_sample(split).pixels[rows])).numpy()
    stored = files.read_outputs("teacher")[split][rows]
    np.testing.assert_allclose(stored, live, atol=0.02)
    assert (stored.argmax(1) == live.argmax(1)).mean() >= 0.995


class TestTraining:
    """The pieces of ``train_teacher``."""

    plan = train_teacher.Plan(epochs=2, batch_size=20, ema=0.5)

    def batch(self) -> tuple[Tensor, Tensor]:
        rows = files.read_sample("validation")
        return torch.from_numpy(rows.pixels[:200].copy()), torch.from_numpy(rows.labels[:200].astype("int64"))

    def test_learning_rate_warms_up_and_falls_to_zero(self) -> None:
        rates = [self.plan.learning_rate(done) for done in (0.0, 0.075, 0.15, 0.575, 1.0)]
        peak = self.plan.peak
        assert rates == pytest.approx([0.0, peak / 2, peak, peak / 2, 0.0])

    def test_every_image_is_mirrored_every_other_epoch(self) -> None:
        still = train_teacher.Plan(shift=0)
        pictures, _ = self.batch()
        epochs = [train_teacher.augmented(pictures, e, still, torch.Generator()) for e in range(3)]
        assert torch.equal(epochs[0], epochs[2])
        assert torch.equal(epochs[0], epochs[1].flip(2))
        same = (epochs[0] == pictures).all(2).all(1)
        assert 60 < int(same.sum()) < 140

    def test_images_move_by_one_pixel_at_most(self) -> None:
        pictures = torch.zeros(300, 28, 28, dtype=torch.uint8)
        pictures[:, 10, 14] = 255
        moved_pictures = train_teacher.augmented(pictures, 0, self.plan, torch.Generator().manual_seed(0))
        _, down, right = (moved_pictures == 255).nonzero(as_tuple=True)
        assert set(down.tolist()) == {9, 10, 11}
        assert set(right.tolist()) == {12, 13, 14, 15}  # mirrored, column 14 is column 13

    def test_the_average_keeps_its_share(self) -> None:
        mean, now = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
        now.weight.data.fill_(3.0)
        now.running_mean.fill_(8.0)  # type: ignore[union-attr]
        now.num_batches_tracked.fill_(4)  # type: ignore[union-attr]
        train_teacher.average(mean, now, keep=0.75)
        assert mean.weight.tolist() == [1.5, 1.5]
        assert mean.running_mean.tolist() == [2.0, 2.0]  # type: ignore[union-attr]
        assert int(mean.num_batches_tracked) == 4  # type: ignore[arg-type]

    def test_it_learns_and_repeats(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(teacher, "make", lambda: get("models", "plain_1k5").make())
        pictures, labels = self.batch()
        seen: list[tuple[int, float]] = []

        def run() -> dict[str, Any]:
            plan = train_teacher.Plan(epochs=4, batch_size=20, ema=0.5, peak=2e-2)
            return train_teacher.train(pictures, labels, plan, lambda e, loss, _: seen.append((e, loss))).state_dict()

        first, again = run(), run()
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert seen[:4] == seen[4:]
        assert seen[3][1] < seen[0][1] < math.log(10) + 1

    def test_norms_and_biases_do_not_decay(self) -> None:
        groups = train_teacher.optimizer_for(made("plain_1k5"), self.plan).param_groups
        assert [g["weight_decay"] for g in groups] == [self.plan.weight_decay, 0.0]
        assert all(p.ndim > 1 for p in groups[0]["params"])


def test_weights_are_written_so_that_they_load(tmp_path: Any) -> None:
    model = moved(made("plain_5k"))
    train_teacher.save(model, tmp_path / "new" / "weights.safetensors")
    stored = load_file(tmp_path / "new" / "weights.safetensors")
    assert all(torch.equal(stored[key], value) for key, value in model.state_dict().items())
