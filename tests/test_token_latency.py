"""Two latencies of a language model: the graph for each has fixed sizes, and one token is quicker than a prompt."""

from __future__ import annotations

import numpy as np
import pytest
from gpt_tools import quantized, small_gpt, token_ids

from engine import artifact
from engine.artifact import kv_graph
from engine.errors import TrialFailedError
from engine.generation import Remembering
from engine.measure.latency import Protocol
from engine.measure.token_latency import PROMPT, TOKEN, fixed, measure

QUICK = Protocol(seconds=0.1, limit=2.0, rounds=3)


def test_a_fixed_graph_takes_these_sizes_only_and_answers_alike() -> None:
    graph = kv_graph.build(small_gpt()).onnx
    free, step = artifact.session(graph), artifact.session(fixed(graph, 1, 5))
    assert step.get_inputs()[0].shape[1] == 1
    assert step.get_inputs()[1].shape[2] == 5
    ids = token_ids(1, 6).numpy()
    past = free.run(None, {"input": ids[:, :5], **dict(zip(names(free), Remembering(free).empty(1), strict=True))})[1:]
    feeds = {"input": ids[:, 5:], **dict(zip(names(free), past, strict=True))}
    np.testing.assert_allclose(step.run(None, feeds)[0], free.run(None, feeds)[0], atol=1e-5)


def names(session: object) -> list[str]:
    return [given.name for given in session.get_inputs()[1:]]


def test_a_token_costs_less_than_a_prompt() -> None:
    graphs = {"float": kv_graph.build(small_gpt()).onnx, "small": kv_graph.build(quantized(small_gpt(), bits=4)).onnx}
    found = measure(graphs, prompt=100, past=20, reference="float", protocol=QUICK)
    assert set(found) == {PROMPT, TOKEN}
    for name in graphs:
        assert 0 < found[TOKEN][name].median_ms < found[PROMPT][name].median_ms
    assert found[TOKEN]["small"].ratio is not None


def test_a_graph_that_cannot_run_is_said() -> None:
    graph = fixed(kv_graph.build(small_gpt()).onnx, 200, 1)  # more places than the model has
    with pytest.raises(TrialFailedError, match="latency"):
        measure({"float": graph}, protocol=QUICK)
