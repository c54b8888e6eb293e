"""Methods made for language models against plain ones: ``python -m benchmarks.language_compression [--quick]``.

Trains (or takes from the home) students of Shakespeare on labels, applies each setting without further training, writes
the file and reads bits a character and perplexity from it, on the validation plays. Beside each setting stands its
control; the difference in bits (below zero: better than the control) is paired over the 64 blocks, each block's score
the mean over the seeds, with Student's 95 % interval; behind it how many seeds agree in sign. Prints a table in
Markdown. About a quarter of an hour on one idle core for three seeds of ``gpt_2``.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from numpy.typing import NDArray

from engine import metrics
from engine.artifact import runtime, writing
from engine.errors import InputError
from engine.files import atomic_write
from engine.home import Home
from engine.prefix import Trained
from engine.recipe import Recipe
from engine.student import advance, copy_of, train
from engine.workbench import Bench

Stages = tuple[Mapping[str, Any], ...]
HEAD = ("setting", "bits a character", "perplexity", "KB packed", "control", "difference in bits", "seeds")


@dataclass(frozen=True)
class Setting:
    """Stages by name, and the name of the setting that they are compared with."""

    name: str
    stages: Stages
    control: str = ""


def rounding(bits: int, group: int = 0) -> list[Setting]:
    """Nearest, GPTQ and AWQ at one width, a scale for each channel or for so many weights."""
    kind = {"granularity": "group", "group": group} if group else {}
    place = f"{bits} bits" + (f", groups of {group}" if group else "")
    return [
        Setting(f"nearest, {place}", ({"name": "quantize_linear", "bits": bits, "activation_bits": 0, **kind},)),
        Setting(f"GPTQ, {place}", ({"name": "quantize_gptq", "bits": bits, **kind},), f"nearest, {place}"),
        Setting(f"AWQ, {place}", ({"name": "quantize_awq", "bits": bits, **kind},), f"nearest, {place}"),
    ]


def ordered(bits: int) -> Setting:
    """GPTQ with the largest inputs first, against GPTQ as it is."""
    return Setting(f"GPTQ, act-order, {bits} bits", ({"name": "quantize_gptq", "bits": bits, "act_order": True},),
                   f"GPTQ, {bits} bits")  # fmt: skip


def smoothed(bits: int) -> list[Setting]:
    """8 bits for weights and so many for activations, as they are and after SmoothQuant."""
    plain, name = {"name": "quantize_linear", "bits": 8, "activation_bits": bits}, f"weights 8, activations {bits}"
    return [Setting(name, (plain,)), Setting(f"SmoothQuant, {name}", ({"name": "smooth_quant"}, plain), name)]


def pruned(share: float, layers: str = "*") -> list[Setting]:
    """Magnitude over all layers and in each, and Wanda in each layer and in each row (its own way)."""
    name = f"{100 * share:.0f} % zeros" + (", not in the answers' table" if layers != "*" else "")
    ways = {
        "magnitude over all": {"name": "prune_magnitude", "scope": "global"},
        "magnitude by layer": {"name": "prune_magnitude", "scope": "layer"},
        "Wanda by layer": {"name": "prune_wanda", "pattern": "layer"},
        "Wanda by row": {"name": "prune_wanda", "pattern": "row"},
    }
    made = [Setting(f"{way}, {name}", ({**stage, "sparsity": share, "layers": layers},)) for way, stage in ways.items()]
    return [*made[:2], *(replace(one, control=made[1].name) for one in made[2:])]


def cached(*ways: tuple[int, str]) -> list[Setting]:
    """Keys and values in so many bits, keys by ``channel`` or ``token``, the latter as control of the former."""
    made = []
    for bits, keys in ways:
        other = f"cache of {bits} bits, keys by token" if (bits, "token") in ways and keys == "channel" else "float"
        stage = {"name": "quantize_kv_cache", "cache_bits": bits, "key_ranges": keys}
        made.append(Setting(f"cache of {bits} bits, keys by {keys}", (stage,), other))
    return made


SETTINGS = (
    Setting("float", ()),
    *(s for bits in (4, 3, 2) for s in rounding(bits)),
    *(ordered(bits) for bits in (3, 2)),
    *(s for bits in (3, 2) for s in rounding(bits, 16)),
    *(s for bits in (8, 4) for s in smoothed(bits)),
    *(s for share in (0.5, 0.6) for s in pruned(share)),
    *pruned(0.6, "transformer.*"),
    *cached((8, "channel"), (4, "channel"), (2, "token"), (2, "channel")),
)


@dataclass(frozen=True)
class Measured:
    """One setting of one seed: a score for each block, perplexity, bytes of the packed file."""

    blocks: NDArray[np.float64]
    perplexity: float
    packed: int


def measure(bench: Bench, dense: Trained, setting: Setting) -> Measured:
    """Apply a setting to a trained student, and read the file that it gives; what is in the home is not done again."""
    phases = [{"epochs": 0, "stages": list(setting.stages)}] if setting.stages else []
    recipe = Recipe.from_json({**bench.recipe.to_json(), "phases": [*bench.recipe.to_json()["phases"], *phases]})
    path = bench.home.cache("measured") / f"{recipe.key}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Measured(kept["blocks"], float(kept["perplexity"]), int(kept["packed"]))
    found = copy_of(dense)
    if phases:
        found = advance(replace(bench, recipe=recipe), found, len(bench.recipe.phases))
    built = writing.build(found.model.eval(), bench.example)
    logits = torch.from_numpy(runtime.predict(runtime.session(built.onnx), bench.inputs("validation")))
    logits = logits.flatten(0, -2)
    labels = bench.targets("validation")
    blocks = bench.task.kept(logits, labels)[:, 0].double().numpy()
    perplexity = bench.task.metrics(logits, labels, None)["perplexity"]
    out = io.BytesIO()
    np.savez_compressed(out, blocks=blocks, perplexity=perplexity, packed=len(built.packed()))
    atomic_write(path, out.getvalue())
    return Measured(blocks, perplexity, len(built.packed()))


def row(setting: Setting, found: Mapping[str, Sequence[Measured]]) -> list[str]:
    """A line of the table."""
    own = found[setting.name]
    mean = np.mean([m.blocks for m in own], 0)
    cells = [setting.name, f"{mean.mean():.3f}", f"{np.mean([m.perplexity for m in own]):.1f}",
             f"{np.mean([m.packed for m in own]) / 1e3:.0f}", setting.control]  # fmt: skip
    if not setting.control:
        return [*cells, "", ""]
    other = found[setting.control]
    difference, low, high = metrics.paired_means(mean, np.mean([m.blocks for m in other], 0))
    agree = sum(
        bool(np.sign((a.blocks - b.blocks).mean()) == np.sign(difference)) for a, b in zip(own, other, strict=True)
    )
    return [*cells, f"{difference:+.4f} ({low:+.4f} to {high:+.4f})", f"{agree} of {len(own)}"]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch, gpt_1")
    parser.add_argument("--home", default="build/language", help="where trained students are kept")
    parser.add_argument("--student", default="gpt_2")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    student, epochs, seeds = (options.student, options.epochs, options.seeds) if not options.quick else ("gpt_1", 1, 1)
    found: dict[str, list[Measured]] = {setting.name: [] for setting in SETTINGS}
    for seed in range(seeds):
        phase = {"epochs": epochs, "loss": {"name": "cross_entropy"}}
        recipe = {"task": "language_model", "student": student, "seed": seed, "phases": [phase]}
        bench = Bench(Recipe.from_json(recipe), Home.locate(options.home))
        dense = train(bench)
        for setting in SETTINGS:
            found[setting.name].append(measure(bench, dense, setting))
            print(seed, setting.name, f"{found[setting.name][-1].blocks.mean():.4f}", file=sys.stderr, flush=True)
    print(f"{student}, {epochs} epochs, {seeds} seeds\n\n| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD))
    for setting in SETTINGS:
        print("| " + " | ".join(row(setting, found)) + " |")
    print(f"\nLoad average {os.getloadavg()[0]:.1f}.")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except InputError as problem:
        raise SystemExit(str(problem)) from None
