"""Times folders that ``stillhouse export`` has written, by Stillhouse's protocol; ``stillhouse bench`` does the same.

    python bench.py [FOLDER ...] [--json] [--threads N] [--batches 1,8,32] [--seconds S]

Needs onnxruntime and numpy. Prints medians with their 95 % intervals, or with --json what ``stillhouse import`` takes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.measure.campaign import PROTOCOL, measure
from engine.measure.machine import facts

FORMAT, FORMAT_VERSION = "stillhouse bench", 1
BATCHES = (1, 8, 32)


def bench(script: str, folders: Sequence[Path], batches: Sequence[int], **options: Any) -> dict[str, Any]:
    """The readings of exported folders, as ``stillhouse import`` takes them; ratios are to the first folder.

    ``script`` and ``options`` as in :func:`engine.measure.campaign.measure`. Raises OSError, ValueError, KeyError or
    TypeError for a folder that is no export, RuntimeError where a model cannot be run.
    """
    found = [(folder, json.loads((folder / "result.json").read_text(encoding="utf-8"))) for folder in folders]
    files = {str(i): folder / Path(row["artifact"]["onnx"]).name for i, (folder, row) in enumerate(found)}
    contents = {name: path.read_bytes() for name, path in files.items()}
    told = measure(script, {n: str(p) for n, p in files.items()}, None, batches, "0", sorted(files), **options)
    rows = []
    for name, (_, row) in zip(files, found, strict=True):
        times = {b: every[name] | {"memory_bytes": told["memory"][name][b]} for b, every in told["batches"].items()}
        digest = hashlib.sha256(contents[name]).hexdigest()
        rows.append({"key": row["key"], "task": row["recipe"]["task"], "onnx_bytes": len(contents[name]),
                     "onnx_sha256": digest, "batches": times})  # fmt: skip
    here = {name: value for name, value in facts().items() if value is not None}
    head = {"format": FORMAT, "version": FORMAT_VERSION, "measured": time.time(), "machine": here}
    return head | {"runtime": told["runtime"], "threads": told["threads"], "models": rows}


def table(found: Mapping[str, Any]) -> str:
    """The readings in words."""
    here, threads = found["machine"], found["threads"]
    lines = [f"{here['machine']} ({' '.join(here['features'])}); {found['runtime']}, {threads} thread(s)"]
    for model in found["models"]:
        for size, row in model["batches"].items():
            ratio = f", {row['ratio']:.3f} times the first" if row["ratio"] else ""
            lines.append(
                f"{model['key'][:12]}  batch {size:>3}  {row['median_ms']:9.4f} ms ({row['low_ms']:.4f} to "
                f"{row['high_ms']:.4f}){ratio}, {row['memory_bytes'] / 1e6:.1f} MB"
            )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of an export's ``bench.py``."""
    head, _, tail = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(description=head + tail, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(__file__).parent], metavar="FOLDER")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")], default=list(BATCHES))
    parser.add_argument("--seconds", type=float, default=PROTOCOL["seconds"])
    chosen = vars(parser.parse_args(arguments))
    as_json, folders, batches = chosen.pop("json"), chosen.pop("folders"), chosen.pop("batches")
    try:
        found = bench(__file__, folders, batches, **chosen)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as problem:
        sys.stderr.write(f"bench.py: {problem!r}; it times folders that `stillhouse export` has written\n")
        return 1
    sys.stdout.write(json.dumps(found, indent=1, allow_nan=False) + "\n" if as_json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
