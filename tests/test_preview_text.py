"""What pages show of texts: words, unknown ones, masks; the teacher's answers; lines with what comes next."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import text_catalogue
from streamlit.testing.v1 import AppTest
from text_catalogue import MAILS, PLAYS

from engine import api, preview
from engine.errors import FileError, InputError
from engine.preview_text import MASK, UNKNOWN, Piece, lines_of, pieces, write_lines
from pages.parts import texts

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[URL]", "buy", "now", "##adays", "<b>")
TOKENS = ("", "to", " be", " or", "\n", " not")


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both tasks with files of theirs: 40 mails, two lines of a play."""
    text_catalogue.install(tmp_path, monkeypatch)
    draw = np.random.default_rng(0)
    ids = draw.integers(1, len(WORDS), (40, 12)).astype(np.uint16)
    labels = (np.arange(40) % 2).astype(np.uint8)
    logits = draw.normal(size=(40, 2)).astype(np.float32)
    stock = types.SimpleNamespace(vocabulary=lambda: types.SimpleNamespace(words=WORDS))
    mails: Any = types.ModuleType(f"engine.tasks._{MAILS}_files")
    mails.CLASSES, mails.STOCK = ("ham", "spam"), stock
    mails.read_sample = lambda split: types.SimpleNamespace(ids=ids, labels=labels)
    mails.read_outputs = lambda teacher: {"validation": logits}
    plays: Any = types.ModuleType(f"engine.tasks._{PLAYS}_files")
    plays.FOLDER, plays.RESTORE, plays.tokens = tmp_path, "write it again", lambda: TOKENS
    write_lines(tmp_path / preview.LINES, np.array([[1, 2, 3, 5], [1, 4, 2, 3]]), np.array([[0, 2], [1, 2]]),
                draw.normal(size=(2, 2, len(TOKENS))))  # fmt: skip
    for module in (mails, plays):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    preview.preview.cache_clear()
    yield tmp_path
    preview.preview.cache_clear()


def test_pieces_join_words_count_unknown_ones_and_leave_padding_out() -> None:
    found = pieces([2, 5, 6, 7, 1, 1, 4, 1, 3, 0, 0], WORDS)
    assert found == (Piece("buy"), Piece("nowadays"), Piece("2", UNKNOWN), Piece("url", MASK), Piece("1", UNKNOWN))
    assert pieces([], WORDS) == ()
    assert pieces([7], WORDS) == (Piece("adays"),)


def test_texts_are_escaped_and_marked() -> None:
    shown = texts.box(pieces([2, 8, 1, 1, 4], WORDS), "a <mail>")
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert 'class="sh-unknown" title="2 words' in shown
    assert '<small class="sh-mask">url</small>' in shown
    assert texts.text(pieces([5, 6, 5], WORDS), 2) == "buy now …"
    line = texts.line(["<to", " be\n"], [1])
    assert "&lt;to<mark> be⏎<br><sup>1</sup></mark>" in line
    assert texts.token(" be\n") == "·be⏎"


def test_a_preview_of_texts_has_ordinary_and_hard_ones_of_every_class(made_up: Path) -> None:
    seen = preview.preview(MAILS)
    assert isinstance(seen, preview.TextPreview)
    assert np.bincount(seen.labels).tolist() == [8, 8]
    assert seen.teacher_logits is not None
    lead = np.abs(seen.teacher_logits[:, 0] - seen.teacher_logits[:, 1])
    assert lead[4:8].max() < lead[:4].max()
    assert (np.diff(lead[4:8]) >= 0).all()


def test_texts_are_shown_without_answers_that_are_not_shipped(made_up: Path) -> None:
    def missing(teacher: str) -> Any:
        raise FileError("not there")

    sys.modules[f"engine.tasks._{MAILS}_files"].read_outputs = missing  # type: ignore[attr-defined]
    seen = preview.preview(MAILS)
    assert isinstance(seen, preview.TextPreview)
    assert seen.teacher_logits is None


def test_lines_come_back_with_their_places_and_logits(made_up: Path) -> None:
    seen = preview.preview(PLAYS)
    assert isinstance(seen, preview.LinePreview)
    assert seen.lines[0].tokens == ("to", " be", " or", " not")
    assert seen.lines[1].places == (1, 2)
    assert seen.lines[1].logits.shape == (2, len(TOKENS))
    (made_up / preview.LINES).write_bytes(b"PK nothing")
    with pytest.raises(FileError, match="write it again"):
        lines_of(made_up / preview.LINES, TOKENS, "write it again")


def test_a_task_without_files_has_no_preview(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"engine.tasks._{PLAYS}_files")
    with pytest.raises(InputError, match=PLAYS):
        preview.preview(PLAYS)


def _page() -> None:
    from pages import explore
    from pages.parts import frame

    frame.guarded(explore.draw)()


def test_explore_shows_texts_and_lines(made_up: Path, home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit

    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    streamlit.cache_resource.clear()
    app = AppTest.from_function(_page, default_timeout=60)
    app.query_params["task"] = MAILS
    app.run()
    assert not app.exception
    assert not app.error
    assert not app.warning
    shown = "\n".join(h.proto.body for h in app.get("html"))
    assert "sh-text" in shown
    assert "sh-unknown" in shown
    assert any("Labelled texts" in s.label for s in app.select_slider)
    app.selectbox(key="task").set_value(PLAYS).run()
    assert not app.exception
    assert not app.error
    shown = "\n".join(h.proto.body for h in app.get("html"))
    assert "sh-running" in shown
    assert "Bits per character and size" in shown
    assert app.query_params["task"] in (PLAYS, [PLAYS])
    assert not any("Labelled" in s.label for s in app.select_slider)
    assert app.selectbox(key="student").value == f"{PLAYS}_large"
    streamlit.cache_resource.clear()
