"""First distil or first compress? `make evidence` runs this and writes docs/evidence/orders.md.

    python -m benchmarks.evidence_orders [--home build/claims] [--report]

Four orders of the same three stages (`engine/search/orders.py`), each against each with paired intervals over seeds and
images. The journal and the trained students are those of evidence_methods.py, and so an interrupted command goes on
where it stopped. About 12 minutes on an idle core. With `--report` nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.claims import orders
from benchmarks.claims.journal import Journal
from benchmarks.evidence_methods import about
from engine.files import atomic_write
from engine.home import Home

OUT = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "orders.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, write the page; 1 while an order lacks a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/claims", help="where trained students and the journal are kept")
    parser.add_argument("--report", action="store_true", help="train nothing, write the page from what is there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    journal = Journal(Home.locate(options.home))
    if not options.report:
        for contest in orders.CONTESTS:
            for name, recipes in contest.arms().items():
                journal.ensure(recipes, orders.MEASURE, name)
    text = orders.report(orders.CONTESTS, journal, about())
    print(text)
    atomic_write(OUT, text)
    return int(any(len(orders.runs(c, journal)) < len(c.arms()) for c in orders.CONTESTS))


if __name__ == "__main__":
    raise SystemExit(main())
