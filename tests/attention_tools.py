"""What tests of stages on transformers ask again and again: answers, the file, its size, a prefix that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import text_nets
import torch
from torch import Tensor, nn

from engine.artifact import build, predict, session, unpack
from engine.home import Home
from engine.measure import cost
from engine.prefix import Trained, load_prefix, save_prefix
from engine.stages._base import Stage

LAYER = "bert.encoder.layer."
SELF, OUT = "attention.self", "attention.output.dense"


def answers(model: nn.Module, ids: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.eval()(text_nets.data().inputs if ids is None else ids)
    return logits


def packed(model: nn.Module) -> int:
    """Bytes of the packed file, whose ONNX file answers as the model does and is rebuilt byte for byte."""
    ids = text_nets.data().inputs
    made = build(model.eval(), ids[:2])
    assert unpack(made.packed()) == made.onnx
    np.testing.assert_allclose(predict(session(made.onnx), ids.numpy()), answers(model).numpy(), atol=1e-4)
    return len(made.packed())


def size(model: nn.Module) -> tuple[int, int]:
    """Parameters and multiply-adds."""
    return cost.count(model)[0], cost.macs(model, text_nets.data().inputs[:2])


def assert_resumes(model: nn.Module, fresh: Callable[[], nn.Module], one: Stage, plan: Sequence[Any], at: Path) -> None:
    """A kept prefix brings structure and weights back."""
    save_prefix(Home(at), "k" * 32, Trained(model, (tuple(plan),)))
    kept = load_prefix(Home(at), "k" * 32, fresh(), lambda m, p: one.attach(m, list(p[0])))
    assert kept is not None
    assert torch.equal(answers(kept.model), answers(model))
