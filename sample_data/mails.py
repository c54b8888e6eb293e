"""Mails as plain words: the text of one raw mail without headers, quotes, signatures, addresses, links and numbers."""

from __future__ import annotations

import email
import email.errors
import email.policy
import html.parser
import re
from dataclasses import dataclass
from email.message import Message

from engine.words_in_text import masked, tokens

NAME_HEADERS = ("from", "to", "cc", "reply-to", "sender", "return-path", "delivered-to", "x-sender", "errors-to")
SIGNS = "!?$%"

_CAPITAL = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")  # within a sentence
_QUOTE = re.compile(r"^\s*(?:[A-Za-z]{0,4}[>|]|:\s)")
_ATTRIBUTION = re.compile(r"\b(?:wrote|writes|said|says|schrieb)\s*:?\s*$|^\s*(?:On|At)\b.{0,60}\d{4}.{0,80}$|"
                          r"^\s*-+\s*(?:Original Message|Forwarded)|^\s*(?:From|To|Cc|Date|Sent|Subject|Reply-To|"
                          r"Message-ID|[A-Z][\w]*-[\w-]+)\s*:", re.I)  # fmt: skip
_END = re.compile(r"^\s*(?:--\s*|_{10,}\s*|-----BEGIN PGP SIGNATURE-----.*)$")
_SPONSOR = re.compile(r"^-{20,}\s*\n(?=This sf\.net email)", re.M)
_TAG = re.compile(r"\[[^\]]*\]|^\s*(?:(?:re|fw|fwd|aw)\s*(?:\[\d+\])?:\s*)+", re.I)


@dataclass(frozen=True)
class Mail:
    """``words``: what is left, masks among them, as written; ``names``: lower-case words of its people's names;
    ``capitals``: lower-case forms of the words that have a capital within a sentence.
    """

    words: tuple[str, ...]
    names: frozenset[str]
    capitals: frozenset[str]


class _Visible(html.parser.HTMLParser):
    """Collects the text that a reader of a page sees."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("script", "style")
        self.found.append(" " if tag in ("b", "i", "font", "a", "span") else "\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style") and self.hidden > 0

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def read(raw: str) -> Mail:
    """Subject line and body of a raw mail, cleaned; bodies in HTML are read as a reader sees them."""
    # the archive's mails begin with the envelope line of a mailbox file, which is no header
    message = email.message_from_string(raw, policy=email.policy.compat32)
    body = _body(message)
    subject = _TAG.sub(" ", _header(message, "subject"))
    kept, dropped = _own_lines(body)
    text = masked(f"{subject}\n{kept}")
    capitals = frozenset(word.lower() for word in _CAPITAL.findall(text))
    return Mail(tuple(tokens(text)), frozenset(_names(message, dropped)), capitals)


def visible(page: str) -> str:
    """The visible text of an HTML page."""
    reader = _Visible()
    reader.feed(page)
    reader.close()
    return "".join(reader.found)


def _body(message: Message) -> str:
    """The first plain part, else the first page, else the payload as it stands."""
    parts = [part for part in message.walk() if not part.is_multipart()]
    for kind in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == kind:
                text = _decoded(part)
                if text.strip():
                    return visible(text) if kind == "text/html" or re.search(r"<(?:html|body)\b", text, re.I) else text
    return ""


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset() or "latin-1", "replace")
    except LookupError:  # an unknown charset, or one that a spammer made up
        return payload.decode("latin-1")


def _header(message: Message, name: str) -> str:
    return " ".join(str(value) for value in message.get_all(name, []))


def _own_lines(body: str) -> tuple[str, str]:
    """(the writer's own lines, the lines that name people: attributions and signatures)."""
    own: list[str] = []
    named: list[str] = []
    lines = _SPONSOR.split(body)[0].splitlines()
    for number, line in enumerate(lines):
        if _END.match(line):
            named += lines[number : number + 4]
            break
        if _ATTRIBUTION.search(line):
            named.append(line)
        elif not _QUOTE.match(line):
            own.append(line)
    return "\n".join(own), "\n".join(named)


def _names(message: Message, lines: str) -> set[str]:
    """Words of the headers that name people, and the capitalised ones of ``lines``."""
    headers = " ".join(_header(message, name) for name in NAME_HEADERS)
    found = re.findall(r"[^\W\d_]{2,}", headers) + re.findall(r"\b[A-Z][^\W\d_]+", lines)
    return {word.lower() for word in found}
