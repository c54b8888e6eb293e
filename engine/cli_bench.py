"""``stillhouse bench``: exported folders timed on this machine, as their own ``bench.py`` times them elsewhere."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from engine.cli_run import print_json
from engine.errors import FileError, InputError
from engine.measure import standalone
from engine.measure.bench import bench, table
from engine.measure.machine import available_cores

MOST_BATCH, MOST_SECONDS = 1024, 3600.0


def batch_sizes(text: str) -> list[int]:
    """``1,8,32`` as numbers. Raises :class:`InputError`."""
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and len(word) < 5 and 1 <= int(word) <= MOST_BATCH for word in words):
        raise InputError("--batches", text, f"whole numbers from 1 to {MOST_BATCH} with commas, as in 1,8,32")
    return list(dict.fromkeys(map(int, words)))


def seconds(text: str) -> float:
    """How long to aim for. Raises :class:`InputError`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= MOST_SECONDS:
        raise InputError("--seconds", text, f"above 0, at most {MOST_SECONDS:g}")
    return value


def bench_folders(options: argparse.Namespace) -> int:
    """Time the folders; 0 done, 1 for one that is no export or cannot be run."""
    if options.threads > available_cores():
        raise InputError("--threads", options.threads, f"1 to {available_cores()}, the cores of this machine")
    batches, aim = batch_sizes(options.batches), seconds(options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bench.py"
        script.write_text(standalone.source(), encoding="utf-8")
        folders = list(map(Path, options.folders))
        try:
            found = bench(str(script), folders, batches, threads=options.threads, seconds=aim)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, RuntimeError) as problem:
            raise FileError(f"{problem!r}; bench times folders that `stillhouse export` has written") from None
    if options.json:
        print_json(found)
    else:
        sys.stdout.write(table(found))
    return 0
