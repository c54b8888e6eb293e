"""Do our losses, prunings, roundings and measures agree with others' code? Writes docs/evidence/agreements.md.

    python -m benchmarks.evidence_agreements

The comparisons stand in `benchmarks/agreements/`; tests/test_agreements.py runs the same list. A few seconds.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.agreements import compression, losses, measures
from benchmarks.agreements.values import LIMIT, Agreement

OUT = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "agreements.md"
GROUPS: dict[str, tuple[Agreement, ...]] = {
    "Losses": losses.AGREEMENTS,
    "Pruning and rounding": compression.AGREEMENTS,
    "Measures": measures.AGREEMENTS,
}
HEAD = """# Agreement with other implementations

Written by `make evidence` from the list in `benchmarks/agreements/`, which `tests/test_agreements.py` runs too. The
difference is the largest over all values compared, relative where the reference is above 1; of masks and fronts it is
the share that differs, of counts their difference. The limit is 1e-5 throughout.

What has no independent implementation here (pruning by gradients, sparse training, rewinding, among others) is tested
against closed forms and calculations of its own instead. torchdistill 1.1.5 departs from the paper in `SPKDLoss` (rows
are divided by their sums, not their lengths), so `similarity` is compared with scikit-learn's rows.
"""


def package(name: str) -> str:
    """A package with its version: "torch 2.14.0"."""
    known = packages_distributions().get(name, [name])
    try:
        return f"{known[0]} {version(known[0])}"
    except PackageNotFoundError:
        return name


def row(found: Agreement) -> tuple[str, bool]:
    """One line of the table, and whether it is within the limit."""
    try:
        importlib.import_module(found.needs)
    except ModuleNotFoundError:
        return f"| {found.what} | {found.other} | {found.inputs} | | not installed here |", True
    largest = found.largest()
    passed = largest <= LIMIT
    told = "0" if largest == 0 else f"{largest:.1e}"
    verdict = "agrees" if passed else "**differs**"
    return f"| {found.what} | {found.other}, {package(found.needs)} | {found.inputs} | {told} | {verdict} |", passed


def main() -> int:
    """Compare everything and write the page; 1 when something differs."""
    lines, passed = [HEAD], []
    for title, agreements in GROUPS.items():
        lines += [f"## {title}", "", "| ours | theirs | on | largest difference | |", "| --- | --- | --- | --- | --- |"]
        for one in agreements:
            text, good = row(one)
            lines.append(text)
            passed.append(good)
        lines.append("")
    lines.append(f"{sum(passed)} of {len(passed)} agree.")
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
