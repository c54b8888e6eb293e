"""Pruning and rounding against torch.nn.utils.prune, torch-pruning and ONNX Runtime."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.agreements.values import Agreement, apart
from engine.weights import affine
from engine.weights.sparsity import magnitude_mask, n_m_mask

SHARES = (0.0, 0.3, 0.77, 0.95)
LAYERS = "three layers of 300 to 4,608 weights, 0, 30, 77 and 95 %"


def layers() -> dict[str, nn.Module]:
    """Three layers with seeded weights."""
    torch.manual_seed(0)
    return {"a": nn.Conv2d(16, 32, 3), "b": nn.Conv2d(32, 12, 1), "c": nn.Linear(30, 10)}


def weights(found: dict[str, nn.Module]) -> dict[str, Tensor]:
    """The layers' weights by name."""
    return {name: layer.get_parameter("weight").detach() for name, layer in found.items()}


def magnitude(scope: str) -> float:
    """Share of mask entries that differ from torch's own pruning."""
    from torch.nn.utils import prune

    worst = 0.0
    for share in SHARES:
        found = layers()
        ours = magnitude_mask(weights(found), share, scope)
        if scope == "global":
            pairs = [(layer, "weight") for layer in found.values()]
            prune.global_unstructured(pairs, prune.L1Unstructured, amount=share)
        else:
            for layer in found.values():
                prune.l1_unstructured(layer, "weight", amount=share)
        theirs = {n: layer.get_buffer("weight_mask").bool() for n, layer in found.items()}
        worst = max(worst, *(float((ours[n] != theirs[n]).float().mean()) for n in ours))
    return worst


def random_counts() -> float:
    """How many weights go when a share is drawn by lot: the count is torch's."""
    from torch.nn.utils import prune

    worst = 0.0
    for share in SHARES:
        found = layers()
        scores = {n: torch.rand(w.shape, generator=torch.Generator().manual_seed(3)) for n, w in weights(found).items()}
        ours = magnitude_mask(scores, share, "layer")
        for name, layer in found.items():
            prune.random_unstructured(layer, "weight", amount=share)
            worst = max(worst, abs(int(ours[name].sum()) - int(layer.get_buffer("weight_mask").sum())))
    return float(worst)


def two_of_four() -> float:
    """2:4 against the best of all six patterns of every four neighbours."""
    from itertools import combinations

    weight = weights(layers())["b"].flatten(1)
    ours = n_m_mask(weight.abs(), 2, 4)
    patterns = torch.stack([torch.tensor([i in kept for i in range(4)]) for kept in combinations(range(4), 2)])
    groups = weight.abs().reshape(-1, 4)
    best = patterns[(groups[:, None] * patterns).sum(2).argmax(1)].view_as(weight)
    return float((ours != best).float().mean())


def channels() -> float:
    """The channels that go: smallest mean of squares over all that belongs to them, written out with numpy."""
    from engine.registry import get
    from engine.stages._base import StageContext

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 5, 3, padding=1), nn.Flatten(),
                        nn.Linear(5 * 16, 4))  # fmt: skip
    first, second = (net[i].weight.detach().numpy().astype(np.float64) for i in (0, 2))
    context = StageContext([], torch.zeros(1, 1, 4, 4), lambda m, x, y: m(x).sum(), torch.Generator())
    plan = get("stages", "prune_channels")(sparsity=0.5).plan(net, context)
    ours = next(set(gone) for name, out, gone in plan[0]["history"] if name == "0" and out)
    sums = (first**2).sum((1, 2, 3)), (second**2).sum((0, 2, 3)), net[0].bias.detach().numpy() ** 2
    theirs = set(np.argsort((sums[0] + sums[1]) / 2)[:6].tolist())
    with_bias = set(np.argsort(sums[0] + sums[1] + sums[2])[:6].tolist())
    return float(min(len(ours ^ theirs), len(ours ^ with_bias)) / 12)


