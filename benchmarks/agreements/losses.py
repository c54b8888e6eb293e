"""Losses: values and gradients against torchdistill, torch.distributions and plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from benchmarks.agreements.values import Agreement, apart, features, logits
from engine.losses.attention import attention_distance
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.losses.decoupled import decoupled_parts
from engine.losses.hint import projector
from engine.losses.jsd import generalized_jsd
from engine.losses.kd import softened_kl
from engine.losses.similarity import similarity_distance
from engine.losses.soft_cross_entropy import softened_cross_entropy
from engine.step import Batch

TEMPERATURES = (1.0, 4.0, 20.0)
SCORES = "scores [64, 10], T = 1, 4 and 20; value and gradient"
Pair = Callable[[Tensor, Tensor], Tensor]


def both(ours: Pair, theirs: Pair, student: Tensor, teacher: Tensor) -> float:
    """The largest difference of value and of gradient by the student's tensor."""
    found = []
    for loss in (ours, theirs):
        tensor = student.clone().requires_grad_()
        value = loss(tensor, teacher)
        value.backward()
        found.append((value, tensor.grad))
    (a, grad_a), (b, grad_b) = found
    if grad_a is None or grad_b is None:
        raise RuntimeError("a loss without gradient")
    return max(apart(a, b), apart(grad_a, grad_b))


def over_temperatures(ours: Callable[..., Tensor], theirs: Callable[..., Tensor]) -> float:
    """The same at three temperatures."""
    return max(
        both(lambda s, t, soft=soft: ours(s, t, soft), lambda s, t, soft=soft: theirs(s, t, soft), logits(0), logits(1))  # type: ignore[misc]
        for soft in TEMPERATURES
    )


