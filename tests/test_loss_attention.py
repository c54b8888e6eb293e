"""Attention transfer against closed forms, torchdistill's and the three scopes against each other."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_features_tools import features
from torch import Tensor

from engine.errors import TrialFailedError
from engine.losses._base import LossContext
from engine.losses.attention import Attention, AttentionObjective, attention_distance


def maps(*pairs: tuple[str, Tensor]) -> dict[str, Tensor]:
    return dict(pairs)


def objective(scope: str, **more: object) -> AttentionObjective:
    built = Attention(scope=scope, **more).build(LossContext())  # type: ignore[arg-type]
    assert isinstance(built, AttentionObjective)
    return built


def test_by_hand() -> None:
    """Squares (9, 16, 0, 0) have length sqrt(337); the teacher is active at one place only."""
    student = torch.tensor([[3.0, -4.0], [0.0, 0.0]]).view(1, 1, 2, 2)
    teacher = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 2)
    first, second = 9 / 337**0.5, 16 / 337**0.5
    expected = (first**2 + (second - 1) ** 2) / 4
    assert attention_distance(student, teacher).item() == pytest.approx(expected, rel=1e-6)


def test_golden() -> None:
    found = attention_distance(features(0), features(1, 6, 5, 4, 4)).item()
    assert found == pytest.approx(0.0456739664875, rel=1e-9)
    assert attention_distance(features(0), features(1, 6, 5, 4, 4), 2).item() == pytest.approx(0.128716111523, rel=1e-9)


def test_it_agrees_with_torchdistill() -> None:
    """Its ATLoss in the mode that follows the authors' code."""
    losses = pytest.importorskip("torchdistill.losses.mid_level")
    student, teacher = features(0), features(1, 6, 5, 4, 4)
    pair = {side: {"io": "output", "path": "x"} for side in ("student", "teacher")} | {"weight": 1}
    other = losses.ATLoss({"one": pair}, mode="code")({"x": {"output": student}}, {"x": {"output": teacher}})
    torch.testing.assert_close(attention_distance(student, teacher), other, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("regions", [1, 2, 3])
def test_it_agrees_with_loops_over_windows(regions: int) -> None:
    """Each window of a 6x6 grid by itself; their sizes are equal, so their means are averaged."""
    student, teacher = features(0, 4, 3, 6, 6), features(1, 4, 5, 6, 6)
    edges, found = range(0, 7, 6 // regions), []
    for top, bottom in pairwise(edges):
        for left, right in pairwise(edges):
            sides = []
            for side in (student, teacher):
                energy = (side[:, :, top:bottom, left:right] ** 2).sum(1).flatten(1)
                sides.append(energy / (energy**2).sum(1, keepdim=True) ** 0.5)
            found.append(((sides[0] - sides[1]) ** 2).mean())
    torch.testing.assert_close(attention_distance(student, teacher, regions), torch.stack(found).mean())


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100.0), st.integers(1, 2))
def test_only_the_place_counts(seed: int, scale: float, regions: int) -> None:
    """Not how strong, with which sign, or in which channel."""
    student, teacher = features(seed), features(seed + 1, 6, 5, 4, 4)
    found = attention_distance(-scale * student.flip(1), teacher, regions)
    torch.testing.assert_close(found, attention_distance(student, teacher, regions))
    assert attention_distance(student, 2 * student, regions) < 1e-24
    assert found > 0


def test_local_sees_what_global_overlooks() -> None:
    """One bright region hides from the whole map's view what differs in the dark ones."""
    student, teacher = features(0, 6, 1, 4, 4) / 1000, features(1, 6, 1, 4, 4) / 1000
    student[:, :, :2, :2], teacher[:, :, :2, :2] = 1.0, 1.0
    assert attention_distance(student, teacher) < 1e-9
    assert attention_distance(student, teacher, 2) > 1e-2


def test_hierarchical_is_the_sum_over_three_depths() -> None:
    roles = ("first_map", "middle_map", "last_map")
    student = {role: features(i) for i, role in enumerate(roles)}
    teacher = {role: features(i + 5, 6, 5, 2, 2) for i, role in enumerate(roles)}
    whole = objective("hierarchical")
    assert whole.student_taps == whole.teacher_taps == roles
    single = [objective("global", layer=role).term(student, teacher, 0) for role in roles]
    torch.testing.assert_close(whole.term(student, teacher, 0), torch.stack(single).sum())


def test_regions_count_in_the_local_scope_only() -> None:
    student, teacher = {"middle_map": features(0)}, {"middle_map": features(1)}
    plain = objective("global", regions=4).term(student, teacher, 0)
    torch.testing.assert_close(plain, attention_distance(features(0), features(1)))
    local = objective("local", regions=2).term(student, teacher, 0)
    torch.testing.assert_close(local, attention_distance(features(0), features(1), 2))


def test_grids_of_other_sizes_meet_at_the_smaller_one() -> None:
    student = features(0, 6, 3, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)
    teacher = features(1, 6, 5, 3, 3)
    torch.testing.assert_close(
        attention_distance(student, teacher), attention_distance(student[:, :, ::2, ::2], teacher)
    )


def test_no_region_is_a_single_place_which_could_teach_nothing() -> None:
    for size, most in ((3, 1), (4, 2), (7, 3)):
        student, teacher = features(0, 4, 3, size, size), features(1, 4, 3, size, size)
        torch.testing.assert_close(
            attention_distance(student, teacher, 4), attention_distance(student, teacher, most), rtol=0, atol=0
        )
        assert attention_distance(student, teacher, 4) > 1e-4


def test_a_silent_map_does_no_harm() -> None:
    student = torch.zeros(6, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    attention_distance(student, features(1)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_features_without_places_are_refused() -> None:
    with pytest.raises(TrialFailedError, match="maps"):
        attention_distance(features(0, 6, 8), features(1, 6, 8))
