"""Claims about shapes: a network that was made thinner is as good as one that was born with as many multiply-adds."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.values import THREE, Claim, Json, Setting, body, train

SMALL, MIDDLE, LARGE = "plain_5k", "plain_10k", "plain_29k"


def thinned(large: str, stage: Json, small: str, words: str) -> Setting:
    """A larger trained student, factored and tuned, against a smaller one of about as many multiply-adds."""
    arms: list[dict[str, Any]] = [body(large, train(2), train(1, stage)), body(small, train(2), train(1))]
    return Setting(f"{large}, {words}, against {small}, 2 + 1 epochs", *arms)


def low_rank(keep: float) -> Json:
    """Truncated singular value decompositions."""
    return {"name": "factor_low_rank", "keep": keep}


def depthwise(multiplier: int) -> Json:
    """Depthwise and pointwise convolutions."""
    return {"name": "factor_depthwise", "multiplier": multiplier}


CLAIMS = (
    Claim(
        "low_rank", "Is a low-rank network at most a point below a plain one of as many multiply-adds?",
        "Denton et al. 2014, arXiv:1404.0736; Zhang et al. 2015, arXiv:1505.06798", -0.01,
        (thinned(MIDDLE, low_rank(0.35), SMALL, "35 % of the ranks"),
         thinned(LARGE, low_rank(0.35), MIDDLE, "35 % of the ranks")), seeds=THREE,
    ),
    Claim(
        "depthwise", "Is a network split into depthwise and pointwise at most a point below a plain one of as many "
        "multiply-adds?", "Howard et al. 2017, MobileNets, arXiv:1704.04861", -0.01,
        (thinned(LARGE, depthwise(1), SMALL, "one filter a channel"),
         thinned(MIDDLE, depthwise(3), SMALL, "three filters a channel")), seeds=THREE,
    ),
)  # fmt: skip
