"""Train the shipped Fashion-MNIST teacher again: ``python -m sample_models.train_teacher`` (about 15 CPU minutes).

Needs the Debian package dataset-fashion-mnist. Trains on 55,000 of the official training images; the validation
accuracy printed after each epoch steers nothing, and the test images are read once, at the end. Writes the weights, the
teacher's outputs on the sample (``sample_data/``) and the record of the run beside them.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.tasks import _fashion_mnist_files as files
from sample_models import teacher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Plan:
    """What the training does; ``ema`` is the weight that the average keeps each step, shifts are in pixels."""

    epochs: int = 10
    batch_size: int = 200
    peak: float = 5e-3
    warm_up: float = 0.15
    weight_decay: float = 0.03
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.995
    shift: int = 1
    seed: int = 0

    def learning_rate(self, done: float) -> float:
        """Linear up to ``peak`` at ``warm_up``, then linear to 0; ``done`` is the fraction of steps, 0 to 1."""
        return self.peak * min(done / self.warm_up, (1 - done) / (1 - self.warm_up))


def augmented(images: Tensor, epoch: int, plan: Plan, generator: torch.Generator) -> Tensor:
    """One epoch's images [N, 28, 28] uint8: each mirrored every other epoch, each moved by up to ``shift`` pixels."""
    first = torch.rand(len(images), generator=torch.Generator().manual_seed(plan.seed)) < 0.5
    flipped = torch.where((first ^ (epoch % 2 == 1))[:, None, None], images.flip(2), images)
    padded = F.pad(flipped, (plan.shift,) * 4)
    width = 2 * plan.shift + 1
    moves = torch.randint(width * width, (len(images),), generator=generator)
    moved = torch.empty_like(images)
    for move in range(width * width):
        rows = (moves == move).nonzero().squeeze(1)
        down, right = divmod(move, width)
        moved[rows] = padded[rows, down : down + 28, right : right + 28]
    return moved


def normalised(images: Tensor) -> Tensor:
    """[N, 28, 28] uint8 -> [N, 1, 28, 28] float32 as the task gives them."""
    return torch.from_numpy(files.normalised(images.numpy()))


def batches(images: Tensor, labels: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Whole batches in a random order; the remainder is left out of this epoch."""
    order = torch.randperm(len(images), generator=generator)
    for start in range(0, len(images) - size + 1, size):
        rows = order[start : start + size]
        yield normalised(images[rows]).contiguous(memory_format=torch.channels_last), labels[rows]


def optimizer_for(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW; only weights of two and more dimensions decay, not norms and biases."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.peak, betas=plan.betas, fused=True)


@torch.no_grad()
def average(into: nn.Module, model: nn.Module, keep: float) -> None:
    """Exponential moving average of weights and of BatchNorm's running statistics."""
    for mean, now in zip(into.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - keep)
        else:
            mean.copy_(now)


@torch.no_grad()
def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """[N, 28, 28] uint8 -> logits [N, 10], in evaluation."""
    model.eval()
    return torch.cat([model(normalised(part)) for part in torch.split(images, 500)])


def train(images: Tensor, labels: Tensor, plan: Plan, report: Callable[[int, float, nn.Module], None]) -> nn.Module:
    """The averaged model; ``report(epoch, loss, averaged model)`` is called after each epoch."""
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    model = teacher.make().to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(model)
    optimizer = optimizer_for(model, plan)
    steps, step = plan.epochs * (len(images) // plan.batch_size), 0
    for epoch in range(plan.epochs):
        total = 0.0
        for inputs, targets in batches(augmented(images, epoch, plan, generator), labels, plan.batch_size, generator):
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate((step + 0.5) / steps)
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            # a young average must not be dominated by the random start
            average(averaged, model, min(plan.ema, step / (step + 10)))
            total += loss.item()
        report(epoch + 1, total / (steps // plan.epochs), averaged)
    return averaged.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of one."""
    return float((logits_of(model, images).argmax(1) == labels).double().mean())


def tensors(part: str) -> tuple[Tensor, Tensor]:
    """An official part as tensors: images uint8 [N, 28, 28], labels int64 [N]."""
    images, labels = files.official(part)
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype("int64"))


def save(model: nn.Module, path: Path) -> None:
    """Write the weights, contiguous and in float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def main() -> None:
    """Train, write, measure."""
    parser = argparse.ArgumentParser(prog="python -m sample_models.train_teacher")
    parser.add_argument("--epochs", type=int, default=Plan.epochs, help="passes over the 55,000 images")
    parser.add_argument("--weights", type=Path, default=teacher.WEIGHTS, help="file for the weights")
    parser.add_argument("--outputs", action="store_true", help="do not train: write the present weights' outputs again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.outputs:
        train_and_save(Plan(epochs=options.epochs), options.weights)
    write_outputs(options.weights)


def train_and_save(plan: Plan, path: Path) -> None:
    """Train, write the weights to ``path`` and the record of the run beside them."""
    images, labels = tensors("train")
    rows = {name: torch.from_numpy(r) for name, r in files.split_rows(labels.numpy().astype("uint8")).items()}
    validation = images[rows["validation"]], labels[rows["validation"]]
    began, curve = time.process_time(), []

    def report(epoch: int, loss: float, model: nn.Module) -> None:
        curve.append({"epoch": epoch, "loss": round(loss, 4), "validation": round(accuracy(model, *validation), 4)})
        print(curve[-1], f"{time.process_time() - began:.0f} CPU s", flush=True)
        save(model, path.with_suffix(".partial"))

    model = train(images[rows["full"]], labels[rows["full"]], plan, report)
    save(model, path)
    path.with_suffix(".partial").unlink(missing_ok=True)
    record = {"plan": asdict(plan), "cpu_seconds": round(time.process_time() - began), "curve": curve,
              "test": round(accuracy(model, *tensors("t10k")), 4), "torch": torch.__version__}  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(record)


def write_outputs(path: Path) -> None:
    """Write the logits of the weights in ``path`` on the sample's train, validation and test images."""
    model = teacher.make()
    model.load_state_dict(load_file(path))
    outputs = {name: logits_of(model, torch.from_numpy(files.read_sample(name).pixels)) for name in files.SAMPLE}
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    files.write_outputs(files.outputs_path("teacher"), {n: t.numpy() for n, t in outputs.items()}, sha256)


if __name__ == "__main__":
    main()
