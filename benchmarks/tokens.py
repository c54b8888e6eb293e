"""How long does a language model take for a prompt and for one more token? ``python -m benchmarks.tokens [--quick]``

The shipped students with fresh weights, and one of GPT-2's width (768, one layer), in float, int8 and 4 bits, written
with a key-value cache by the writer of artifacts; the float graph without a cache beside them. Prints Markdown.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

from engine import registry
from engine.artifact import Built, kv_graph
from engine.measure import machine
from engine.measure.latency import Protocol
from engine.measure.token_latency import PROMPT, TOKEN, measure
from engine.stages._base import StageContext
from engine.stages.quantize_linear import QuantizeLinear
from sample_models._gpt_blocks import Gpt

STUDENTS, BITS, FLOAT = ("gpt_1", "gpt_2", "gpt_3"), (8, 4), "float"
LENGTH = 64


def made(name: str) -> nn.Module:
    """A model with fresh weights."""
    torch.manual_seed(0)
    model: nn.Module = Gpt(1, 768, 12) if name == "gpt_wide" else registry.get("models", name).make()
    return model.eval()


def rounded(model: nn.Module, bits: int) -> nn.Module:
    """The model in place, its linear layers rounded after training."""
    ids = torch.randint(1, 512, (8, LENGTH), generator=torch.Generator().manual_seed(0))
    stage = QuantizeLinear(bits=bits)
    context = StageContext([(ids, ids)], ids[:1], lambda *_: torch.zeros(()), torch.Generator().manual_seed(0), 0)
    stage.attach(model, [])
    stage.prepare(model, context)
    stage.finish(model, context)
    return model


def graphs(name: str) -> dict[str, Built]:
    """The model's graphs with a cache, by number format."""
    found = {FLOAT: kv_graph.build(made(name))}
    return found | {f"{bits} bits": kv_graph.build(rounded(made(name), bits)) for bits in BITS}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter measurements")
    options = parser.parse_args()
    protocol = Protocol(seconds=4.0, limit=12.0, rounds=5) if options.quick else Protocol(seconds=20.0, limit=60.0)
    print(f"{machine.facts()['machine']}, one thread; prompt {LENGTH} tokens, one token after {LENGTH}\n")
    print("| model | format | prompt, ms | one token, ms | prompt to float | one token to float |")
    print("|---|---|---|---|---|---|")
    for name in (*STUDENTS, "gpt_wide"):
        built = graphs(name)
        found = measure({f: b.onnx for f, b in built.items()}, LENGTH, LENGTH, FLOAT, protocol)
        for form in built:
            times = [found[kind][form] for kind in (PROMPT, TOKEN)]
            cells = [f"{t.median_ms:.3f} ({t.low_ms:.3f} to {t.high_ms:.3f})" for t in times]
            ratios = ["" if t.ratio is None else f"{t.ratio:.2f}" for t in times]
            print("|", " | ".join([name, form, *cells, *ratios]), "|", flush=True)


if __name__ == "__main__":
    main()
