"""Mails without labels: what the teacher answers to real ones, and how much more a student is told with its answers.

A label says one of two words; the teacher's answer is a share that says how sure it is. Mails that it is sure of can
serve as if they were labelled. Sources: Lee 2013, "Pseudo-Label" (ICML workshop), section 2; Turc et al. 2019
(arXiv:1908.08962) for distilling on unlabelled text.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from engine import catalogue
from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import Array
from engine.live.softmax import softmax
from engine.scores import files_of, labels

TASK, BINS = "text_spam", 20
HEIGHT = 324
KNOBS = (
    Knob("labels", "int", 100, "How many of the mails have a label; the teacher answers the others.", 10, 1000,
         log=True),
    Knob("confidence", "float", 0.9, "Only mails of which the teacher is at least so sure are taken as labelled.", 0.5,
         0.999, step=0.001),
    Knob("temperature", "float", 1.0, "The teacher's scores are divided by it.", 1.0, 10.0, step=0.5),
)  # fmt: skip


class FewLabels(NamedTuple):
    """``counts`` of mails by the teacher's share of spam [2, BINS], one row a true class, all of them unlabelled ones.

    ``taken``: how many unlabelled mails the teacher is sure enough of; ``right``: the share of those whose class it
    has right; ``right_all``: of all unlabelled mails.
    """

    counts: Array
    confidence: float
    labelled: int
    unlabelled: int
    taken: int
    right: float
    right_all: float


@functools.cache
def answered() -> tuple[Array, Array]:
    """The teacher's logits [N, 2] of the validation mails in a fixed mixed order, and their classes [N]."""
    teacher = catalogue.current().teachers(TASK)[0]
    logits, true = files_of(TASK).read_outputs(teacher)["validation"].astype(float), labels(TASK)
    order = np.random.default_rng(0).permutation(len(true))
    return logits[order], true[order]


def info(values: Values) -> FewLabels:
    """Answers to the mails behind the first ``labels`` ones."""
    logits, true = answered()
    count = min(int(values["labels"]), len(true) - 1)
    shares, true = softmax(logits[count:], float(values["temperature"])), true[count:]
    sure, hit = shares.max(1) >= float(values["confidence"]), shares.argmax(1) == true
    rows = [np.histogram(shares[true == c, 1], BINS, (0, 1))[0] for c in (0, 1)]
    return FewLabels(
        np.array(rows), float(values["confidence"]), count, len(true), int(sure.sum()),
        float(hit[sure].mean()) if sure.any() else 0.0, float(hit.mean()),
    )  # fmt: skip


def draw(info: FewLabels, theme: Theme, words: Words) -> str:
    """Mails by the teacher's share of spam, of both true classes; those it is not sure of lie in the shaded middle."""
    picture = Picture(theme, HEIGHT)
    most = float(info.counts.sum(0).max()) ** 0.5 * 1.1
    pane = Pane(picture, 40, 60, 318, 212, (0.0, 1.0), (0.0, most))
    ticks = [(v**0.5, str(v)) for v in (1, 10, 50, 200, 500) if v**0.5 <= most]
    pane.axes(words["x"], words["y"], [(v / 4, f"{25 * v} %") for v in range(5)], ticks)
    for i in range(BINS):
        low, high = (i + 0.06) / BINS, (i + 0.94) / BINS
        ham, spam = (int(c) for c in info.counts[:, i])
        if ham + spam:
            pane.column(low, high, (ham + spam) ** 0.5, theme.dense, f"{words['spam']}: {spam}")
        if ham:
            pane.column(low, high, ham**0.5, theme.front, f"{words['ham']}: {ham}")
    left, right = pane.across(1 - info.confidence), pane.across(info.confidence)
    picture.rect(left, pane.top, right - left, pane.height, theme.muted, words["unsure"], 'fill-opacity="0.16"')
    picture.key(0, 14, [("square", theme.front, words["ham"]), ("square", theme.dense, words["spam"]),
                        ("square", theme.rest, words["unsure"])])  # fmt: skip
    rows = [("told_labels", info.labelled, theme.dense), ("told_sure", info.taken, theme.front),
            ("told_all", info.unlabelled, theme.teacher)]  # fmt: skip
    total = info.labelled + info.unlabelled
    for n, (name, count, colour) in enumerate(rows):
        y = 76 + 62 * n
        picture.text(390, y, words[name], size=13)
        picture.rect(390, y + 12, 104, 16, theme.grid)
        picture.rect(390, y + 12, 104 * count / total, 16, colour)
        picture.text(500, y + 20, f"{count:,}", size=13, colour=theme.muted)
    return picture.svg()


def alt(info: FewLabels, words: Words) -> str:
    """How many mails can be used in each way."""
    right, sure = f"{100 * info.right:.1f} %", f"{100 * info.confidence:g} %"
    return words["alt"].format(
        labelled=info.labelled, unlabelled=info.unlabelled, taken=info.taken, right=right, confidence=sure
    )


def facts(info: FewLabels) -> tuple[Fact, ...]:
    """Coverage and correctness."""
    return (
        Fact("taken", info.taken / info.unlabelled, "share"), Fact("right", info.right, "share"),
        Fact("right_all", info.right_all, "share"), Fact("more", info.unlabelled / info.labelled, "times"),
    )  # fmt: skip


FIGURE = Live("few_labels", KNOBS, info, draw, alt, facts)
