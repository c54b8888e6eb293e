"""The text students: padding changes nothing, order matters to those that see it, they learn, and they export."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from text_tools import padded, texts
from torch import Tensor, nn

from engine.artifact.export import named_graph
from engine.registry import registered
from sample_models import bag, bert, lstm
from sample_models._text import SPAM, TOPICS, MeanOfTokens

VOCABULARY, CLASSES, TOKENS = 64, 3, 16
MAKERS = {
    "bert": lambda: bert.make(VOCABULARY, CLASSES, 2, 16),
    "lstm": lambda: lstm.LstmClassifier(VOCABULARY, CLASSES, 12),
    "bag": lambda: bag.BagClassifier(VOCABULARY, CLASSES, 8),
}
every_kind = pytest.mark.parametrize("kind", MAKERS)


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return MAKERS[kind]()


def answers(model: nn.Module, ids: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.eval()(ids)
    return logits


@every_kind
def test_padding_does_not_change_an_answer(kind: str) -> None:
    model, ids = made(kind), texts(6, tokens=TOKENS, classes=CLASSES).inputs
    torch.testing.assert_close(answers(model, padded(ids, 7)), answers(model, ids), rtol=1e-4, atol=1e-5)


@every_kind
def test_only_the_bag_is_blind_to_the_order(kind: str) -> None:
    model, ids = made(kind), texts(4, tokens=TOKENS, classes=CLASSES).inputs
    ids = torch.where(ids == 0, 5, ids)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    same = torch.allclose(answers(model, ids.flip(1)), answers(model, ids), atol=1e-5)
    assert same == (kind == "bag")


@every_kind
def test_a_text_without_a_token_has_an_answer(kind: str) -> None:
    assert answers(made(kind), torch.zeros(2, TOKENS, dtype=torch.int64)).isfinite().all()


def test_the_mean_is_over_tokens_that_are_there() -> None:
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    torch.testing.assert_close(MeanOfTokens()(states, torch.tensor([[4, 9, 0]])), torch.tensor([[2.0, 4.0]]))


@every_kind
def test_it_learns_what_made_up_texts_are_about(kind: str) -> None:
    model, train, test = made(kind), texts(256, classes=CLASSES), texts(120, classes=CLASSES, seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2 if kind != "bag" else 5e-2)
    for _ in range(6):
        for rows in torch.split(torch.randperm(256, generator=torch.Generator().manual_seed(2)), 32):
            loss = F.cross_entropy(model.train()(train.inputs[rows]), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert (answers(model, test.inputs).argmax(1) == test.labels).float().mean() > 0.8


@every_kind
def test_it_exports_with_the_names_of_its_tensors(kind: str) -> None:
    model, ids = made(kind).eval(), texts(5, tokens=TOKENS, classes=CLASSES).inputs
    graph = named_graph(model, ids[:2])
    assert {name for name, _ in model.named_parameters()} <= {t.name for t in graph.graph.initializer}
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": ids.numpy()})
    np.testing.assert_allclose(logits, answers(model, ids).numpy(), atol=2e-5)


@pytest.mark.parametrize("task", [SPAM, TOPICS], ids=lambda task: task.name)
def test_every_size_is_offered_for_both_tasks(task: Any) -> None:
    if task.name not in registered("tasks"):
        pytest.skip("the task is not there")
    names = {f"{task.prefix}{name}" for name in ("bert_1", "bert_2", "bert_4", "lstm", "bag")}
    specs = [spec for name, spec in registered("models").items() if name in names]
    assert len(specs) == len(names)
    assert all(spec.tasks == (task.name,) and "last_feature" in spec.taps for spec in specs)


@pytest.mark.parametrize("layers", [1, 3])
def test_taps_of_a_transformer_are_what_their_roles_say(layers: int) -> None:
    torch.manual_seed(0)
    model, seen, ids = bert.make(VOCABULARY, CLASSES, layers, 16), {}, texts(3, tokens=TOKENS).inputs
    for role, path in bert.taps(layers).items():
        model.get_submodule(path).register_forward_hook(lambda *call, role=role: seen.update({role: call[-1]}))
    logits = answers(model, ids)
    assert seen["last_feature"].shape == (3, 16)
    assert seen["first_states"].shape == seen["last_states"].shape == (3, TOKENS, 16)
    torch.testing.assert_close(seen["last_feature"], model.get_submodule("pool")(seen["last_states"], ids))
    torch.testing.assert_close(logits, model.get_submodule("head")(seen["last_feature"]))
