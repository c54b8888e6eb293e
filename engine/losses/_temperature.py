"""How a loss's temperature moves while it trains: not at all, down to 1, or as an adversary of the student."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from engine.knobs import knob
from engine.step import Step

LOW, HIGH = 0.5, 20.0  # the bounds of the losses' knob
SCHEDULES = ("fixed", "annealed", "learned")
RATE, MOMENTUM = 0.1, 0.9  # of the learned temperature's own steps: the loop's optimizer would undo the curriculum
CURRICULUM = 0.5  # the share of the phase over which the adversary comes to full strength


class Temperature:
    """The fixed one. ``now``: the last temperature given out."""

    def __init__(self, start: float) -> None:
        self.start = self.now = start

    def at(self, step: Step) -> float | Tensor:
        """The temperature of one step."""
        return self.start

    def moved(self) -> dict[str, float]:
        """``{"temperature": now}`` where it moves, else nothing."""
        return {} if type(self) is Temperature else {"temperature": self.now}


class Annealed(Temperature):
    """From ``start`` in a straight line over the steps of the phase to 1.

    Annealing-KD (Jafari et al. 2021, arXiv:2104.07163) lowers a whole-number T by one every few epochs, scales the
    teacher's logits by 1 - (T-1)/T_max and matches them by squares; here T falls at every step, inside the chosen loss.
    """

    def at(self, step: Step) -> float:
        """1 + (start - 1)(1 - progress), progress 0 at the first step and 1 behind the last."""
        self.now = 1 + (self.start - 1) * (1 - step.progress)
        return self.now


class Learned(Temperature):
    """T = LOW + (HIGH - LOW) sigmoid(u), where u climbs the loss that the student descends.

    CTKD (Li et al. 2023, arXiv:2211.16231), global version: one u for all images. Its gradient is turned round, times a
    factor that rises along a cosine. u has an optimizer of its own, plain momentum: Adam would divide the factor away.
    """

    def __init__(self, start: float) -> None:
        super().__init__(start)
        share = min(max((start - LOW) / (HIGH - LOW), 0.01), 0.99)  # at a bound the sigmoid would never move
        self.place = torch.tensor(math.log(share / (1 - share)), requires_grad=True)
        self._optimizer = torch.optim.SGD([self.place], RATE, MOMENTUM)

    def at(self, step: Step) -> Tensor:
        """The temperature as a tensor, whose gradient reaches ``place`` turned round; takes the last step first."""
        if self.place.grad is not None:
            self._optimizer.step()
            self._optimizer.zero_grad()
        temperature = LOW + (HIGH - LOW) * torch.sigmoid(reversed_gradient(self.place, strength(step.progress)))
        self.now = float(temperature.detach())
        return temperature


def strength(progress: float) -> float:
    """The adversary's factor at ``progress`` 0 to 1 of the phase: from 0 along half a cosine to 1 at CURRICULUM."""
    return (1 - math.cos(math.pi * min(progress / CURRICULUM, 1.0))) / 2


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradients[0], None  # type: ignore[attr-defined]


def reversed_gradient(value: Tensor, factor: float) -> Tensor:
    """``value`` unchanged; its gradient times -``factor`` (the reversal layer of Ganin and Lempitsky 2015, eq. 18)."""
    turned: Tensor = _Reversed.apply(value, factor)
    return turned


def temperature_of(schedule: str, start: float) -> Temperature:
    """The temperature of a phase, by one of SCHEDULES, from ``start`` on."""
    return {"fixed": Temperature, "annealed": Annealed, "learned": Learned}[schedule](start)


def schedule_knob(*choices: str) -> Any:
    """The knob that all losses with a temperature share; results that are older than it keep their keys."""
    learned = (
        "; learned: a second learner changes it so as to make the student's task harder, gently at first"
        if "learned" in choices
        else ""
    )
    return knob(
        "fixed",
        help=f"Whether the temperature stays, or moves during the phase. Annealed: it falls evenly to 1{learned}.",
        choices=choices,
        late=True,
    )
