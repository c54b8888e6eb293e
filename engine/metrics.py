"""How good a classifier is, from its logits: numpy in, plain numbers out, no torch.

Everywhere ``logits`` is [N, C], ``labels`` [N] whole numbers 0 .. C-1; values are fractions of one, or nats where said.
Logits that are not finite raise :class:`TrialFailedError`: they mean that training diverged, not a low quality.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.errors import TrialFailedError
from engine.result import Quality

Array: TypeAlias = npt.NDArray[Any]
Interval: TypeAlias = tuple[float, float, float]

Z95 = 1.959963984540054
ECE_BINS = 15
COUNTED = ("accuracy",)  # metrics that are a share of right answers
ARTIFACT_GAP, ARTIFACT_CHANGED, ARTIFACT_MARGIN = "artifact_gap", "artifact_changed", "artifact_margin"
GAP = 0.005  # an artifact whose quality is farther than this from its training graph's says so
# 97.5 % points of Student's t for 1 to 30 degrees of freedom; see t95() for more
T95 = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip


def accuracy(logits: Array, labels: Array) -> Quality:
    """Share of right answers with its 95 % Wilson interval (Wilson 1927, JASA 22:209)."""
    right = correct(logits, labels)
    low, high = wilson(int(right.sum()), len(right))
    return Quality("accuracy", float(right.mean()), low, high)


def correct(logits: Array, labels: Array) -> npt.NDArray[np.bool_]:
    """[N] whether the largest logit is the label's; the first of equal ones counts."""
    values, targets = _checked(logits, labels)
    right: npt.NDArray[np.bool_] = values.argmax(1) == targets
    return right


