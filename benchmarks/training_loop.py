"""training.fit against a plain PyTorch loop, interleaved in one run: ``python benchmarks/training_loop.py [--quick]``.

Both train the same student with the same teacher on the same examples (``--task``) with the same batch size and number
of steps on one thread. fit() has the teacher's outputs at hand; what they cost once is printed. The ratio is the median
over rounds, so a busy machine disturbs both sides of a round alike. Exit status 1 below ``--least`` (5, texts 3.2, with
--quick 0). ``--accuracy EPOCHS`` also trains both to the end and prints what they reach on validation.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plain_loop
from engine import registry
from engine.losses._base import LossContext
from engine.losses.kd import KD
from engine.model_spec import ModelSpec
from engine.stages._base import StageContext
from engine.tasks._base import Split, Task
from engine.teaching import forward, load_teacher
from engine.training import CachedTeacher, FitPlan, fit

PAIRS = {"fashion_mnist": ("plain_10k", "teacher"), "text_spam": ("bert_1", "minilm_spam")}
LEAST = {"fashion_mnist": 5.0, "text_spam": 3.2}
TEMPERATURE, WEIGHT = 4.0, 0.9
MATRIX = 1024


@dataclass(frozen=True)
class Round:
    """Images a second of both loops, and the sgemm rate right after them in FLOP/s."""

    plain: float
    fit: float
    sgemm: float


def main() -> int:
    """Run and print; 1 when the ratio is below what was asked for."""
    options = _options()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student, named = PAIRS[options.task]
    whole = registry.get("tasks", options.task).split("sample", "train")
    train = Split(whole.inputs[: options.images], whole.labels[: options.images])
    teacher = load_teacher(named)
    started = time.perf_counter()
    logits = forward(teacher, train.inputs)
    once = time.perf_counter() - started
    pair = Pair(registry.get("models", student), teacher)
    pair.round(train, logits)  # warm-up
    rounds = [pair.round(train, logits) for _ in range(options.rounds)]
    row = summary(rounds, flops_an_example(pair.spec, train.inputs[:64]), once / len(train))
    if options.accuracy:
        shipped = registry.get("tasks", options.task).shipped_outputs(named, "sample", "train").float()
        row |= pair.reached(registry.get("tasks", options.task), whole, shipped, options.accuracy)
    print(json.dumps(row) if options.json else words(row))
    return int(row["ratio"] < options.least)


@dataclass(frozen=True)
class Pair:
    """The student that both loops train, and the teacher that the plain one asks at every batch."""

    spec: ModelSpec
    teacher: nn.Module

    def plain(self, train: Split, epochs: int = 1) -> nn.Module:
        """A student that the plain loop has trained."""
        spec, student = self.spec, self.spec.make()
        plain_loop.train(student, self.teacher, train.inputs, train.labels, epochs, spec.batch_size,
                         spec.learning_rate, TEMPERATURE, WEIGHT)  # fmt: skip
        return student

    def ours(self, train: Split, logits: Tensor, epochs: int = 1) -> nn.Module:
        """A student that fit() has trained."""
        spec, student = self.spec, self.spec.make()
        plan = FitPlan(epochs, spec.batch_size, spec.learning_rate, spec.weight_decay, 0, 0)
        context = StageContext([], train.inputs[:1], nn.functional.cross_entropy, torch.Generator())
        objective, rows = KD(TEMPERATURE, WEIGHT).build(LossContext()), torch.arange(len(train))
        fit(student, objective, train, rows, [CachedTeacher(logits)], [], plan, context, _ignore, _no_quality)
        return student

    def round(self, train: Split, logits: Tensor) -> Round:
        """One epoch of each loop and a few matrix products."""
        plain, ours = seconds(lambda: self.plain(train)), seconds(lambda: self.ours(train, logits))
        return Round(len(train) / plain, len(train) / ours, sgemm_rate())

    def reached(self, task: Task, train: Split, logits: Tensor, epochs: int) -> dict[str, float]:
        """Quality on validation after ``epochs`` of each loop."""
        split = task.split("sample", "validation")
        students = {"plain": self.plain(train, epochs), "fit": self.ours(train, logits, epochs)}
        return {f"{n}_quality": task.quality(forward(m, split.inputs), split.labels).value for n, m in students.items()}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def sgemm_rate(repeats: int = 5) -> float:
    """FLOP/s of float32 matrix products on this thread: the best of a few, which is what the processor can do."""
    a, b = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    out = torch.empty(MATRIX, MATRIX)
    best = min(seconds(lambda: torch.mm(a, b, out=out)) for _ in range(repeats))
    return 2 * MATRIX**3 / best


def flops_an_example(spec: ModelSpec, inputs: Tensor) -> float:
    """Operations of a training step an example: forward and backward of convolutions and linear layers."""
    model = spec.make().train()
    with FlopCounterMode(display=False) as counter:
        model(inputs).sum().backward()
    return counter.get_total_flops() / len(inputs)


def summary(rounds: list[Round], flops: float, teacher_seconds: float) -> dict[str, float]:
    """Medians over rounds; ``share`` is fit()'s arithmetic rate as a fraction of sgemm's."""
    return {
        "ratio": statistics.median(r.fit / r.plain for r in rounds),
        "ratio_low": min(r.fit / r.plain for r in rounds),
        "ratio_high": max(r.fit / r.plain for r in rounds),
        "fit_examples_per_second": statistics.median(r.fit for r in rounds),
        "plain_examples_per_second": statistics.median(r.plain for r in rounds),
        "sgemm_gflops": statistics.median(r.sgemm for r in rounds) / 1e9,
        "share": statistics.median(r.fit * flops / r.sgemm for r in rounds),
        "teacher_once_ms_per_example": teacher_seconds * 1e3,
        "rounds": len(rounds),
    }


def words(row: dict[str, float]) -> str:
    """The summary as text."""
    reached = ""
    if "fit_quality" in row:
        reached = f"\nquality        {row['fit_quality']:8.2%} with training.fit, {row['plain_quality']:.2%} without"
    return (
        f"training.fit   {row['fit_examples_per_second']:8.0f} examples/s\n"
        f"plain loop     {row['plain_examples_per_second']:8.0f} examples/s (DataLoader, live teacher, Adam)\n"
        f"ratio          {row['ratio']:8.2f} x, median of {row['rounds']} interleaved rounds "
        f"({row['ratio_low']:.2f} to {row['ratio_high']:.2f})\n"
        f"sgemm          {row['sgemm_gflops']:8.1f} GFLOP/s on one thread; training.fit: {row['share']:.0%} of it\n"
        f"teacher, once  {row['teacher_once_ms_per_example']:8.2f} ms an example where its outputs are not shipped"
        f"{reached}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="two short rounds: a smoke test")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (13, with --quick 2)")
    parser.add_argument("--images", type=int, help="examples a round (2560, texts 320, with --quick 640)")
    parser.add_argument("--least", type=float, help="fail below this ratio (5, texts 3.2, with --quick 0)")
    parser.add_argument("--task", default="fashion_mnist", choices=tuple(PAIRS), help="what is learned")
    parser.add_argument("--accuracy", type=int, default=0, metavar="EPOCHS", help="also train both this long")
    options = parser.parse_args()
    usual = {"rounds": 13, "images": 2560 if options.task == "fashion_mnist" else 320, "least": LEAST[options.task]}
    if options.quick:
        usual = {"rounds": 2, "images": 640, "least": 0.0}
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _ignore(_report: object) -> None:
    pass


def _no_quality(_model: nn.Module) -> float:
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
