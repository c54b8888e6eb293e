"""The page *Results*."""

from __future__ import annotations

from pages.parts import frame
from pages.parts.words import say


def draw() -> None:
    """The whole page, top to bottom."""
    frame.heading(say("results_page.title"), say("results_page.lead"))
