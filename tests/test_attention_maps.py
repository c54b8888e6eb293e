"""Where heads look: rows sum to one, nothing hidden is seen, and the model mixes its values with these shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine import inspection_attention, registry
from engine.api_attention import Looks
from engine.figures.attention import alt_attention, attention_figure
from engine.weights.attention import attentions
from pages.parts import trial_attention


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return registry.get("models", name).make().eval()


def ids(pad: bool) -> torch.Tensor:
    found = torch.randint(4, 500, (3, 12), generator=torch.Generator().manual_seed(1))
    if pad:
        found[1, 7:] = 0
    return found


@pytest.mark.parametrize(("name", "causal"), [("bert_2", False), ("gpt_2", True)])
def test_shares_are_what_the_model_mixes_its_values_with(name: str, causal: bool) -> None:
    """The maps times the values are what enters the layer after them, for every head at once."""
    model, texts = made(name), ids(not causal)
    maps = torch.from_numpy(inspection_attention.maps(model, texts, causal))
    for number, block in enumerate(attentions(model)):
        seen: dict[str, torch.Tensor] = {}
        hooks = [block.value.register_forward_hook(lambda _, __, out, s=seen: s.update(value=out)),
                 block.out.register_forward_pre_hook(lambda _, given, s=seen: s.update(mixed=given[0]))]  # fmt: skip
        with torch.no_grad():
            model(texts)
        for hook in hooks:
            hook.remove()
        n, places, width = seen["value"].shape
        value = seen["value"].view(n, places, block.groups, block.size).transpose(1, 2).repeat_interleave(block.each, 1)
        mixed = (maps[:, number] @ value).transpose(1, 2).reshape(n, places, -1)
        assert torch.allclose(mixed, seen["mixed"].reshape(n, places, -1), atol=1e-5)
        assert width == block.groups * block.size


@pytest.mark.parametrize(("name", "causal"), [("bert_1", False), ("gpt_1", True)])
def test_rows_sum_to_one_and_what_is_hidden_is_not_seen(name: str, causal: bool) -> None:
    maps = inspection_attention.maps(made(name), ids(not causal), causal)
    assert np.allclose(maps.sum(-1), 1, atol=1e-5)
    if causal:
        assert (maps[..., np.triu_indices(12, 1)[0], np.triu_indices(12, 1)[1]] == 0).all()
    else:
        assert (maps[1, ..., 7:] == 0).all()


def test_images_and_models_without_attention_have_none() -> None:
    assert inspection_attention.of_task(made("plain_1k5"), "fashion_mnist", "sample") is None
    assert inspection_attention.of_task(made("bag"), "text_spam", "sample") is None
    assert inspection_attention.of_task(None, "text_spam", "sample") is None
    found = inspection_attention.of_task(made("gpt_1"), "language_model", "sample")
    assert found is not None
    assert found.shape == (6, 1, 4, 24, 24)


def test_the_map_is_drawn_with_its_words() -> None:
    shares = [[0.9, 0.1], [0.75, 0.25]]
    drawn = attention_figure(shares, ["to", "be"], "dark")
    assert drawn["data"][0]["z"] == shares
    assert drawn["layout"]["xaxis"]["ticktext"] == ["to", "be"]
    assert drawn["layout"]["yaxis"]["autorange"] == "reversed"
    assert alt_attention(shares, ["to", "be"], "{one} {other} {share}") == "be to 75.0 %"


def test_a_layer_shows_the_heads_that_it_has() -> None:
    maps = np.zeros((1, 2, 3, 2, 2), np.float32)
    maps[:, 0, :2], maps[:, 1] = 0.5, 0.5
    found = Looks(maps, (("a", "b"),))
    assert [found.heads(layer) for layer in (0, 1)] == [2, 3]
    assert "[PAD]" in trial_attention.PADDING
