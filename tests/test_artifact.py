"""What is written is what was trained: graphs, folding, integers, templates and both files."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from engine import artifact, registry
from engine.artifact import Template, decoder, predict, session
from engine.artifact.export import named_graph, plain, values
from engine.errors import FileError
from engine.stages._base import StageContext
from engine.stages.quantize_linear import QuantizeLinear
from engine.weights.code import bake, input_codes, weight_codes

PLAIN = ["plain_1k5", "plain_10k"]
SMALL = [*PLAIN, "depthwise_5k"]


class Mixed(nn.Module):
    """What the students don't have: biases before norms, groups, strides, a 1-d norm, a layer used twice, a sum."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(8))
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, stride=2, groups=4), nn.BatchNorm2d(12), nn.ReLU6())
        self.shared = nn.Conv2d(12, 12, 1)
        self.hidden = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Hardswish())
        self.head = nn.Linear(16, 10, bias=False)

    def forward(self, x):
        x = self.second(self.first(x))
        x = x + self.shared(torch.relu(self.shared(x)))
        return self.head(self.hidden(x.mean((2, 3))))


def images(count=64, seed=0):
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def settled(model, gamma=(0.5, 1.5)):
    """Norms with the statistics of real activations and scales drawn from a range."""
    generator = torch.Generator().manual_seed(1)
    model.train()
    for norm in (m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d))):
        norm.momentum = None
        norm.weight.data = torch.rand(norm.weight.shape, generator=generator) * (gamma[1] - gamma[0]) + gamma[0]
        norm.bias.data = 0.3 * torch.randn(norm.bias.shape, generator=generator)
    with torch.no_grad():
        model(images())
    return model.eval()


def student(name):
    torch.manual_seed(0)
    return settled(registry.get("models", name).make())


def quantized(model, bits, **knobs):
    model = copy.deepcopy(model)
    context = StageContext([(images(), torch.zeros(64).long())], images(2), lambda *a: 0, torch.Generator())
    stage = QuantizeLinear(bits=bits, **knobs)
    stage.attach(model, [])
    stage.prepare(model, context)
    stage.finish(model, context)
    return model.eval()


def logits(model, inputs):
    with torch.no_grad():
        return model(inputs).numpy()


def error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def operations(data, folder, optimized=False):
    if not optimized:
        return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)
    session(data, optimized_model_filepath=str(folder / "optimized.onnx"))
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


@pytest.mark.parametrize("name", [*SMALL, "mobilenet_v3_small"])
def test_the_named_graph_holds_every_tensor_by_name(name):
    model = registry.get("models", name).make().eval()  # fresh: all its norms hold equal ones and zeros
    graph = named_graph(model, images(2))
    found = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    expected = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
    assert expected.keys() <= found.keys()
    assert all(np.array_equal(found[k], v.numpy()) for k, v in expected.items())
    z = predict(session(graph.SerializeToString()), images(5).numpy())
    assert error(z, logits(model, images(5))) < 1e-4


@pytest.mark.parametrize("name", [*SMALL, "resnet18", "mobilenet_v3_small"])
def test_the_folded_graph_equals_the_named_one(name, tmp_path):
    model = student(name)
    built = artifact.build(model, images(2))
    inputs = images(7, seed=3).numpy()
    named = predict(session(named_graph(plain(model), images(2)).SerializeToString()), inputs)
    assert error(predict(session(built.onnx), inputs), named) < 1e-4
    assert error(named, logits(model, torch.from_numpy(inputs))) < 1e-4
    assert "BatchNormalization" not in operations(built.onnx, tmp_path)
    assert (built.bits, built.simulated, built.conversions) == (None, False, 0)
    onnx.checker.check_model(onnx.load_from_string(built.onnx), full_check=True)


