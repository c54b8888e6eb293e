"""Words of a mail as text tasks read them: links, addresses and numbers become their kinds. Plain text, no torch."""

from __future__ import annotations

import re

URL, EMAIL, NUMBER = "[URL]", "[EMAIL]", "[NUMBER]"

_TOKEN = re.compile(r"\[(?:URL|EMAIL|NUMBER)\]|[^\W\d_]+|[!?$%]")
_DOLLAR = re.compile(r"\$(?=\d)")
# in this order: an address may hold a number, a link an address
_MASKS = (
    (re.compile(r"(?:https?|ftp|mailto)\s*:\s*/*\S+|\bwww\.\S+", re.I), URL),
    (re.compile(r"\S+@\S+|<[^<>\s]*@[^<>]*>"), EMAIL),
    (re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|info|biz|[a-z]{2})\b(?:/\S*)?", re.I), URL),
    (re.compile(r"\S*\d\S*(?:[\s()./-]+\S*\d\S*)*"), NUMBER),
    (re.compile(r"\S{26,}"), " "),
)


def masked(text: str) -> str:
    """``text`` with links, addresses and everything that holds a digit replaced by their kinds."""
    text = _DOLLAR.sub("$ ", text)
    for pattern, kind in _MASKS:
        text = pattern.sub(f" {kind} ", text)
    return text


def tokens(text: str) -> list[str]:
    """Words, a few signs and kinds of a text that is :func:`masked`, in their order."""
    return _TOKEN.findall(text)