def wilson(successes: int, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a proportion; it always holds ``successes / count`` and stays inside 0 to 1."""
    p, z2 = successes / count, Z95**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 * math.sqrt(p * (1 - p) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def macro_f1(logits: Array, labels: Array) -> float:
    """Unweighted mean over classes of F1 = 2 TP / (2 TP + FP + FN), over classes that occur or are answered."""
    values, targets = _checked(logits, labels)
    table = confusion(values, targets)
    hits, total = np.diag(table), table.sum(0) + table.sum(1)
    return float((2 * hits[total > 0] / total[total > 0]).mean())


def confusion(logits: Array, labels: Array) -> npt.NDArray[np.int64]:
    """[C, C] counts: row = label, column = answer."""
    values, targets = _checked(logits, labels)
    classes = values.shape[1]
    pairs = targets * classes + values.argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def cross_entropy(logits: Array, labels: Array) -> float:
    """Mean of -log p(label), in nats."""
    values, targets = _checked(logits, labels)
    return float(-_log_softmax(values)[np.arange(len(targets)), targets].mean())


def top_k(logits: Array, labels: Array, k: int = 5) -> float:
    """Share of examples whose label is among the ``k`` largest logits; of equal ones the first counts."""
    values, targets = _checked(logits, labels)
    own = values[np.arange(len(targets)), targets][:, None]
    earlier = np.arange(values.shape[1]) < targets[:, None]
    rank = (values > own).sum(1) + ((values == own) & earlier).sum(1)
    return float((rank < k).mean())


def expected_calibration_error(logits: Array, labels: Array, bins: int = ECE_BINS) -> float:
    """Mean gap between confidence and accuracy over ``bins`` equal bins of confidence (Guo et al. 2017, eq. 3)."""
    values, targets = _checked(logits, labels)
    confidence = np.exp(_log_softmax(values)).max(1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = (values.argmax(1) == targets) - confidence
    return float(np.abs(np.bincount(place, gap, minlength=bins)).sum() / len(gap))


def agreement(logits: Array, teacher_logits: Array) -> float:
    """Share of examples where student and teacher give the same answer."""
    values, teacher = _checked_pair(logits, teacher_logits)
    return float((values.argmax(1) == teacher.argmax(1)).mean())


def kl_to_teacher(logits: Array, teacher_logits: Array) -> float:
    """Mean KL(teacher || student) at temperature 1, in nats."""
    values, teacher = _checked_pair(logits, teacher_logits)
    student_log, teacher_log = _log_softmax(values), _log_softmax(teacher)
    return float((np.exp(teacher_log) * (teacher_log - student_log)).sum(1).mean())


def classification(logits: Array, labels: Array, teacher_logits: Array | None = None) -> dict[str, float]:
    """All measures by name; ``agreement`` and ``kl_to_teacher`` only where there is a teacher."""
    row = {
        "accuracy": accuracy(logits, labels).value,
        "macro_f1": macro_f1(logits, labels),
        "cross_entropy": cross_entropy(logits, labels),
        "top5": top_k(logits, labels, 5),
        "calibration_error": expected_calibration_error(logits, labels),
    }
    if teacher_logits is not None:
        row["agreement"] = agreement(logits, teacher_logits)
        row["kl_to_teacher"] = kl_to_teacher(logits, teacher_logits)
    return row


def artifact_changes(logits: Array, graph_logits: Array) -> dict[str, float]:
    """How an artifact's answers differ from those of the training graph that it was written from, both [N, C].

    ``artifact_changed``: share of examples with another answer. ``artifact_margin``: the most by which the graph's
    best logit leads its second among those; 0 where there are none. Rounding of sums alone moves only near ties.
    """
    values, graph = _checked_pair(logits, graph_logits)
    other = values.argmax(1) != graph.argmax(1)
    best = np.sort(graph[other], axis=1)[:, -2:]
    margin = float((best[:, -1] - best[:, 0]).max()) if other.any() else 0.0
    return {ARTIFACT_CHANGED: float(other.mean()), ARTIFACT_MARGIN: margin}


def left_out(logits: Array, labels: Array, left: int) -> dict[str, float]:
    """How a class is recognised whose images were never seen in training: its recall, as it is and with a raised bias.

    Of C classes it should be the answer for 1/C of the images; :func:`raise_to` finds the bias without labels, on every
    second image for the others and the other way round, so that no image is judged by a bias that it helped to choose.
    ``left_out_accuracy`` is the accuracy over all classes with it, ``left_out_bias`` the mean of both biases.
    """
    values, targets = _checked(logits, labels)
    halves = np.arange(len(values)) % 2
    biases = [raise_to(values[halves != half], left, 1 / values.shape[1]) for half in (0, 1)]
    raised = values.copy()
    raised[:, left] += np.asarray(biases)[halves]
    mine = targets == left
    recall = {name: float((z[mine].argmax(1) == left).mean()) if mine.any() else 0.0
              for name, z in (("left_out_recall", values), ("left_out_recall_raised", raised))}  # fmt: skip
    accuracy_raised = float((raised.argmax(1) == targets).mean())
    return {**recall, "left_out_accuracy": accuracy_raised, "left_out_bias": float(np.mean(biases))}


def raise_to(logits: Array, label: int, share: float) -> float:
    """The bias, at least 0, that makes ``label`` the answer for ``share`` of the N images, to the nearest image."""
    others = np.delete(logits, label, axis=1).max(1)
    needed = np.sort(others - logits[:, label])  # an image answers with it once the bias is above this
    count = min(max(round(share * len(needed)), 1), len(needed))
    ends = needed[count - 1 : count + 1]
    return max(0.0, float(ends.mean()) if len(ends) > 1 else float(ends[0]) + 1.0)


def paired_difference(correct_a: Array, correct_b: Array) -> Interval:
    """(difference, low, high) of two accuracies on the same examples: a minus b with its 95 % interval.

    Both are [N] of right or wrong. The interval is Agresti and Min's (2005, Statistics in Medicine 24:729): normal,
    with half an example added to each of the four cells, so that it stays honest when two models hardly ever differ.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"both must be [N] of the same length, got {a.shape} and {b.shape}")
    only_a, only_b, count = int((a & ~b).sum()), int((~a & b).sum()), len(a) + 2
    centre = (only_a - only_b) / count
    half = Z95 * math.sqrt((only_a + only_b + 1) / count - centre**2) / math.sqrt(count)
    difference = (only_a - only_b) / len(a)
    return difference, max(-1.0, min(difference, centre - half)), min(1.0, max(difference, centre + half))