@pytest.mark.parametrize("gamma", [(0.5, 1.5), (-1.5, 1.5)])
@pytest.mark.parametrize("bits", [None, 3, 8])
def test_unusual_layers(gamma, bits, tmp_path):
    torch.manual_seed(2)
    model = settled(Mixed(), gamma)
    model = model if bits is None else quantized(model, bits)
    built = artifact.build(model, images(2))
    found = predict(session(built.onnx), images(9).numpy())
    assert error(found, logits(model, images(9))) < (0.1 if bits == 8 else 1e-4)
    # behind a max pool a norm is folded only where its scale is positive
    assert operations(built.onnx, tmp_path)["BatchNormalization"] == (gamma[0] < 0)
    assert decoder.decode(built.packed()) == built.onnx


def test_the_other_exporter_gives_the_same_function():
    model = student("plain_1k5")
    graph = named_graph(model, images(2), dynamo=True)
    assert set(values(model)) == {t.name for t in graph.graph.initializer}
    z = predict(session(graph.SerializeToString()), images(5).numpy())
    assert error(z, logits(model, images(5))) < 1e-4


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("bits", range(1, 9))
def test_every_width_end_to_end(name, bits, tmp_path):
    model = quantized(student(name), bits)
    made = artifact.write(model, images(2), tmp_path)
    data = made.onnx.read_bytes()
    assert decoder.decode(made.packed.read_bytes()) == data
    assert made.bits == bits
    assert made.simulated == (bits != 8)
    expected, found = logits(model, images()), predict(session(made.onnx), images().numpy())
    if bits < 8:
        assert error(found, expected) < 1e-4
    else:
        assert np.sqrt(np.mean((found - expected) ** 2)) < 0.03 * expected.std()
    parameters = sum(p.numel() for p in bake(model).parameters())
    assert made.packed.stat().st_size < parameters * bits / 8 * 1.1 + 2500


def test_one_scale_a_tensor_and_zeros(tmp_path):
    model = quantized(student("plain_10k"), 4, granularity="tensor")
    for code in weight_codes(model).values():
        assert code.scale.shape == ()
    made = artifact.write(model, images(2), tmp_path)
    assert decoder.decode(made.packed.read_bytes()) == made.onnx.read_bytes()
    assert error(predict(session(made.onnx), images().numpy()), logits(model, images())) < 1e-4


@pytest.mark.parametrize("name", [*PLAIN, "plain_5k", "plain_29k", "plain_150k", "depthwise_5k"])
def test_integer_kernels_run_every_layer(name, tmp_path):
    model = student(name)
    layers = Counter(type(m).__name__ for m in model.modules())
    built = artifact.build(quantized(model, 8), images(2))
    found = operations(built.onnx, tmp_path, optimized=True)
    assert (found["QLinearConv"], found["QGemm"]) == (layers["Conv2d"], layers["Linear"])
    assert not {"Conv", "FusedConv", "Gemm", "Relu", "DequantizeLinear"} & set(found)
    assert found["QuantizeLinear"] == 1


def test_sums_run_in_integers_where_all_that_read_them_round_alike(tmp_path):
    model = quantized(student("resnet18"), 8)
    built = artifact.build(model, images(2))
    found = operations(built.onnx, tmp_path, optimized=True)
    # the last sum is averaged in float; the input and what goes into and out of that part is converted
    assert (found["QLinearAdd"], found["Add"], found["Relu"]) == (7, 1, 1)
    assert built.conversions == 4
    quantizer = model.layer1[0].conv1.input_quantizer
    quantizer.high.mul_(0.9)  # this value is read by a sum and one layer; the next ones by two layers
    model.layer2[0].conv1.input_quantizer.high.mul_(0.9)
    found = operations(artifact.build(model, images(2)).onnx, tmp_path, optimized=True)
    assert (found["QLinearAdd"], found["Add"]) == (6, 2)


