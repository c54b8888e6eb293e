"""Claims about teachers: what each loss is worth against labels alone."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.values import SOFT, THREE, Claim, Json, Setting, body, train

SMALL, MIDDLE = "plain_5k", "plain_10k"
FEW = 200


def few(student: str, loss: Json, epochs: int = 2) -> Setting:
    """200 labels and the other images without: the loss against labels alone."""
    arms = [body(student, train(epochs, **part), labels=FEW) for part in ({"loss": loss}, {})]
    return Setting(f"{student}, {FEW} labels, {epochs} epochs", *arms)


def every(student: str, loss: Json, epochs: int = 2) -> Setting:
    """All labels: the loss against labels alone."""
    arms = [body(student, train(epochs, **part)) for part in ({"loss": loss}, {})]
    return Setting(f"{student}, all labels, {epochs} epochs", *arms)


def added(student: str, loss: Json, epochs: int = 2) -> Setting:
    """200 labels: soft targets and the loss against soft targets alone."""
    own = {**loss, "label_weight": 0.0}
    arms = [body(student, train(epochs, loss=losses), labels=FEW) for losses in ([SOFT, own], [SOFT])]
    return Setting(f"{student}, {FEW} labels, beside soft targets, {epochs} epochs", *arms)


def soft(name: str, said: str, source: str, **knobs: Any) -> Claim:
    """A loss on the teacher's answers: with few labels it must be far ahead of labels alone."""
    loss = {"name": name, **knobs}
    return Claim(name, f"With few labels: are {said} better than labels alone?", source, 0.05,
                 (few(SMALL, loss), few(MIDDLE, loss)), seeds=THREE)  # fmt: skip


CLAIMS = (
    soft("kd", "the teacher's soft targets", "Hinton et al. 2015, arXiv:1503.02531"),
    soft("soft_cross_entropy", "the same targets in a cross-entropy", "Hinton et al. 2015, arXiv:1503.02531"),
    soft("reverse_kl", "soft targets in KL from the student's side", "Gu et al. 2023, MiniLLM, arXiv:2306.08543"),
    soft("jsd", "soft targets in a Jensen-Shannon divergence", "Agarwal et al. 2023, GKD, arXiv:2306.13649"),
    soft("decoupled", "the right class and the ranking of the others, weighed apart,",
         "Zhao et al. 2022, arXiv:2203.08679"),
    soft("logit_mse", "the teacher's raw scores", "Ba & Caruana 2014, arXiv:1312.6184"),
    Claim(
        "soft_all", "With all labels: are soft targets better than labels alone?",
        "Hinton et al. 2015, arXiv:1503.02531", 0.003, (every(SMALL, SOFT), every(MIDDLE, SOFT)),
    ),
    Claim(
        "attention", "Does looking where the teacher looks help a student?",
        "Zagoruyko & Komodakis 2017, arXiv:1612.03928", 0.003,
        (every(SMALL, {"name": "attention"}), every(SMALL, {"name": "attention", "attention_weight": 30.0}),
         added(SMALL, {"name": "attention"})), seeds=THREE,
    ),
    Claim(
        "hint", "Do the teacher's inner features help a student?", "Romero et al. 2015, arXiv:1412.6550", 0.003,
        (every(SMALL, {"name": "hint"}), added(SMALL, {"name": "hint"})), seeds=THREE,
    ),
    Claim(
        "similarity", "Is keeping similar images similar at most half a point worse than labels alone?",
        "Tung & Mori 2019, arXiv:1907.09682", -0.005,
        (every(SMALL, {"name": "similarity"}), added(SMALL, {"name": "similarity"})), seeds=THREE,
    ),
)  # fmt: skip
