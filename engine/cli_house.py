"""``gc``, ``backup`` and ``import``: what keeps a home small, safe and mergeable."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.backup import backup as back_up
from engine.cli_run import print_json
from engine.home import Home
from engine.housekeeping import collect
from engine.importing import bring
from engine.units import format_bytes

REASONS_SHOWN = 5


def gc(options: argparse.Namespace, home: Home) -> int:
    """Take away what nothing needs, or with ``--dry-run`` say what that would be."""
    found = collect(home, options.older_than, options.dry_run)
    if options.json:
        print_json(found)
        return 0
    for kind, entry in sorted(found["removed"].items()):
        sys.stdout.write(f"{kind:<16} {entry['count']:>6}  {format_bytes(entry['bytes']):>9}\n")
    if found["compacted"]:
        sys.stdout.write(f"{'store':<16} {'':>6}  {format_bytes(found['compacted']):>9}\n")
    total = format_bytes(found["bytes"] + found["compacted"])
    nothing = not found["removed"] and not found["compacted"]
    said = "nothing to take away" if nothing else f"{total} would be freed" if options.dry_run else f"{total} freed"
    sys.stdout.write(f"{said}\n")
    return 0


def backup(options: argparse.Namespace, home: Home) -> int:
    """Write the backup and say what is in it."""
    made = back_up(home, Path(options.file), options.artifacts, options.force)
    if options.json:
        print_json(made)
    else:
        files = f", files of {made['artifacts']}" if options.artifacts else ""
        sys.stdout.write(f"{made['file']}: {made['results']} results{files}, {format_bytes(made['bytes'])}\n")
    return 0


def bring_in(options: argparse.Namespace, home: Home) -> int:
    """Merge another home's results and say what came, what was known and what was refused; 1 when all was refused."""
    progress = _progress if sys.stderr.isatty() else (lambda done, total: None)
    found = bring(home, Path(options.source), progress)
    nothing = int(bool(found["refused"]) and not any(found[name] for name in ("results", "known", "readings")))
    if options.json:
        print_json(found)
        return nothing
    if found["readings"]:
        count, machine = found["readings"], next(iter(found["machines"]))
        sys.stdout.write(f"timings of {count} trial{'s' * (count != 1)} on {machine} imported\n")
    elif found["results"] or found["known"] or not found["refused"]:
        sys.stdout.write(f"{found['results']} results imported, {found['known']} known already{_also(found)}\n")
    for reason, count in list(found["refused"].items())[:REASONS_SHOWN]:
        sys.stdout.write(f"refused {count}: {reason}\n")
    return nothing


def _also(found: Mapping[str, Any]) -> str:
    parts = [
        (found["previews"], "provisional left out"),
        (found["artifacts"], "with files"),
        (sum(found["refused"].values()), "refused"),
        (found["restored"].get("sweeps", 0), "sweeps restored"),
        (found["restored"].get("marks", 0), "notes and stars restored"),
    ]
    return "".join(f", {count} {words}" for count, words in parts if count)


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done} of {total}" + ("\n" if done == total else ""))
    sys.stderr.flush()