def onnx_linear(granularity: str, bits: int) -> float:
    """Our integers and values against QuantizeLinear and DequantizeLinear in ONNX Runtime."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    weight = weights(layers())["a"].flatten(1)
    code = affine.quantize(weight, bits, granularity, "maximum")
    axis = {"axis": 0} if granularity == "channel" else {}
    nodes = [helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], **axis),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **axis)]  # fmt: skip
    scale = np.asarray(code.scale, np.float32)
    graph = helper.make_graph(
        nodes, "round", [helper.make_tensor_value_info("w", TensorProto.FLOAT, list(weight.shape))],
        [helper.make_tensor_value_info("q", TensorProto.INT8, None),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(scale, "s"), onnx.numpy_helper.from_array(np.zeros(scale.shape, np.int8), "z")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    integers, values = session.run(None, {"w": weight.numpy()})
    return max(apart(code.integers, integers), apart(code.dequantized(), values))


def torch_fake(bits: int) -> float:
    """Our values against torch.fake_quantize_per_channel_affine."""
    weight = weights(layers())["a"].flatten(1)
    code = affine.quantize(weight, bits, "channel", "maximum")
    most = affine.limit(bits)
    zero = torch.zeros(len(weight), dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weight, torch.from_numpy(code.scale), zero, 0, -most, most)
    return apart(code.dequantized(), theirs)


def torch_affine(bits: int) -> float:
    """Our values with zero points against torch.fake_quantize_per_channel_affine."""
    weight = weights(layers())["a"].flatten(1) + 0.03
    code = affine.quantize(weight, bits, "channel", "maximum", "affine")
    half, zero = 1 << (bits - 1), torch.from_numpy(np.asarray(code.zero)).int()
    theirs = torch.fake_quantize_per_channel_affine(weight, torch.from_numpy(code.scale), zero, 0, -half, half - 1)
    return apart(code.dequantized(), theirs)


def k_means(count: int) -> float:
    """Our centres against scikit-learn's Lloyd algorithm from the same start."""
    from sklearn.cluster import KMeans

    from engine.weights.codebook import kmeans

    values = torch.randn(3000, generator=torch.Generator().manual_seed(1))
    values = values[values.abs() < 2.2]  # no centre is left without values, where the two go different ways
    start = torch.linspace(float(values.min()), float(values.max()), count, dtype=torch.float64)[:, None].numpy()
    theirs = KMeans(count, init=start, n_init=1, max_iter=1000, tol=0.0, algorithm="lloyd")
    theirs.fit(values[:, None].double().numpy())
    return apart(kmeans(values, count)[0], theirs.cluster_centers_[:, 0])


AGREEMENTS = (
    Agreement("`prune_magnitude`, global", "`torch.nn.utils.prune.global_unstructured`", "torch", LAYERS,
              lambda: magnitude("global")),
    Agreement("`prune_magnitude`, layer", "`torch.nn.utils.prune.l1_unstructured`", "torch", LAYERS,
              lambda: magnitude("layer")),
    Agreement("`prune_random`, counts", "`torch.nn.utils.prune.random_unstructured`", "torch", LAYERS, random_counts),
    Agreement("`prune_n_m` 2:4", "the best of all six patterns", "torch", "96 groups of four", two_of_four),
    Agreement("`prune_channels`", "group sums of squares in numpy, groups by torch-pruning", "torch_pruning",
              "12 channels, half of them", channels),
    *(Agreement(f"`quantize_linear`, {bits} bits, {unit}", "ONNX Runtime `QuantizeLinear`, `DequantizeLinear`",
                "onnxruntime", "[32, 144] weights; integers and values", lambda b=bits, u=unit: onnx_linear(u, b))
      for bits, unit in ((8, "channel"), (8, "tensor"), (4, "channel"))),
    *(Agreement(f"`quantize_linear`, {bits} bits, channel", "`torch.fake_quantize_per_channel_affine`", "torch",
                "[32, 144] weights", lambda b=bits: torch_fake(b)) for bits in (8, 4, 3, 2)),
    *(Agreement(f"`quantize_linear`, {bits} bits, affine", "`torch.fake_quantize_per_channel_affine`", "torch",
                "[32, 144] weights", lambda b=bits: torch_affine(b)) for bits in (8, 4, 2)),
    *(Agreement(f"`share_codebook`, {count} centres", "scikit-learn `KMeans`", "sklearn",
                "2,900 values, the same start", lambda c=count: k_means(c)) for count in (4, 16)),
)  # fmt: skip
