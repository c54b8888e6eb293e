"""Language modelling: which token comes next in Shakespeare's plays and poems."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from engine import metrics_language
from engine.errors import unknown_name
from engine.registry import register
from engine.result import Quality
from engine.tasks import _language_model_files as files
from engine.tasks._base import Split, Task

DEFAULT: Mapping[str, Any] = MappingProxyType(
    {
        "task": "language_model",
        "data": "sample",
        "labels": None,
        "student": "gpt_1",
        "seed": 0,
        "phases": [
            {
                "epochs": 2,
                "loss": {"name": "kd", "temperature": 1.0, "weight": 0.9},
                "teachers": ["gpt_teacher"],
            },
            {
                "epochs": 0,
                "stages": [{"name": "quantize_linear", "bits": 8}, {"name": "quantize_embeddings", "bits": 8}],
            },
        ],
    }
)


class LanguageModel(Task):
    """Inputs [N, 128] int64 token ids, labels [N, 128] the ids that come next; quality is bits a character.

    Logits are [N * 128, 512], block after block: one row for each predicted token.
    """

    name = "language_model"
    title = "Language model: Shakespeare"
    help = (
        "Guess the next piece of a word in Shakespeare's plays, again and again. The students train on 1,024 blocks of "
        "128 pieces; charts and settings are judged on 64 blocks of two other plays (validation), and 128 blocks of "
        "three more are kept for the end (test)."
    )
    source = "Project Gutenberg's Shakespeare in the Python package shakespeare 0.6 (Open Knowledge Foundation)"
    licence = "MIT (package), public domain (texts)"
    caveat = (
        "English of four hundred years ago by one author: figures say nothing about other text. Bits a character can "
        "be compared with other work only roughly; perplexity cannot, since it depends on the pieces. The shipped "
        "teacher has read every training text, so its answers on them are surer than on a new play."
    )
    metric = metrics_language.METRIC
    direction = "minimize"
    modality = "tokens"
    positions = files.POSITIONS
    classes = files.VOCABULARY
    class_names = files.tokens()
    input_shape = (files.POSITIONS,)
    train_size = files.SIZES["train"]
    hashes: Mapping[str, str] = MappingProxyType(files.set_up_hashes())
    default = DEFAULT
    version = 1

    def split(self, data: str, name: str) -> Split:
        """``name`` of ``train``, ``validation``, ``test``; the tensors are shared, do not write into them.

        ``data="full"`` trains on all blocks of the training texts; validation and test are the same. Raises
        :class:`FileError` with the remedy when a file is missing or was altered.
        """
        if data not in self.hashes:
            raise unknown_name("data", data, self.hashes)
        if name not in files.SAMPLE:
            raise unknown_name("split", name, files.SAMPLE)
        return _loaded("full" if (data, name) == ("full", "train") else name)

    def shipped_outputs(self, teacher: str, data: str, split: str) -> Tensor | None:
        """None: the teacher's 67 million answers on the sample are computed once and kept in the home."""
        return None

    def quality(self, logits: Tensor, labels: Tensor) -> Quality:
        """Bits a character; logits [N * 128, 512], labels [N * 128]."""
        return metrics_language.bits_per_character(*_flat(logits, labels), files.characters(), files.POSITIONS)

    def kept(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[N, 1] one score a block, whose mean is the quality."""
        found = metrics_language.scores(*_flat(logits, labels), files.characters(), files.POSITIONS)
        return torch.from_numpy(found).float()[:, None]

    def metrics(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> dict[str, float]:
        """All measures of :func:`engine.metrics_language.language_model` by name."""
        teacher = None if teacher_logits is None else teacher_logits.numpy(force=True)
        flat = _flat(logits, labels)
        return metrics_language.language_model(*flat, files.characters(), files.POSITIONS, teacher)

    def describe(self, data: str, split: str, index: int) -> str:
        """The text of one block, with the token that is guessed last."""
        found = self.split(data, split)
        return files.text(torch.cat([found.inputs[index, :1], found.labels[index]]).numpy())


def _flat(logits: Tensor, labels: Tensor) -> tuple[Any, Any]:
    return logits.numpy(force=True), labels.numpy(force=True)


@functools.cache
def _loaded(name: str) -> Split:
    blocks = torch.from_numpy(files.read(name))
    return Split(blocks[:, :-1].contiguous(), blocks[:, 1:].contiguous())


register(LanguageModel())
