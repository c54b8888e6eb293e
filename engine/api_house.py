"""Housekeeping for pages: what a home takes up. The command line uses the modules behind it."""

from __future__ import annotations

from engine.backup import backup
from engine.housekeeping import collect, sizes
from engine.importing import bring

__all__ = ["backup", "bring", "collect", "sizes"]
