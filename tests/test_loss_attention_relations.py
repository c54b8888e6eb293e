"""Relations between words against loops, transformers' own attention maps and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from loss_nets import TextNet, batch_for
from torch import Tensor, nn

from engine.errors import TrialFailedError
from engine.losses._base import LossContext
from engine.losses.attention_relations import (
    NEAR,
    AttentionRelations,
    RelationObjective,
    pairs_allowed,
    relation_distance,
    relations,
)
from engine.step import Step
from engine.taps import TapReader
from engine.training import LiveTeacher

EVERYWHERE = torch.ones(2, 5, 5, dtype=torch.bool)


def states(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape or (2, 5, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(**settings: object) -> RelationObjective:
    built = AttentionRelations(**settings).build(LossContext())  # type: ignore[arg-type]
    assert isinstance(built, RelationObjective)
    return built


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_relations_agree_with_loops(heads: int) -> None:
    a, b, width = states(0), states(1), 8 // heads
    found = relations(a, b, heads, EVERYWHERE).exp()
    for n in range(2):
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            for i in range(5):
                scores = torch.stack([a[n, i, part] @ b[n, j, part] for j in range(5)]) / math.sqrt(width)
                torch.testing.assert_close(found[n, h, i], scores.exp() / scores.exp().sum())


def test_attention_is_what_transformers_computes() -> None:
    """With the model's own number of heads the relation of queries and keys is its attention map."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                        attn_implementation="eager")  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    ids = torch.tensor([[1, 4, 2, 7, 3], [1, 5, 6, 0, 0]])
    paths = {part: f"encoder.layer.0.attention.self.{part}" for part in ("query", "key")}
    seen: dict[str, Tensor] = {}
    for part, path in paths.items():
        model.get_submodule(path).register_forward_hook(lambda _m, _i, out, part=part: seen.update({part: out}))
    with torch.no_grad():
        maps = model(input_ids=ids, attention_mask=(ids != 0).long(), output_attentions=True).attentions[0]
    found = relations(seen["query"], seen["key"], 2, (ids != 0)[:, None].expand(-1, 5, -1)).exp()
    torch.testing.assert_close(found, maps, rtol=1e-4, atol=1e-6)


def test_the_distance_is_a_mean_of_divergences_over_real_words() -> None:
    present = torch.tensor([[True] * 5, [True, True, True, False, False]])
    student, teacher = (relations(states(s), states(s + 5), 2, EVERYWHERE) for s in (0, 1))
    found = relation_distance(student, teacher, present)
    places = [(n, h, i) for n in range(2) for h in range(2) for i in range(5) if present[n, i]]
    terms = [nn.functional.kl_div(student[p], teacher[p], reduction="sum", log_target=True) for p in places]
    torch.testing.assert_close(found, torch.stack(terms).mean())
    assert relation_distance(student, student, present).item() == 0


def test_forbidden_pairs_have_no_part() -> None:
    allowed = EVERYWHERE.tril()
    student, teacher = (relations(states(s), states(s + 5), 2, allowed) for s in (0, 1))
    assert (student.exp().triu(1) == 0).all()
    assert relation_distance(student, teacher, torch.ones(2, 5, dtype=torch.bool)).isfinite()


def test_who_may_look_where() -> None:
    ids = torch.tensor([[3, 4, 0, 0]])
    assert pairs_allowed(ids, causal=False)[0].long().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 0, 1],
    ]
    assert pairs_allowed(ids, causal=True)[0].equal(torch.ones(4, 4, dtype=torch.bool).tril())
    near = pairs_allowed(torch.ones(1, 30, dtype=torch.long), causal=False, near=NEAR)[0]
    assert near[15].sum() == 2 * NEAR + 1
    assert not near[0, NEAR + 1]


def test_padding_changes_nothing() -> None:
    def value(ids: Tensor) -> Tensor:
        rows = batch_for(TextNet)
        student, loss = TextNet(1), objective(label_weight=0.0)
        step_batch = type(rows)(ids, rows.labels[: len(ids)], rows.labelled[: len(ids)], torch.arange(len(ids)))
        teacher = LiveTeacher(TextNet(2), {r: TextNet.taps[r] for r in loss.teacher_taps})
        optimizer = torch.optim.SGD(student.parameters(), 0.1)
        with TapReader(student, {r: TextNet.taps[r] for r in loss.student_taps}) as reader:
            return loss.loss(Step(student, step_batch, [teacher], optimizer, 0, 1, reader))

    ids = torch.tensor([[1, 4, 2, 7], [1, 5, 6, 2]])
    longer = torch.cat([ids, torch.zeros(2, 3, dtype=torch.long)], 1)
    torch.testing.assert_close(value(ids), value(longer))
    assert value(ids) > 0.001


def test_scopes_and_relations_say_what_is_read() -> None:
    assert objective().student_taps == ("last_query", "last_key", "last_value")
    assert objective(relation="values").student_taps == ("last_value",)
    every = objective(scope="hierarchical", relation="attention").student_taps
    assert every == ("first_query", "first_key", "middle_query", "middle_key", "last_query", "last_key")


def test_widths_may_differ_and_heads_fit_both() -> None:
    loss, allowed = objective(heads=4, relation="values"), torch.ones(2, 5, 5, dtype=torch.bool)
    present = torch.ones(2, 5, dtype=torch.bool)
    found = loss.distance({"last_value": states(0, 2, 5, 12)}, {"last_value": states(1, 2, 5, 6)}, allowed, present)
    sides = [relations(states(s, 2, 5, w), states(s, 2, 5, w), 2, allowed) for s, w in ((0, 12), (1, 6))]
    torch.testing.assert_close(found, relation_distance(*sides, present))


def test_maps_of_images_are_refused() -> None:
    with pytest.raises(TrialFailedError, match="transformer"):
        relations(states(0, 2, 3, 4, 4), states(0, 2, 3, 4, 4), 1, EVERYWHERE)
