"""The graph with a key-value cache: the full forward's logits in any cut, in the number formats of the artifact."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from gpt_tools import quantized, small_gpt, token_ids

from engine import artifact
from engine.artifact import kv_graph
from engine.artifact.packing import unpack
from engine.generation import Remembering, from_session


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("cut", [(20,), (1,) * 20, (12, 1, 7), (19, 1)])
@torch.no_grad()
def test_a_text_in_pieces_gives_the_logits_of_the_whole(tied: bool, cut: tuple[int, ...]) -> None:
    model, ids = small_gpt(tied=tied), token_ids(3, 20)
    past, found = model.no_past(3), []
    for piece in ids.split(cut, 1):
        logits, *past = model.with_past(piece, *past)
        found.append(logits)
    assert model(ids).std() > 0.1
    torch.testing.assert_close(torch.cat(found, 1), model(ids), atol=1e-4, rtol=1e-4)
    assert [tuple(x.shape) for x in past] == [(3, 4, 20, 8)] * 4


@torch.no_grad()
def test_the_graph_reads_a_prompt_and_continues_it() -> None:
    model, ids = small_gpt(), token_ids(2, 40)
    session = artifact.session(kv_graph.build(model).onnx)
    past, found = Remembering(session).empty(2), []
    for piece in ids.split((30, 1, 1, 8), 1):
        feeds = {f"past.{i}": array for i, array in enumerate(past)}
        logits, *past = session.run(None, {"input": piece.numpy(), **feeds})
        found.append(logits)
    np.testing.assert_allclose(np.concatenate(found, 1), model(ids).numpy(), atol=2e-4)


def test_its_inputs_are_flat_and_named() -> None:
    session = artifact.session(kv_graph.build(small_gpt(3)).onnx)
    assert [i.name for i in session.get_inputs()] == ["input", *(f"past.{i}" for i in range(6))]
    assert [o.name for o in session.get_outputs()] == ["logits", *(f"present.{i}" for i in range(6))]
    assert session.get_inputs()[1].shape == ["batch", 4, "past", 8]


@pytest.mark.parametrize("bits", [8, 4])
def test_it_runs_the_number_formats_of_the_artifact(bits: int) -> None:
    """Eight bits: integers times inputs that are rounded in every call; four bits: blocks of weights, float inputs."""
    model = quantized(small_gpt(), bits=bits)
    whole, cached = artifact.build(model, token_ids(2)), kv_graph.build(model)
    kinds = [{node.op_type for node in onnx.load_from_string(b.onnx).graph.node} for b in (whole, cached)]
    wanted = "MatMulInteger" if bits == 8 else "MatMulNBits"
    assert all(wanted in kind for kind in kinds)
    assert (cached.bits, cached.simulated) == (whole.bits, whole.simulated)
    ids = token_ids(2, 25).numpy()
    expected = from_session(artifact.session(whole.onnx))(ids)
    answer = Remembering(artifact.session(cached.onnx))
    answer(ids[:, :24])
    # the range of the inputs is that of the call, so 8 bits round a single token otherwise than a whole text
    assert np.abs(answer(ids) - expected).mean() < (1e-5 if bits == 4 else 0.05 * expected.std())


def test_it_is_packed_like_any_artifact() -> None:
    built = kv_graph.build(quantized(small_gpt(), bits=4))
    assert unpack(built.packed()) == built.onnx
    assert len(built.packed()) < 0.8 * len(built.onnx)


def test_building_leaves_the_model_alone() -> None:
    model, ids = small_gpt(), token_ids(1, 9)
    with torch.no_grad():
        before = model(ids)
        kv_graph.build(model)
        assert torch.equal(model(ids), before)
    assert "forward" not in vars(model)
