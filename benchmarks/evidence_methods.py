"""Does each method show what its source claims? `make evidence` runs this and writes docs/evidence/methods.md.

    python -m benchmarks.evidence_methods [--home build/claims] [--only CLAIM ...] [--report] [--quick]

A claim (`benchmarks/claims/`) compares two recipes over several seeds; the least effect that counts stands in it,
written down before it was run. Every run is noted as soon as it is measured, and trained students are kept: an
interrupted command goes on where it stopped, and two commands with different claims may run side by side. About 40
minutes on an idle core. With `--report` nothing is trained and the page is written from what is there.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.claims import activations, distillation, inner, learned, pruning, quantization, shapes, teachers
from benchmarks.claims.journal import Journal
from benchmarks.claims.report import report
from benchmarks.claims.running import MOST, complete, run
from benchmarks.claims.values import RECALIBRATE, Claim, Setting, apply, body, train
from engine.errors import unknown_name
from engine.files import atomic_write
from engine.home import Home
from engine.measure import machine

OUT = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "methods.md"
GROUPS: dict[str, tuple[Claim, ...]] = {
    "Distillation": distillation.CLAIMS,
    "Teachers and temperatures": teachers.CLAIMS,
    "Attacks, peers and learned settings": inner.CLAIMS,
    "Pruning": pruning.CLAIMS,
    "Shapes": shapes.CLAIMS,
    "Quantization": quantization.CLAIMS,
    "Learned, extreme and shared weights": learned.CLAIMS,
    "Activations": activations.CLAIMS,
}


def quick() -> Claim:
    """A claim that is measured in seconds: the smallest student, one epoch, two seeds."""
    arms = [
        body("plain_1k5", train(1), apply({"name": "quantize_linear", "bits": bits}, RECALIBRATE)) for bits in (8, 2)
    ]
    setting = Setting("plain_1k5, 1 epoch", *arms)
    return Claim("quick", "Are 8 bits better than 2?", "Jacob et al. 2018, arXiv:1712.05877", 0.01, (setting,), (0, 1))


def chosen(names: Sequence[str]) -> list[Claim]:
    """The claims of these names, all where there are none; raises :class:`InputError` for an unknown one."""
    known = {claim.name: claim for claims in GROUPS.values() for claim in claims}
    for name in names:
        if name not in known:
            raise unknown_name("--only", name, known)
    return [known[name] for name in names or known]


def about() -> str:
    """Machine and day."""
    return f"{machine.facts()['machine']}, {datetime.datetime.now(tz=datetime.UTC).date().isoformat()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, write the page; 1 while a claim lacks a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/claims", help="where trained students and the journal are kept")
    parser.add_argument("--only", nargs="+", default=[], metavar="CLAIM", help="some claims; the page is not written")
    parser.add_argument(
        "--tries", type=int, choices=range(1, MOST + 1), default=MOST, help="settings of a claim at most"
    )
    parser.add_argument("--quick", action="store_true", help="one small claim; the page is not written")
    parser.add_argument("--report", action="store_true", help="train nothing, write the page from what is there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    journal = Journal(Home.locate(options.home))
    claims = [quick()] if options.quick else chosen(options.only)
    if not options.report:
        run(claims, journal, options.tries)
    part = options.quick or bool(options.only)
    text = report({"Some claims": claims} if part else GROUPS, journal, about())
    print(text)
    left = [claim.name for claim in claims if not complete(claim, journal)]
    print(f"not measured yet: {', '.join(left) or 'none'}; load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if not part and (options.report or not left):
        atomic_write(OUT, text)
    return int(bool(left))


if __name__ == "__main__":
    raise SystemExit(main())
