"""The page *Front*."""

from __future__ import annotations

from pages.parts import frame
from pages.parts.words import say


def draw() -> None:
    """The whole page, top to bottom."""
    frame.heading(say("front_page.title"), say("front_page.lead"))
