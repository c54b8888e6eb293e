"""Knobs: types, bounds, canonical values, parsing and the errors that say what is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.knobs import Knob, canonical_float, check_values, knob, knobs_of

SPARSITY = Knob("sparsity", "float", 0.5, "Share of zeros.", low=0.0, high=0.95)
BITS = Knob("bits", "int", 8, "Bits.", low=1, high=8)
SCOPE = Knob("scope", "str", "global", "Where.", choices=("global", "layer"))
SWITCH = Knob("per_channel", "bool", True, "One scale a channel.")
LIMIT = Knob("limit", "int", None, "Images.", low=1, optional=True)
ALL = (SPARSITY, BITS, SCOPE, SWITCH, LIMIT)


@dataclass(frozen=True)
class Example:
    sparsity: float = knob(0.5, 0.0, 0.95, "Share of zeros.", step=0.05)
    rounds: int | None = knob(None, 1, 10, "Repeats.")
    scope: str = knob("global", help="Where.", choices=("global", "layer"))
    derived: int = 7


def test_fields_become_knobs_in_their_order() -> None:
    rows = {k.name: k for k in knobs_of(Example)}
    assert list(rows) == ["sparsity", "rounds", "scope"]
    assert rows["sparsity"] == Knob("sparsity", "float", 0.5, "Share of zeros.", low=0.0, high=0.95, step=0.05)
    assert rows["rounds"].optional
    assert rows["rounds"].type == "int"
    assert rows["scope"].choices == ("global", "layer")


def test_a_field_of_another_type_cannot_be_a_knob() -> None:
    @dataclass(frozen=True)
    class Bad:
        shape: tuple[int, ...] = knob((), help="A shape.")

    with pytest.raises(TypeError, match="shape"):
        knobs_of(Bad)


def test_a_default_outside_its_bounds_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InputError, match="default of bits"):
        Knob("bits", "int", 9, "Bits.", low=1, high=8)


@pytest.mark.parametrize("entry", ALL, ids=lambda k: k.name)
def test_json_round_trip(entry: Knob) -> None:
    assert Knob.from_json(entry.to_json()) == entry


def test_json_leaves_out_what_is_usual() -> None:
    assert SWITCH.to_json() == {"name": "per_channel", "type": "bool", "default": True, "help": "One scale a channel."}


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        (SPARSITY, 0.1 + 0.2, 0.3),
        (SPARSITY, 0, 0.0),
        (SPARSITY, -0.0, 0.0),
        (BITS, 4.0, 4),
        (SCOPE, "layer", "layer"),
        (SWITCH, False, False),
        (LIMIT, None, None),
        (LIMIT, 3, 3),
    ],
)
def test_values_take_their_canonical_form(entry: Knob, value: object, expected: object) -> None:
    got = entry.check(value, "here")
    assert got == expected
    assert type(got) is type(expected)
    assert str(got) == str(expected)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        (SPARSITY, math.nan),
        (SPARSITY, math.inf),
        (SPARSITY, True),
        (SPARSITY, "0.5"),
        (SPARSITY, None),
        (SPARSITY, 0.951),
        (SPARSITY, -1e-9),
        pytest.param(SPARSITY, 10**400, id="huge"),
        (BITS, True),
        (BITS, 2.5),
        (BITS, 0),
        (BITS, 9),
        (BITS, math.nan),
        (BITS, [4]),
        (SWITCH, 1),
        (SWITCH, "true"),
        (SCOPE, 3),
        (SCOPE, "x" * 501),
        (LIMIT, 0),
    ],
)
def test_anything_else_is_refused_with_the_place(entry: Knob, value: object) -> None:
    with pytest.raises(InputError) as caught:
        entry.check(value, "recipe.somewhere")
    assert str(caught.value).startswith("recipe.somewhere: ")
    assert caught.value.exit_code == 2


def test_the_error_says_what_is_allowed_and_what_was_meant() -> None:
    with pytest.raises(InputError) as caught:
        SPARSITY.check(1.5, "sparsity")
    assert "a number from 0 to 0.95" in str(caught.value)
    assert "did you mean '0.95'?" in str(caught.value)
    with pytest.raises(InputError, match="did you mean 'global'"):
        SCOPE.check("globl", "scope")


def test_a_long_value_does_not_flood_the_message() -> None:
    with pytest.raises(InputError) as caught:
        BITS.check("9" * 5000, "bits")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("entry", "text", "expected"),
    [
        (SPARSITY, "0.25", 0.25),
        (SPARSITY, "3e-1", 0.3),
        (BITS, "4", 4),
        (SWITCH, "no", False),
        (SWITCH, "True", True),
        (SCOPE, "layer", "layer"),
        (LIMIT, "none", None),
        (LIMIT, "12", 12),
    ],
)
def test_parsing_what_was_typed(entry: Knob, text: str, expected: object) -> None:
    assert entry.parse(text, "option") == expected


@pytest.mark.parametrize(
    ("entry", "text"),
    [(BITS, "4.5"), (BITS, "eight"), (BITS, ""), (SPARSITY, "nan"), (SPARSITY, ""), (SWITCH, "maybe")],
)
def test_parsing_refuses_other_words(entry: Knob, text: str) -> None:
    with pytest.raises(InputError, match=r"^option: "):
        entry.parse(text, "option")


def test_missing_values_take_their_default_and_unknown_ones_are_refused() -> None:
    assert check_values(ALL, {"bits": 3}, "stage") == {
        "sparsity": 0.5, "bits": 3, "scope": "global", "per_channel": True, "limit": None,
    }  # fmt: skip
    with pytest.raises(InputError, match=r"stage\.sparsty: .*did you mean 'sparsity'"):
        check_values(ALL, {"sparsty": 0.3}, "stage")
    with pytest.raises(InputError, match="no fields"):
        check_values((), {"bits": 3}, "stage")


@given(st.floats(-1e12, 1e12))
def test_canonical_floats_are_stable_and_near(value: float) -> None:
    once = canonical_float(value)
    assert canonical_float(once) == once
    assert once == pytest.approx(value, rel=1e-11, abs=0)
    assert str(once) != "-0.0"


@given(st.floats(0.0, 0.95))
def test_every_value_inside_the_bounds_is_accepted(value: float) -> None:
    assert SPARSITY.check(value, "here") == pytest.approx(value, rel=1e-11)
