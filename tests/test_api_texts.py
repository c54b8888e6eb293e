"""Typed texts become the ids that a model takes; texts come back in words; models answer ids in their child process."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import text_catalogue
from onnx import TensorProto, helper, numpy_helper
from text_catalogue import MAILS

from engine import api_images, api_texts
from engine.answering import Answerer
from engine.errors import InputError
from engine.preview_text import Piece
from pages.parts import trial_html

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[URL]", "[NUMBER]", "buy", "now", "$")


class Vocabulary:
    """One id a word, as the text tasks have it."""

    words = WORDS
    ids = {word: i for i, word in enumerate(WORDS)}

    def encode(self, words: list[str], length: int = 8) -> Any:
        row = np.zeros(length, np.uint16)
        found = [2, *(self.ids.get(word, 1) for word in words)][: length - 1]
        row[: len(found) + 1] = [*found, 3]
        return row


@pytest.fixture
def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text_catalogue.install(tmp_path, monkeypatch)
    module: Any = types.ModuleType(f"engine.tasks._{MAILS}_files")
    module.STOCK = types.SimpleNamespace(vocabulary=Vocabulary)
    module.read_sample = lambda split: types.SimpleNamespace(
        ids=np.array([[2, 6, 7, 3, 0], [2, 1, 6, 3, 0]], np.uint16), labels=np.array([0, 1], np.uint8)
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    api_images.validation.cache_clear()


def test_links_addresses_and_numbers_become_their_kinds() -> None:
    found = api_texts.words_of("Buy NOW at http://x.example/a?b=1 or mail me@x.example, only $99 (or 2 for 150) !")
    assert found == ["Buy", "NOW", "at", "[URL]", "or", "mail", "[EMAIL]", "only", "$", "[NUMBER]", "or", "[NUMBER]",
                     "for", "[NUMBER]", "!"]  # fmt: skip


@pytest.mark.usefixtures("mails")
def test_a_typed_text_is_what_the_networks_see() -> None:
    made = api_texts.encode(MAILS, "Buy strange things now: $ 100 www.example.org")
    assert made.ids.dtype == np.int64
    assert made.ids.tolist() == [2, 6, 1, 1, 7, 8, 5, 3]
    assert made.seen == (Piece("buy"), Piece("2", "unknown"), Piece("now"), Piece("$"), Piece("number", "mask"))
    with pytest.raises(InputError, match="at least one word"):
        api_texts.encode(MAILS, "quux 12")
    with pytest.raises(InputError, match="at most 20,000"):
        api_texts.encode(MAILS, "buy " * 6000)


@pytest.mark.usefixtures("mails")
def test_validation_texts_in_words() -> None:
    assert api_texts.texts(MAILS, [1, 0]) == [(Piece("1", "unknown"), Piece("buy")), (Piece("buy"), Piece("now"))]
    assert api_texts.ids(MAILS, [0]).tolist() == [[2, 6, 7, 3, 0]]
    with pytest.raises(InputError, match="0 to 1"):
        api_texts.texts(MAILS, [2])


def test_a_card_shows_a_text_that_is_escaped() -> None:
    example = {"label": 1, "answer": 0, "index": 7, "teacher": [0.1, 0.9], "student": [0.8, 0.2], "dense": None}
    card = trial_html.card(example, (Piece("<i>"), Piece("buy")), ("ham", "spam"))
    assert "sh-textual" in card
    assert "&lt;i&gt; buy" in card
    assert "<img" not in card


def test_a_model_of_ids_answers_in_the_child_process(tmp_path: Path) -> None:
    """Logits are a row of a table for each id, summed: the ids arrive as whole numbers."""
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"]),
             helper.make_node("ReduceSum", ["rows", "axes"], ["logits"], keepdims=0)]  # fmt: skip
    given = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 4])
    taken = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    known = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axes")]
    graph = helper.make_graph(nodes, "g", [given], [taken], known)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "a.onnx"
    path.write_bytes(made.SerializeToString())
    onnx.checker.check_model(made)
    answerer = Answerer()
    try:
        (answer,) = answerer.ask([path], np.array([[2, 2, 1, 0]], np.int64))
    finally:
        answerer.close()
    assert answer.logits.tolist() == table[[2, 2, 1, 0]].sum(0).tolist()
