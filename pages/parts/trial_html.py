"""Pieces of the page Trial as HTML: pictures, bars of probabilities, tables. Pure functions over plain data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.preview_text import Piece
from engine.units import format_share
from pages.parts import texts
from pages.parts.words import say

Shown = npt.NDArray[np.uint8] | tuple[Piece, ...]
MOST_CLASSES = 4
SIDES = ("teacher", "student")


def picture(pixels: npt.NDArray[np.uint8]) -> str:
    """A grey image [h, w] as a data address."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def image(pixels: npt.NDArray[np.uint8], alt: str) -> str:
    """The image in whole pixels, enlarged by the style sheet."""
    return f'<img class="sh-pixels" src="{picture(pixels)}" alt="{escape(alt)}">'


def main_classes(example: Mapping[str, Any]) -> list[int]:
    """The classes worth a bar: the label, then what either of the two gives most to, at most four."""
    shares = [example[name] for name in SIDES if example.get(name)]
    best = sorted(range(len(shares[0])), key=lambda i: -max(side[i] for side in shares)) if shares else []
    chosen = [example["label"], *(i for i in best if i != example["label"])][:MOST_CLASSES]
    return sorted(chosen, key=lambda i: -float((shares[0] if shares else [0.0] * (i + 1))[i]))


def card(example: Mapping[str, Any], shown: Shown, names: Sequence[str]) -> str:
    """One image or text with both answers: bars of the teacher above those of this network, class by class."""
    label, answer = names[example["label"]], names[example["answer"]]
    alt = say("trial_mistakes.alt", label=label, answer=answer)
    is_text = isinstance(shown, tuple)
    picture, text = ("", texts.box(shown, alt)) if isinstance(shown, tuple) else (image(shown, alt), "")
    rows = "".join(_pair(example, i, names) for i in main_classes(example))
    beside = ""
    if example.get("dense"):
        top = max(range(len(names)), key=lambda i: example["dense"][i])
        beside = say("trial_mistakes.dense", answer=names[top], share=format_share(example["dense"][top]))
        beside = beside.replace(" %", "\u00a0%")
    title = say("trial_mistakes.card", label=label, answer=answer)
    number = say("trial_mistakes.number", number=example["index"])
    return (
        f'<article class="sh-card{" sh-textual" if is_text else ""}"><header>{picture}<div><b>{escape(title)}</b>'
        f"<small>{escape(number)}</small><small>{escape(beside)}</small></div></header>{text}"
        f'<div class="sh-pairs">{rows}</div></article>'
    )


def bars(shares: Sequence[float], names: Sequence[str], label: int | None = None) -> str:
    """All classes of one answer, as on the page Explore; the largest is bold."""
    top = max(range(len(shares)), key=lambda i: shares[i])
    rows = []
    for i, (name, share) in enumerate(zip(names, shares, strict=True)):
        shown = say("soft.labelled", name=name) if i == label else name
        strong = ' class="sh-true"' if i == top else ""
        width = f"width:{100 * share:.2f}%"
        rows.append(
            f"<span{strong}>{escape(shown)}</span><i><b style='{width}'></b></i><span>{format_share(share)}</span>"
        )
    alt = say("trial_try.bars_alt", name=names[top], share=format_share(shares[top]))
    return f'<div class="sh-bars" role="img" aria-label="{escape(alt)}">{"".join(rows)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0, strong: int | None = None) -> str:
    """A table; from column ``numbers`` on text is aligned right (0: nowhere); row ``strong`` stands out."""
    cells = "".join(f"<th{_right(i, numbers)}>{escape(h)}</th>" for i, h in enumerate(head))
    lines = []
    for n, row in enumerate(rows):
        mark = ' class="sh-strong"' if n == strong else ""
        lines.append(
            f"<tr{mark}>" + "".join(f"<td{_right(i, numbers)}>{escape(v)}</td>" for i, v in enumerate(row)) + "</tr>"
        )
    return (
        f'<div class="sh-scroll"><table class="sh-table"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def facts(entries: Sequence[tuple[str, str, str]]) -> str:
    """(term, value, note) as the page's list of facts."""
    cells = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for term, value, note in entries
    )
    return f'<dl class="sh-facts">{cells}</dl>'


def _pair(example: Mapping[str, Any], number: int, names: Sequence[str]) -> str:
    strong = ' class="sh-true"' if number == example["label"] else ""
    lines = [
        f"<i class='sh-{side}'><b style='width:{100 * example[side][number]:.2f}%'></b></i>"
        f"<em>{format_share(example[side][number])}</em>"
        for side in SIDES
        if example.get(side)
    ]
    return f"<span{strong}>{escape(names[number])}</span><div>{''.join(lines)}</div>"


def _right(column: int, numbers: int) -> str:
    return ' class="sh-number"' if numbers and column >= numbers else ""
