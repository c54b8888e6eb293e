"""How much faster are integers? ``python -m benchmarks.kernels [--quick] [--only NAME]``

Networks with random weights, quantized by the stage that recipes use, written by the writer of artifacts, and timed as
a trial is, each beside itself in float: images of 224 x 224 in a ResNet-18 and in one of half the width, the largest
student of Fashion-MNIST, a text encoder of MiniLM's size (128 tokens) and one token through a decoder of GPT-2's size
(no earlier tokens: what counts is the matrix products), 4 bits a weight. Recipes ship the decoder whose inputs stay in
float, as then the answers stay those of the trained network; the other is what *Other runtimes* measures. Prints
Markdown; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet, resnet18

from engine import artifact, registry
from engine.artifact import Built
from engine.artifact.kernels import AUTO, NBITS_INT8
from engine.measure import machine
from engine.measure.latency import LatencyReading, Protocol, measure
from engine.stages._base import StageContext
from engine.stages.quantize_linear import QuantizeLinear

SEED, CALIBRATED, HEADS, REFERENCE, MINE = 0, 8, 12, "float", "integer"
FULL, QUICK = Protocol(seconds=40.0, limit=120.0), Protocol(seconds=4.0, limit=12.0, rounds=5)


class Attention(nn.Module):
    """Self-attention over [batch, tokens, width]; query, key and value from one product (GPT-2) or three (BERT)."""

    def __init__(self, width: int, heads: int, tokens: int, joint: bool) -> None:
        super().__init__()
        self.shape, self.width = (-1, tokens, heads, width // heads), width
        self.inner = nn.ModuleList([nn.Linear(width, 3 * width)] if joint else [nn.Linear(width, width) for _ in "qkv"])
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, tokens, width] to the same."""
        made = [layer(x) for layer in self.inner]
        parts = made if len(made) > 1 else made[0].split(self.width, -1)
        query, key, value = (part.reshape(self.shape).transpose(1, 2) for part in parts)
        shares = (query @ key.transpose(-1, -2) * self.shape[-1] ** -0.5).softmax(-1)
        out: Tensor = self.out((shares @ value).transpose(1, 2).reshape(-1, self.shape[1], self.width))
        return out


class Block(nn.Module):
    """Attention and two layers of four times the width, norms before (GPT-2) or after them (BERT)."""

    def __init__(self, width: int, heads: int, tokens: int, before: bool) -> None:
        super().__init__()
        self.attention, self.before = Attention(width, heads, tokens, before), before
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, tokens, width] to the same."""
        if self.before:
            x = x + self.attention(self.first(x))
            return torch.add(x, self.wide(self.second(x)))
        x = self.first(x + self.attention(x))
        return torch.as_tensor(self.second(x + self.wide(x)))


class Transformer(nn.Module):
    """Embedded tokens [batch, tokens, width] to logits of the last token; a table of embeddings is no product."""

    def __init__(self, layers: int, width: int, tokens: int, outputs: int, before: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(width, HEADS, tokens, before) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [batch, outputs]."""
        logits: Tensor = self.head(self.norm(self.blocks(x)[:, -1]))
        return logits


