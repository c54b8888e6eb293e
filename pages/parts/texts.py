"""Texts as HTML: unknown words as a grey mark, masked kinds as small labels, tokens of a line. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from engine.preview_text import MASK, UNKNOWN, Piece
from engine.units import format_share
from pages.parts.words import say

MARKS = {"\n": "⏎", " ": "·"}


def text(pieces: Sequence[Piece], most: int | None = None) -> str:
    """A text in its words; of a long one the first ``most`` pieces."""
    shown = pieces if most is None else pieces[:most]
    words = " ".join(_piece(piece) for piece in shown)
    return words + (" …" if len(shown) < len(pieces) else "")


def box(pieces: Sequence[Piece], label: str, most: int | None = None) -> str:
    """A text in a frame that scrolls where it is long."""
    return f'<div class="sh-text" role="document" aria-label="{escape(label)}" tabindex="0">{text(pieces, most)}</div>'


def line(tokens: Sequence[str], places: Sequence[int]) -> str:
    """Tokens of running text; those at ``places`` are numbered, which the bars below refer to."""
    parts = []
    for i, token in enumerate(tokens):
        shown = escape(token).replace("\n", "⏎<br>")
        parts.append(f"<mark>{shown}<sup>{places.index(i) + 1}</sup></mark>" if i in places else shown)
    return f'<div class="sh-text sh-running">{"".join(parts)}</div>'


def token(shown: str) -> str:
    """One token so that its spaces and ends of lines can be seen."""
    return "".join(MARKS.get(c, c) for c in shown)


def bars(shares: Mapping[str, float], strong: str, alt: str) -> str:
    """A bar a name; ``strong`` stands out."""
    rows = [
        f"<span{' class=sh-true' if name == strong else ''}>{escape(name)}</span>"
        f"<i><b style='width:{100 * share:.2f}%'></b></i><span>{format_share(share)}</span>"
        for name, share in shares.items()
    ]
    return f'<div class="sh-bars" role="img" aria-label="{escape(alt)}">{"".join(rows)}</div>'


def _piece(piece: Piece) -> str:
    if piece.kind == UNKNOWN:
        many = int(piece.text)
        told = say("text_piece.unknown_one") if many == 1 else say("text_piece.unknown", count=many)
        return f'<i class="sh-unknown" title="{escape(told)}" style="--many:{min(many, 8)}"></i>'
    if piece.kind == MASK:
        return f'<small class="sh-mask">{escape(piece.text)}</small>'
    return escape(piece.text)
