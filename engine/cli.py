"""``stillhouse``, also ``python -m engine``: everything that the pages can do, for scripts.

Exit status: 0 done, 1 failed or nothing matches, 2 bad input, 130 cancelled. Errors are one line on stderr; with
``--json`` stdout holds one object and nothing else, progress goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from engine import (
    cli_bench,
    cli_device,
    cli_export,
    cli_house,
    cli_longer,
    cli_parser,
    cli_run,
    cli_sensitivity,
    cli_serve,
    cli_sweep,
    cli_tables,
)
from engine.errors import CancelledError, InputError, StillhouseError
from engine.home import Home

COMMANDS: dict[str, Callable[[argparse.Namespace, Home], int]] = {
    "run": cli_run.run,
    "sweep": cli_sweep.sweep,
    "longer": cli_longer.longer,
    "sensitivity": cli_sensitivity.sensitivity,
    "results": cli_tables.results,
    "front": cli_tables.front,
    "recommend": cli_tables.recommend,
    "export": cli_export.export,
    "app": cli_serve.app,
    "runner": cli_serve.runner,
    "doctor": cli_serve.doctor,
    "gc": cli_house.gc,
    "backup": cli_house.backup,
    "import": cli_house.bring_in,
}
# these say what the program is, not what a home holds: they work where no home can be made
HOMELESS: dict[str, Callable[[argparse.Namespace], int]] = {
    "bench": cli_bench.bench_folders,
    "list": cli_tables.list_,
    "catalogue": cli_serve.catalogue,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        return _run(cli_parser.parse(argv))
    except StillhouseError as problem:
        return _fail(str(problem), problem.exit_code)
    except KeyboardInterrupt:
        return _fail("cancelled", CancelledError.exit_code)
    except BrokenPipeError:
        # the reader (head, less) has left; what is still buffered must not raise again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as problem:
        return _fail(f"{problem.filename or 'system'}: {problem.strerror or problem}", 1)


def _run(options: argparse.Namespace) -> int:
    if options.command in HOMELESS:
        status = HOMELESS[options.command](options)
    else:
        home = _home(options.home)
        cli_device.choose(options, home)
        status = COMMANDS[options.command](options, home)
    sys.stdout.flush()
    return status


def _home(folder: str | None) -> Home:
    where = "--home" if folder else "STILLHOUSE_HOME or the user's data folder"
    try:
        home = Home.locate(folder)
    except OSError as problem:
        raise InputError(
            where, problem.filename or folder, f"a folder that can be written ({problem.strerror})"
        ) from None
    if not os.access(home.root, os.W_OK | os.X_OK):
        raise InputError(where, str(home.root), "a folder that can be written")
    return home


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"stillhouse: {' '.join(message.split())}\n")
    return status
