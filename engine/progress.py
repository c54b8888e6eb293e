"""How far a trial is, as plain data for the store and the page; teachers that are trained first count too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.training import StepReport

Report = Callable[[dict[str, Any]], None]


@dataclass
class Lead:
    """The work on teachers that had to be trained before the student, in epochs of the student."""

    epochs: float = 0.0


@dataclass(frozen=True)
class Lesson:
    """One teacher in training. It counts ``epochs`` of the student's, which trains ``student_epochs`` afterwards.

    Its reports go on as those of the trial, with the name of the ``teacher`` in them; its qualities and curve do not:
    they would be taken for the student's. What was at hand and not trained leaves no trace.
    """

    teacher: str
    epochs: float
    student_epochs: int
    lead: Lead
    report: Report
    seen: list[bool] = field(default_factory=list)

    def __call__(self, event: dict[str, Any]) -> None:
        """Hand on one report of the teacher's training."""
        if "quality" in event or "curve" in event:
            return
        row = {**event, "teacher": event.get("teacher") or self.teacher}
        if "fraction" in event:
            self.seen.append(True)
            total = self.lead.epochs + self.epochs + self.student_epochs
            row["fraction"] = (self.lead.epochs + event["fraction"] * self.epochs) / total
        self.report(row)

    def end(self) -> None:
        """Add what was done to the lead."""
        self.lead.epochs += self.epochs if self.seen else 0.0


def of_step(epochs: Sequence[int], number: int, step: StepReport, lead: float = 0.0) -> dict[str, Any]:
    """A step of phase ``number`` (from 0) of a student whose phases train for ``epochs``, after ``lead`` epochs."""
    done = lead + sum(epochs[:number]) + step.step / max(step.steps, 1) * epochs[number]
    row = {"doing": "training", "teacher": "", "phase": number + 1, "phases": len(epochs)}
    row |= {"fraction": done / max(lead + sum(epochs), 1)}
    return row | {"epoch": step.epoch, "epochs": step.epochs, "step": step.step, "steps": step.steps, "loss": step.loss}


def cost(recipe_epochs: Sequence[int], pace: float, student_pace: float) -> float:
    """What training a teacher for so many epochs costs, in epochs of the student; paces are seconds an epoch."""
    return sum(recipe_epochs) * pace / max(student_pace, 1e-6)
