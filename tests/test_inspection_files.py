"""What an inspection keeps is whole or not there; histograms and filters are plain counts of the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import inspection_files
from engine.home import Home
from engine.inspection_weights import filters, histograms

DATA = {"phases": [{"quality": 0.875}], "dense_key": None}


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "older"])
def test_what_is_damaged_is_not_shown(tmp_path: Path, damage: str) -> None:
    home = Home.locate(tmp_path)
    inspection_files.save(home, "k", DATA, {"logits": np.ones((3, 10), np.float32)})
    assert inspection_files.load(home, "k") is not None
    file = inspection_files.path(home, "k")
    text = file.read_text()
    if damage == "gone":
        file.unlink()
    elif damage == "older":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inspection_files, "VERSION", 0)
            inspection_files.save(home, "k", DATA, {"logits": np.ones((3, 10), np.float32)})
    else:
        at = text.index('"quality": 0.') + 13
        file.write_text(
            text[:-5] if damage == "cut" else text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]
        )
    assert inspection_files.load(home, "k") is None
    assert inspection_files.logits(home, "k", "logits") is None


def test_altered_answers_and_models_are_not_used(tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    inspection_files.save(home, "k", {}, {"logits": np.ones((3, 10), np.float32)})
    arrays = inspection_files.path(home, "k").with_suffix(".npz")
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    assert inspection_files.logits(home, "k", "logits") is None
    inspection_files.save_model(home, "m", "a model", b"onnx", 3)
    assert inspection_files.load_model(home, "m") is not None
    inspection_files.model_path(home, "m").write_bytes(b"onmx")
    assert inspection_files.load_model(home, "m") is None


def test_histograms_of_unequal_and_empty_weights() -> None:
    wide, narrow = np.linspace(-1, 1, 12, dtype=np.float32), np.zeros(4, np.float32)
    both = histograms({"a": wide}, {"a": narrow, "b": narrow})
    assert sum(both["a"]["before"]) == 12
    assert both["a"]["after"][30] == 4
    assert both["b"]["before"] is None
    assert len(both["b"]["edges"]) == len(both["b"]["after"]) + 1
    assert filters({}, {"a": narrow}) is None
