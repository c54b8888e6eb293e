"""``stillhouse export``: a trial's files in a folder. A grid point has none: it runs again as an ordinary trial."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine import api
from engine import export as exporting
from engine.cli_run import SHOWN_KEY, Progress, print_json
from engine.errors import CancelledError, TrialFailedError
from engine.home import Home

Run = Mapping[str, Any]


def export(options: argparse.Namespace, home: Home) -> int:
    """Write the folder; 0 done, 1 nothing to export, 2 a folder that cannot be one."""
    folder = Path(options.folder)
    key = api.resolve(home, options.trial)
    exporting.check_folder(folder, options.force)
    run = api.result(home, key)
    run = {**run, "created": _created(home, run)}
    if run["quality"] is not None and exporting.missing(run):
        sys.stderr.write(
            f"{run['origin']} result {key[:SHOWN_KEY]} has no files here: running it as an ordinary trial\n"
        )
        with _run_again(home, run) as again:
            written = exporting.write(_same_numbers(run, again), folder, options.force)
    else:
        written = exporting.write(run, folder, options.force)
    if options.json:
        print_json({"key": key, "folder": str(folder), "files": sorted(path.name for path in written)})
    else:
        sys.stdout.write("\n".join(str(path) for path in written) + "\n")
    return 0


def _created(home: Home, run: Run) -> str | None:
    """The day of the measurement, as the table of results knows it."""
    rows = api.rows(home, run["recipe"]["task"])
    created = next((row["created"] for row in rows if row["key"] == run["key"]), None)
    return f"{datetime.fromtimestamp(created, UTC):%Y-%m-%d}" if isinstance(created, int | float) else created


@contextlib.contextmanager
def _run_again(home: Home, run: Run) -> Iterator[Run]:
    """The run object of the same recipe, with files.

    A result of this home is never replaced: when it is stored already, the trial runs in a home beside it that shares
    its caches (the trained dense student among them) and vanishes afterwards.
    """
    sent = api.submit(home, run["recipe"], companions=False)
    if not sent["known"]:
        _finish(home, sent["key"])
        yield api.result(home, sent["key"])
        return
    with tempfile.TemporaryDirectory(prefix="export-", dir=home.root) as folder:
        beside = Home.locate(folder)
        (beside.root / "cache").symlink_to(home.cache("prefix").parent, target_is_directory=True)
        api.submit(beside, run["recipe"], companions=False)
        _finish(beside, sent["key"])
        yield api.result(beside, sent["key"])


def _finish(home: Home, key: str) -> None:
    progress = Progress(sys.stderr, [key])
    try:
        api.ensure_runner(home)
        end = api.wait(home, [key], progress)[key]
    except KeyboardInterrupt:
        api.cancel(home, key)
        raise
    finally:
        progress.end()
    if end["state"] == "cancelled":
        raise CancelledError(f"trial {key[:SHOWN_KEY]} was cancelled")
    if end["state"] != "done":
        raise TrialFailedError(f"trial {key[:SHOWN_KEY]} failed: {end.get('error') or 'no reason was recorded'}")


def _same_numbers(stored: Run, again: Run) -> Run:
    """The stored measurements with the files that were made now; those of another size are worth a word."""
    for name in ("onnx_bytes", "packed_bytes"):
        if stored["cost"][name] != again["cost"][name]:
            sys.stderr.write(f"note: {name} is {again['cost'][name]} now and was {stored['cost'][name]}\n")
            return {**again, "created": stored["created"]}
    return {**stored, "artifact": again["artifact"]}
