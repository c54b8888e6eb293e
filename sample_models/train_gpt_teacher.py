"""Train the shipped language model again: ``python -m sample_models.train_gpt_teacher`` (an hour).

Trains on all training texts (37 plays and poems, 2.1 million tokens) at random offsets; the validation figures printed
on the way steer nothing, and the test blocks are read once, at the end. The schedule follows the clock, so that it ends
when it should also on a busy machine, with fewer steps then: an idle core makes three steps a second. Writes the
weights in half precision and the record of the run beside them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.tasks import _language_model_files as files
from sample_models import gpt


@dataclass(frozen=True)
class Plan:
    """What the training does; ``peak`` is the highest learning rate, reached after ``warm_up`` of the time."""

    minutes: float = 55.0
    batch_size: int = 16
    peak: float = 2.5e-3
    warm_up: float = 0.03
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    seed: int = 0

    def learning_rate(self, done: float) -> float:
        """Linear up to ``peak`` at ``warm_up``, then half a cosine to 0; ``done`` is the fraction of time, 0 to 1."""
        if done < self.warm_up:
            return self.peak * done / self.warm_up
        return self.peak * 0.5 * (1 + math.cos(math.pi * (done - self.warm_up) / (1 - self.warm_up)))


class Clock:
    """Fraction of the planned time that has passed, 0 to 1."""

    def __init__(self, minutes: float) -> None:
        self.began, self.seconds = time.monotonic(), minutes * 60

    def done(self) -> float:
        """Now."""
        return min(1.0, (time.monotonic() - self.began) / self.seconds)


def stream() -> Tensor:
    """All training texts as one row of ids, int64."""
    texts = files.read_texts()
    return torch.from_numpy(np.concatenate([texts[name] for name in files.names("full", texts)]))


def loss_of(model: nn.Module, rows: Tensor) -> Tensor:
    """Mean cross entropy in nats a token over blocks [B, T + 1]."""
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def figures(model: nn.Module, split: str) -> dict[str, float]:
    """Perplexity a token and bits a character on ``validation`` or ``test``."""
    rows = torch.from_numpy(files.read(split))
    model.eval()
    nats = float(
        torch.stack([loss_of(model, part) for part in torch.split(rows, 16)]).mean()
    )  # the parts are equally long
    model.train()
    letters = float(files.characters()[rows[:, 1:].numpy()].mean())
    return {"perplexity": round(math.exp(nats), 3), "bits_per_character": round(nats / math.log(2) / letters, 4)}


def optimizer_for(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW; only weights of two and more dimensions decay, not norms and biases."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.peak, betas=plan.betas, fused=True)


def save(model: nn.Module, path: Path) -> None:
    """Write the weights, contiguous and in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, path)


def train(model: nn.Module, plan: Plan, path: Path) -> list[dict[str, float]]:
    """Train in place; the figures about twenty times on the way, a checkpoint ``.partial`` with each."""
    ids, generator = stream(), torch.Generator().manual_seed(plan.seed)
    optimizer, clock = optimizer_for(model, plan), Clock(plan.minutes)
    curve: list[dict[str, float]] = []
    step, total, since, offsets = 0, 0.0, 0, torch.arange(files.POSITIONS + 1)
    while (done := clock.done()) < 1:
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate(done)
        starts = torch.randint(len(ids) - files.POSITIONS, (plan.batch_size, 1), generator=generator)
        loss = loss_of(model, ids[starts + offsets])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimizer.step()
        step, total, since = step + 1, total + loss.item(), since + 1
        if done * 20 > len(curve) + 1:
            curve.append({"step": step, "loss": round(total / since, 4), **figures(model, "validation")})
            print(curve[-1], f"{done:.0%}", flush=True)
            save(model, path.with_suffix(".partial"))
            total, since = 0.0, 0
    return [*curve, {"step": step, "loss": round(total / max(since, 1), 4), **figures(model, "validation")}]


def main() -> None:
    """Train, write, measure."""
    parser = argparse.ArgumentParser(prog="python -m sample_models.train_gpt_teacher")
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="how long to train")
    parser.add_argument("--weights", type=Path, default=gpt.WEIGHTS, help="file for the weights")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(minutes=options.minutes)
    torch.manual_seed(plan.seed)
    model = gpt.make_teacher().train()
    began = time.process_time()
    curve = train(model, plan, options.weights)
    save(model, options.weights)
    options.weights.with_suffix(".partial").unlink(missing_ok=True)
    record = {"plan": asdict(plan), "cpu_seconds": round(time.process_time() - began), "curve": curve,
              "test": figures(model, "test"), "torch": torch.__version__}  # fmt: skip
    options.weights.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(record)


if __name__ == "__main__":
    main()
