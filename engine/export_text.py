"""The words of an exported folder: templates for ``str.format``."""

from __future__ import annotations

README = """# {student} for {task}

{title}. Made by Stillhouse, trial `{key}`; `recipe.json` repeats it (`stillhouse run recipe.json`).

## Run it

    pip install onnxruntime numpy
    python run_example.py

{usage}

## Measured

| what | value |
|---|---|
| {metric} on validation | {quality} |
| {metric} on test | {test} |
| ONNX file | {onnx_bytes} |
| packed file | {packed_bytes} |
| parameters | {parameters} |
| multiply-adds of one example | {macs} |
| time of one example | {latency} |

Measured {measured}. `result.json` holds everything that was measured.

## On another machine

Other machines take other times. `bench.py` measures them as they were measured here, in about half a minute; it needs
onnxruntime and numpy only, and takes several exported folders at once:

    python bench.py
    python bench.py --json > there.json

Back here `stillhouse import there.json` adds them to this trial as that machine's times.

{rebuild}"""

USAGE = """- File: `{onnx}`. Input `input`: float32 [batch, {dimensions}]; output `logits`: float32 [batch, classes].
- Prepare an input: bytes 0 to 255, divided by 255, minus {mean}, divided by {deviation}.
- The largest logit is the answer; softmax(logits) gives probabilities.

Classes, in the order of the logits:

{class_list}"""

REBUILD = """## The packed file

`{packed}` holds the same network in fewer bytes. Keep or send only it and `decoder.py`, which rebuilds `{onnx}`
byte for byte (a checksum inside makes sure):

    pip install numpy zstandard
    python decoder.py {packed} rebuilt.onnx
"""

EXAMPLE = '''"""Run {onnx} on one example: ``python run_example.py [IMAGE.npy]``. Needs onnxruntime and numpy."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

CLASSES = {classes!r}
SHAPE = {shape!r}
MEAN, DEVIATION = {mean!r}, {deviation!r}

pixels = np.load(sys.argv[1], allow_pickle=False) if len(sys.argv) > 1 else np.zeros(SHAPE, np.uint8)
inputs = ((pixels.astype(np.float32) / 255 - MEAN) / DEVIATION).astype(np.float32).reshape(-1, *SHAPE)

session = onnxruntime.InferenceSession(str(Path(__file__).with_name("{onnx}")), providers=["CPUExecutionProvider"])
logits = session.run(None, {{session.get_inputs()[0].name: inputs}})[0]
for row in logits:
    odds = np.exp(row - row.max())
    print(CLASSES[int(row.argmax())], f"{{odds.max() / odds.sum():.3f}}")
'''
