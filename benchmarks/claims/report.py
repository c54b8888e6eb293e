"""Findings as Markdown, for docs/evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.claims.journal import Journal
from benchmarks.claims.running import Finding, findings
from benchmarks.claims.values import NOT_SHOWN, OPPOSITE, SHOWN, Claim
from engine.statistics import Difference

HEAD = ("setting", "method", "control", "difference (95 %)", "seeds ahead", "bytes", "multiply-adds",
        "verdict")  # fmt: skip
MARKS = {SHOWN: "**shown**", NOT_SHOWN: "not shown", OPPOSITE: "**opposite**"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *("| " + " | ".join(r) + " |" for r in rows)]


def points(value: float) -> str:
    """A difference in points."""
    return f"{100 * value:+.2f}"


def interval(found: Difference) -> str:
    """A difference with its interval, in points."""
    return f"{points(found.difference)} ({points(found.low)} to {points(found.high)})"


def report(groups: Mapping[str, Sequence[Claim]], journal: Journal, about: str) -> str:
    """The whole page."""
    lines = [
        "# Do the methods show what their sources claim?",
        "",
        f"Written by `make evidence` ({about}). {_how()}",
        "",
    ]
    lines += [*_summary(groups, journal), ""]
    for title, claims in groups.items():
        lines += [f"## {title}", ""]
        for claim in claims:
            lines += [*_claim(claim, findings(claim, journal)), ""]
    return "\n".join(lines)


def _how() -> str:
    return (
        "Fashion-MNIST sample (20,000 training images), accuracy of the written artifact on the 5,000 validation "
        "images unless another measure is named. Both sides of a comparison train for equally many epochs with the "
        "same seeds. The difference is method minus control in points, with its paired 95 % interval over seeds and "
        "images. *Shown*: the difference reaches the least effect, which was named beforehand, and its interval lies "
        "above zero (of a claim that a loss is small: the interval lies above that loss). *Opposite*: the interval "
        "lies on the other side. A claim's next setting is tried only where those before did not show it, three at "
        "most: where there is no effect at all, three tries show one by luck in about 7 of 100 cases. *Seeds ahead*: "
        "with how many seeds the method is better; where the control fails with one seed and not with another, all "
        "may be and the interval still hold zero. Bytes (packed) and multiply-adds are ratios of method to control. "
        "*Accuracy under attack*: of the trained network on the first 2,000 validation images, each pixel moved by up "
        "to a tenth of its range, ten steps of PGD. *Recall of left out*: share of the images of a class that training "
        "left out which are recognised once its bias is raised until every tenth answer is that class."
    )


def _summary(groups: Mapping[str, Sequence[Claim]], journal: Journal) -> list[str]:
    rows = []
    for claims in groups.values():
        for claim in claims:
            found = findings(claim, journal)
            rows.append([f"[`{claim.name}`](#{claim.name})", claim.question, _least(claim), _best(found), _said(found)])
    return table(["claim", "question", "least effect", "difference (95 %)", "verdict"], rows)


def _least(claim: Claim) -> str:
    return points(claim.least) if claim.least > 0 else f"loses at most {-100 * claim.least:.2f}"


def _best(found: Sequence[Finding]) -> str:
    return interval(_shown(found).compared.found) if found else ""


def _said(found: Sequence[Finding]) -> str:
    if not found:
        return "not measured"
    best = _shown(found)
    if len(found) == 1 or found[0].verdict == SHOWN:
        return MARKS[best.verdict]
    if best.verdict == SHOWN:
        return f"{MARKS[SHOWN]} in setting {found.index(best) + 1}, not before"
    return f"{MARKS[best.verdict]} in setting 1, nor shown in {len(found) - 1} more"


def _shown(found: Sequence[Finding]) -> Finding:
    """The setting that shows the claim; where none does, the first."""
    return next((one for one in found if one.verdict == SHOWN), found[0])


def _claim(claim: Claim, found: Sequence[Finding]) -> list[str]:
    measure = "" if claim.measure == "accuracy" else f" Measure: {claim.measure.replace('_', ' ')}."
    lines = [f"### {claim.name}", "", f"{claim.question} {claim.source}. Least effect: {_least(claim)} points; "
             f"{len(claim.seeds)} seeds.{measure}", ""]  # fmt: skip
    return [*lines, *(table(HEAD, [_row(one) for one in found]) if found else ["Not measured yet."])]


def _row(one: Finding) -> list[str]:
    both = one.compared
    values = [
        f"{100 * both.method:.2f}",
        f"{100 * both.control:.2f}",
        interval(both.found),
        f"{both.ahead} of {both.found.seeds}",
    ]
    return [one.setting.words, *values, f"{both.bytes:.2f}", f"{both.macs:.2f}", MARKS[one.verdict]]
