"""Claims about lattices that are learned, extreme or shared."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.quantization import largest, linear, rounded, taking_part
from benchmarks.claims.values import THREE, Claim, Json

SMALL, MIDDLE = "plain_5k", "plain_10k"


def lsq(bits: int) -> Json:
    """Learned steps."""
    return {"name": "quantize_lsq", "bits": bits}


def adaround(bits: int, **more: Any) -> Json:
    """Learned rounding."""
    return {"name": "quantize_adaround", "bits": bits, **more}


def codebook(bits: int, centroids: str = "fixed") -> Json:
    """A table of shared weights."""
    return {"name": "share_codebook", "bits": bits, "centroids": centroids}


def trained(name: str) -> tuple[Json, Json]:
    """An extreme quantizer that takes part in training, and one that comes at its end."""
    return {"name": name, "training": "qat"}, {"name": name}


CLAIMS = (
    Claim(
        "lsq_2", "At 2 bits: are learned steps better than rounding at the end?",
        "Esser et al. 2020, arXiv:1902.08153", 0.01,
        tuple(taking_part(s, lsq(2), linear(2)) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "lsq_3", "At 3 bits: are learned steps better than rounding at the end?",
        "Esser et al. 2020, arXiv:1902.08153", 0.005,
        tuple(taking_part(s, lsq(3), linear(3)) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "lsq_qat", "At 2 bits: are learned steps at most half a point below searched ones, both while training?",
        "Esser et al. 2020, arXiv:1902.08153", -0.005,
        tuple(taking_part(s, lsq(2), linear(2, training="qat")) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "adaround", "At 3 bits: is learned rounding better than rounding to the nearest level?",
        "Nagel et al. 2020, arXiv:2004.10568", 0.005,
        (*(rounded(s, adaround(3), linear(3)) for s in (SMALL, MIDDLE)),
         rounded(SMALL, adaround(3, scale="maximum"), largest(3))),
    ),
    Claim(
        "codebook", "At 3 bits: is a table of any eight values better than evenly spaced levels?",
        "Han et al. 2016, Deep Compression, arXiv:1510.00149", 0.003,
        (*(rounded(s, codebook(3), linear(3, granularity="tensor")) for s in (SMALL, MIDDLE)),
         rounded(SMALL, codebook(2), linear(2, granularity="tensor"))),
    ),
    Claim(
        "codebook_trained", "At 2 bits: is a trained table better than one made at the end?",
        "Han et al. 2016, Deep Compression, arXiv:1510.00149", 0.01,
        tuple(taking_part(s, codebook(2, "trained"), codebook(2)) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "ternary", "Is training with three levels better than rounding to them at the end?",
        "Li et al. 2016, arXiv:1605.04711", 0.05,
        tuple(taking_part(s, *trained("quantize_ternary"), words="three levels") for s in (SMALL, MIDDLE)), seeds=THREE,
    ),
    Claim(
        "binary", "Is training with two levels better than rounding to them at the end?",
        "Rastegari et al. 2016, arXiv:1603.05279", 0.05,
        tuple(taking_part(s, *trained("quantize_binary"), words="two levels") for s in (SMALL, MIDDLE)), seeds=THREE,
    ),
)  # fmt: skip
