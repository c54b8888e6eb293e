"""Fine-tune MiniLM for a text task: ``python -m sample_models.train_minilm text_spam``.

The upper layers get low-rank adapters (Hu et al. 2021, arXiv:2106.09685), the lower ones keep their weights, so
that their states are computed once. Adapters and head are written to ``weights/``, the record of the run beside
them, and the teacher's outputs on all splits to ``sample_data/``. Needs MiniLM's weights (``_minilm_base.py``).
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import StillhouseError
from engine.tasks import _text_files as text_files
from engine.tasks import _text_spam_files
from engine.tasks._text_files import Stock
from sample_models import _minilm_base
from sample_models._minilm import LAYERS, Minilm, without_padding

WEIGHTS = Path(__file__).with_name("weights")
ADAPTED = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """``frozen``: how many layers keep their weights; the others get adapters of ``rank``, times ``scale``."""

    epochs: int
    frozen: int
    rank: int
    scale: float = 2.0
    batch_size: int = 32
    peak: float = 1e-3
    warm_up: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0

    def learning_rate(self, done: float) -> float:
        """Linear up to ``peak`` at ``warm_up``, then linear to 0; ``done`` is the fraction of steps, 0 to 1."""
        return self.peak * min(done / self.warm_up, (1 - done) / (1 - self.warm_up))


PLANS: Mapping[str, tuple[str, Stock, Plan]] = MappingProxyType(
    {
        "text_spam": ("minilm_spam", _text_spam_files.STOCK, Plan(epochs=3, frozen=2, rank=8)),
    }
)


# products in bfloat16: twice as fast where the processor knows them (AVX-512 BF16), and training does not mind
HALF = functools.partial(torch.autocast, "cpu", torch.bfloat16)


class LowRank(nn.Module):
    """y = W x + scale * B A x with W frozen (Hu et al. 2021, equation 3); B starts at zero."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.linear, self.scale = linear, scale
        self.a = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, inputs: Tensor) -> Tensor:
        change = F.linear(F.linear(inputs, self.a) * self.scale, self.b)
        whole: Tensor = change + self.linear(inputs)
        return whole


def adapt(model: Minilm, plan: Plan) -> list[nn.Parameter]:
    """Freeze the encoder and put adapters into its upper layers; what is to be trained."""
    model.encoder.requires_grad_(False)
    for number in range(plan.frozen, LAYERS):
        layer = model.encoder.encoder.layer[number]
        for name in ADAPTED:
            path, _, last = name.rpartition(".")
            setattr(layer.get_submodule(path), last, LowRank(layer.get_submodule(name), plan.rank, plan.scale))
    return [p for p in model.parameters() if p.requires_grad]


def adapter(model: Minilm) -> dict[str, Tensor]:
    """What was trained, in half precision: ``<layer>.a`` [rank, in] (times scale), ``.b`` [out, rank], ``head.*``."""
    found = {f"head.{name}": value for name, value in model.head.state_dict().items()}
    for name, module in model.named_modules():
        if isinstance(module, LowRank):
            found |= {f"{name}.a": module.a * module.scale, f"{name}.b": module.b}
    return {name: value.detach().half().contiguous() for name, value in found.items()}


def through(model: Minilm, states: Tensor, ids: Tensor, first: int, last: int) -> Tensor:
    """States [B, T, D] after the layers ``first`` to ``last - 1``."""
    mask = without_padding(ids)
    for layer in model.encoder.encoder.layer[first:last]:
        found = layer(states, attention_mask=mask)
        states = found[0] if isinstance(found, tuple) else found
    return states


@torch.no_grad()
def lower(model: Minilm, ids: Tensor, last: int) -> Tensor:
    """States [N, T, D] below layer ``last`` in half precision."""
    model.eval()
    found = torch.zeros(*ids.shape, model.head.in_features, dtype=torch.float16)
    for rows in by_length(ids):
        part = cut(ids[rows])
        with HALF():
            states = through(model, model.encoder.embeddings(input_ids=part), part, 0, last)
        found[rows, : part.shape[1]] = states.half()
    return found


def upper(model: Minilm, states: Tensor, ids: Tensor, first: int) -> Tensor:
    """Logits [B, C] from the states [B, T, D] below layer ``first``; ids [B, t] may be shorter than the states."""
    states = through(model, states[:, : ids.shape[1]].float(), ids, first, LAYERS)
    logits: Tensor = model.head(model.pool(states, ids))
    return logits


def cut(ids: Tensor) -> Tensor:
    """Without the columns that are padding in every row."""
    return ids[:, : int((ids != text_files.PAD).sum(1).max())]


def by_length(ids: Tensor, size: int = 64) -> Iterator[Tensor]:
    """Rows of texts of about equal length."""
    yield from torch.split((ids != text_files.PAD).sum(1).argsort(), size)


