"""Claims about losses with a loop of their own: attacks, peers, learned settings, a judge."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.distillation import every, few
from benchmarks.claims.values import THREE, Claim, Setting, body, train

SMALL, MIDDLE = "plain_5k", "plain_10k"
SOFT_FOUR: dict[str, Any] = {"name": "kd", "temperature": 4.0, "weight": 0.9}


def attacked(student: str, mode: str) -> Setting:
    """Distilled on changed images, against soft targets on clean ones at the same temperature."""
    losses = ({"name": "adversarial", "mode": mode}, {"name": "kd", "temperature": 1.0, "weight": 0.9})
    return Setting(f"{student}, changed by {mode}, 2 epochs", *(body(student, train(2, loss=loss)) for loss in losses))


def learned(student: str, epochs: int) -> Setting:
    """Temperature and weight learned, against those that they start from."""
    arms = [body(student, train(epochs, loss=loss)) for loss in ({"name": "meta"}, SOFT_FOUR)]
    return Setting(f"{student}, from temperature 4 and weight 0.9, {epochs} epochs", *arms)


CLAIMS = (
    Claim(
        "pgd", "Does distilling on attacked images raise the accuracy under attack?",
        "Goldblum et al. 2020, ARD, arXiv:1905.09747; Zi et al. 2021, RSLAD, arXiv:2108.07969", 0.1,
        (attacked(SMALL, "pgd"),), seeds=THREE, measure="accuracy_under_attack",
    ),
    Claim(
        "pgd_clean", "What does that cost on clean images: at most ten points?",
        "Goldblum et al. 2020, ARD, arXiv:1905.09747", -0.1, (attacked(SMALL, "pgd"),), seeds=THREE,
    ),
    Claim(
        "fgsm", "Does distilling on images attacked in one step raise the accuracy under attack in ten steps?",
        "Goodfellow et al. 2015, arXiv:1412.6572", 0.1, (attacked(SMALL, "fgsm"),), seeds=THREE,
        measure="accuracy_under_attack",
    ),
    Claim(
        "discriminator", "With few labels: is a judge of the student's answers better than labels alone?",
        "Xu et al. 2018, arXiv:1709.00513", 0.05,
        (few(SMALL, {"name": "adversarial", "mode": "discriminator"}),
         few(MIDDLE, {"name": "adversarial", "mode": "discriminator"})), seeds=THREE,
    ),
    Claim(
        "mutual", "Do two students that learn from each other beat one on labels alone?",
        "Zhang et al. 2018, arXiv:1706.00384", 0.003,
        tuple(every(s, {"name": "mutual"}) for s in (SMALL, MIDDLE)),
    ),
    Claim(
        "meta", "Are learned temperature and weight better than those that they start from?",
        "Liu et al. 2022, Meta KD, arXiv:2202.07940", 0.003, (learned(SMALL, 2), learned(MIDDLE, 2)),
    ),
)  # fmt: skip
