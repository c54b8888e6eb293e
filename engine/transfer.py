"""The transfer set: the training images that a student sees, all of them or all but those of one class.

A class left out of the transfer set (Hinton, Vinyals and Dean 2015, section 3): the student hears of it only through
the small probabilities that the teacher gives it on images of the other classes.
"""

from __future__ import annotations

from torch import Tensor

from engine.recipe import Recipe
from engine.tasks._base import Split, Task


def without(task: Task, recipe: Recipe) -> Split:
    """The training split without the class that the recipe leaves out."""
    whole = task.split(recipe.data, "train")
    return Split(chosen(whole.inputs, task, recipe), chosen(whole.labels, task, recipe))


def chosen(rows: Tensor, task: Task, recipe: Recipe) -> Tensor:
    """Of rows [N, ...], one for each training image, those of the images that the student sees."""
    if recipe.without is None:
        return rows
    left_out = task.class_names.index(recipe.without)
    return rows[task.split(recipe.data, "train").labels != left_out]
