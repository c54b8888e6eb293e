"""Words of figures by name, completed and hashable."""

from __future__ import annotations


class Words(dict[str, str]):
    """Words by name; a name that nobody wrote (a new metric, a new cause) reads as itself, so no figure fails on words.

    Hashed by identity and never changed, so that finished texts can be remembered.
    """

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __missing__(self, name: str) -> str:
        return name.partition("_")[2].replace("_", " ") or name
