"""The teacher of the mails: MiniLM with adapters that come with the project (see README.md beside it)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.model_spec import ModelSpec
from engine.registry import register
from engine.tasks import _text_spam_files
from engine.tasks._text_files import Stock
from sample_models import _minilm_base

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = Path(__file__).with_name("weights")
SOURCE = (
    "Wang et al. 2020, MiniLM, arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084; "
    "adapters: Hu et al. 2021, LoRA, arXiv:2106.09685; trained by sample_models/train_minilm.py"
)
HELP = (
    "A pretrained sentence encoder of 6 layers, fine-tuned {on}. What was learnt on top of it comes with the project, "
    "and so do its answers to every text; MiniLM itself (84 MB) is needed only to ask it something new."
)


def make(words: int, classes: int) -> nn.Module:
    """[B, 128] token ids -> logits [B, classes], with fresh weights."""
    from sample_models._minilm import Minilm

    return Minilm(words, classes)


def complete(stock: Stock, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole state from the shipped adapters and MiniLM's weights on this machine."""
    return _minilm_base.merged(stock.vocabulary(), trained)


def teacher(stock: Stock, name: str, on: str, words: int, parameters: int, seconds: float) -> ModelSpec:
    """A fine-tuned MiniLM of one task."""
    return ModelSpec(
        name=name,
        title=f"MiniLM, {round(parameters / 1e6)} million parameters",
        help=HELP.format(on=on),
        source=SOURCE,
        family="bert",
        tasks=(stock.task,),
        make=functools.partial(make, words, len(stock.classes)),
        parameters=parameters,
        role="teacher",
        learning_rate=1e-3,
        batch_size=32,
        weight_decay=0.01,
        seconds_per_epoch=seconds,
        taps={"last_feature": "pool"},
        weights=FOLDER / f"{name}.safetensors",
        complete=functools.partial(complete, stock),
    )


register(teacher(_text_spam_files.STOCK, "minilm_spam", "on 3,031 labelled mails", 4_096, 12_271_106, 200.0))
