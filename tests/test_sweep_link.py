"""A whole sweep in an address, and pasted JSON: there and back, and everything that is neither refused in one line."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from engine import api_sweeps
from engine.errors import InputError
from pages.parts import sweep_link, sweep_words

READY = api_sweeps.ready("fashion_mnist")


def test_a_link_carries_a_whole_sweep() -> None:
    for row in READY:
        packed = sweep_link.pack(row["spec"])
        assert packed is not None, row["name"]
        assert len(packed) < 1200
        assert sweep_link.unpack(packed) == json.loads(json.dumps(row["spec"]))


@pytest.mark.parametrize("text", ["", "nonsense", "eJwDAAAAAAE", "%%%", "A" * 5000, "\u00e9"])
def test_a_link_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(InputError) as problem:
        sweep_link.unpack(text)
    assert "\n" not in str(problem.value)


def test_a_link_that_would_fill_the_memory_is_refused() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b"[" + b" " * 2_000_000 + b"]", 9)).decode().rstrip("=")
    assert len(bomb) < sweep_link.LONGEST_TEXT
    with pytest.raises(InputError):
        sweep_link.unpack(bomb)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nul", "1" * 10_000])
def test_pasted_text_that_is_no_json_is_one_line(text: str) -> None:
    with pytest.raises(InputError) as problem:
        sweep_link.parse(text)
    assert "\n" not in str(problem.value)


def test_orders_are_told_in_words() -> None:
    spec = next(r["spec"] for r in READY if r["name"] == "orders")
    told = sweep_words.orders_of(spec)
    assert list(told) == list(spec["phases"]["labels"])
    assert told["jointly"].startswith("4 epochs: soft targets, prune small weights 0.7, quantize to few bits 4")
    assert " → " in told["distil, then compress"]
    assert sweep_words.orders_of(READY[0]["spec"]) == {}
    assert sweep_words.phases_words([{"epochs": [1, 2]}, {"epochs": 0}]) == "several epochs → no training"
    assert sweep_words.setting_words({"labels": None, "weight": 0.5}) == "labels all, weight 0.5"