def batches(ids: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of one epoch in random order, of about equal length within a batch."""
    order = torch.randperm(len(ids), generator=generator)
    found = [pool[rows] for pool in torch.split(order, 16 * size) for rows in by_length(ids[pool], size)]
    for number in torch.randperm(len(found), generator=generator).tolist():
        yield found[number]


@torch.no_grad()
def logits_of(model: Minilm, ids: Tensor, below: Tensor | None = None, first: int = 0) -> Tensor:
    """Logits [N, C] in evaluation, from the states ``below`` layer ``first`` or from the words."""
    model.eval()
    found = torch.empty(len(ids), model.head.out_features)
    for rows in by_length(ids):
        part = cut(ids[rows])
        states = model.encoder.embeddings(input_ids=part) if below is None else below[rows]
        found[rows] = upper(model, states, part, first)
    return found


def train(
    model: Minilm, ids: Tensor, labels: Tensor, plan: Plan, report: Callable[[int, float, Minilm], None]
) -> Minilm:
    """Fine-tune ``model``; ``report(epoch, loss, model)`` is called after each epoch."""
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    below = lower(model, ids, plan.frozen)
    trained = adapt(model, plan)
    optimizer = torch.optim.AdamW(trained, lr=plan.peak, weight_decay=plan.weight_decay, fused=True)
    an_epoch, step = sum(1 for _ in batches(ids, plan.batch_size, torch.Generator())), 0
    for epoch in range(plan.epochs):
        total = 0.0
        model.train()
        for rows in batches(ids, plan.batch_size, generator):
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate((step + 0.5) / (plan.epochs * an_epoch))
            with HALF():
                logits = upper(model, below[rows], cut(ids[rows]), plan.frozen)
            loss = F.cross_entropy(logits.float(), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            step += 1
            total += loss.item()
        report(epoch + 1, total / an_epoch, model)
    return model.eval()


def fresh(stock: Stock) -> Minilm:
    """MiniLM's own weights and a fresh head, in eval mode."""
    vocabulary = stock.vocabulary()
    model = Minilm(len(vocabulary.words), len(stock.classes))
    model.load_state_dict({**model.state_dict(), **_minilm_base.encoder(vocabulary)})
    return model.eval()


def tensors(stock: Stock, split: str) -> tuple[Tensor, Tensor]:
    """Ids [N, T] and labels [N] of a split."""
    texts = stock.read(split)
    return torch.from_numpy(texts.ids.astype("int64")), torch.from_numpy(texts.labels.astype("int64"))


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Fraction of one."""
    return round(float((logits.argmax(1) == labels).double().mean()), 4)


def train_and_save(name: str, stock: Stock, plan: Plan) -> None:
    """Train, write what was learnt and the record of the run beside it."""
    path = WEIGHTS / f"{name}.safetensors"
    began, curve = time.process_time(), []
    model, validation = fresh(stock), tensors(stock, "validation")
    below = lower(model, validation[0], plan.frozen)

    def report(epoch: int, loss: float, model: Minilm) -> None:
        right = accuracy(logits_of(model, validation[0], below, plan.frozen), validation[1])
        curve.append({"epoch": epoch, "loss": round(loss, 4), "validation": right})
        print(curve[-1], f"{time.process_time() - began:.0f} CPU s", flush=True)
        save_file(adapter(model), path)

    train(model, *tensors(stock, "train"), plan, report)
    record = {"plan": asdict(plan), "precision": "bfloat16", "cpu_seconds": round(time.process_time() - began),
              "curve": curve, "minilm_sha256": _minilm_base.WEIGHTS_SHA256, "torch": torch.__version__}  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")


def write_outputs(name: str, stock: Stock) -> None:
    """Write the logits of the present weights on all splits, and print how good they are."""
    from safetensors.torch import load

    content = (WEIGHTS / f"{name}.safetensors").read_bytes()
    vocabulary = stock.vocabulary()
    model = Minilm(len(vocabulary.words), len(stock.classes))
    model.load_state_dict(_minilm_base.merged(vocabulary, load(content)))
    outputs = {}
    for split in text_files.SPLITS:
        ids, labels = tensors(stock, split)
        logits = logits_of(model, ids)
        outputs[split] = logits.numpy()
        print(f"{name} on {split}: {accuracy(logits, labels)}", flush=True)
    text_files.write_outputs(stock.outputs(name), outputs, hashlib.sha256(content).hexdigest())


def main() -> None:
    """Train, write, measure."""
    parser = argparse.ArgumentParser(prog="python -m sample_models.train_minilm")
    parser.add_argument("task", choices=sorted(PLANS))
    parser.add_argument("--outputs", action="store_true", help="do not train: write the present weights' outputs again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, stock, plan = PLANS[options.task]
    try:
        if not options.outputs:
            train_and_save(name, stock, plan)
        write_outputs(name, stock)
    except StillhouseError as problem:
        raise SystemExit(str(problem)) from None


if __name__ == "__main__":
    main()
