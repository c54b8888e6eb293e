"""The page *Trial*."""

from __future__ import annotations

from pages.parts import frame
from pages.parts.words import say


def draw() -> None:
    """The whole page, top to bottom."""
    frame.heading(say("trial_page.title"), say("trial_page.lead"))
