"""Pieces of the page Methods as HTML: maps in colour, rows of images, the key of the colours. Pure functions."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.figures.matrices import MIDDLE, ZERO
from engine.figures.theme import CIVIDIS
from engine.preview_text import Piece
from pages.parts import trial_html
from pages.parts.texts import text
from pages.parts.words import say

SIDES = ("teacher", "student", "pushed")
PALETTE = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in CIVIDIS], float)
MOST_PIECES = 40
EACH = 4  # images of a class that the preview holds


def heat(values: npt.NDArray[Any], alt: str) -> str:
    """A map [h, w] of shares in the colours of the heat maps, in whole pixels."""
    at = np.clip(values.astype(float), 0, 1) * (len(PALETTE) - 1)
    low = np.minimum(at.astype(int), len(PALETTE) - 2)
    part = (at - low)[..., None]
    pixels = (PALETTE[low] * (1 - part) + PALETTE[low + 1] * part).round().astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode()
    return f'<img class="sh-pixels" src="data:image/png;base64,{data}" alt="{escape(alt)}">'


def maps(arrays: Mapping[str, npt.NDArray[Any]], images: Sequence[npt.NDArray[np.uint8]], taps: Sequence[str]) -> str:
    """A row an image: the image, then at each tap where teacher and student are active and where the loss pushes."""
    sides = [(tap, side) for tap in taps for side in SIDES]
    head = f"<b>{escape(say('methods_lesson.image'))}</b>" + "".join(
        f"<b>{escape(say(f'methods_side.{side}'))}<small>{escape(tap.replace('_', ' '))}</small></b>"
        for tap, side in sides
    )
    rows = []
    for i in range(len(arrays[f"student/{taps[0]}"])):
        alts = [
            say("methods_lesson.map_alt", side=say(f"methods_side.{s}"), layer=t.replace("_", " ")) for t, s in sides
        ]
        cells = [heat(arrays[f"{s}/{t}"][i], alt) for (t, s), alt in zip(sides, alts, strict=True)]
        rows.append(trial_html.image(images[i], say("methods_lesson.image")) + "".join(cells))
    return f'<div class="sh-scroll"><div class="sh-maps" style="--sides:{len(sides)}">{head}{"".join(rows)}</div></div>'


def pairs(before: Sequence[npt.NDArray[np.uint8]], after: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Images above, what was made of them below."""
    count = min(len(before), len(after))
    rows = [(say("methods_lesson.original"), before), (say("methods_lesson.made"), after)]
    cells = "".join(
        f"<b>{escape(name)}</b>" + "".join(trial_html.image(pixels, name) for pixels in row[:count])
        for name, row in rows
    )
    return f'<div class="sh-maps sh-strip" style="--sides:{count}">{cells}</div>'


def samples(images: npt.NDArray[np.uint8], labels: Sequence[int], names: Sequence[str]) -> str:
    """A few images of every class under the class's name."""
    cards = []
    for label, name in enumerate(names):
        mine = [images[i] for i, found in enumerate(labels) if found == label][:EACH]
        pictures = "".join(trial_html.image(pixels, name) for pixels in mine)
        cards.append(f"<figure><div>{pictures}</div><figcaption>{escape(name)}</figcaption></figure>")
    return f'<div class="sh-samples">{"".join(cards)}</div>'


def texts(pieces: Sequence[Sequence[Piece]], labels: Sequence[int], names: Sequence[str]) -> str:
    """The beginnings of two texts of every class under the class's name: an ordinary one, and the hardest."""
    cards = []
    for label, name in enumerate(names):
        mine = [pieces[i] for i, found in enumerate(labels) if found == label]
        shown = "".join(f"<p>{text(found, MOST_PIECES)}</p>" for found in (*mine[:1], *mine[-1:]))
        cards.append(f"<figure><figcaption>{escape(name)}</figcaption>{shown}</figure>")
    return f'<div class="sh-said">{"".join(cards)}</div>'


def sizes(rows: Sequence[tuple[str, int]], chosen: str) -> str:
    """Bars of parameters on a logarithmic scale, one a model; the chosen one stands out."""
    low, high = (math.log10(pick(n for _, n in rows)) for pick in (min, max))
    lines = []
    for name, parameters in rows:
        share = (math.log10(parameters) - low + 0.3) / (high - low + 0.3)
        strong = ' class="sh-true"' if name == chosen else ""
        lines.append(f"<span{strong}>{escape(name)}</span><i><b style='width:{100 * share:.1f}%'></b></i>"
                     f"<span{strong}>{parameters:,}</span>")  # fmt: skip
    alt = say("methods_picture.model_alt", name=chosen, parameters=f"{dict(rows)[chosen]:,}", models=len(rows))
    return f'<div class="sh-bars sh-sizes" role="img" aria-label="{escape(alt)}">{"".join(lines)}</div>'


def key(words: str, gone: bool) -> str:
    """What the colours of the weights mean; ``words``: negative, nearly zero, positive, exactly zero, gone."""
    names = [w.strip() for w in words.split("|")]
    middle, zero = (f"light-dark({pair['light']}, {pair['dark']})" for pair in (MIDDLE, ZERO))
    colours = ["#0072b2", middle, "#d55e00", zero, "transparent; outline: 1px dashed currentColor"]
    shown = list(zip(names, colours, strict=True))[: None if gone else -1]
    marks = "".join(f'<span><i style="background:{c}"></i>{escape(n)}</span>' for n, c in shown)
    return f'<p class="sh-key">{marks}</p>'


def caption(text: str) -> str:
    """Text as HTML."""
    return escape(text)
