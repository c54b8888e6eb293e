"""Facts about this machine that latencies depend on; imports neither torch nor ONNX Runtime."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")
PACKAGES = ("torch", "onnxruntime", "numpy", "onnx", "torch-pruning")


@functools.cache
def facts() -> dict[str, Any]:
    """Processor, cores, vector features, system, versions; ``machine`` names and ``machine_id`` groups latencies."""
    found = read_cpuinfo(CPUINFO)
    processor = found.get("model name") or found.get("Hardware") or platform.processor() or platform.machine()
    flags = set((found.get("flags") or found.get("Features") or "").split())
    features = [name for name in FEATURES if name in flags]
    cores = available_cores()
    row = {"processor": processor, "architecture": platform.machine(), "cores": cores, "features": features}
    row["machine"] = f"{processor}, {cores} core{'s' if cores != 1 else ''}"
    versions = {name: version(name) for name in PACKAGES}
    row["machine_id"] = machine_id(row | versions)
    return row | {"system": f"{platform.system()} {platform.release()}", "python": platform.python_version()} | versions


def machine_id(row: Mapping[str, Any]) -> str:
    """What tells machines apart; the system's and Python's versions don't change what a kernel takes."""
    names = ("processor", "architecture", "cores", "features", "onnxruntime")
    return hashlib.sha256(repr(tuple(row[name] for name in names)).encode()).hexdigest()[:12]


def read_cpuinfo(path: Path) -> dict[str, str]:
    """The first processor's entry; empty where the system has no such file."""
    try:
        lines = path.read_text(errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def available_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def version(package: str) -> str | None:
    """An installed package's version, without importing it; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
