"""Where measured sensitivities are kept in a home, by the key of their dense student. No torch.

They are a cache: what is missing, damaged or of another version is measured again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.files import atomic_write
from engine.home import Home
from engine.inspection_files import opened, sealed

VERSION = 2
KIND = "sensitivity"  # the folder of the cache, and the kind of the work


def path(home: Home, dense_key: str) -> Path:
    """The file of one dense student."""
    return home.cache(KIND) / f"{dense_key}.json"


def save(home: Home, dense_key: str, data: Mapping[str, Any]) -> None:
    """Keep what :func:`engine.sensitivity.sense` found."""
    atomic_write(path(home, dense_key), sealed({**data, "version": VERSION}))


def load(home: Home, dense_key: str) -> dict[str, Any] | None:
    """What was found, whole and of this version, else None; shared between callers, who must not change it."""
    file = path(home, dense_key)
    try:
        stamp = file.stat()
    except OSError:
        return None
    data = _read(file, stamp.st_mtime_ns, stamp.st_size)
    return data if data and data.get("version") == VERSION else None


@functools.lru_cache(maxsize=32)
def _read(file: Path, _stamp: int, _size: int) -> dict[str, Any] | None:
    return opened(file)
