"""Where comparisons of runtimes are kept in a home, each behind a digest. No torch, no pickle; all of it is a cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.files import atomic_write
from engine.home import Home
from engine.inspection_files import opened, sealed

VERSION = 1  # of what a comparison holds; another one is made again
KIND = "runtimes"  # the folder of the cache, and the kind of work


def save(home: Home, key: str, data: Mapping[str, Any]) -> None:
    """Keep a comparison."""
    atomic_write(path(home, key), sealed({**data, "version": VERSION}))


def load(home: Home, key: str) -> dict[str, Any] | None:
    """A comparison that is whole and of this version, else None."""
    data = opened(path(home, key))
    return data if data and data.get("version") == VERSION else None


def path(home: Home, key: str) -> Path:
    """The file of a comparison."""
    return home.cache(KIND) / f"{key}.json"
