"""Weight sharing: k-means against scikit-learn's, gradients as sums, levels, files that hold tables and numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.artifact import Built, build, decoder, unpack
from engine.artifact.packing import Looked, pack
from engine.measure import bytes as sizes
from engine.weights import code
from engine.weights.code import bake
from engine.weights.codebook import Codebook, kmeans
from engine.weights.constraint import add, find, original, weight_of
from engine.weights.values import TableCode

LAYERS = ("blocks.0.conv", "blocks.1.depthwise", "blocks.1.pointwise", "head")


@pytest.mark.parametrize("count", [2, 5, 16])
@pytest.mark.parametrize("seed", range(3))
def test_kmeans_finds_the_centres_of_scikit_learn(count: int, seed: int) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    torch.manual_seed(seed)
    values = torch.randn(3000)
    values = values[values.abs() < 2.2]  # no centre is left without values: what happens then is a matter of taste
    centres, which = kmeans(values, count)
    start = torch.linspace(float(values.min()), float(values.max()), count)[:, None].double().numpy()
    theirs = cluster.KMeans(count, init=start, n_init=1, max_iter=1000, tol=0.0, algorithm="lloyd")
    theirs.fit(values[:, None].double().numpy())
    np.testing.assert_allclose(centres.numpy(), theirs.cluster_centers_[:, 0], atol=1e-5)
    assert np.array_equal(which.numpy(), theirs.labels_)


def test_kmeans_starts_evenly_and_gives_every_value_its_nearest_centre() -> None:
    values = torch.tensor([0.0, 0.1, 0.9, 1.0, 5.0])
    centres, which = kmeans(values, 3)  # from 0, 2.5, 5: the middle one has no value and stays
    assert centres.tolist() == pytest.approx([0.5, 2.5, 5.0])
    assert which.tolist() == [0, 0, 0, 0, 2]
    assert kmeans(torch.tensor([2.0, 2.0]), 4)[1].unique().numel() == 1


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_a_layer_has_at_most_two_to_the_bits_values(bits: int) -> None:
    model = fresh()
    phase(model, [stage("share_codebook", bits=bits)])
    assert set(code.weight_codes(model)) == set(LAYERS)
    for name in LAYERS:
        assert len(weight_of(model.get_submodule(name)).unique()) <= 2**bits


def test_zero_is_one_more_value_under_a_mask_and_stays_where_it_is() -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5), stage("share_codebook", bits=2)])
    for name, mask in code.masks(model).items():
        weight = weight_of(model.get_submodule(name)).detach()
        assert bool((weight[~mask] == 0).all())
        assert len(weight[mask].unique()) <= 4
        found = code.weight_codes(model)[name]
        assert isinstance(found, TableCode)
        assert (found.integers[~mask.numpy()] == 0).all()
        assert found.table[found.start] == 0


def test_the_gradient_of_a_value_is_the_sum_over_its_weights() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(20, 6, bias=False)
    held = add(layer, Codebook(weight_of(layer), 3))
    held.fit(original(layer))
    seen = torch.randn(6, 20)
    (layer.weight * seen).sum().backward()
    expected = torch.stack([seen[held.which == k].sum() for k in range(8)])
    torch.testing.assert_close(held.table.grad, expected)
    assert original(layer).grad is None


def test_the_mean_of_each_group_is_its_value_and_training_moves_values_only() -> None:
    dense = fresh()
    phase(dense, [], epochs=4)
    model = copy.deepcopy(dense)
    phase(model, [stage("share_codebook", bits=2)], number=1)
    held = find(model.get_submodule("head"), Codebook)
    weight = original(model.get_submodule("head")).detach()
    for k in range(4):
        torch.testing.assert_close(held.table[k].detach(), weight[held.which == k].mean())
    trained = copy.deepcopy(dense)
    phase(trained, [stage("share_codebook", bits=2, centroids="trained")], epochs=3, number=1)
    assert torch.equal(original(trained.get_submodule("head")), weight)
    assert torch.equal(find(trained.get_submodule("head"), Codebook).which, held.which)
    labels = small_nets.data().labels
    losses = [float(nn.functional.cross_entropy(outputs(m), labels)) for m in (model, trained)]
    assert losses[1] < losses[0]


def shared(bits: int = 3, zeros: float = 0.0) -> tuple[nn.Module, Built]:
    model = fresh()
    phase(model, [], epochs=1)
    pruning = [stage("prune_magnitude", sparsity=zeros)] if zeros else []
    phase(model, [*pruning, stage("share_codebook", bits=bits)], number=1)
    model.eval()
    return model, build(model, small_nets.data().inputs[:2])


@pytest.mark.parametrize("bits", [1, 2, 5, 7])
@pytest.mark.parametrize("zeros", [0.0, 0.8])
def test_the_file_holds_tables_and_numbers_and_gives_the_same_answers(bits: int, zeros: float) -> None:
    from engine.artifact.runtime import predict, session

    model, made = shared(bits, zeros)
    assert unpack(made.packed()) == made.onnx
    assert made.simulated
    assert made.bits == bits
    answers = predict(session(made.onnx), small_nets.data().inputs.numpy())
    np.testing.assert_allclose(answers, outputs(model).numpy(), atol=1e-4)
    index, _ = decoder.contents(made.packed())
    assert sum(row[0] == "take" for row in index["streams"]) == len(LAYERS)
    for name, found in code.weight_codes(model).items():
        held = weight_of(bake(model).get_submodule(name)).detach().contiguous().numpy()
        assert np.array_equal(found.dequantized(), held)


def test_fewer_bits_take_fewer_bytes_and_zeros_fewer_still() -> None:
    lengths = [len(shared(bits)[1].packed()) for bits in (1, 3, 6)]
    assert lengths == sorted(lengths)
    assert len(shared(3, 0.8)[1].packed()) < lengths[1]


def test_bytes_by_layer_count_numbers_as_weights_and_add_up() -> None:
    _, made = shared(3)
    found = sizes.report(made.onnx, made.packed(), dict.fromkeys(LAYERS, 3))
    totals = found["totals"]
    assert totals["weights"] + totals["numbers"] + totals["skeleton"] == totals["packed"] == len(made.packed())
    rows = [row for row in found["rows"] if row["part"] == "integers"]
    assert {row["layer"] for row in rows} == set(LAYERS)
    assert all(row["nominal_bits"] == 3 and row["container"][0] == "take" for row in rows)


def one_tensor(values: Tensor, known: Looked) -> bytes:
    onnx = pytest.importorskip("onnx")
    tensor = onnx.numpy_helper.from_array(values.numpy(), "w")
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    data: bytes = onnx.helper.make_model(graph).SerializeToString()
    packed = pack(data, {"w": known})
    assert unpack(packed) == data
    return packed


def test_any_table_survives_also_one_of_positive_values_alone() -> None:
    table = torch.linspace(0.5, 2.0, 129)
    places = torch.arange(129 * 4) % 129
    start = 1  # as few below zero as eight bits allow
    known = Looked((places - start).to(torch.int8).numpy(), table.numpy(), start)
    packed = one_tensor(table[places], known)
    assert packed[4] == decoder.VERSION
    other = Looked(known.integers, 2 * table.numpy(), start)  # does not give the tensor, so it is not used
    assert one_tensor(table[places], other)[4] == decoder.PLAIN_VERSION


@pytest.mark.parametrize(
    "row",
    [
        ["take", 0, 4, 16, ["take", 0, 4, 16, ["planes", 1, 4, 4]]],
        ["take", 200, 4, 16, ["planes", 1, 4, 4]],
        ["take", 0, 4, 16, ["planes", 1, 10**9, 4]],
        ["take", 0, 4, 16],
        ["take", 0, 4, 16, ["planes", 1, 16, 16]],
    ],
)
def test_a_crafted_table_is_refused(row: list[Any]) -> None:
    import json

    head = json.dumps({"streams": [row], "holes": [[0, 0]]}).encode() + b"\n"
    fixed = decoder.HEADER.pack(b"SHPK", 3, b"\0" * 32, 64, len(head), len(head))
    with pytest.raises(ValueError, match="packed model"):
        decoder.decode(fixed + head + bytes(range(200, 232)))
