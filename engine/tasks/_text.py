"""What the tasks that classify texts share: splits of token ids, shipped outputs, accuracy, texts as words."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

from engine import metrics
from engine.errors import unknown_name
from engine.registry import get
from engine.result import Quality
from engine.tasks._base import Split, Task
from engine.tasks._text_files import LENGTH, SPLITS, Stock


class TextTask(Task):
    """Inputs [N, 128] int64 ids, 0 is padding; labels 0 to C - 1; quality is accuracy with its Wilson interval."""

    modality = "text"
    metric = "accuracy"
    input_shape = (LENGTH,)
    stock: Stock

    def split(self, data: str, name: str) -> Split:
        """``name`` of ``train``, ``validation``, ``test``; the tensors are shared, do not write into them.

        Raises :class:`NotInstalledError` with the command where the texts have to be fetched first.
        """
        if data not in self.hashes:
            raise unknown_name("data", data, self.hashes)
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
        return _loaded(self.stock.path(name), self.stock, name)

    def shipped_outputs(self, teacher: str, data: str, split: str) -> Tensor | None:
        """The teacher's logits [N, C] in the order of :meth:`split`, or None when they have to be computed.

        Raises :class:`FileError` when the outputs are not those of the teacher's present weights.
        """
        path = self.stock.outputs(teacher)
        if not path.exists():
            return None
        return _outputs(path, self.stock, teacher, get("models", teacher).facts()["weights_sha256"])[split]

    def quality(self, logits: Tensor, labels: Tensor) -> Quality:
        """Accuracy; logits [N, C], labels [N]."""
        return metrics.accuracy(logits.numpy(force=True), labels.numpy(force=True))

    def metrics(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> dict[str, float]:
        """All measures of :func:`engine.metrics.classification` by name."""
        teacher = None if teacher_logits is None else teacher_logits.numpy(force=True)
        return metrics.classification(logits.numpy(force=True), labels.numpy(force=True), teacher)

    def describe(self, data: str, split: str, index: int) -> str:
        """The words of one text, as far as they are in the vocabulary."""
        return self.stock.vocabulary().decode(self.split(data, split).inputs[index].tolist())


# the path belongs to the cache's key: another folder (STILLHOUSE_DATA) holds other files
@functools.cache
def _loaded(_path: Path, stock: Stock, name: str) -> Split:
    texts = stock.read(name)
    return Split(torch.from_numpy(texts.ids.astype("int64")), torch.from_numpy(texts.labels.astype("int64")))


@functools.cache
def _outputs(_path: Path, stock: Stock, teacher: str, weights_sha256: str) -> dict[str, Tensor]:
    return {name: torch.from_numpy(rows) for name, rows in stock.read_outputs(teacher, weights_sha256).items()}
