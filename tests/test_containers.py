"""Each container gives back its integers, is the smallest somewhere, and is near the entropy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifact import decoder
from engine.artifact.containers import Containers


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 700),
    spread=st.sampled_from([0.3, 2.0, 20.0, 80.0]),
    zeros=st.sampled_from([0.0, 0.5, 0.95]),
    lowest=st.sampled_from([-128, -127, -7, -1, 0]),
)
def test_every_container_gives_back_its_integers(seed, count, spread, zeros, lowest):
    rng = np.random.default_rng(seed)
    values = np.clip(rng.normal(0, spread, count), lowest, 127).astype(np.int8)
    values[rng.random(count) < zeros] = 0
    make, mask = Containers(), values != 0
    inner = make.dense(values[mask])
    entries = [make.dense(values), make.planes(values.tobytes(), 1), make.bits(values), make.integers(values)]
    for entry in map(make.coded, [*entries, make.sparse(mask, inner), make.gaps(mask, inner)]):
        assert decoded(entry).tolist() == values.tolist(), entry[0]


def decoded(entry):
    """One entry as the decoder reads it."""
    row, blobs = entry
    reader = decoder._Reader(decoder.HEADER.pack(b"SHPK", 2, b"", 2**20, 0, 0) + b"".join(blobs))
    found = reader.stream(row)
    assert reader.at == len(reader.packed)
    return found


def test_each_container_is_the_smallest_somewhere():
    rng = np.random.default_rng(8)

    def kind(values):
        row = Containers().integers(np.asarray(values, np.int8))[0]
        return [row[0], row[-1][0]] if isinstance(row[-1], list) else [row[0]]

    noise = rng.integers(-127, 128, 40)
    assert kind(noise) == ["planes"]
    assert kind(rng.integers(-7, 9, 20000)) == ["bits"]
    assert kind(np.rint(rng.normal(0, 2, 1000))) == ["ans"]
    assert kind(np.where(rng.random(60000) < 0.5, rng.integers(-127, 128, 60000), 0))[0] == "sparse"
    assert kind(np.where(rng.random(60000) < 0.02, rng.integers(-127, 128, 60000), 0))[0] == "gaps"


@pytest.mark.parametrize(("bits", "limit"), [(8, 1.05), (4, 1.05), (2, 1.06)])
@pytest.mark.parametrize("zeros", [0.0, 0.5])
@pytest.mark.parametrize("count", [3000, 30000])
def test_containers_are_near_the_entropy_of_bell_shaped_weights(bits, limit, zeros, count):
    rng = np.random.default_rng(9)
    high = 2 ** (bits - 1) - 1
    values = np.clip(np.rint(rng.normal(0, high / 2.5, count)), -high, high).astype(np.int8)
    values[np.abs(values) <= np.quantile(np.abs(values), zeros) * (zeros > 0)] = 0
    shares = np.unique(values, return_counts=True)[1] / count
    entropy = -count * float((shares * np.log2(shares)).sum()) / 8
    assert entropy <= 1.02 * sum(map(len, Containers().integers(values)[1])) <= 1.02 * limit * entropy + 50


def test_a_table_of_frequencies_is_exact_and_gives_everything_a_share():
    values, starts = decoder.ans_table(bytes([1, 255, 3, 1, 2, 0, 4, 33]))
    assert values.tolist() == [-9, -8, -7, -6, -3, -2, -1, 0, 1, 2, 3, 6, 7, 8, 9]
    assert (starts[0], starts[-1]) == (0, 2**decoder.ANS_BITS)
    shares = np.diff(starts)
    assert shares.min() >= 1
    assert shares[7] > 2**13
    for bad in (b"", bytes([0, 16]), bytes([4, 0]), bytes([129, 20])):
        with pytest.raises(ValueError, match="table"):
            decoder.ans_table(bad)