class HalfResNet(ResNet):
    """ResNet-18 with half the channels everywhere."""

    def __init__(self) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.inplanes = 32
        self.conv1 = nn.Conv2d(3, 32, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        for number, width in enumerate((32, 64, 128, 256), 1):
            setattr(self, f"layer{number}", self._make_layer(BasicBlock, width, 2, stride=1 if number == 1 else 2))
        self.fc = nn.Linear(256, 1000)


@dataclass(frozen=True)
class Case:
    """A network, its input without the batch, the stage's bits, the ratio that it must reach (None: none), the runtime.

    ``scale`` is the stage's: the search by least squares takes minutes for a hundred million weights.
    """

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    bits: int
    limit: float | None
    runtime: str = AUTO
    scale: str = "least_squares"


def _student() -> nn.Module:
    made: nn.Module = registry.get("models", "plain_150k").make()
    return made


def _decoder() -> nn.Module:
    return Transformer(12, 768, 1, 50_257, True)


CASES = (
    Case("ResNet-18 at 224", lambda: resnet18(weights=None), (3, 224, 224), 8, 2.7),
    Case("ResNet-18 of half the width at 224", HalfResNet, (3, 224, 224), 8, 3.0),
    Case("largest Fashion-MNIST student", _student, (1, 28, 28), 8, 1.4),
    Case("encoder of MiniLM's size, 128 tokens", lambda: Transformer(6, 384, 128, 384, False), (128, 384), 8, 2.2),
    Case("decoder of GPT-2's size, one token, int8 inputs", _decoder, (1, 768), 4, 3.0, NBITS_INT8, "maximum"),
    Case("the same, float inputs", _decoder, (1, 768), 4, None, AUTO, "maximum"),
)  # fmt: skip


def built(case: Case) -> tuple[Built, Built]:
    """The network in float and quantized, both as artifacts."""
    torch.manual_seed(SEED)
    model, inputs = case.make(), torch.rand(CALIBRATED, *case.shape)
    with torch.no_grad():
        for _ in range(3):
            model.train()(inputs)  # norms that have seen something
    model.eval()
    dense = artifact.build(model, inputs[:2])
    stage = QuantizeLinear(bits=case.bits, scale=case.scale)
    batches = [(inputs, torch.zeros(CALIBRATED).long())]
    context = StageContext(batches, inputs[:1], lambda *_: torch.zeros(()), torch.Generator())
    stage.attach(model, [])
    stage.prepare(model, context)
    stage.finish(model, context)
    return dense, artifact.build(model, inputs[:2], runtime=case.runtime)


def compared(case: Case, folder: Path, protocol: Protocol) -> tuple[Built, LatencyReading, LatencyReading]:
    """The quantized artifact, its reading beside the float one's, and that one's."""
    dense, integer = built(case)
    paths = {REFERENCE: folder / "float.onnx", MINE: folder / "integer.onnx"}
    paths[REFERENCE].write_bytes(dense.onnx)
    paths[MINE].write_bytes(integer.onnx)
    found = measure(paths, case.shape, 1, REFERENCE, protocol)
    return integer, found[MINE], found[REFERENCE]


def kernels(onnx_file: bytes) -> str:
    """The runtime's kernels for products in the file after ONNX Runtime has merged nodes, with their number."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        artifact.session(onnx_file, optimized_model_filepath=os.fspath(path))
        operators = [node.op_type for node in onnx.load(path).graph.node]
    wanted = ("QLinearConv", "QGemm", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits")
    return ", ".join(f"{operators.count(name)} {name}" for name in wanted if name in operators) or "float"


def main() -> int:
    """Print the table; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds a network")
    parser.add_argument("--only", default="", help="networks whose name contains this")
    options = parser.parse_args()
    chosen, missed = [c for c in CASES if options.only.lower() in c.name.lower()], []
    vectors = ", ".join(machine.facts()["features"]) or "no vector features known"
    print(f"One thread, batch 1; {vectors}; load average {os.getloadavg()[0]:.1f}.\n")
    print("| network | bits | float | integer | times faster (95 % interval) | limit | kernels |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in chosen:
        with tempfile.TemporaryDirectory() as folder:
            integer, mine, dense = compared(case, Path(folder), QUICK if options.quick else FULL)
        ratio, low, high = (1 / float(v or 1) for v in (mine.ratio, mine.ratio_high, mine.ratio_low))
        if case.limit is not None and ratio < case.limit:
            missed.append(case.name)
        print(f"| {case.name} | {case.bits} | {dense.median_ms:.3g} ms | {mine.median_ms:.3g} ms "
              f"| {ratio:.2f} ({low:.2f} to {high:.2f}) | {case.limit or 'none'} | {kernels(integer.onnx)} |",
              flush=True)  # fmt: skip
    print(f"\nMissed: {', '.join(missed) or 'none'}. Load average at the end {os.getloadavg()[0]:.1f}.")
    return min(len(missed), 1)


if __name__ == "__main__":
    sys.exit(main())
