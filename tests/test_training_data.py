"""Which examples the training loop shows, in which order, and whose labels."""

from __future__ import annotations

import tiny_training as tiny
import torch

from engine import training
from engine.step import NO_LABEL
from engine.tasks._base import Split


def test_each_epoch_shows_every_image_once_in_batches_of_nearly_equal_size() -> None:
    objective = tiny.Curious()
    tiny.train(tiny.net(), objective, tiny.split(97), plan=tiny.plan(2))
    first, second = objective.batches[:7], objective.batches[7:]
    assert {len(b.index) for b in first} == {13, 14}
    for epoch in (first, second):
        assert torch.equal(torch.cat([b.index for b in epoch]).sort().values, torch.arange(97))
    assert not torch.equal(first[0].index, second[0].index)


def test_batches_hold_the_rows_they_say_in_channels_last() -> None:
    data = Split(torch.randn(32, 3, 6, 6), torch.arange(32) % 4)
    data_rows = training._Data(data, torch.arange(0, 32, 2), torch.device("cpu"), True)
    for batch in data_rows.batches(3, torch.Generator().manual_seed(0)):
        assert torch.equal(batch.inputs, data.inputs[batch.index])
        assert batch.inputs.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.labelled, batch.index % 2 == 0)
        assert torch.equal(batch.labels, data.labels[batch.index].where(batch.labelled, NO_LABEL))


def test_few_labels_take_as_many_steps_as_all() -> None:
    few = torch.tensor([0, 1, 2, 3, 9])
    for objective in (tiny.Curious(), tiny.kd()):
        model, seen = tiny.net(), []
        tiny.train(model, objective, labelled=few, on_step=seen.append)
        assert len(seen) == 12
        assert model.state_dict()["1.num_batches_tracked"] == 12
        if isinstance(objective, tiny.Curious):
            rows = torch.cat([b.index for b in objective.batches])
            assert set(rows.tolist()) == set(few.tolist())
            assert len(rows) == 2 * 96
            counts = rows[:96].bincount(minlength=10)[few]
            assert counts.max() - counts.min() <= 1


def test_with_all_labels_both_kinds_of_loss_see_the_same_batches() -> None:
    orders = []
    for uses_unlabelled in (True, False):
        rows = training._Data(tiny.split(), torch.arange(96), torch.device("cpu"), uses_unlabelled)
        orders.append([b.index for b in rows.batches(6, torch.Generator().manual_seed(3))])
    assert all(torch.equal(a, b) for a, b in zip(*orders, strict=True))
