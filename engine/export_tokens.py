"""What an exported folder holds for models that read token ids: how to use it, an example, what the ids stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import FileError
from engine.modalities import TEXT

WORDS_NAME, TOKENIZER_NAME = "tokens.json", "tokenizer.json"
MOST_LISTED = 50  # classes; more are in a file

IDS_USAGE = """- File: `{onnx}`. Input `input`: int64 [batch, {dimensions}], ids of tokens, 0 for padding at the end;
  output `logits`: float32 [batch, classes].
- {prepare}
- The largest logit is the answer; softmax(logits) gives probabilities."""

TOKENS_USAGE = """- File: `{onnx}`. Input `input`: int64 [batch, {dimensions}], ids of tokens; output `logits`: float32
  [batch, {dimensions}, classes].
- {prepare}
- The logits at a place say which token comes next; they depend on the tokens up to there only, so a shorter text may be
  filled up with anything."""

PREPARE = {
    WORDS_NAME: "Prepare an input: lower-case words as ids, their places in `tokens.json` (`[CLS]` first, `[SEP]` "
    "last, `[UNK]` for unknown ones, `##` before pieces that continue a word). `run_example.py` does it.",
    TOKENIZER_NAME: "`tokenizer.json` is the byte-level BPE that makes ids of a text (format of the tokenizers "
    "library); `run_example.py` does the same in a few lines.",
    "": "`run_example.py` takes ids as a `.npy` file.",
}

IDS_EXAMPLE = '''"""Run {onnx}: ``python run_example.py "some words"`` or IDS.npy. Needs onnxruntime and numpy."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime

CLASSES = {classes!r}
LENGTH = {length!r}
HERE = Path(__file__).parent
WORDS = HERE / "tokens.json"
NUMBERS = {{word: i for i, word in enumerate(json.loads(WORDS.read_text("utf-8")))}} if WORDS.exists() else {{}}


def pieces(word):
    """Ids of a word: the longest known piece first."""
    found, mark = [], ""
    while word:
        size = next((n for n in range(len(word), 0, -1) if mark + word[:n] in NUMBERS), 0)
        if not size:
            return [NUMBERS.get("[UNK]", 1)]
        found.append(NUMBERS[mark + word[:size]])
        word, mark = word[size:], "##"
    return found


def ids(text):
    """[1, LENGTH] int64."""
    if text.endswith(".npy"):
        return np.load(text, allow_pickle=False).astype(np.int64).reshape(-1, LENGTH)
    found = [i for word in re.findall(r"[^\\W_]+|[^\\w\\s]", text.lower()) for i in pieces(word)]
    row = [NUMBERS.get("[CLS]", 1), *found[: LENGTH - 2], NUMBERS.get("[SEP]", 1)]
    return np.array([row + [0] * (LENGTH - len(row))], np.int64)


session = onnxruntime.InferenceSession(str(HERE / "{onnx}"), providers=["CPUExecutionProvider"])
given = ids(sys.argv[1] if len(sys.argv) > 1 else "hello")
logits = session.run(None, {{session.get_inputs()[0].name: given}})[0]
for row in logits.reshape(-1, logits.shape[-1]):
    odds = np.exp(row - row.max())
    print(CLASSES[int(row.argmax())], f"{{odds.max() / odds.sum():.3f}}")
'''

TOKENS_EXAMPLE = '''"""Let {onnx} continue a text: ``python run_example.py "To be"``. Needs onnxruntime and numpy."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime

LENGTH, TOKENS, TEMPERATURE = {length!r}, 60, 0.8
HERE = Path(__file__).parent
MODEL = json.loads((HERE / "tokenizer.json").read_text("utf-8"))["model"]
NUMBERS = MODEL["vocab"]
SPELLED = {{i: token.replace("\\u0120", " ").replace("\\u010a", "\\n") for token, i in NUMBERS.items()}}
RANKS = {{tuple(m if isinstance(m, list) else m.split(" ")): i for i, m in enumerate(MODEL["merges"])}}
PARTS = r"'(?:s|t|re|ve|m|ll|d)| ?[^\\W\\d_]+| ?\\d+| ?(?:[^\\s\\w]|_)+|\\s+(?!\\S)|\\s+"


def ids(text):
    """Byte-pair encoding: in each word the pair that was merged first in training is merged first."""
    found = []
    for part in re.findall(PARTS, text):
        word = list(part.replace(" ", "\\u0120").replace("\\n", "\\u010a"))
        while len(word) > 1:
            rank, at = min((RANKS.get(pair, len(RANKS)), i) for i, pair in enumerate(zip(word, word[1:])))
            if rank == len(RANKS):
                break
            word[at : at + 2] = ["".join(word[at : at + 2])]
        found += [NUMBERS[piece] for piece in word if piece in NUMBERS]
    return found


session = onnxruntime.InferenceSession(str(HERE / "{onnx}"), providers=["CPUExecutionProvider"])
generator = np.random.default_rng(0)
text = ids(sys.argv[1] if len(sys.argv) > 1 else "To be, or") or [1]
for _ in range(TOKENS):
    seen = text[-LENGTH:]
    given = np.array([seen + [1] * (LENGTH - len(seen))], np.int64)
    row = session.run(None, {{session.get_inputs()[0].name: given}})[0][0, len(seen) - 1] / TEMPERATURE
    odds = np.exp(row - row.max())
    text.append(int(generator.choice(len(odds), p=odds / odds.sum())))
print("".join(SPELLED.get(i, "") for i in text))
'''


def meanings(files: ModuleType | None) -> dict[str, str]:
    """The file by name that says what ids stand for, from the module of a task's data; empty where none does."""
    stock, tokenizer = getattr(files, "STOCK", None), getattr(files, "TOKENIZER", None)
    if stock is not None:
        return {WORDS_NAME: json.dumps(list(stock.vocabulary().words), ensure_ascii=False) + "\n"}
    if tokenizer is None:
        return {}
    path = Path(getattr(files, "FOLDER", ".")) / tokenizer
    try:
        return {TOKENIZER_NAME: path.read_text(encoding="utf-8")}
    except OSError as problem:
        raise FileError(f"{path.name} cannot be read ({problem.strerror})") from None


def usage(task: Mapping[str, Any], words: Mapping[str, Any], found: Mapping[str, str]) -> tuple[str, str]:
    """The README's part on using the model, and the example; ``found``: what :func:`meanings` gave."""
    plain = task["modality"] == TEXT or TOKENIZER_NAME not in found
    prepare = PREPARE[next(iter(found), "")]
    text = (IDS_USAGE if task["modality"] == TEXT else TOKENS_USAGE).format(prepare=prepare, **words)
    if len(task["class_names"]) <= MOST_LISTED:
        text += "\n\nClasses, in the order of the logits:\n\n" + words["class_list"]
    return text, (IDS_EXAMPLE if plain else TOKENS_EXAMPLE).format(length=task["input_shape"][0], **words)
