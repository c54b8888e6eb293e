"""Prompts become the tokens of the vocabulary; language models go on with them in their child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from onnx import TensorProto, helper, numpy_helper

from engine import api_generate, bpe
from engine.answering import Answerer
from engine.errors import FileError, InputError
from engine.tasks import _language_model_files as files
from pages.parts import trial_generate, words

TOKENIZER = files.FOLDER / files.TOKENIZER


def test_tokens_are_those_of_the_library() -> None:
    """Against the tokenizers library, on the texts themselves and on signs of every kind."""
    library = tokenizers.Tokenizer.from_file(str(TOKENIZER))
    blocks = files.read("validation")
    for text in (
        *(files.text(block) for block in blocks[::8]),
        "I'll  say:\n\n 'tis 12 o'clock -- don't!\n",
        " ",
        "a" * 60,
    ):
        assert bpe.encode(text, TOKENIZER) == library.encode(text).ids


def test_what_is_not_ascii_is_made_plain_or_left_out(tmp_path: Path) -> None:
    assert bpe.encode("“O” – é", TOKENIZER) == bpe.encode('"O" - ', TOKENIZER)
    assert bpe.encode("", TOKENIZER) == []
    with pytest.raises(FileError, match="missing"):
        bpe.encode("a", tmp_path / "none.json")


def test_a_prompt_needs_a_token_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_generate, "files_of", lambda task: files)
    with pytest.raises(InputError, match="at least one letter"):
        api_generate.prompt_ids("language_model", "é")
    with pytest.raises(InputError, match="at most 2,000"):
        api_generate.prompt_ids("language_model", "a" * 2001)
    assert api_generate.prompt_ids("language_model", "To be") == bpe.encode("To be", TOKENIZER)


def test_the_likeliest_tokens_have_their_shares_and_padding_never_comes() -> None:
    found = api_generate.likeliest([99.0, 0.0, np.log(3.0)], 1.0, ("", "a", "b"))
    assert [token for token, _ in found[:2]] == ["b", "a"]
    assert found[0][1] == pytest.approx(0.75)
    assert found[2][1] == pytest.approx(0.0)
    assert api_generate.likeliest([0.0, 0.0, np.log(3.0)], 0.0, ("", "a", "b"))[0][1] == pytest.approx(0.75)


def model(path: Path, table: Any) -> Path:
    """A language model whose logits are a row of ``table`` for each id."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["logits"])]
    given = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 128])
    taken = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 128, len(table)])
    graph = helper.make_graph(nodes, "g", [given], [taken], [numpy_helper.from_array(table, "table")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def test_models_go_on_with_a_text_in_the_child_process(tmp_path: Path) -> None:
    """A table that makes i + 1 follow i: greedy generation counts."""
    table = np.zeros((6, 6), np.float32)
    table[np.arange(5), np.arange(1, 6)] = 9.0
    path = model(tmp_path / "a.onnx", table)
    sampling = {"temperature": 0.0, "top_k": 0, "seed": 0}
    answerer = Answerer()
    try:
        asked = {"paths": [str(path)] * 2, "ids": [1, 2], "tokens": 3, "sampling": sampling}
        one, two = answerer.tell({"generate": asked})["texts"]
        drawn = asked | {"sampling": {"temperature": 5.0, "top_k": 0, "seed": 3}, "tokens": 40}
        texts = answerer.tell({"generate": drawn})["texts"]
    finally:
        answerer.close()
    assert one["ids"] == two["ids"] == [3, 4, 5]
    assert one["logits"] == table[2].tolist()
    assert texts[0]["ids"] == texts[1]["ids"]  # all draw with the same numbers
    assert len(set(texts[0]["ids"])) > 3


def test_measures_of_a_language_model_stand_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_generate.subject, "modality", lambda of=None: "tokens")
    found = trial_generate.measures({"perplexity": 21.34, "next_token_accuracy": 0.31, "agreement": 0.5})
    assert [value for _, value, _ in found] == ["21.3", "31.0 %"]
    monkeypatch.setattr(trial_generate.subject, "modality", lambda of=None: "image")
    assert trial_generate.measures({"perplexity": 21.34}) == []


def test_what_was_written_is_escaped() -> None:
    model = {"role": "student", "name": "gpt_1", "bytes": 9000, "text": "<i>art\n", "milliseconds": 1.5,
             "next": [(" the", 0.5), ("\n", 0.25)]}  # fmt: skip
    drawn = trial_generate._model(model, "thou & <b>")
    assert "<span>thou &amp; &lt;b&gt;</span>&lt;i&gt;art" in drawn
    assert "·the" in drawn
    assert "⏎" in drawn
    assert words.say("trial_try.role.student") in drawn
