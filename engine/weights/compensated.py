"""Rounding a layer's weights input by input, the inputs still to come making up for each error (GPTQ).

For ``H = E[x x^T]`` of the layer's inputs the squared error of an output with weights ``v`` instead of ``w`` is
``(v - w) H (v - w)^T``. Once input ``j`` is rounded, the best change of those after it is
``-(w_j - v_j) [H^-1]_jj^-1 [H^-1]_j:`` with ``H^-1`` of the inputs not rounded yet, and all of these inverses are read
off one Cholesky factor. Source: Frantar et al. 2022, GPTQ, arXiv:2210.17323, equations 2 and 3 and algorithm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.weights import affine

TRIES = 8  # at a factor of ten each: what rounding noise makes of a singular matrix is far below a millionth of it


@dataclass(frozen=True)
class Lattice:
    """How weights are rounded: see :func:`engine.weights.affine.fit`."""

    bits: int
    granularity: str = "channel"
    method: str = "least_squares"
    scheme: str = "symmetric"
    group: int = affine.GROUP

    def fit(self, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scale and zero point for a weight."""
        return affine.fit(weight, self.bits, self.granularity, self.method, self.scheme, self.group)

    def rounded(self, weight: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
        """The weight on the lattice."""
        integers = affine.round_to_integers(weight, scale, self.bits, zero, self.group)
        return affine.dequantize(integers, scale, self.group)


def inverse_factor(moments: Tensor, damping: float) -> Tensor:
    """Upper triangular ``U`` with ``U^T U = (H + damping * mean(diag H) I)^-1``, [..., K, K], in float64.

    Inputs that never occur get a diagonal of the mean, so that they neither take nor give. Where the matrix is singular
    in spite of the damping, more of it is added.
    """
    moments = moments.double()
    diagonal = moments.diagonal(dim1=-2, dim2=-1)
    mean = diagonal.mean(-1).clamp(min=affine.TINY)[..., None]
    eye = torch.eye(moments.shape[-1], dtype=moments.dtype, device=moments.device)
    alive = moments + eye * torch.where(diagonal > 0, 0.0, mean)[..., None]
    for power in range(TRIES):
        added = max(damping, 1e-9) * math.pow(10, power) if power or damping else 0.0
        factor, failed = torch.linalg.cholesky_ex(alive + eye * (added * mean)[..., None])
        if not bool(failed.any()):
            break
    upper: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(factor), upper=True)
    return upper


def error(weight: Tensor, moments: Tensor, other: Tensor) -> Tensor:
    """[out]: the mean squared error of each output with the weights ``other`` instead, both [out, K]."""
    change = (other - weight).reshape(len(moments), -1, weight.shape[1])
    return (torch.bmm(change, moments) * change).sum(2).flatten()


def compensate(
    weight: Tensor, moments: Tensor, lattice: Lattice, damping: float, act_order: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """``(weight, scale, zero)``: weights that the lattice with this scale and zero point rounds to those of GPTQ.

    ``weight`` [out, ...]: exact zeros stay zero and the others make up for that as well. ``moments`` [groups, K, K] of
    the layer's inputs. ``act_order``: inputs of largest second moment first. A group of weights takes its scale when
    its first weight is reached; with ``act_order`` all do so before anything is moved. Rows whose error is no smaller
    than that of rounding to the nearest level stay as they were, with the scale for that: no row gets worse.
    """
    scale, zero = lattice.fit(weight)
    parts = zip(torch.split(weight.flatten(1), len(weight) // len(moments)), moments, strict=True)
    moved, scales, zeros = [], [], []
    for number, (rows, gram) in enumerate(parts):
        first = number * len(rows)
        own = _part(scale, first, len(rows)), None if zero is None else _part(zero, first, len(rows))
        found = _columns(rows, gram, lattice, own, damping, act_order)
        errors = (error(rows, gram[None], lattice.rounded(*code)) for code in (found, (rows, *own)))
        better = next(errors) < next(errors)
        moved.append(torch.where(better[:, None], found[0], rows))
        scales.append(_choose(better, found[1], own[0]))
        zeros.append(None if found[2] is None or own[1] is None else _choose(better, found[2], own[1]))
    kept = [z for z in zeros if z is not None]
    whole = torch.cat(scales) if scale.ndim else scales[0]
    return torch.cat(moved).view_as(weight), whole, torch.cat(kept) if kept and scale.ndim else zero


def _columns(
    rows: Tensor, gram: Tensor, lattice: Lattice, start: tuple[Tensor, Tensor | None], damping: float, act_order: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Algorithm 1 for [out, K]: each weight as it was when its turn came, with the scales that were used."""
    order = torch.argsort(gram.diagonal(), descending=True, stable=True) if act_order else torch.arange(len(gram))
    order = order.to(rows.device)
    upper = inverse_factor(gram[order][:, order], damping).to(rows.dtype)
    work, scale, zero = rows.clone(), start[0].clone(), None if start[1] is None else start[1].clone()
    regroup = scale.ndim == 2 and not act_order
    done = torch.zeros_like(rows)
    for step, column in enumerate(order.tolist()):
        group = column // lattice.group if scale.ndim == 2 else 0
        if regroup and column % lattice.group == 0:
            part = torch.where(rows == 0, 0.0, work)[:, column : column + lattice.group]
            _refit(part, lattice, scale, zero, group)
        here = _at(scale, group), None if zero is None else _at(zero, group)
        now = work[:, column]
        integers = affine.round_to_integers(now[:, None], here[0], lattice.bits, here[1])
        level = torch.where(rows[:, column] == 0, 0.0, affine.dequantize(integers, here[0])[:, 0])
        done[:, column] = now
        error = (now - level) / upper[step, step]
        work[:, order[step + 1 :]] -= error[:, None] * upper[step, step + 1 :]
    return torch.where(rows == 0, 0.0, done), scale, zero


def _refit(part: Tensor, lattice: Lattice, scale: Tensor, zero: Tensor | None, group: int) -> None:
    """The scale of one group, for its weights as the errors before it have left them."""
    found, moved = affine.fit(part, lattice.bits, "channel", lattice.method, lattice.scheme)
    scale[:, group] = found
    if zero is not None and moved is not None:
        zero[:, group] = moved


def _at(values: Tensor, group: int) -> Tensor:
    """() or [out] for one column."""
    return values[:, group] if values.ndim == 2 else values


def _part(values: Tensor, first: int, count: int) -> Tensor:
    return values[first : first + count] if values.ndim else values


def _choose(better: Tensor, found: Tensor, own: Tensor) -> Tensor:
    if not found.ndim:
        return own
    return torch.where(better.view(-1, *[1] * (found.ndim - 1)), found, own)
