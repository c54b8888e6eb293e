"""What is installed, what this machine can do, where the store is: each check with its remedy. No torch is imported."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from engine import catalogue
from engine.errors import StillhouseError
from engine.execution.presence import runner_lives
from engine.home import Home
from engine.housekeeping import sizes
from engine.measure import machine
from engine.store import Store
from engine.units import format_bytes

State = Literal["ok", "note", "problem"]
NEEDED = ("torch", "torchvision", "torch-pruning", "onnx", "onnxruntime", "numpy", "streamlit", "plotly", "pebble",
          "safetensors", "zstandard", "filelock", "psutil", "pyarrow")  # fmt: skip
INTEGER = {"avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI", "amx_int8": "AMX", "asimddp": "Arm dot product",
           "i8mm": "Arm i8mm"}  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OLDEST_PYTHON = (3, 11)
LITTLE_DISK, TOO_LITTLE_DISK = 2e9, 2e8
LITTLE_MEMORY = 3e9
MUCH_CACHE = 2e9
MOVE_AWAY = "move the file away; shipped results are there again at the next start"
MODELS = Path(__file__).resolve().parents[1] / "sample_models"


class Check(NamedTuple):
    """One line: ``state`` is ok, note (works, worth knowing) or problem; ``remedy`` is empty where all is well."""

    name: str
    state: State
    text: str
    remedy: str = ""


def checks(home: Home) -> list[Check]:
    """All checks, in the order in which they are shown."""
    steps: tuple[Callable[[], Check], ...] = (
        python, packages, processor, kernels, memory, lambda: home_folder(home), lambda: store(home),
        lambda: space(home), lambda: disk(home), lambda: runner(home), plugins, weights, full_data, browser, gpu,
    )  # fmt: skip
    return [step() for step in steps]


def python() -> Check:
    """The interpreter."""
    text = f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Check("Python", "problem", text, "install Python 3.11 or newer, then `make install`")
    return Check("Python", "ok", text)


def packages() -> Check:
    """Versions of what the program is built on."""
    found = {name: machine.version(name) for name in NEEDED}
    missing = [name for name, version in found.items() if version is None]
    text = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    if missing:
        return Check("packages", "problem", f"missing: {', '.join(missing)}; there: {text}", "run `make install`")
    return Check("packages", "ok", text)


def processor() -> Check:
    """Name, cores and vector features."""
    facts = machine.facts()
    features = ", ".join(facts["features"]) or "no vector features that matter here"
    cores = f"{facts['cores']} core{'s' if facts['cores'] != 1 else ''}"
    return Check("processor", "ok", f"{facts['processor']}, {cores}, {features}")


def kernels() -> Check:
    """Which number formats run on kernels of their own here; every other latency is marked as simulated."""
    found = [name for feature, name in INTEGER.items() if feature in machine.facts()["features"]]
    others = "1 to 7 bits: smaller files, timed as floats (simulated)"
    if found:
        return Check("int8 kernels", "ok", f"8 bits: integer kernels with {', '.join(found)}; {others}")
    return Check("int8 kernels", "note", f"8 bits: integer kernels without dot-product instructions; {others}",
                 "nothing to do; expect int8 to be no faster than floats on this machine")  # fmt: skip


def memory() -> Check:
    """Main memory; two training workers need about 1 GB each."""
    found = psutil.virtual_memory()
    text = f"{format_bytes(found.total)}, {format_bytes(found.available)} free"
    if found.available < LITTLE_MEMORY:
        return Check("memory", "note", text, "close other programs: each training process takes about 1 GB")
    return Check("memory", "ok", text)


def home_folder(home: Home) -> Check:
    """Where results are kept."""
    if not os.access(home.root, os.W_OK | os.X_OK):
        return Check(
            "home", "problem", f"{home.root} cannot be written", "choose another one with --home or STILLHOUSE_HOME"
        )
    return Check("home", "ok", str(home.root))


def store(home: Home) -> Check:
    """Whether the store is whole, read from its first byte to its last."""
    if not home.store.exists():
        return Check("store", "ok", "empty: nothing has been run in this home yet")
    try:
        opened = Store(home.store)
    except StillhouseError as problem:
        newer = "newer Stillhouse" in str(problem)
        return Check("store", "problem", str(problem), "update this program" if newer else MOVE_AWAY)
    try:
        opened.check()
        found = opened.row("SELECT count(*) FROM results")
        count = int(found[0]) if found else 0
    except StillhouseError as problem:
        return Check("store", "problem", str(problem), MOVE_AWAY)
    finally:
        opened.close()
    size = format_bytes(home.store.stat().st_size)
    return Check("store", "ok", f"whole, {count} result{'s' if count != 1 else ''}, {size}")


def space(home: Home) -> Check:
    """What this home takes up."""
    found = sizes(home)
    caches = sum(cache["bytes"] for cache in found["caches"].values())
    files = found["artifacts"]
    text = f"{format_bytes(found['total'])}: files of {files['count']} trials {format_bytes(files['bytes'])}, "
    text += f"caches {format_bytes(caches)}"
    if caches > MUCH_CACHE:
        return Check("space", "note", text, "`stillhouse gc` takes away what nothing needs")
    return Check("space", "ok", text)


def disk(home: Home) -> Check:
    """Free space where results are kept."""
    free = shutil.disk_usage(home.root).free
    text = f"{format_bytes(free)} free"
    if free < TOO_LITTLE_DISK:
        return Check("disk", "problem", text, "free some space, or choose another home with --home")
    if free < LITTLE_DISK:
        return Check("disk", "note", text, "a trial with its grid takes about 7 MB; free some space soon")
    return Check("disk", "ok", text)


def runner(home: Home) -> Check:
    """Whether a runner serves this home."""
    lives = runner_lives(home)
    return Check("runner", "ok", "running" if lives else "not running; `app` and `run` start it when there is work")


def plugins() -> Check:
    """Whether the catalogue can be read, with a user's own plug-ins where there are some."""
    folder = os.environ.get("STILLHOUSE_PLUGINS", "")
    try:
        rows = catalogue.current().rows
    except StillhouseError as problem:
        remedy = "mend or remove the plug-in" if folder else "run `stillhouse catalogue`"
        return Check("plug-ins", "problem", str(problem), remedy)
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in rows.items())
    return Check("plug-ins", "ok", counts + (f", with those in {folder}" if folder else ""))


