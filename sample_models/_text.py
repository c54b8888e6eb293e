"""What the text students share: ids of tokens [B, T], where 0 is padding, and the two tasks that they are made for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from engine.model_spec import ModelSpec
from engine.registry import register, registered

PAD = 0
TOKENS = 128  # of a text: the first one is [CLS], those that are missing at its end are padding


@dataclass(frozen=True)
class TextTask:
    """One classification task: ``prefix`` of its models' names, number of token ids, number of classes.

    ``scale``: how many times as long an epoch takes as one of the first task, 3,600 texts.
    """

    name: str
    prefix: str
    vocabulary: int
    classes: int
    scale: float


SPAM = TextTask("text_spam", "", 4_096, 2, 1.0)
TOPICS = TextTask("text_topics", "topics_", 8_192, 20, 2.8)


@dataclass(frozen=True)
class TextSize:
    """A student of both tasks. ``parameters`` by the task's name; ``seconds``: one epoch of 3,600 texts on one thread.

    ``make(vocabulary, classes)`` builds it.
    """

    name: str
    title: str
    help: str
    make: Callable[[int, int], nn.Module]
    parameters: Mapping[str, int]
    seconds: float
    learning_rate: float
    taps: Mapping[str, str]


class MeanOfTokens(nn.Module):
    """The mean over the positions that are no padding: states [B, T, H] and ids [B, T] -> [B, H]."""

    def forward(self, states: Tensor, ids: Tensor) -> Tensor:
        """One vector a text; zeros where a text has no token."""
        keep = (ids != PAD).unsqueeze(-1).to(states.dtype)
        return (states * keep).sum(1) / keep.sum(1).clamp(min=1.0)


def register_sizes(sizes: tuple[TextSize, ...], family: str, source: str) -> None:
    """Register every size for both tasks (those that are there); the topics' names begin with ``topics_``."""
    for task in (SPAM, TOPICS):
        if task.name not in registered("tasks"):
            continue
        for size in sizes:
            register(
                ModelSpec(
                    name=f"{task.prefix}{size.name}",
                    title=size.title if task is SPAM else f"{size.title}, {task.classes} topics",
                    help=size.help,
                    source=source,
                    family=family,
                    tasks=(task.name,),
                    make=functools.partial(size.make, task.vocabulary, task.classes),
                    parameters=size.parameters[task.name],
                    learning_rate=size.learning_rate,
                    batch_size=32,
                    seconds_per_epoch=size.seconds * task.scale,
                    taps=size.taps,
                )
            )
