"""Models that answer at every place of a text: their answers are flat for losses and measures, and kept as scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_training as tiny
import token_tools as tokens
import torch
from scipy import stats
from torch import nn

from engine import catalogue, modalities, scores, statistics, teaching, training
from engine.api_chances import told_apart
from engine.errors import InputError
from engine.home import Home
from engine.losses.cross_entropy import CrossEntropyObjective
from engine.recipe import Recipe
from engine.search.likely import Measured
from engine.step import NO_LABEL, flat

TASK = tokens.Cycle()


def model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return tokens.NextId()


def test_a_language_model_learns_and_quality_is_of_every_place() -> None:
    student, data = model(), TASK.split("sample", "train")
    before = TASK.quality(teaching.forward(student, data.inputs), data.labels.flatten()).value
    tiny.train(student, CrossEntropyObjective(), data, plan=tiny.plan(30), teachers=[])
    after = TASK.quality(teaching.forward(student, data.inputs), data.labels.flatten()).value
    assert before > 2.0
    assert after < 0.3


def test_batches_are_flat_and_hide_the_labels_of_whole_texts() -> None:
    data = TASK.split("sample", "train")
    rows = training._Data(data, torch.arange(0, 40, 2), torch.device("cpu"), True)
    for batch in rows.batches(3, torch.Generator().manual_seed(0)):
        assert batch.inputs.shape == (len(batch.index), tokens.PLACES)
        assert batch.labels.shape == batch.labelled.shape == (len(batch.index) * tokens.PLACES,)
        expected = data.labels[batch.index].where((batch.index % 2 == 0)[:, None], NO_LABEL)
        assert torch.equal(batch.labels.view(-1, tokens.PLACES), expected)
        assert torch.equal(batch.labelled.view(-1, tokens.PLACES).all(1), batch.index % 2 == 0)


def test_a_cached_teacher_says_what_a_live_one_says() -> None:
    data, teacher = TASK.split("sample", "train"), model(7)
    rows = torch.tensor([3, 1, 8])
    cached = training.CachedTeacher(teacher(data.inputs).detach())
    live = training.LiveTeacher(teacher)
    told = [source(data.inputs[rows], rows, False).logits for source in (cached, live)]
    assert told[0].shape == (3 * tokens.PLACES, tokens.WORDS)
    assert torch.equal(told[0], flat(teacher(data.inputs[rows])))
    assert torch.allclose(*told)


def test_outputs_of_a_teacher_are_kept_in_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(teaching, "_key", lambda *_a: "key")
    monkeypatch.setattr(teaching, "load_teacher", lambda _n: asked.append(1) or model(7))
    ask = Home.locate(tmp_path), TASK, "sample", "cycle_teacher", "validation", lambda r: model()
    first, again = teaching.outputs(*ask), teaching.outputs(*ask)
    assert first.shape == (12, tokens.PLACES, tokens.WORDS)
    assert first.dtype == again.dtype == torch.float16
    assert torch.equal(first, again)
    assert len(asked) == 1
    assert torch.allclose(first.float(), model(7)(TASK.split("sample", "validation").inputs), atol=2e-3)


def test_labels_are_drawn_by_text() -> None:
    labels = TASK.split("sample", "train").labels
    chosen = TASK.labelled(labels, 10, 3)
    assert len(set(chosen.tolist())) == 10
    assert torch.equal(chosen, TASK.labelled(labels, 10, 3))
    assert not torch.equal(chosen, TASK.labelled(labels, 10, 4))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> catalogue.Catalogue:
    """The project's catalogue with the made-up task and a student for it."""
    real = catalogue.current()
    task = {"name": "cycle", "version": 1, **TASK.facts()}
    student = {**real.row("models", "plain_1k5"), "name": "cycle_model", "tasks": ["cycle"]}
    rows = {**real.rows, "tasks": {**real.rows["tasks"], "cycle": task}}
    rows["models"] = {**real.rows["models"], "cycle_model": student}
    found = catalogue.Catalogue(rows)
    monkeypatch.setattr(catalogue, "current", lambda: found)
    return found


def test_scores_of_a_text_are_its_bits_and_are_paired(known: catalogue.Catalogue) -> None:
    data = TASK.split("sample", "validation")
    kept = [TASK.kept(flat(model(s)(data.inputs)).detach(), data.labels.flatten()).numpy() for s in (1, 2)]
    first, second = (scores.scores("cycle", k.astype(np.float16)) for k in kept)
    assert first.shape == (12,)
    assert first.mean() == pytest.approx(kept[0].mean(), abs=2e-3)
    value, low, high = scores.paired(first, second)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (value, low, high) == pytest.approx(((first - second).mean(), expected.low, expected.high), abs=1e-6)
    found = statistics.difference(first, second, "minimize")
    assert (found.low, found.high) == pytest.approx((low, high))


def test_fewer_bits_are_better_where_points_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    bits = rng.normal(2.0, 0.3, 64).astype(np.float32)
    worse = Measured(
        float(bits.mean()) + 0.1, bits + 0.1 + rng.normal(0, 0.01, 64).astype(np.float32), 0.04, counted=False
    )
    better = Measured(float(bits.mean()), bits, 0.04, counted=False)
    assert told_apart(better, worse, "minimize") == "above"
    assert told_apart(worse, better, "minimize") == "below"
    assert told_apart(better, better, "minimize") == "tied"


def test_methods_for_images_are_refused_for_text(known: catalogue.Catalogue) -> None:
    row = {"task": "cycle", "student": "cycle_model", "phases": [{"stages": [{"name": "prune_channels"}]}]}
    with pytest.raises(InputError, match=r"prune_channels.*a method for running text; this one is for images"):
        Recipe.from_json(row)
    row["phases"] = [{"stages": [{"name": "prune_magnitude"}]}]
    assert Recipe.from_json({**row, "labels": 1}).labels == 1
    with pytest.raises(InputError, match="adversarial"):
        Recipe.from_json({**row, "phases": [{"epochs": 1, "loss": "adversarial", "teachers": []}]})


def test_a_plug_in_for_everything_takes_no_room_in_the_catalogue() -> None:
    assert modalities.narrowed(modalities.MODALITIES) == {}
    assert modalities.narrowed(("image",)) == {"modalities": ["image"]}
    assert modalities.suits({}, "tokens")
    assert not modalities.suits({"modalities": ["image"]}, "text")
