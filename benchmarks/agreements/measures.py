"""Metrics, intervals, fronts and hypervolumes against scikit-learn, scipy, optuna and pymoo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreements.values import Agreement, apart
from engine import metrics
from engine.search.pareto import front, hypervolume

ANSWERS = "500 answers to 10 classes"
Numbers = NDArray[np.float64]


def answers() -> tuple[NDArray[np.float32], NDArray[np.int64], Numbers]:
    """Logits [500, 10], labels, and the probabilities of the logits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    logits = rng.normal(size=(500, 10)).astype(np.float32)
    logits[np.arange(500), labels] += 1.5
    powers = np.exp(logits.astype(np.float64))
    return logits, labels, powers / powers.sum(1, keepdims=True)


def accuracy() -> float:
    """Accuracy."""
    from sklearn.metrics import accuracy_score

    logits, labels, _ = answers()
    return apart(metrics.accuracy(logits, labels).value, accuracy_score(labels, logits.argmax(1)))


def macro_f1() -> float:
    """Macro F1."""
    from sklearn.metrics import f1_score

    logits, labels, _ = answers()
    return apart(metrics.macro_f1(logits, labels), f1_score(labels, logits.argmax(1), average="macro"))


def top_k() -> float:
    """Top 1, 3 and 5."""
    from sklearn.metrics import top_k_accuracy_score

    logits, labels, _ = answers()
    return max(apart(metrics.top_k(logits, labels, k), top_k_accuracy_score(labels, logits, k=k)) for k in (1, 3, 5))


def cross_entropy() -> float:
    """Cross-entropy."""
    from sklearn.metrics import log_loss

    logits, labels, shares = answers()
    return apart(metrics.cross_entropy(logits, labels), log_loss(labels, shares))


def confusion() -> float:
    """The table of labels and answers."""
    from sklearn.metrics import confusion_matrix

    logits, labels, _ = answers()
    return apart(metrics.confusion(logits, labels), confusion_matrix(labels, logits.argmax(1)))


def calibration() -> float:
    """Expected calibration error, from scikit-learn's curve and numpy's counts of the same bins."""
    from sklearn.calibration import calibration_curve

    logits, labels, shares = answers()
    sure, right = shares.max(1), logits.argmax(1) == labels
    true, said = calibration_curve(right, sure, n_bins=metrics.ECE_BINS)
    counts = np.histogram(sure, metrics.ECE_BINS, (0, 1))[0]
    theirs = float((np.abs(true - said) * counts[counts > 0]).sum() / len(sure))
    return apart(metrics.expected_calibration_error(logits, labels), theirs)


def wilson() -> float:
    """Intervals of proportions, every count of 1, 20 and 5,000."""
    from scipy.stats import binomtest

    worst = 0.0
    for count, step in ((1, 1), (20, 1), (5000, 250)):
        for right in range(0, count + 1, step):
            theirs = binomtest(right, count).proportion_ci(0.95, "wilson")
            worst = max(worst, apart(metrics.wilson(right, count), (theirs.low, theirs.high)))
    return worst


def student_t() -> float:
    """Quantiles of Student's t; fractions of a degree are dropped on purpose."""
    from scipy.stats import t

    return max(apart(metrics.t95(freedom), t.ppf(0.975, freedom)) for freedom in (*range(1, 61), 100, 1000))


def points() -> tuple[Numbers, Numbers]:
    """300 costs and qualities, some of them equal."""
    rng = np.random.default_rng(1)
    return rng.integers(1, 60, 300) / 10, rng.integers(0, 80, 300) / 100


def front_optuna() -> float:
    """Share of points on one front and not on the other."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    costs, qualities = points()
    study = optuna.create_study(directions=["minimize", "maximize"])
    pairs = zip(costs.tolist(), qualities.tolist(), strict=True)
    study.add_trials([optuna.trial.create_trial(values=list(pair)) for pair in pairs])
    theirs = {trial.number for trial in study.best_trials}
    return len(set(front(costs.tolist(), qualities.tolist())) ^ theirs) / len(costs)


def front_pymoo() -> float:
    """The same with pymoo."""
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    costs, qualities = points()
    theirs = NonDominatedSorting().do(np.stack([costs, -qualities], 1), only_non_dominated_front=True)
    return len(set(front(costs.tolist(), qualities.tolist())) ^ set(theirs.tolist())) / len(costs)


def volume_optuna() -> float:
    """Hypervolume."""
    from optuna._hypervolume import compute_hypervolume

    costs, qualities = points()
    kept, reference = _kept(costs, qualities)
    theirs = compute_hypervolume(kept, reference)
    return apart(hypervolume(costs.tolist(), qualities.tolist(), (reference[0], -reference[1])), theirs)


def volume_pymoo() -> float:
    """Hypervolume."""
    from pymoo.indicators.hv import HV

    costs, qualities = points()
    kept, reference = _kept(costs, qualities)
    return apart(hypervolume(costs.tolist(), qualities.tolist(), (reference[0], -reference[1])), HV(reference)(kept))


def _kept(costs: Numbers, qualities: Numbers) -> tuple[Numbers, Numbers]:
    reference = np.array([5.0, -0.1])
    both = np.stack([costs, -qualities], 1)
    return both[(both < reference).all(1)], reference


AGREEMENTS = (
    Agreement("accuracy", "scikit-learn `accuracy_score`", "sklearn", ANSWERS, accuracy),
    Agreement("macro F1", "scikit-learn `f1_score`", "sklearn", ANSWERS, macro_f1),
    Agreement("top 1, 3, 5", "scikit-learn `top_k_accuracy_score`", "sklearn", ANSWERS, top_k),
    Agreement("cross-entropy", "scikit-learn `log_loss`", "sklearn", ANSWERS, cross_entropy),
    Agreement("confusions", "scikit-learn `confusion_matrix`", "sklearn", ANSWERS, confusion),
    Agreement("expected calibration error", "scikit-learn `calibration_curve`", "sklearn", ANSWERS, calibration),
    Agreement("Wilson interval", "scipy `binomtest`", "scipy", "all counts of 1 and 20, 21 of 5,000", wilson),
    Agreement("Student's t, 95 %", "scipy `t.ppf`", "scipy", "1 to 60, 100, 1,000 degrees of freedom", student_t),
    Agreement("Pareto front", "optuna `best_trials`", "optuna", "300 points with ties", front_optuna),
    Agreement("Pareto front", "pymoo `NonDominatedSorting`", "pymoo", "300 points with ties", front_pymoo),
    Agreement("hypervolume", "optuna `compute_hypervolume`", "optuna", "300 points with ties", volume_optuna),
    Agreement("hypervolume", "pymoo `HV`", "pymoo", "300 points with ties", volume_pymoo),
)
