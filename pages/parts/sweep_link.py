"""A whole sweep inside an address, so that a link opens exactly what somebody put together. No Streamlit here."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from engine.errors import InputError
from pages.parts.words import say

LONGEST_TEXT = 3500  # characters that every browser and server takes in an address
LARGEST_JSON = 200_000


def pack(spec: Mapping[str, Any]) -> str | None:
    """The JSON of a sweep as letters for an address; None when it would be too long for one."""
    text = json.dumps(spec, separators=(",", ":"), ensure_ascii=False).encode()
    packed = base64.urlsafe_b64encode(zlib.compress(text, 9)).decode().rstrip("=")
    return packed if len(packed) <= LONGEST_TEXT else None


def unpack(packed: str) -> Any:
    """The JSON value in an address; raises :class:`InputError` when it is no such thing (cut off, made up, huge)."""
    refused = InputError(say("url.where", name="spec"), packed, say("sweep_form.link_allowed"))
    if len(packed) > LONGEST_TEXT:
        raise refused
    try:
        reader = zlib.decompressobj()
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        text = reader.decompress(raw, LARGEST_JSON)
        if reader.unconsumed_tail or not reader.eof:
            raise refused
        return parse(text.decode())
    except (ValueError, zlib.error):
        raise refused from None


def parse(text: str) -> Any:
    """The value of JSON that somebody pasted; raises :class:`InputError` naming line and column."""
    if len(text) > LARGEST_JSON:
        raise InputError(say("sweep_json.where"), len(text), say("sweep_json.too_long", most=LARGEST_JSON))
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        where = say("sweep_json.place", line=problem.lineno, column=problem.colno)
        raise InputError(where, problem.msg, say("sweep_json.allowed")) from None
    except (RecursionError, ValueError):
        raise InputError(say("sweep_json.where"), text, say("sweep_json.allowed")) from None
