"""What a point scores on each validation example, from the answers that the store keeps of it. No torch.

Metrics that count right answers score [N] of right or wrong; others (bits a character) one number an example, whose
mean is the quality. Two points are compared on the same examples.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import catalogue, metrics
from engine.errors import FileError

Scores = npt.NDArray[Any]
PAIRED = (*metrics.COUNTED, "bits_per_character")  # metrics whose kept answers give a score for each example


def scores(task: str, kept: npt.NDArray[Any]) -> Scores:
    """[N] bool, or float32, of answers kept of the first examples of ``task``'s validation split."""
    if catalogue.current().row("tasks", task, "task")["metric"] in metrics.COUNTED:
        return metrics.correct(kept.astype(np.float32), labels(task)[: len(kept)])
    return np.asarray(kept[:, 0], np.float32)


def paired(a: Scores, b: Scores) -> metrics.Interval:
    """(difference, low, high): mean score of ``a`` minus that of ``b`` on the examples that both have seen."""
    count = min(len(a), len(b))
    found = metrics.paired_difference if a.dtype == bool else metrics.paired_means
    return found(a[:count], b[:count])


@functools.lru_cache(maxsize=16)
def labels(task: str) -> npt.NDArray[Any]:
    """[N] classes of a task's validation examples, in the order of every trial's predictions. Do not change them."""
    found: npt.NDArray[Any] = files_of(task).read_sample("validation").labels
    found.setflags(write=False)
    return found


def files_of(task: str) -> ModuleType:
    """A task keeps what needs no torch in a module of its own, ``engine/tasks/_<task>_files.py``."""
    try:
        return importlib.import_module(f"engine.tasks._{task}_files")
    except ModuleNotFoundError:
        raise FileError(f"the task {task} has no engine/tasks/_{task}_files.py, which holds its labels") from None


def check_installed(task: str) -> None:
    """Raise :class:`NotInstalledError` with the command where a task's data have to be fetched first."""
    name = f"engine.tasks._{task}_files"
    if importlib.util.find_spec(name):  # a plug-in's task may have none
        check = getattr(files_of(task), "check_installed", None)
        if check is not None:
            check()
