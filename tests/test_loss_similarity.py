"""Similarity-preserving distillation against closed forms and another implementation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_features_tools import features

from engine.losses.similarity import Similarity, similarities, similarity_distance


def test_by_hand() -> None:
    """Teacher: two equal images. Student: two unrelated ones. Rows (1, 1) / sqrt 2 against (1, 0) and (0, 1)."""
    teacher, student = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    root = 2**-0.5
    expected = ((1 - root) ** 2 + root**2) * 2 / 4
    assert similarity_distance(student, teacher).item() == pytest.approx(expected, rel=1e-6)


def test_golden() -> None:
    found = similarity_distance(features(0), features(1, 6, 5, 2, 2)).item()
    assert found == pytest.approx(0.0667708236647, rel=1e-9)


def test_it_agrees_with_loops_written_from_the_paper() -> None:
    """Tung & Mori 2019, eq. 1 to 4, entry by entry (torchdistill 1.1.5 divides rows by their sums instead)."""
    student, teacher = features(0), features(1, 6, 5, 2, 2)
    count, total = len(student), 0.0
    for i in range(count):
        rows = []
        for side in (student, teacher):
            row = [float((side[i] * side[j]).sum()) for j in range(count)]
            length = sum(x * x for x in row) ** 0.5
            rows.append([x / length for x in row])
        total += sum((a - b) ** 2 for a, b in zip(*rows, strict=True))
    assert similarity_distance(student, teacher).item() == pytest.approx(total / count**2, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100.0))
def test_size_rotation_and_width_do_not_matter(seed: int, scale: float) -> None:
    """Only angles between images count: a student may have other channels than the teacher."""
    student, teacher = features(seed, 6, 8), features(seed + 1, 6, 5)
    turn = torch.linalg.qr(features(seed + 2, 8, 8))[0]
    found = similarity_distance(scale * student @ turn, teacher)
    torch.testing.assert_close(found, similarity_distance(student, teacher))
    wider = torch.cat([student, torch.zeros(6, 4, dtype=torch.float64)], 1)
    torch.testing.assert_close(similarity_distance(wider, student), torch.zeros_like(found), atol=1e-24, rtol=0)


def test_rows_have_length_one() -> None:
    torch.testing.assert_close(similarities(features(0)).norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_following_it_brings_the_tables_together() -> None:
    student, teacher = features(0).requires_grad_(), features(1, 6, 5, 2, 2)
    optimizer = torch.optim.Adam([student], 0.05)
    first = similarity_distance(student, teacher).item()
    for _ in range(100):
        optimizer.zero_grad()
        similarity_distance(student, teacher).backward()
        optimizer.step()
    assert similarity_distance(student, teacher).item() < 0.02 * first


def test_images_of_zeros_do_no_harm() -> None:
    """A ReLU may switch off a whole layer for an image."""
    student = F.relu(features(0) - 10).requires_grad_()
    similarity_distance(student, features(1)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_layer_is_the_one_that_was_chosen() -> None:
    for layer in ("first_map", "last_feature"):
        objective = Similarity(layer).build(None)
        assert objective.student_taps == objective.teacher_taps == (layer,)
        found = objective.term({layer: features(0)}, {layer: features(1)}, 0)
        torch.testing.assert_close(found, similarity_distance(features(0), features(1)))