@pytest.mark.parametrize(("name", "least"), [("resnet18", 20), ("mobilenet_v3_small", 40)])
def test_integer_kernels_in_nets_with_sums_and_gates(name, least, tmp_path):
    model = quantized(student(name), 8)
    built = artifact.build(model, images(2))
    assert operations(built.onnx, tmp_path, optimized=True)["QLinearConv"] >= least
    found, expected = predict(session(built.onnx), images().numpy()), logits(model, images())
    # random weights amplify rounding from layer to layer; trained ones agree far better
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_integers_and_scales_are_the_models_own():
    model = quantized(settled(registry.get("models", "plain_1k5").make(), gamma=(0.5, 1.5)), 8)
    graph = onnx.load_from_string(artifact.build(model, images(2)).onnx).graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    codes, inputs = weight_codes(model), input_codes(model)
    assert codes.keys() == inputs.keys()
    for name, code in codes.items():
        assert np.array_equal(tensors[f"{name}.integers"], code.integers)
        assert tensors[f"{name}.input_scale"] == np.float32(inputs[name].scale)
        assert tensors[f"{name}.input_zero"] == inputs[name].zero_point


@pytest.mark.parametrize("bits", [4, 8])
def test_switched_off_and_tiny_channels(bits):
    model = student("plain_1k5")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].weight.data[:3] = torch.tensor([0.0, 1e-30, 1e-8])
    norms[1].weight.data[0] = 0.0
    model = quantized(model, bits)
    found = predict(session(artifact.build(model, images(2)).onnx), images().numpy())
    assert error(found, logits(model, images())) < (0.05 if bits == 8 else 1e-4)


def test_a_filled_template_is_what_write_gives(tmp_path):
    template = Template(bake(student("plain_10k")), images(2))
    again = Template.from_bytes(template.to_bytes())
    assert again.key == template.key
    assert len(template.to_bytes()) < 5000
    torch.manual_seed(5)
    other = settled(registry.get("models", "plain_10k").make(), (0.2, 3.0))
    for model in (other, quantized(other, 4), quantized(other, 8), quantized(student("plain_10k"), 8)):
        made = artifact.write(model, images(2), tmp_path)
        arguments = (values(plain(bake(model)).eval()), weight_codes(model), input_codes(model))
        for source in (template, again):
            built = source.build(*arguments)
            assert built.onnx == source.fill(*arguments) == made.onnx.read_bytes()
            assert built.packed() == made.packed.read_bytes()
            assert built.graph_key == made.graph_key
        tensors = {k: torch.from_numpy(v) for k, v in arguments[0].items()}
        assert template.fill(tensors, *arguments[1:]) == made.onnx.read_bytes()


def test_keys_tell_graphs_apart_by_what_is_executed():
    model, other = student("plain_1k5"), student("plain_5k")
    keys = [artifact.build(m, images(2)).graph_key for m in (model, quantized(model, 4), quantized(model, 8), other)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        artifact.write(quantized(student("depthwise_5k"), 5), images(2), tmp_path / folder)
    for name in ("model.onnx", "model.packed"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_writing_leaves_the_model_as_it_was():
    model = quantized(student("plain_1k5"), 8)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    artifact.build(model, images(2))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("count", [1, 2, 300])
def test_any_batch_runs_and_batches_don_t_matter(count):
    model = student("plain_1k5")
    runner = session(artifact.build(model, images(2)).onnx)
    found = predict(runner, images(count).numpy(), batch=128)
    assert found.shape == (count, 10)
    assert error(found, logits(model, images(count))) < 1e-4


def test_damaged_files_are_refused_in_one_line(tmp_path):
    built = artifact.build(student("plain_1k5"), images(2))
    path = tmp_path / "m.onnx"
    path.write_bytes(built.onnx[:-100])
    for bad in (path, tmp_path / "none.onnx", b"", b"hello", built.onnx[: len(built.onnx) // 2]):
        with pytest.raises(FileError) as caught:
            session(bad)
        assert "\n" not in str(caught.value)
    for bad in (b"", b"hello", Template(student("plain_1k5"), images(2)).to_bytes()[:-4]):
        with pytest.raises(FileError):
            Template.from_bytes(bad)


def test_a_template_refuses_another_shape():
    template = Template(student("plain_1k5"), images(2))
    with pytest.raises(ValueError, match=r"conv\.weight: the template has shape .* export it anew"):
        template.fill(values(student("plain_5k")))
    with pytest.raises(ValueError, match="no inputs"):
        predict(session(template.fill(values(student("plain_1k5")))), np.zeros((0, 1, 28, 28), np.float32))
