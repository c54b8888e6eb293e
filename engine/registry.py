"""Plug-ins by kind and name: discovered by importing their folders, never dropped in silence.

Losses and stages are registered as *classes* (their dataclass fields are knobs that a recipe sets), tasks and
models as *instances* (their fields are facts). A duplicate name raises, and so does a plug-in that fails to import.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from engine.errors import FileError, unknown_name
from engine.knobs import knobs_of

PACKAGES = ("engine.tasks", "engine.losses", "engine.stages", "sample_models")
KINDS = ("tasks", "models", "losses", "stages")


class Plugin:
    """What every plug-in declares; ``version`` is part of every key and rises when behaviour changes."""

    kind: ClassVar[str]
    name: Any
    title: Any
    help: Any
    source: Any
    version: Any = 1


T = TypeVar("T")
_entries: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
_loaded: set[str] = set()


def register(entry: T) -> T:
    """Add a loss or stage class, or a task or model instance; also usable as a decorator."""
    kind, name = entry.kind, entry.name  # type: ignore[attr-defined]
    if name in _entries[kind]:
        raise ValueError(f"two {kind} are called {name!r}: {_entries[kind][name]!r} and {entry!r}")
    for field in ("title", "help", "source"):
        if not getattr(entry, field, ""):
            raise ValueError(f"{kind} {name!r} declares no {field}")
    _entries[kind][name] = entry
    return entry


def registered(kind: str) -> dict[str, Any]:
    """All plug-ins of ``kind`` by name, sorted; imports them on the first call."""
    load_all()
    return dict(sorted(_entries[kind].items()))


def get(kind: str, name: str) -> Any:
    """The plug-in called ``name``; raises :class:`InputError` with the nearest name."""
    entries = registered(kind)
    if name not in entries:
        raise unknown_name(kind, name, entries)
    return entries[name]


def load_all() -> None:
    """Import every plug-in module of the project and of the folder ``STILLHOUSE_PLUGINS``, once."""
    for name in PACKAGES:
        _once(name, functools.partial(_load_package, name))
    folder = os.environ.get("STILLHOUSE_PLUGINS", "")
    if folder:
        _once(folder, functools.partial(_load_folder, Path(folder)))


def describe(kind: str, entry: Any) -> dict[str, Any]:
    """A catalogue row: plain data that pages, command line and recipes read without torch."""
    row = {key: getattr(entry, key) for key in ("name", "title", "help", "source", "version")}
    row |= {"formula": getattr(entry, "formula", ""), "expect": getattr(entry, "expect", "")}
    row |= entry.facts() if hasattr(entry, "facts") else {}
    row["knobs"] = [k.to_json() for k in knobs_of(entry)] if inspect.isclass(entry) else []
    return row


def _once(name: str, load: Callable[[], None]) -> None:
    if name in _loaded:
        return
    _loaded.add(name)  # already now: a plug-in may ask for others while it is imported
    try:
        load()
    except BaseException:
        _loaded.discard(name)  # what failed must fail again, not be missing from the second call on
        raise


def _load_package(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{name}.{module.name}")


def _load_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise FileError(f"STILLHOUSE_PLUGINS: {folder} is not a folder; set it to one that holds *.py plug-ins")
    for path in sorted(folder.glob("*.py")):
        name = f"stillhouse_plugin_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise FileError(f"plug-in {path} cannot be loaded")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