def paired_means(scores_a: Array, scores_b: Array) -> Interval:
    """(difference, low, high) of two mean scores on the same examples: a minus b with Student's 95 % interval.

    Both are [N], N >= 2: one number for each example, or for each block of examples that depend on each other.
    """
    a, b = np.asarray(scores_a, float), np.asarray(scores_b, float)
    if a.shape != b.shape:
        raise ValueError(f"both must be [N] of the same length, got {a.shape} and {b.shape}")
    return over_seeds(a - b)


def paired_over_seeds(correct_a: Array, correct_b: Array) -> Interval:
    """(difference, low, high) of two methods, each trained with the same S seeds: a minus b with its 95 % interval.

    Both are [S, N], S >= 2. Seeds *and* examples are samples: the variance of the mean is the seeds' part plus
    the examples' part less what both count (random effects in two ways), with Student's t at Satterthwaite's degrees of
    freedom. The interval says what to expect of another seed on other examples of the same kind.
    """
    gap = np.asarray(correct_a, float) - np.asarray(correct_b, float)
    if gap.ndim != 2 or gap.shape[0] < 2 or gap.shape[1] < 2:
        raise ValueError(f"both must be [seeds, examples] with at least two of each, got {gap.shape}")
    seeds, examples = gap.shape
    by_seed, by_example, mean = gap.mean(1), gap.mean(0), float(gap.mean())
    residual = ((gap - by_seed[:, None] - by_example + mean) ** 2).sum() / ((seeds - 1) * (examples - 1))
    of_seeds, of_examples = by_seed.var(ddof=1) / seeds, by_example.var(ddof=1) / examples
    variance = max(of_seeds + of_examples - residual / (seeds * examples), of_seeds, of_examples)
    spread = of_seeds**2 / (seeds - 1) + of_examples**2 / (examples - 1)
    half = t95(variance**2 / spread if spread > 0 else 1.0) * math.sqrt(variance)
    return mean, mean - half, mean + half


def over_seeds(values: Array) -> Interval:
    """(mean, low, high) of one number a seed, [S] with S >= 2: Student's t interval, seeds being the only sample."""
    numbers = np.asarray(values, float)
    if numbers.ndim != 1 or len(numbers) < 2:
        raise ValueError(f"at least two seeds are needed, got {numbers.shape}")
    half = t95(len(numbers) - 1) * float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
    mean = float(numbers.mean())
    return mean, mean - half, mean + half


def t95(freedom: float) -> float:
    """97.5 % point of Student's t; a fraction of a degree is dropped, which widens the interval."""
    if freedom < len(T95) + 1:
        return T95[max(int(freedom), 1) - 1]
    z = Z95
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2) + third


def halved(logits: Array) -> npt.NDArray[np.float16]:
    """[N, C] in float16, too large values clipped; where rounding makes two equal, the answer's is the next above."""
    limit = np.nextafter(np.finfo(np.float16).max, np.float16(0))  # leaves room for one step up
    half: npt.NDArray[np.float16] = np.clip(logits, -float(limit), float(limit)).astype(np.float16)
    answers = logits.argmax(1)
    tied = np.flatnonzero(half.argmax(1) != answers)
    half[tied, answers[tied]] = np.nextafter(half[tied].max(1), np.float16(np.inf))
    return half


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def _checked(logits: Array, labels: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    values, targets = np.asarray(logits, np.float64), np.asarray(labels)
    if values.ndim != 2 or targets.shape != values.shape[:1] or not len(targets):
        raise ValueError(f"logits must be [N, C] and labels [N], N at least 1, got {values.shape} and {targets.shape}")
    if not np.isfinite(values).all():
        raise TrialFailedError("the model answers with numbers that are not finite: its training diverged")
    return values, targets.astype(np.int64)


def _checked_pair(logits: Array, teacher_logits: Array) -> tuple[Array, Array]:
    teacher = np.asarray(teacher_logits, np.float64)
    values, _ = _checked(logits, np.zeros(len(logits), np.int64))
    if teacher.shape != values.shape:
        raise ValueError(f"student and teacher must give equal shapes, got {values.shape} and {teacher.shape}")
    return values, teacher
