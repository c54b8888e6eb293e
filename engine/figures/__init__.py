"""Figures from plain tables, information first, drawing second; no torch.

``X_info(...)`` returns what a figure shows as a named tuple, ``X_figure(info, theme)`` draws it as a plain plotly dict
(``go.Figure`` costs time and adds nothing), ``alt_X(info)`` says it in words. Themes are "light" and "dark".
"""

from engine.figures.compare import alt_compare, alt_gaps, compare_figure, compare_info, gaps_figure, gaps_info
from engine.figures.curves import alt_text as alt_curves
from engine.figures.curves import curves_figure, curves_info
from engine.figures.front_figure import front_figure
from engine.figures.front_info import alt_text as alt_front
from engine.figures.front_info import box_of, front_info
from engine.figures.heat import alt_text as alt_heat
from engine.figures.heat import heat_figure, heat_info
from engine.figures.hover import plain_text
from engine.figures.importances import alt_text as alt_importances
from engine.figures.importances import importances_figure, importances_info
from engine.figures.longer import alt_longer, alt_trust, longer_figure, longer_info, trust_figure, trust_info
from engine.figures.parallel import alt_text as alt_parallel
from engine.figures.parallel import parallel_figure, parallel_info
from engine.figures.pareto_figure import pareto_figure
from engine.figures.pareto_info import alt_text as alt_pareto
from engine.figures.pareto_info import pareto_info
from engine.figures.selection import key_of
from engine.figures.soft_targets import alt_text as alt_soft_targets
from engine.figures.soft_targets import soft_targets_figure, soft_targets_info
from engine.figures.theme import DARK, LIGHT
from engine.figures.words import facts

__all__ = [
    "DARK",
    "LIGHT",
    "alt_compare",
    "alt_curves",
    "alt_front",
    "alt_gaps",
    "alt_heat",
    "alt_importances",
    "alt_longer",
    "alt_parallel",
    "alt_pareto",
    "alt_soft_targets",
    "alt_trust",
    "box_of",
    "compare_figure",
    "compare_info",
    "curves_figure",
    "curves_info",
    "facts",
    "front_figure",
    "front_info",
    "gaps_figure",
    "gaps_info",
    "heat_figure",
    "heat_info",
    "importances_figure",
    "importances_info",
    "key_of",
    "longer_figure",
    "longer_info",
    "parallel_figure",
    "parallel_info",
    "pareto_figure",
    "pareto_info",
    "plain_text",
    "soft_targets_figure",
    "soft_targets_info",
    "trust_figure",
    "trust_info",
]