def weights() -> Check:
    """Whether the shipped teachers' weights are what the catalogue says."""
    try:
        models = catalogue.current().rows["models"]
    except StillhouseError:
        return Check("teachers", "problem", "unknown without a catalogue", "run `stillhouse catalogue`")
    expected = {str(row["weights_sha256"]): name for name, row in models.items() if row.get("weights_sha256")}
    files = sorted(MODELS.rglob("*.safetensors"))
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    lost = [name for digest, name in expected.items() if digest not in found]
    if lost and not os.environ.get("STILLHOUSE_PLUGINS"):
        text = f"weights missing, truncated or altered: {', '.join(lost)}"
        return Check("teachers", "problem", text, "restore them with `git checkout sample_models`")
    return Check("teachers", "ok", f"weights whole: {', '.join(sorted(expected.values())) or 'none shipped'}")


def full_data() -> Check:
    """For which tasks ``data=full`` can be used on this machine."""
    there, remedies = [], []
    try:
        rows = catalogue.current().rows["tasks"]
        tasks = [name for name in sorted(rows) if "full" in rows[name]["hashes"]]
    except StillhouseError:
        tasks = []
    for task in tasks:
        try:
            files = importlib.import_module(f"engine.tasks._{task}_files")
            there.append(f"{task} ({files.installed() if hasattr(files, 'installed') else 'comes with the project'})")
        except ModuleNotFoundError:
            continue
        except StillhouseError as problem:
            remedies.append(f"{task}: {problem}")
    text = ", ".join(there) or "not installed; the sample is enough for everything but --data full"
    return Check("full data", "note" if remedies else "ok", text, "; ".join(remedies))


def browser() -> Check:
    """A browser for the browser tests."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    if found is None and cache.is_dir():
        found = next((str(path) for path in sorted(cache.glob("chromium*"))), None)
    try:
        metadata.version("playwright")
    except metadata.PackageNotFoundError:
        return Check(
            "browser tests", "note", "playwright is not installed", "`make test` installs it; users need it not"
        )
    if found is None:
        return Check(
            "browser tests",
            "note",
            "no Chromium found",
            "install the package chromium, or `playwright install chromium`",
        )
    return Check("browser tests", "ok", found)


def gpu() -> Check:
    """NVIDIA cards, which students train on where PyTorch can; nothing here needs one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Check("GPU", "ok", "none found; none is needed")
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError) as problem:
        return Check(
            "GPU", "note", f"nvidia-smi does not answer ({type(problem).__name__})", "nothing to do; none is needed"
        )
    names = ", ".join(done.stdout.split("\n")).strip(", ")
    if (machine.version("torch") or "").endswith("+cpu"):
        return Check("GPU", "note", f"{names}: not used, this PyTorch is built for processors only",
                     "nothing to do; with PyTorch's CUDA build students train on it")  # fmt: skip
    return Check("GPU", "ok", f"{names}: students train on it where PyTorch can (--device cpu: not)")
