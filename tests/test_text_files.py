"""Texts on the disk: vocabularies, splits and outputs survive, damage is refused, what is not here is asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from engine.errors import FileError, NotInstalledError
from engine.tasks import _text_files as files
from engine.tasks._text_files import END, LENGTH, PAD, SPECIAL, START, UNKNOWN, Stock, Texts, Vocabulary

WORDS = (*SPECIAL, "un", "##want", "##ed", "mail", "##s", "a", "##a")


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS, np.arange(100, 100 + len(WORDS)))


def made(count: int = 9) -> Texts:
    generator = np.random.default_rng(0)
    return Texts(generator.integers(0, 70_000, (count, LENGTH)).astype(np.uint16), np.arange(count, dtype=np.uint8) % 2)


def stock(folder: Path, monkeypatch: pytest.MonkeyPatch, install: str | None = None) -> Stock:
    monkeypatch.setattr(files, "FOLDER", folder)
    texts = made()
    digests = dict.fromkeys(files.SPLITS, texts.digest) | {"words": "0" * 64}
    sizes = dict.fromkeys(files.SPLITS, len(texts.labels))
    return Stock("made_up", ("no", "yes"), sizes, digests, "restore it", install)


@pytest.mark.parametrize(
    ("word", "pieces"),
    [("mails", ["mail", "##s"]), ("unwanted", ["un", "##want", "##ed"]), ("want", None), ("mailx", None),
     ("aaaaa", None)],
)  # fmt: skip
def test_the_longest_piece_comes_first(vocabulary: Vocabulary, word: str, pieces: list[str] | None) -> None:
    expected = [UNKNOWN] if pieces is None else [WORDS.index(piece) for piece in pieces]
    assert vocabulary.pieces(word) == expected


def test_a_row_begins_and_ends_and_is_filled_up(vocabulary: Vocabulary) -> None:
    row = vocabulary.encode(["mails", "xyz"])
    assert row[:5].tolist() == [START, WORDS.index("mail"), WORDS.index("##s"), UNKNOWN, END]
    assert row.shape == (LENGTH,)
    assert set(row[5:].tolist()) == {PAD}
    assert vocabulary.decode(row.tolist()) == "mails [UNK]"


def test_a_long_text_is_cut_and_still_ends(vocabulary: Vocabulary) -> None:
    row = vocabulary.encode(["a"] * 500)
    assert (row[0], row[-1]) == (START, END)
    assert set(row[1:-1].tolist()) == {WORDS.index("a")}


def test_a_split_survives_byte_for_byte(tmp_path: Path) -> None:
    texts, path = made(), tmp_path / "made.npz"
    files.write_split(path, texts)
    again = files.read_split(path, 9, texts.digest, "restore it")
    assert np.array_equal(again.ids, texts.ids)
    assert np.array_equal(again.labels, texts.labels)
    first = path.read_bytes()
    files.write_split(path, texts)
    assert path.read_bytes() == first


@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_damage_is_refused_with_the_remedy(tmp_path: Path, damage: str) -> None:
    texts, path = made(), tmp_path / "made.npz"
    files.write_split(path, texts if damage != "other" else made(8))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    if damage == "missing":
        path.unlink()
    with pytest.raises(FileError, match="restore it"):
        files.read_split(path, 9, texts.digest, "restore it")


def test_a_word_list_survives_and_an_altered_one_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    files.write_vocabulary(path, vocabulary)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    again = files.read_vocabulary(path, sha256, "restore it")
    assert again.words == WORDS
    assert np.array_equal(again.teacher, vocabulary.teacher)
    path.write_text(path.read_text().replace("mail", "nail"))
    with pytest.raises(FileError, match=r"altered.*restore it"):
        files.read_vocabulary(path, sha256, "restore it")
    path.unlink()
    with pytest.raises(FileError, match=r"missing.*restore it"):
        files.read_vocabulary(path, sha256, "restore it")


def test_outputs_belong_to_their_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = stock(tmp_path, monkeypatch)
    logits = np.random.default_rng(0).normal(0, 3, (9, 2)).astype(np.float32)
    files.write_outputs(mine.outputs("t"), dict.fromkeys(files.SPLITS, logits), "a" * 64)
    found = mine.read_outputs("t", "a" * 64)
    np.testing.assert_allclose(found["test"], logits, rtol=1e-3)
    assert np.array_equal(found["test"].argmax(1), logits.argmax(1))
    with pytest.raises(FileError, match="other weights"):
        mine.read_outputs("t", "b" * 64)
    files.write_outputs(mine.outputs("t"), dict.fromkeys(files.SPLITS, logits[:5]), "a" * 64)
    with pytest.raises(FileError, match="one finite row for each text"):
        mine.read_outputs("t", "a" * 64)


def test_what_was_not_fetched_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_DATA", str(tmp_path / "mine"))
    mine = stock(tmp_path, monkeypatch, install="fetch it with one command")
    with pytest.raises(NotInstalledError, match="one command") as refusal:
        mine.read("train")
    assert refusal.value.exit_code == 2
    for name in files.SPLITS:
        files.write_split(tmp_path / "mine" / f"made_up_{name}.npz", made())
    mine.check_installed()
    assert len(mine.read("train").labels) == 9


def test_the_set_up_hash_follows_texts_and_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = stock(tmp_path, monkeypatch)
    for name in mine.digests:
        other = Stock(mine.task, mine.classes, mine.sizes, {**mine.digests, name: "1" * 64}, mine.restore)
        assert other.set_up != mine.set_up
