"""The errors that people see: one line that says what, where, what is allowed and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MANY, NEAR = 16, 8  # from so many names on, only the nearest are listed


class StillhouseError(Exception):
    """Base of every error that is shown to a person; ``exit_code`` is the command line's exit status."""

    exit_code = 1


class InputError(StillhouseError):
    """Something that a person typed, linked or wrote into a file is not acceptable."""

    exit_code = 2

    def __init__(self, where: str, value: Any, allowed: str, suggestion: str | None = None) -> None:
        self.where, self.value, self.allowed, self.suggestion = where, value, allowed, suggestion
        self.shown = _short(value)
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"{where}: {self.shown} is not allowed; allowed: {allowed}{hint}")


class NotFoundError(StillhouseError):
    """Nothing in the store, or on the disk, matches what was asked for."""


class FileError(StillhouseError):
    """A file is missing, truncated, altered or of another format; the message names the file and the remedy."""


class NotInstalledError(FileError):
    """Data or weights that do not come with the project are not on this machine; the message names the command."""

    exit_code = 2


class StoreError(StillhouseError):
    """The store cannot be read or written: corrupt, newer than this program, or the disk is full."""


class TrialFailedError(StillhouseError):
    """A trial ended without a result; the message is the reason."""


class CancelledError(StillhouseError):
    """Somebody withdrew the work."""

    exit_code = 130


def unknown_name(where: str, value: Any, known: Iterable[str]) -> InputError:
    """The error for a name that is not in ``known``, with the nearest one as a suggestion."""
    names = sorted(known)
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    return InputError(where, value, _listed(str(value), names), close[0] if close else None)


def _listed(value: str, names: list[str]) -> str:
    """All names, or the nearest of many: the message stays one line that a person reads."""
    if len(names) <= MANY:
        return ", ".join(names) or "nothing is registered"
    near = sorted(difflib.get_close_matches(value, names, n=NEAR, cutoff=0.0))
    return f"{', '.join(near)} or one of {len(names) - len(near)} others"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
