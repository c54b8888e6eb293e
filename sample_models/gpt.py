"""Language models of GPT-2's kind: three students of one to three layers and the shipped teacher."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from engine.model_spec import ModelSpec
from engine.registry import register
from sample_models._gpt_blocks import Gpt

WEIGHTS = Path(__file__).with_name("weights") / "gpt_teacher.safetensors"
SOURCE = (
    "GPT-2's architecture: Radford et al. 2019, Language Models are Unsupervised Multitask Learners; "
    "transformers.GPT2Model, sizes chosen here"
)
# three times GPT-2's own spread of fresh weights: so few steps suffice only where narrow layers start less small
SPREAD = 0.06


@dataclass(frozen=True)
class Size:
    """One size; ``seconds`` is one epoch of 1,024 blocks on one thread."""

    name: str
    title: str
    layers: int
    width: int
    heads: int
    parameters: int
    seconds: float
    learning_rate: float
    help: str


SIZES = (
    Size("gpt_1", "GPT of one layer, 123,840 parameters", 1, 64, 4, 123_840, 2.0, 8e-3,
         "One transformer layer between two tables that turn tokens into numbers and back; the tables are half of its "
         "weights. It learns words and common phrases in seconds."),
    Size("gpt_2", "GPT of two layers, 173,824 parameters", 2, 64, 4, 173_824, 3.2, 8e-3,
         "Two layers of the same width: the second can look for what the first has found. It needs more steps "
         "than one layer before it is better."),
    Size("gpt_3", "GPT of three layers, 446,304 parameters", 3, 96, 6, 446_304, 7.5, 8e-3,
         "Three wider layers, a quarter of the teacher. Large enough that weights are spare, too large to be trained "
         "well in half a minute."),
)  # fmt: skip


def make(size: Size) -> nn.Module:
    """Ids [B, T] -> logits [B, T, 512], with fresh weights; the tables of inputs and answers are two."""
    return Gpt(size.layers, size.width, size.heads, spread=SPREAD)


def make_teacher() -> nn.Module:
    """Ids [B, T] -> logits [B, T, 512], with fresh weights; the table of inputs also gives the answers."""
    return Gpt(layers=4, width=192, heads=6, tied=True)


def taps(layers: int) -> dict[str, str]:
    """The features [B, T, D] before the answers; states, queries, keys and values [B, T, D] of three layers."""
    found = {"last_feature": "transformer.ln_f"}
    for depth, number in {"first": 0, "middle": (layers - 1) // 2, "last": layers - 1}.items():
        block = f"transformer.h.{number}"
        found |= {f"{depth}_{name}": f"{block}.attn.{name[0]}_proj" for name in ("query", "key", "value")}
        found[f"{depth}_states"] = block
    return found


for size in SIZES:
    register(
        ModelSpec(
            name=size.name,
            title=size.title,
            help=size.help,
            source=SOURCE,
            family="gpt",
            tasks=("language_model",),
            make=functools.partial(make, size),
            parameters=size.parameters,
            learning_rate=size.learning_rate,
            batch_size=8,
            seconds_per_epoch=size.seconds,
            taps=taps(size.layers),
        )
    )
register(
    ModelSpec(
        name="gpt_teacher",
        title="GPT teacher of four layers, 1.9 million parameters",
        help="A GPT of four layers trained in advance on all training texts, sixteen times the sample. Its weights "
        "come with the project, so a run starts from what it knows. It has read all that the students learn from.",
        source=f"{SOURCE}; trained by sample_models/train_gpt_teacher.py",
        family="gpt",
        tasks=("language_model",),
        make=make_teacher,
        parameters=1_902_720,
        role="teacher",
        learning_rate=2.5e-3,
        batch_size=16,
        weight_decay=0.1,
        seconds_per_epoch=28.0,
        taps=taps(4),
        weights=WEIGHTS,
    )
)
