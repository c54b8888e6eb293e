"""Claims about bits: scales, training that takes part, and what is rounded."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.values import RECALIBRATE, Claim, Json, Setting, apply, body, train

SMALL, MIDDLE = "plain_5k", "plain_10k"
DENSE = train(2)


def linear(bits: int, **more: Any) -> Json:
    """The linear quantizer."""
    return {"name": "quantize_linear", "bits": bits, **more}


def largest(bits: int, **more: Any) -> Json:
    """The same with scales from the largest weight."""
    return linear(bits, scale="maximum", **more)


def rounded(student: str, method: Json, control: Json | None, words: str = "") -> Setting:
    """A trained student that is rounded one way or the other (None: not at all), without training."""
    arms = [body(student, DENSE, apply(*([stage] if stage else []), RECALIBRATE)) for stage in (method, control)]
    return Setting(f"{student}, {words or _bits(method)}, rounded after training", *arms)


def taking_part(student: str, method: Json, control: Json, epochs: int = 1, words: str = "") -> Setting:
    """A trained student that goes on for equally many epochs, rounded during them or at their end."""
    arms = [body(student, DENSE, train(epochs, stage, RECALIBRATE)) for stage in (method, control)]
    return Setting(f"{student}, {words or _bits(method)}, 2 + {epochs} epochs", *arms)


def _bits(stage: Json) -> str:
    scale = ", scale from the largest weight" if stage.get("scale") == "maximum" else ""
    return f"{stage['bits']} bits{scale}"


CLAIMS = (
    Claim(
        "qat_2", "At 2 bits: is training with rounded weights better than rounding at the end?",
        "Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342", 0.01,
        tuple(taking_part(s, linear(2, training="qat"), linear(2)) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "qat_3", "At 3 bits: is training with rounded weights better than rounding at the end?",
        "Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342", 0.005,
        (*(taking_part(s, linear(3, training="qat"), linear(3)) for s in (SMALL, MIDDLE)),
         taking_part(SMALL, largest(3, training="qat"), largest(3))),
    ),
    Claim(
        "channel_scales", "Is a scale for each channel better than one for the whole tensor?",
        "Krishnamoorthi 2018, arXiv:1806.08342", 0.005,
        (rounded(SMALL, linear(3), linear(3, granularity="tensor")),
         rounded(MIDDLE, linear(3), linear(3, granularity="tensor")),
         rounded(SMALL, largest(3), largest(3, granularity="tensor"))),
    ),
    Claim(
        "least_squares", "At few bits: does the scale of least squared error beat the largest weight?",
        "Rastegari et al. 2016, arXiv:1603.05279 (1 bit); Nagel et al. 2021, arXiv:2106.08295", 0.01,
        (*(rounded(s, linear(3), largest(3)) for s in (SMALL, MIDDLE)), rounded(SMALL, linear(2), largest(2))),
    ),
    Claim(
        "eight_bits", "Do 8 bits for weights and activations cost at most half a point?",
        "Jacob et al. 2018, arXiv:1712.05877", -0.005,
        tuple(rounded(s, linear(8), None) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "group_scales", "At 3 bits: is a scale for every 16 weights better than one for each channel?",
        "Shen et al. 2020, Q-BERT, arXiv:1909.05840, section 2", 0.003,
        (*(rounded(s, linear(3, granularity="group", group=16), linear(3)) for s in (SMALL, MIDDLE)),
         rounded(SMALL, largest(3, granularity="group", group=16), largest(3))),
    ),
    Claim(
        "affine", "At 3 bits: are levels that follow the weights' range better than symmetric ones?",
        "Krishnamoorthi 2018, arXiv:1806.08342, section 2", 0.003,
        (*(rounded(s, linear(3, scheme="affine"), linear(3)) for s in (SMALL, MIDDLE)),
         rounded(SMALL, largest(3, scheme="affine"), largest(3))),
    ),
)  # fmt: skip
