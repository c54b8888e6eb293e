"""What a claim compares: for each validation image that the measure is about, whether the student is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine import artifact, metrics
from engine.artifact import Built
from engine.measure.cost import cost
from engine.measure.robustness import attacked_logits
from engine.pipeline import predict
from engine.prefix import Trained
from engine.student import train
from engine.workbench import Bench

EPSILON, STEPS, ATTACKED = 0.1, 10, 2000  # a tenth of the range of a pixel, ten steps
Right = npt.NDArray[np.bool_]
Measure = Callable[[Bench, Trained, Built], Right]


def accuracy(bench: Bench, _trained: Trained, built: Built) -> Right:
    """The written artifact's answers, [5000]."""
    return np.asarray(predict(built, bench.inputs("validation")).argmax(1) == labels(bench))


def labels(bench: Bench) -> npt.NDArray[np.int64]:
    """The validation labels."""
    found: npt.NDArray[np.int64] = bench.task.split(bench.recipe.data, "validation").labels.numpy()
    return found


def under_attack(bench: Bench, trained: Trained, _built: Built) -> Right:
    """The trained network's answers to the first 2,000 images, each changed against it by PGD (gradients need it)."""
    inputs = bench.task.split(bench.recipe.data, "validation").inputs[:ATTACKED]
    targets, lots = torch.from_numpy(labels(bench)[:ATTACKED]), torch.Generator().manual_seed(0)
    found = attacked_logits(trained.model.eval(), inputs, targets, EPSILON, STEPS, lots)
    return np.asarray((found.argmax(1) == targets).numpy())


def recall_of_left_out(bench: Bench, _trained: Trained, built: Built) -> Right:
    """The artifact's answers to the images of the class that training left out, its bias raised without any label."""
    logits, targets = predict(built, bench.inputs("validation")), labels(bench)
    left = list(bench.task.class_names).index(str(bench.recipe.without))
    logits[:, left] += metrics.left_out(logits, targets, left)["left_out_bias"]
    return np.asarray(logits[targets == left].argmax(1) == left)


MEASURES: dict[str, Measure] = {"accuracy": accuracy, "accuracy_under_attack": under_attack,
                                "recall_of_left_out": recall_of_left_out}  # fmt: skip


def measured(bench: Bench, measure: str) -> tuple[Right, dict[str, Any]]:
    """Train (or resume) a recipe, write its artifact, measure it; with its bytes and multiply-adds."""
    trained = train(bench)
    built = artifact.build(trained.model, bench.example)
    found = cost(trained.model, bench.example, built)
    right = MEASURES[measure](bench, trained, built)
    return right, {"bytes": found.packed_bytes, "macs": found.macs, "nonzero": found.nonzero}