def kd() -> float:
    """Soft targets."""
    from torchdistill.losses.mid_level import KDLoss

    def theirs(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        made = KDLoss("x", "output", "x", "output", temperature=temperature, alpha=1e-9, beta=1.0)
        sides = ({"x": {"output": side}} for side in (student, teacher))
        value: Tensor = made(*sides, torch.zeros(len(student), dtype=torch.long))
        return value

    return over_temperatures(softened_kl, theirs)


def kd_distributions() -> float:
    """Soft targets again."""
    return over_temperatures(softened_kl, lambda s, t, soft: soft**2 * _kl(t / soft, s / soft))


def reverse_kl() -> float:
    """KL the other way round."""
    return over_temperatures(
        lambda s, t, soft: softened_kl(t, s, soft), lambda s, t, soft: soft**2 * _kl(s / soft, t / soft)
    )


def soft_cross_entropy() -> float:
    """Cross-entropy is KL plus the teacher's entropy."""
    return over_temperatures(
        softened_cross_entropy,
        lambda s, t, soft: soft**2 * (_kl(t / soft, s / soft) + Categorical(logits=t / soft).entropy().mean()),
    )


def jsd() -> float:
    """Both sides against their mixture, written out with probabilities."""

    def theirs(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        s, t = Categorical(logits=student / temperature), Categorical(logits=teacher / temperature)
        middle = Categorical(probs=0.3 * t.probs + 0.7 * s.probs)
        return temperature**2 * (0.3 * kl_divergence(t, middle) + 0.7 * kl_divergence(s, middle)).mean()

    return over_temperatures(lambda s, t, soft: generalized_jsd(s, t, 0.3, soft), theirs)


def decoupled() -> float:
    """Both parts, from probabilities."""
    target = torch.arange(64) % 10

    def theirs(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        sides = [Categorical(logits=x / temperature).probs for x in (teacher, student)]
        right = [p.gather(1, target[:, None]) for p in sides]
        binary = [Categorical(probs=torch.cat([r, 1 - r], 1)) for r in right]
        others = [Categorical(probs=p.scatter(1, target[:, None], 0.0)) for p in sides]
        return temperature**2 * (2 * kl_divergence(*binary) + 3 * kl_divergence(*others)).mean()

    def ours(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        first, second = decoupled_parts(student, teacher, target, temperature)
        return (2 * first + 3 * second).mean()

    return over_temperatures(ours, theirs)


def hard() -> float:
    """Labels for those that have one."""
    labels = torch.arange(64) % 10
    labelled = torch.arange(64) % 3 == 0
    batch = Batch(torch.zeros(64, 1), labels.where(labelled, -1), labelled, torch.arange(64))
    return both(
        lambda s, _t: labelled_cross_entropy(s, batch),
        lambda s, _t: F.nll_loss(F.log_softmax(s[labelled], 1), labels[labelled]),
        logits(0), logits(1),
    )  # fmt: skip


def attention() -> float:
    """Torchdistill's in the mode that follows the authors' code."""
    from torchdistill.losses.mid_level import ATLoss

    pair = {side: {"io": "output", "path": "x"} for side in ("student", "teacher")} | {"weight": 1}

    def theirs(student: Tensor, teacher: Tensor) -> Tensor:
        value: Tensor = ATLoss({"one": pair}, mode="code")({"x": {"output": student}}, {"x": {"output": teacher}})
        return value

    return both(attention_distance, theirs, features(0, 16, 6, 7, 7), features(1, 16, 9, 7, 7))


def similarity() -> float:
    """Tables of similarities, with scikit-learn's rows of length 1 (torchdistill 1.1.5 divides by sums instead)."""
    from sklearn.preprocessing import normalize

    student, teacher = features(0, 16, 6, 3, 3), features(1, 16, 9, 3, 3)
    flat = [x.flatten(1).numpy() for x in (student, teacher)]
    tables = [normalize(x @ x.T) for x in flat]
    return apart(similarity_distance(student, teacher), ((tables[0] - tables[1]) ** 2).mean())


def hint() -> float:
    """A 1x1 convolution is one linear regression at every place, here scikit-learn's mean squared error of it."""
    from sklearn.metrics import mean_squared_error

    torch.manual_seed(0)
    student, teacher = features(0, 8, 6, 5, 5).float(), features(1, 8, 9, 5, 5).float()
    made = projector(student, teacher)
    weight, bias = (p.detach() for p in made.parameters())
    rows = student.movedim(1, -1).reshape(-1, 6).numpy() @ weight.flatten(1).numpy().T + bias.numpy()
    theirs = mean_squared_error(teacher.movedim(1, -1).reshape(-1, 9).numpy(), rows)
    return apart(F.mse_loss(made(student), teacher), theirs)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return kl_divergence(Categorical(logits=p), Categorical(logits=q)).mean()


SMALL = "maps [16, 6, 3, 3] and [16, 9, 3, 3]"
MAPS = "maps [16, 6, 7, 7] and [16, 9, 7, 7]; value and gradient"
HINTS = "maps [8, 6, 5, 5] and [8, 9, 5, 5]"
REGRESSION = "scikit-learn `mean_squared_error`, the map as a matrix"
THIRD = "scores [64, 10]; value and gradient"
AGREEMENTS = (
    Agreement("`kd`", "torchdistill `KDLoss`", "torchdistill", SCORES, kd),
    Agreement("`kd`", "`torch.distributions.kl_divergence`", "torch", SCORES, kd_distributions),
    Agreement("`reverse_kl`", "`torch.distributions.kl_divergence`", "torch", SCORES, reverse_kl),
    Agreement("`soft_cross_entropy`", "KL and entropy of `torch.distributions`", "torch", SCORES, soft_cross_entropy),
    Agreement("`jsd`, beta 0.3", "KL to the mixture, `torch.distributions`", "torch", SCORES, jsd),
    Agreement("`decoupled`, 2 and 3", "KL of both parts, `torch.distributions`", "torch", SCORES, decoupled),
    Agreement("`cross_entropy`, a third labelled", "`torch.nn.functional.nll_loss`", "torch", THIRD, hard),
    Agreement("`attention`, global", "torchdistill `ATLoss`", "torchdistill", MAPS, attention),
    Agreement("`similarity`", "scikit-learn `normalize` and numpy", "sklearn", SMALL, similarity),
    Agreement("`hint`", REGRESSION, "sklearn", HINTS, hint),
)
