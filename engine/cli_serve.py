"""``app``, ``runner``, ``doctor`` and ``catalogue``: what serves, and what looks after the house."""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from engine.catalogue import PATH as CATALOGUE
from engine.cli_run import print_json
from engine.cli_share import Sharing, reachable, sharing_of
from engine.doctor import Check, checks
from engine.errors import CancelledError, FileError, InputError, StillhouseError
from engine.files import atomic_write
from engine.home import Home

ROOT = Path(__file__).resolve().parents[1]
PORTS_TRIED = 100
HEALTH_SECONDS = 60.0
STOP_SECONDS = 5.0
# glibc keeps a heap for each thread, and a page server has a thread for each person: an eighth of its memory is saved
LEAN = {"MALLOC_ARENA_MAX": "2"}
MARKS = {"ok": " ok ", "note": "note", "problem": "!!  "}


def app(options: argparse.Namespace, home: Home) -> int:
    """Serve the pages (the first one that opens starts the runner), print the address, stay until Ctrl-C or SIGTERM."""
    page = ROOT / "app.py"
    if not page.is_file():
        raise FileError(f"{page} is missing; start the app from a checkout (`make run`)")
    sharing = sharing_of(options, os.environ)
    _check_port(options.host, options.port)
    for number in (signal.SIGINT, signal.SIGTERM):  # the page server must not outlive this process, started how it may
        signal.signal(number, signal.default_int_handler)
    environment = LEAN | os.environ | {"STILLHOUSE_HOME": str(home.root)} | sharing.environment()
    served = subprocess.Popen(_command(options), cwd=ROOT, env=environment)
    try:
        _announce(sharing, served, browser=not options.no_browser)
        return served.wait()
    except KeyboardInterrupt:
        return CancelledError.exit_code
    finally:
        _stop(served)


def runner(options: argparse.Namespace, home: Home) -> int:
    """Run queued trials in this process until there is nothing left to do."""
    return subprocess.call([sys.executable, "-m", "engine.runner", "--home", str(home.root)])


def doctor(options: argparse.Namespace, home: Home) -> int:
    """Say what is installed and what this machine can do; 1 when something keeps the program from working."""
    rows = checks(home)
    failed = any(row.state == "problem" for row in rows)
    if options.json:
        print_json({"ok": not failed, "checks": [row._asdict() for row in rows]})
    else:
        sys.stdout.write("".join(_doctor_line(row) for row in rows))
    return int(failed)


def catalogue(options: argparse.Namespace) -> int:
    """Describe every plug-in of the project in engine/catalogue.json."""
    # a process of its own: describing plug-ins imports torch; and without the plug-ins of a user's folder
    plain = {name: value for name, value in os.environ.items() if name != "STILLHOUSE_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-m", "engine.catalogue"], capture_output=True, text=True, check=False, env=plain
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StillhouseError(f"a plug-in cannot be described: {reason}")
    atomic_write(CATALOGUE, done.stdout)
    sys.stdout.write(f"{CATALOGUE.name} is written\n")
    return 0


def free_port(host: str, after: int) -> int | None:
    """The first free port above ``after``, or None."""
    return next((p for p in range(after + 1, min(after + PORTS_TRIED, 65536)) if not _taken(host, p)), None)


def _check_port(host: str, port: int) -> None:
    if _taken(host, port):
        free = free_port(host, port)
        raise InputError("--port", port, f"a port that nothing uses on {host}", str(free) if free else None)


def _taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # as the server does: a port whose last connections are only fading away counts as free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise InputError("--port", port, "a port from 1024 on; lower ones belong to the system") from None
        except OSError:
            return True
    return False


def _command(options: argparse.Namespace) -> list[str]:
    return [sys.executable, "-m", "pages.serve", "--address", options.host, "--port", str(options.port)]


def _announce(sharing: Sharing, served: subprocess.Popen[bytes], browser: bool) -> None:
    """Print the address as soon as the server answers, and open a browser (as the host) where there is one."""
    ends = time.monotonic() + HEALTH_SECONDS
    while not _healthy(reachable(sharing.host), sharing.port):
        if served.poll() is not None or time.monotonic() > ends:
            raise StillhouseError("the page server did not start; what it said stands above")
        time.sleep(0.05)
    sys.stdout.write("".join(f"{line}\n" for line in sharing.lines()))
    sys.stdout.flush()
    if browser and _has_display():
        webbrowser.open(sharing.host_address())


def _healthy(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _has_display() -> bool:
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def _stop(served: subprocess.Popen[bytes]) -> None:
    if served.poll() is None:
        served.terminate()
        try:
            served.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            served.kill()


def _doctor_line(row: Check) -> str:
    remedy = f"\n{'':>24}-> {row.remedy}" if row.remedy else ""
    return f"[{MARKS[row.state]}] {row.name:<16} {row.text}{remedy}\n"
