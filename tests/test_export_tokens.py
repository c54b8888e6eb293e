"""Exported models of texts: the folder says what ids stand for, and its example runs outside the project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import text_catalogue
import torch
from text_catalogue import MAILS, PLAYS

from engine import artifact, export, export_tokens
from engine.export_tokens import TOKENIZER_NAME, WORDS_NAME
from engine.tasks import _language_model_files as shakespeare
from sample_models import bag
from sample_models._gpt_blocks import Gpt

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "offer", "free", "meet", "##ing", "!")
TEXTS = (
    "To be, or not to be: that is the question.",
    "\n  ROMEO'll\n\ngo?",
    "It is  the East,\tand ",
    "I've 42 'ducats'",
)


def run_of(task: str, folder: Path) -> dict[str, Any]:
    """What the API says of a finished trial whose files lie in ``folder``."""
    quality = {"metric": "accuracy", "value": 0.9, "low": 0.89, "high": 0.91, "direction": "maximize"}
    cost = {"packed_bytes": 6, "onnx_bytes": 400, "parameters": 10, "nonzero": 5, "macs": 7}
    files = {name: str(folder / f"model.{name}") for name in ("onnx", "packed")}
    recipe = {"task": task, "student": f"{task}_large", "phases": []}
    return {"key": "a" * 32, "state": "done", "origin": "trial", "recipe": recipe, "quality": quality, "test": None,
            "cost": cost, "artifact": files, "environment": {"machine": "A chip"}}  # fmt: skip


def exported(task: str, model: torch.nn.Module, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    text_catalogue.install(tmp_path, monkeypatch)
    (tmp_path / "made").mkdir()
    artifact.write(model.eval(), torch.ones(2, 128, dtype=torch.int64), tmp_path / "made")
    monkeypatch.setattr(export, "_files", lambda _task: files)
    export.write(run_of(task, tmp_path / "made"), tmp_path / "out")
    return tmp_path / "out"


def said(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-I", str(folder / "run_example.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_classifier_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bag.BagClassifier(len(WORDS), 2, 4)
    with torch.no_grad():  # a text is spam by the share of "free" in it
        model.embedding.weight.zero_()
        model.embedding.weight[WORDS.index("free"), 0] = 100.0
        model.head.weight.copy_(torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0]]))
        model.head.bias.copy_(torch.tensor([1.0, 0.0]))
    stock = SimpleNamespace(STOCK=SimpleNamespace(vocabulary=lambda: SimpleNamespace(words=WORDS)))
    folder = exported(MAILS, model, stock, tmp_path, monkeypatch)
    assert json.loads((folder / WORDS_NAME).read_text("utf-8")) == list(WORDS)
    assert said(folder, "Free offer!").startswith("spam")
    assert said(folder, "meeting").startswith("ham")
    ids = np.zeros((2, 128), np.int64)
    ids[:, 0], ids[1, 1] = 2, 5
    np.save(tmp_path / "ids.npy", ids)
    assert [line.split()[0] for line in said(folder, str(tmp_path / "ids.npy")).splitlines()] == ["ham", "spam"]
    text = (folder / "README.md").read_text("utf-8")
    for part in ("int64 [batch, 128], ids of tokens", "their places in `tokens.json`", "1. spam"):
        assert part in text
    assert "divided by 255" not in text


def test_a_language_model_continues_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    folder = exported(PLAYS, Gpt(1, 16, 2), shakespeare, tmp_path, monkeypatch)
    assert (folder / TOKENIZER_NAME).read_bytes() == (shakespeare.FOLDER / shakespeare.TOKENIZER).read_bytes()
    spoken = said(folder, "O Romeo, Romeo")
    assert spoken.startswith("O Romeo, Romeo")
    assert len(spoken) > 60
    assert said(folder, "O Romeo, Romeo") == spoken
    assert "float32\n  [batch, 128, classes]" in (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize("text", TEXTS)
def test_its_encoding_is_that_of_the_tokenizers_library(text: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    (tmp_path / TOKENIZER_NAME).write_bytes((shakespeare.FOLDER / shakespeare.TOKENIZER).read_bytes())
    code = export_tokens.TOKENS_EXAMPLE.format(onnx="model.onnx", length=128).split("session =")[0]
    space: dict[str, Any] = {"__file__": str(tmp_path / "run_example.py")}
    exec(compile(code, "run_example.py", "exec"), space)  # noqa: S102 - our own text
    expected = Tokenizer.from_file(str(tmp_path / TOKENIZER_NAME)).encode(text).ids
    assert space["ids"](text) == expected


def test_a_task_whose_ids_nobody_explains_still_has_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exported(MAILS, bag.BagClassifier(9, 2, 4), None, tmp_path, monkeypatch)
    np.save(tmp_path / "ids.npy", np.ones((1, 128), np.int64))
    assert said(folder, str(tmp_path / "ids.npy")).split()[0] in ("ham", "spam")
    assert not (folder / WORDS_NAME).exists()
