"""The home: one folder that holds the store, artifacts, caches and locks. Nothing is ever written elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True)
class Home:
    """Paths inside one home."""

    root: Path

    @classmethod
    def locate(cls, folder: str | os.PathLike[str] | None = None) -> Home:
        """``folder``, else ``STILLHOUSE_HOME``, else the user's data folder; created where missing."""
        chosen = folder or os.environ.get("STILLHOUSE_HOME") or platformdirs.user_data_dir("stillhouse", False)
        home = cls(Path(chosen).expanduser().resolve())
        home.root.mkdir(parents=True, exist_ok=True)
        return home

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.root / "store.sqlite"

    def artifact(self, key: str) -> Path:
        """The folder of one trial's files (``model.onnx``, ``model.packed``, ``predictions.npz``)."""
        return self.root / "artifacts" / key

    def cache(self, kind: str) -> Path:
        """The folder of one kind of cache: ``teacher``, ``prefix``, ``graph``, ``latency``."""
        folder = self.root / "cache" / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def lock(self, name: str) -> Path:
        """A lock file: ``runner``, ``quiet``, ``turnstile``."""
        folder = self.root / "locks"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.lock"
