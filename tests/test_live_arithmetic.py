"""The numpy arithmetic of live figures does what engine.weights does to tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zstandard

from engine.live import arithmetic
from engine.live.data import LAYERS, layer
from engine.weights import affine, codebook, sparsity


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("granularity", arithmetic.GRANULARITIES)
@pytest.mark.parametrize("reach", ["maximum", "least_squares"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_rounds_like_the_engine(name: str, granularity: str, reach: str, bits: int) -> None:
    weight = layer(name)
    code = affine.quantize(torch.tensor(weight), bits, granularity, reach)
    scale = arithmetic.fit_scale(weight, bits, granularity, reach)
    assert scale == pytest.approx(code.scale, rel=2e-5)
    found = arithmetic.rounded(weight, bits, granularity, reach)
    theirs = code.dequantized()
    assert arithmetic.error(weight, found) == pytest.approx(arithmetic.error(weight, theirs), rel=1e-4)
    assert (np.abs(found - theirs) > 1e-4 * np.abs(weight).max()).mean() < 1e-3  # ties fall either way


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bits", [1, 3, 5])
def test_shares_like_the_engine(name: str, bits: int) -> None:
    values = layer(name).ravel()
    centres, which = arithmetic.kmeans(values, 1 << bits)
    theirs, places = codebook.kmeans(torch.tensor(values), 1 << bits)
    assert centres == pytest.approx(theirs.numpy(), abs=1e-6)
    assert np.array_equal(which, places.numpy())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("share", [0.0, 0.37, 0.9])
def test_masks_like_the_engine(name: str, share: float) -> None:
    weight = layer(name)
    theirs = sparsity.magnitude_mask({"w": torch.tensor(weight)}, share)["w"].numpy()
    assert np.array_equal(arithmetic.magnitude_mask(weight, share), theirs)
    if weight.ndim == 4:
        kept = sparsity.n_m_mask(torch.tensor(weight).abs(), 2, 4).numpy()
        assert np.array_equal(arithmetic.n_m_mask(weight), kept)


def test_whole_channels_go_by_their_norm() -> None:
    weight = layer("student")
    kept = arithmetic.channel_mask(weight, 0.5)
    norms = np.abs(weight).sum((1, 2, 3))
    gone = ~kept.any((1, 2, 3))
    assert gone.sum() == 12
    assert norms[gone].max() <= norms[~gone].min()
    assert kept[~gone].all()


def test_bytes_are_never_more_than_plain_and_come_back() -> None:
    integers, _ = arithmetic.integers_of("student", 4, "channel", "maximum")
    assert arithmetic.packed_bytes(integers) <= integers.size // 2
    assert arithmetic.packed_bytes(np.zeros(1000)) < 50
    frame = zstandard.ZstdCompressor(level=19).compress(integers.tobytes())
    assert arithmetic.packed_bytes(integers) <= len(frame)


def test_signal_to_noise_is_six_decibels_a_bit_for_even_weights() -> None:
    even = np.linspace(-1, 1, 20_001)
    found = [arithmetic.decibels(even, arithmetic.rounded(even[None], b, "tensor", "maximum")[0]) for b in (6, 7, 8)]
    assert np.diff(found) == pytest.approx([6.02, 6.02], abs=0.35)
