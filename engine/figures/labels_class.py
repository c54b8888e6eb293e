"""The English words of the class chart; :mod:`engine.figures.labels` holds them among all others."""

from __future__ import annotations

CLASS = {
    "class_mine": "yours",
    "class_several": "several people",
    "class_other": "one person",
    "class_asked": "asked for by {names}",
    "class_more": "{names} and {count} more",
    "class_teacher": "teacher {quality}",
    "class_empty": "No measured points yet.",
    "alt_class": "{count} measured points that {people} people asked for, {metric} against {axis}. "
    "Best: {best} at {best_cost}. {mine}",
    "alt_class_mine": "Yours: {points}.",
    "alt_class_point": "{quality} at {cost}",
}
