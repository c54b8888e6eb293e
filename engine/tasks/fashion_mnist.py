"""Fashion-MNIST: which of ten kinds of clothing a 28x28 grey image shows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from engine import metrics
from engine.errors import unknown_name
from engine.registry import get, register
from engine.result import Quality
from engine.tasks import _fashion_mnist_files as files
from engine.tasks._base import Split, Task

DEFAULT: Mapping[str, Any] = MappingProxyType(
    {
        "task": "fashion_mnist",
        "data": "sample",
        "labels": None,
        "student": "plain_10k",
        "seed": 0,
        "phases": [
            {
                "epochs": 3,
                "loss": {"name": "kd", "temperature": 4.0, "weight": 0.9},
                "teachers": ["teacher"],
                "stages": [{"name": "prune_magnitude", "sparsity": 0.5, "schedule": "gradual"}],
            },
            {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]},
        ],
    }
)


class FashionMnist(Task):
    """Inputs [N, 1, 28, 28] float32, normalised; labels 0 to 9; quality is accuracy with its Wilson interval."""

    name = "fashion_mnist"
    title = "Image classification: clothing"
    help = (
        "Say which of ten kinds of clothing a small grey photograph shows. The students train on 20,000 images; charts "
        "and settings are judged on 5,000 others (validation), and 10,000 test images are kept for the end."
    )
    source = "Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747; Debian package dataset-fashion-mnist"
    licence = "MIT"
    caveat = (
        "Shop photographs, centred and cut out, one shop, one size: real images are harder. Some labels are disputable "
        "(shirt, T-shirt, pullover and coat overlap), so that the best models stay below 97 %. The shipped teacher saw "
        "the label of every training image."
    )
    metric = "accuracy"
    classes = len(files.CLASSES)
    class_names = files.CLASSES
    input_shape = (1, *files.SHAPE)
    train_size = files.SIZES["train"]
    hashes: Mapping[str, str] = MappingProxyType(files.set_up_hashes())
    default = DEFAULT
    version = 1

    def split(self, data: str, name: str) -> Split:
        """``name`` of ``train``, ``validation``, ``test``; the tensors are shared, do not write into them.

        ``data="full"`` trains on 55,000 images; validation and test are the same. Raises :class:`FileError` with the
        remedy where they are not installed, or when a file was altered.
        """
        if data not in self.hashes:
            raise unknown_name("data", data, self.hashes)
        if name not in files.SAMPLE:
            raise unknown_name("split", name, files.SAMPLE)
        return _loaded("full" if (data, name) == ("full", "train") else name)

    def shipped_outputs(self, teacher: str, data: str, split: str) -> Tensor | None:
        """The teacher's logits [N, 10] in the order of :meth:`split`, or None when they have to be computed.

        Raises :class:`FileError` when the outputs are not those of the teacher's present weights.
        """
        if (data, split) == ("full", "train") or not files.outputs_path(teacher).exists():
            return None
        return _outputs(teacher, get("models", teacher).facts()["weights_sha256"])[split]

    def quality(self, logits: Tensor, labels: Tensor) -> Quality:
        """Accuracy; logits [N, 10], labels [N]."""
        return metrics.accuracy(logits.numpy(force=True), labels.numpy(force=True))

    def metrics(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> dict[str, float]:
        """All measures of :func:`engine.metrics.classification` by name."""
        teacher = None if teacher_logits is None else teacher_logits.numpy(force=True)
        return metrics.classification(logits.numpy(force=True), labels.numpy(force=True), teacher)


@functools.cache
def _loaded(name: str) -> Split:
    images = files.read_full() if name == "full" else files.read_sample(name)
    inputs = torch.from_numpy(files.normalised(images.pixels))
    return Split(inputs, torch.from_numpy(images.labels.astype("int64")))


@functools.cache
def _outputs(teacher: str, weights_sha256: str) -> dict[str, Tensor]:
    rows = files.read_outputs(teacher, weights_sha256)
    return {name: torch.from_numpy(logits) for name, logits in rows.items()}


register(FashionMnist())
