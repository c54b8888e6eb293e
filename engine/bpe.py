"""Text into token ids by byte-level BPE, from the file that the tokenizers library writes. No torch.

Sennrich et al. 2016, arXiv:1508.07909; split into words as GPT-2 does (Radford et al. 2019). For text of printable
ASCII and ends of lines: other characters are left out, since the vocabularies here have no bytes for them.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from pathlib import Path

from engine.errors import FileError

SPACE, LINE = "Ġ", "Ċ"  # how byte-level BPE writes a space and the end of a line
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
_PLAIN = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "--", "…": "...", "\t": " ", "\r\n": "\n", "\r": "\n"}


def encode(text: str, path: Path) -> list[int]:
    """Token ids of a text; typographic quotes and dashes are made plain first."""
    vocabulary, ranks = _read(path)
    for fancy, plain in _PLAIN.items():
        text = text.replace(fancy, plain)
    kept = "".join(c for c in text if c == "\n" or " " <= c <= "~")
    found: list[int] = []
    for word in _WORD.findall(kept):
        spelled = word.replace(" ", SPACE).replace("\n", LINE)
        found += [vocabulary[part] for part in _merged(list(spelled), ranks)]
    return found


def _merged(parts: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Neighbours put together, the pair that was learned first before others, until no pair is known."""
    while len(parts) > 1:
        pairs = [ranks.get(pair, len(ranks)) for pair in itertools.pairwise(parts)]
        best = min(pairs)
        if best == len(ranks):
            break
        place = pairs.index(best)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


@functools.cache
def _read(path: Path) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    try:
        model = json.loads(path.read_text(encoding="utf-8"))["model"]
        merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
        return dict(model["vocab"]), {(a, b): rank for rank, (a, b) in enumerate(merges)}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(f"{path.name} is missing or altered ({problem})") from None
