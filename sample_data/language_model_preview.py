"""Write the lines that the page *Explore* shows: ``python -m sample_data.language_model_preview``.

Lines of validation blocks with the shipped teacher's logits at a few places, in half precision. The teacher sees the
block from its beginning, not only the line. Run it again when the teacher's weights have changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.preview import LINES
from engine.preview_text import write_lines
from engine.tasks import _language_model_files as files
from engine.teaching import load_teacher

TEACHER, COUNT, LENGTH, EARLIEST = "gpt_teacher", 24, 44, 40
SHARES = (0.35, 0.6, 0.85)  # of the line: after so much of it the teacher is asked


def windows(blocks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows [L] of evenly spaced blocks, and where in each a line begins: after the end of another, else anywhere."""
    rows = (np.arange(COUNT) * 2 + 1) * len(blocks) // (2 * COUNT)
    breaks = [i for i, token in enumerate(files.tokens()) if token.endswith("\n")]
    starts = []
    for row in rows:
        inside = np.flatnonzero(np.isin(blocks[row, EARLIEST : files.POSITIONS - LENGTH], breaks))
        starts.append(EARLIEST + (int(inside[0]) + 1 if len(inside) else 0))
    return rows, np.array(starts)


def build(to: Path) -> Path:
    """Write the file into ``to``."""
    blocks = files.read("validation")
    rows, starts = windows(blocks)
    with torch.no_grad():
        answered: Any = load_teacher(TEACHER).eval()(torch.from_numpy(blocks[rows, :-1]))
    logits = answered.float().numpy()
    places = np.tile(np.array([round(share * LENGTH) - 1 for share in SHARES]), (COUNT, 1))
    at = np.arange(COUNT)[:, None]
    lines = blocks[rows[:, None], starts[:, None] + np.arange(LENGTH)]
    path = to / LINES
    write_lines(path, lines, places, logits[at, starts[:, None] + places])
    return path


def main() -> None:
    """Parse the options and build."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.language_model_preview")
    parser.add_argument("--to", type=Path, default=files.FOLDER, help="folder for the file (default: sample_data)")
    path = build(parser.parse_args().to)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
