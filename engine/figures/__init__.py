"""Figures from plain tables, information first, drawing second; no torch.

``X_info(...)`` returns what a figure shows as a named tuple, ``X_figure(info, theme)`` draws it as a plain plotly dict
(``go.Figure`` costs time and adds nothing), ``alt_X(info)`` says it in words. Themes are "light" and "dark".
"""

from engine.figures.curves import alt_text as alt_curves
from engine.figures.curves import curves_figure, curves_info
from engine.figures.heat import alt_text as alt_heat
from engine.figures.heat import heat_figure, heat_info
from engine.figures.hover import plain_text
from engine.figures.pareto_figure import pareto_figure
from engine.figures.pareto_info import alt_text as alt_pareto
from engine.figures.pareto_info import pareto_info
from engine.figures.selection import key_of
from engine.figures.soft_targets import alt_text as alt_soft_targets
from engine.figures.soft_targets import soft_targets_figure, soft_targets_info
from engine.figures.theme import DARK, LIGHT
from engine.figures.words import facts

__all__ = [
    "DARK", "LIGHT", "alt_curves", "alt_heat", "alt_pareto", "alt_soft_targets", "curves_figure", "curves_info",
    "facts", "heat_figure", "heat_info", "key_of", "pareto_figure", "pareto_info", "plain_text", "soft_targets_figure",
    "soft_targets_info",
]  # fmt: skip
