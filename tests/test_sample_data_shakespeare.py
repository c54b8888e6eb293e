"""The committed Shakespeare: plays in one split only, ids that spell the text, damaged files refused, built again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tokenizers import Tokenizer

from engine.errors import FileError
from engine.tasks import _language_model_files as files

LINES = "To be, or not to be: that is the question.\n\nHAMLET.\nWhether 'tis nobler in the mind to suffer\n"


@pytest.fixture(scope="module")
def texts() -> dict[str, files.Ids]:
    return files.read_texts()


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_data_shakespeare", files.FOLDER / "shakespeare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sources(folder: Path) -> Path:
    """A made-up package: every held-out play and two training plays, of a few hundred lines each."""
    held_out = [name for group in files.HELD_OUT.values() for name in group]
    for number, name in enumerate(["hamlet", "macbeth", *held_out]):
        body = "".join(f"{LINES}Scene {i}.  Enter {name.upper()} {i * number}.   \n\n\n\n" for i in range(250))
        folder.joinpath(f"{name}_gut.txt").write_text(f"A TITLE\n\nby William Shakespeare\n\n\n\n{body}THE END")
        folder.joinpath(f"{name}_gut_f.txt").write_text("the first folio, not read")
    return folder


def test_sizes(texts: dict[str, files.Ids]) -> None:
    assert len(texts) == 42
    for name, size in files.SIZES.items():
        assert files.read(name).shape == (size, files.POSITIONS + 1)
    assert len(files.read("full")) == 16_430
    assert sum((files.FOLDER / name).stat().st_size for name in (files.TEXTS, files.TOKENIZER)) < 2_000_000


def test_no_text_is_in_two_splits(texts: dict[str, files.Ids]) -> None:
    chosen = {name: set(files.names(name, texts)) for name in files.SAMPLE}
    assert set().union(*chosen.values()) == set(texts)
    assert sum(map(len, chosen.values())) == len(texts)
    assert files.names("full", texts) == files.names("train", texts)


def test_no_line_of_a_held_out_play_is_in_training(texts: dict[str, files.Ids]) -> None:
    """Long runs of equal tokens would be a play under two names."""
    train = np.concatenate([texts[name] for name in files.names("train", texts)])
    windows = {window.tobytes() for window in np.lib.stride_tricks.sliding_window_view(train, 40)[::7]}
    for split in ("validation", "test"):
        held = np.concatenate([texts[name] for name in files.names(split, texts)])
        assert not windows & {window.tobytes() for window in np.lib.stride_tricks.sliding_window_view(held, 40)}


def test_the_sample_is_spread_over_every_long_training_text(texts: dict[str, files.Ids]) -> None:
    rows = {row.tobytes() for row in files.read("train")}
    assert rows <= {row.tobytes() for row in files.read("full")}
    for name in files.names("train", texts):
        blocks = files.blocks(texts[name])
        share = sum(row.tobytes() in rows for row in blocks) / len(blocks)
        assert len(blocks) < 100 or share == pytest.approx(1_024 / 16_430, rel=0.35)


def test_blocks_follow_each_other_and_predict_each_token_once() -> None:
    ids = np.arange(1, 2 * files.POSITIONS + 40)
    blocks = files.blocks(ids)
    assert blocks.shape == (2, files.POSITIONS + 1)
    assert blocks[0, -1] == blocks[1, 0]
    assert blocks[:, 1:].ravel().tolist() == ids[1 : 2 * files.POSITIONS + 1].tolist()


def test_ids_spell_the_text_as_the_tokenizer_says(texts: dict[str, files.Ids]) -> None:
    tokenizer = Tokenizer.from_file(str(files.FOLDER / files.TOKENIZER))
    assert tokenizer.get_vocab_size() == files.VOCABULARY
    for name in ("hamlet", "twelfth_night"):
        spelled = files.text(texts[name])
        assert spelled == tokenizer.decode(texts[name].tolist())
        assert tokenizer.encode(spelled).ids == texts[name].tolist()
        assert spelled.isascii()
    assert "To be, or not to be" in files.text(texts["hamlet"])


def test_padding_stands_for_nothing_and_never_occurs(texts: dict[str, files.Ids]) -> None:
    assert all((ids != files.PAD).all() for ids in texts.values())
    letters = files.characters()
    assert letters.shape == (files.VOCABULARY,)
    assert letters[files.PAD] == 0
    assert (letters[1:] > 0).all()
    assert len(set(files.tokens())) == files.VOCABULARY
    ids = files.read("validation")
    assert letters[ids].sum() == sum(len(files.text(row)) for row in ids)


def test_no_licence_header_is_left(texts: dict[str, files.Ids]) -> None:
    for ids in texts.values():
        spelled = files.text(ids)
        assert not any(word in spelled for word in ("Gutenberg", "COPYRIGHT", "William Shakespeare", "THE END"))
        assert "\n\n\n" not in spelled
        assert " \n" not in spelled


def test_damaged_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (files.FOLDER / files.TEXTS).read_bytes()
    for number, content in enumerate((b"", b"no archive", whole[: len(whole) // 2])):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"sample_data\.shakespeare"):
            files.read_texts(path)
    with pytest.raises(FileError, match="missing"):
        files.read_texts(tmp_path / "nowhere.npz")
    other = tmp_path / "other.json"
    other.write_text('{"model": {"vocab": [1]}}')
    with pytest.raises(FileError, match="restore"):
        files.tokens(other)


def test_altered_text_is_refused(texts: dict[str, files.Ids], monkeypatch: pytest.MonkeyPatch) -> None:
    altered = {name: ids.copy() for name, ids in texts.items()}
    for ids in altered.values():
        ids[::100] = 5
    monkeypatch.setattr(files, "_texts", lambda: altered)
    for split in files.DIGESTS:
        with pytest.raises(FileError, match="altered"):
            files.read(split)


def test_building_twice_gives_the_same_bytes(build: ModuleType, tmp_path: Path) -> None:
    source = sources(tmp_path)
    for name in ("first", "second"):
        tmp_path.joinpath(name).mkdir()
        build.build(tmp_path / name, source)
    for name in (files.TEXTS, files.TOKENIZER):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    made = files.read_texts(tmp_path / "first" / files.TEXTS)
    assert len(made) == 7
    tokenizer = Tokenizer.from_file(str(tmp_path / "first" / files.TOKENIZER))
    assert tokenizer.decode(made["hamlet"].tolist()).startswith("To be, or not to be: that is the question.\n\nHAMLET.")


def test_the_builder_names_what_is_missing(build: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"_gut\.txt"):
        build.read_sources(tmp_path)


def test_what_is_dropped_from_a_text(build: ModuleType) -> None:
    raw = "KING LEAR\n\nby William Shakespeare\n\n\n\nACT I.  \n\n\n\nEnter.\n\n\nTHE END"
    assert build.clean(raw) == "ACT I.\n\nEnter.\n"
