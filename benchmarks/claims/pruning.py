"""Claims about zeros: which weights go, when, and whether they may come back."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.values import RECALIBRATE, SOFT, THREE, Claim, Json, Setting, apply, body, train

SMALL, MIDDLE, LARGE = "plain_5k", "plain_10k", "plain_29k"
DENSE = train(2)  # shared by whatever prunes a trained network


def zeros(name: str, sparsity: float, schedule: str = "one_shot", **more: Any) -> Json:
    """A pruning stage."""
    return {"name": f"prune_{name}", "sparsity": sparsity, "schedule": schedule, **more}


def tuned(student: str, method: Json, control: Json | None, epochs: int = 1, loss: Json | None = None) -> Setting:
    """A trained student that goes on under one stage or the other (None: under none), for equally many epochs."""
    loss = loss or {"name": "cross_entropy"}
    arms = [body(student, DENSE, train(epochs, *([stage] if stage else []), loss=loss)) for stage in (method, control)]
    amount = method.get("sparsity", method.get("pattern", ""))
    said = f"{amount:.0%} zeros" if isinstance(amount, float) else str(amount)
    return Setting(f"{student}, {said}, 2 + {epochs} epochs", *arms)


def fresh(student: str, method: Json, control: Json, epochs: int) -> Setting:
    """A student that is sparse from its first step."""
    arms = [body(student, train(epochs, stage)) for stage in (method, control)]
    each = " of each layer" if method.get("scope") == "layer" else ""
    return Setting(f"{student}, {method['sparsity']:.0%} zeros{each}, {epochs} epochs", *arms)


def sparse(method: str, sparsity: float) -> Json:
    """Sparse training."""
    return {"name": "train_sparse", "method": method, "sparsity": sparsity}


def ticket(student: str, *shares: float) -> Setting:
    """Pruned and rewound once or several times; in the control the last start is dealt out anew."""

    def rounds(last: str) -> list[Json]:
        starts = ["initial"] * (len(shares) - 1) + [last]
        return [
            train(2, zeros("magnitude", s), {"name": "rewind", "start": w}) for s, w in zip(shares, starts, strict=True)
        ]

    turns = "at once" if len(shares) == 1 else f"in {len(shares)} rounds"
    arms = [body(student, DENSE, *rounds(last)) for last in ("initial", "shuffled")]
    return Setting(f"{student}, {1 - shares[-1]:.0%} of the weights left {turns}", *arms)


def repaired(student: str, sparsity: float, bits: int) -> Setting:
    """Compressed without training, with and without new BatchNorm statistics."""
    stages = [zeros("magnitude", sparsity), {"name": "quantize_linear", "bits": bits}]
    arms = [body(student, DENSE, apply(*stages, *more)) for more in ([RECALIBRATE], [])]
    return Setting(f"{student}, {sparsity:.0%} zeros, {bits} bits", *arms)


TUNED = ((SMALL, 0.8), (SMALL, 0.9), (MIDDLE, 0.9))
FRESH = ((SMALL, 0.9), (MIDDLE, 0.95), (LARGE, 0.97))
CLAIMS = (
    Claim(
        "gradual", "At 95 % zeros: is pruning little by little better than pruning at once and training on?",
        "Zhu & Gupta 2017, arXiv:1710.01878", 0.01,
        tuple(tuned(s, zeros("magnitude", z, "gradual"), zeros("magnitude", z), 2)
              for s, z in ((MIDDLE, 0.95), (LARGE, 0.95), (SMALL, 0.95))),
        seeds=THREE,
    ),
    Claim(
        "magnitude", "Are small weights a better choice of zeros than a draw by lot?",
        "Han et al. 2015, arXiv:1506.02626", 0.01,
        tuple(tuned(s, zeros("magnitude", z), zeros("random", z)) for s, z in TUNED),
    ),
    Claim(
        "taylor", "Are weights of little effect on the loss a better choice of zeros than a draw by lot?",
        "Molchanov et al. 2019, arXiv:1906.10771", 0.01,
        tuple(tuned(s, zeros("taylor", z), zeros("random", z)) for s, z in TUNED),
    ),
    Claim(
        "snip", "Before any training: do sensitive connections beat a draw by lot?",
        "Lee et al. 2019, arXiv:1810.02340", 0.01,
        (fresh(SMALL, zeros("snip", 0.9), zeros("random", 0.9), 2),
         fresh(SMALL, zeros("snip", 0.9, scope="layer"), zeros("random", 0.9, scope="layer"), 2),
         fresh(MIDDLE, zeros("snip", 0.8), zeros("random", 0.8), 2)),
    ),
    Claim(
        "movement", "With most weights gone: is movement while tuning a better score than size?",
        "Sanh et al. 2020, arXiv:2005.07683", 0.005,
        tuple(tuned(s, *(zeros(n, z, "gradual", scope="layer") for n in ("movement", "magnitude")), 2, SOFT)
              for s, z in FRESH),
        seeds=THREE,
    ),
    Claim(
        "two_of_four", "Does 2:4 cost at most one point after tuning?", "Mishra et al. 2021, arXiv:2104.08378", -0.01,
        tuple(tuned(s, {"name": "prune_n_m", "pattern": "2:4", "schedule": "gradual"}, None) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "channels", "Do three tenths of the channels cost at most two points after tuning?",
        "Li et al. 2017, arXiv:1608.08710", -0.02,
        tuple(tuned(s, {"name": "prune_channels", "sparsity": 0.3}, None) for s in (MIDDLE, LARGE)),
        seeds=THREE,
    ),
    Claim(
        "ticket", "At a fifth of the weights: do the first weights beat the same values shuffled?",
        "Frankle & Carbin 2019, arXiv:1803.03635", 0.005,
        (ticket(SMALL, 0.55, 0.8), ticket(MIDDLE, 0.55, 0.8), ticket(SMALL, 0.8)),
    ),
    Claim(
        "rigl", "Sparse from the start: do places that move by gradient beat places that stay?",
        "Evci et al. 2020, arXiv:1911.11134", 0.005,
        tuple(fresh(s, sparse("rigl", z), sparse("static", z), 3) for s, z in FRESH),
    ),
    Claim(
        "set", "Sparse from the start: do places that move by lot beat places that stay?",
        "Mocanu et al. 2018, arXiv:1707.04780", 0.005,
        tuple(fresh(s, sparse("set", z), sparse("static", z), 3) for s, z in FRESH),
    ),
    Claim(
        "recalibrate", "Without training: do new BatchNorm statistics repair what pruning and rounding break?",
        "Li et al. 2020, EagleEye, arXiv:2007.02491", 0.05,
        (repaired(SMALL, 0.5, 4), repaired(MIDDLE, 0.7, 4), repaired(SMALL, 0.7, 4)),
    ),
)  # fmt: skip
