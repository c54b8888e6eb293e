"""The grid behind the sliders against a plain loop over the same settings.

    .venv/bin/python benchmarks/grid_speed.py [--quick] [--json]

The plain loop does what a person would write: copy the trained student, prune and round it, look at the 5,000
validation images from a DataLoader in PyTorch's default layout, on one thread, without gradients. The app's way
(``engine.search.grid``) writes each setting's ONNX artifact from a template and runs that. Both apply the same stages,
so their accuracies must be equal: for weights alone but for images whose two best classes are within rounding (one of
5,000 is allowed), at 8 bits within a point, because there the artifact computes with integers and the loop simulates
them. Latency, which the loop does not measure, is read beforehand.

Both ways take turns, setting by setting; the ratio is that of the sums. Limits: 5 times without BatchNorm
recalibration, 3 times with it on both sides; all previews (1,000 images) within 1 s and 6 s. Exit status 1 when one is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from engine.execution.slot import Slot
from engine.home import Home
from engine.recipe import Phase, Recipe
from engine.search.grid import PREVIEW_EXAMPLES, Point, Sheet, settings
from engine.student import advance, copy_of
from engine.workbench import Bench

DENSE = {"task": "fashion_mnist", "student": "plain_10k",
         "phases": [{"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}]}  # fmt: skip
BATCH = 64
INTEGER_BITS, GAP, ROUNDING = 8, 0.01, 1.5 / 5000
LIMITS = {False: (5.0, 1.0), True: (3.0, 6.0)}  # least ratio, most seconds of the preview; by recalibration
Setting = tuple[float, int]


@dataclass(frozen=True)
class Turn:
    """One setting both ways: seconds and shares of right answers."""

    setting: Setting
    plain: float
    preview: float
    grid: float
    plain_quality: float
    grid_quality: float

    @property
    def equal(self) -> bool:
        """Whether both found the same quality, as far as they must."""
        allowed = GAP if self.setting[1] == INTEGER_BITS else ROUNDING
        return abs(self.plain_quality - self.grid_quality) <= allowed


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="9 settings, no limits")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = settings()[:70:8] if options.quick else settings()[:70]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        sheet = Sheet.of(Bench(Recipe.from_json(DENSE), home), Slot(home))
        found = {recalibrated: turns(sheet, chosen, recalibrated) for recalibrated in (False, True)}
    rows = {name: summary(every) for name, every in found.items()}
    sys.stdout.write(
        json.dumps({"recalibrated" if n else "plain": r for n, r in rows.items()}) if options.json else table(rows)
    )
    return 0 if options.quick else int(not all(kept(rows[name], name) for name in rows))


def turns(sheet: Sheet, chosen: Sequence[Setting], recalibrated: bool) -> list[Turn]:
    """Every setting both ways, in turns; one setting before that is not counted."""
    one(sheet, chosen[0], recalibrated, True)
    one(sheet, chosen[-1], recalibrated, True)
    return [one(sheet, setting, recalibrated, bool(i % 2)) for i, setting in enumerate(chosen)]


def one(sheet: Sheet, setting: Setting, recalibrated: bool, plain_first: bool) -> Turn:
    """One setting both ways."""
    recipe = compressed(sheet.bench.recipe, setting, recalibrated)
    if plain_first:
        seconds, quality = plainly(sheet, recipe)
    began = time.perf_counter()
    point = sheet.point(recipe)
    preview = time.perf_counter() - began
    whole: Point = sheet.whole(point)
    took = time.perf_counter() - began
    if not plain_first:
        seconds, quality = plainly(sheet, recipe)
    return Turn(setting, seconds, preview, took, quality, right(whole.logits, sheet))


def compressed(dense: Recipe, setting: Setting, recalibrated: bool) -> Recipe:
    """The recipe of a setting."""
    recipe = dense.with_one_shot(*setting)
    if recalibrated:
        return recipe
    last = recipe.phases[-1].to_json()
    last["stages"] = [stage for stage in last["stages"] if stage["name"] != "recalibrate"]
    return replace(recipe, phases=(*recipe.phases[:-1], Phase.from_json(last, "benchmark")))


def plainly(sheet: Sheet, recipe: Recipe) -> tuple[float, float]:
    """Seconds and quality of a copy that is transformed and looked at."""
    split = sheet.bench.task.split(sheet.bench.recipe.data, "validation")
    images = TensorDataset(torch.from_numpy(sheet.inputs), split.labels)
    began = time.perf_counter()
    trained = advance(replace(sheet.bench, recipe=recipe), copy_of(sheet.trained), len(recipe.phases) - 1)
    model = trained.model.eval().to(memory_format=torch.contiguous_format)
    with torch.inference_mode():
        logits = torch.cat([model(batch) for batch, _ in DataLoader(images, BATCH)]).numpy()
    return time.perf_counter() - began, right(logits, sheet)


def right(logits: np.ndarray, sheet: Sheet) -> float:
    """The share of right answers."""
    labels = sheet.bench.task.split(sheet.bench.recipe.data, "validation").labels.numpy()
    return float((logits.argmax(1) == labels).mean())


def summary(found: Sequence[Turn]) -> dict[str, float]:
    """What is printed."""
    plain, grid, preview = (sum(getattr(t, name) for t in found) for name in ("plain", "grid", "preview"))
    return {"settings": len(found), "plain_s": plain, "grid_s": grid, "preview_s": preview, "ratio": plain / grid,
            "unequal": sum(not t.equal for t in found),
            "largest_gap": max(abs(t.plain_quality - t.grid_quality) for t in found)}  # fmt: skip


def kept(row: dict[str, float], recalibrated: bool) -> bool:
    """Whether the limits hold."""
    least, most = LIMITS[recalibrated]
    return row["ratio"] >= least and row["preview_s"] <= most and row["unequal"] == 0


def table(rows: dict[bool, dict[str, float]]) -> str:
    """Markdown."""
    load = os.getloadavg()[0]
    lines = [f"plain_10k, 5,000 images, previews of {PREVIEW_EXAMPLES:,}; one thread; load average {load:.1f}",
             "", "| | settings | plain loop | grid | ratio | previews | largest difference | |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, row in rows.items():
        lines.append(f"| {'with' if name else 'without'} recalibration | {row['settings']} | {row['plain_s']:.1f} s | "
                     f"{row['grid_s']:.1f} s | {row['ratio']:.1f}x | {row['preview_s']:.1f} s | "
                     f"{100 * row['largest_gap']:.2f} points | {'' if kept(row, name) else 'missed'} |")  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
