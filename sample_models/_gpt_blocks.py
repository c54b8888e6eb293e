"""A GPT-2 network of transformers' own blocks, with separate query, key and value layers and a forward on ids alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.tasks._language_model_files import POSITIONS, VOCABULARY


class CausalAttention(nn.Module):
    """Masked self-attention (Vaswani et al. 2017, eq. 1) with ``heads`` heads: [B, T, D] -> [B, T, D].

    The same function as transformers' ``GPT2Attention`` on equal weights, whose single layer ``c_attn`` is three here:
    methods that remove heads or share keys and values act on ``q_proj``, ``k_proj`` and ``v_proj`` by name. How many
    heads there are follows from their outputs; each head of keys serves ``num_key_value_groups`` heads of queries.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size, self.num_key_value_groups = heads, width // heads, 1
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """[B, T, H * S] -> [B, H, T, S]."""
        return x.reshape(*x.shape[:-1], -1, self.head_size).transpose(1, 2)

    def repeated(self, x: Tensor) -> Tensor:
        """[B, G, T, S] -> [B, H, T, S]: each head of keys or values for all heads of queries that read it."""
        each = self.num_key_value_groups
        return x if each == 1 else x.unsqueeze(2).expand(-1, -1, each, -1, -1).flatten(1, 2)

    def forward(self, hidden_states: Tensor, **_: Any) -> tuple[Tensor, None]:
        """What a GPT-2 block calls: the mixed positions, and no attention maps."""
        q, k, v = (self.split(layer(hidden_states)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(q, self.repeated(k), self.repeated(v), is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).flatten(2)), None

    def attend(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same for ``x`` [B, T, D] that continues a text of P tokens, and all keys and values [B, G, P + T, S].

        ``keys`` and ``values`` [B, G, P, S] are what an earlier call gave; P may be 0.
        """
        q = self.split(self.q_proj(x))
        keys = torch.cat([keys, self.split(self.k_proj(x))], 2)
        values = torch.cat([values, self.split(self.v_proj(x))], 2)
        places = torch.arange(keys.shape[2], device=x.device)
        seen = places[None, :] <= places[keys.shape[2] - x.shape[1] :, None]
        mixed = F.scaled_dot_product_attention(q, self.repeated(keys), self.repeated(values), attn_mask=seen)
        return self.c_proj(mixed.transpose(1, 2).flatten(2)), keys, values


class Gpt(nn.Module):
    """Token ids [B, T] int64, T at most 128 -> logits [B, T, 512] of the token that comes next.

    ``transformer`` has GPT-2's own names (``wte``, ``wpe``, ``h.0.attn`` ..., ``ln_f``). A ``tied`` network reads its
    answers off the embedding table itself (Press & Wolf 2017, arXiv:1608.05859) and has no ``lm_head``.
    """

    def __init__(self, layers: int, width: int, heads: int, tied: bool = False, spread: float = 0.02) -> None:
        """``spread`` is the standard deviation of fresh weights."""
        super().__init__()
        self.transformer = _transformer(layers, width, heads, spread)
        self.lm_head = None if tied else nn.Linear(width, VOCABULARY, bias=False)
        if self.lm_head is not None:
            nn.init.normal_(self.lm_head.weight, std=spread)

    def forward(self, ids: Tensor) -> Tensor:
        """One pass over whole sequences; the logits at a position depend on the ids up to it only."""
        body = self.transformer
        x = body.wte(ids) + body.wpe.weight[: ids.shape[1]]
        for block in body.h:
            x = block(x)
        return self.answers(body.ln_f(x))

    def answers(self, features: Tensor) -> Tensor:
        """[B, T, D] -> logits [B, T, 512]."""
        logits: Tensor = (
            F.linear(features, self.transformer.wte.weight) if self.lm_head is None else self.lm_head(features)
        )
        return logits

    def with_past(self, ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """Logits [B, T, 512] for ``ids`` [B, T] that continue a text, and what the next call needs as ``past``.

        ``past``: keys and values of each layer in turn, [B, G, P, S] of the P tokens before; :meth:`no_past` at the
        start of a text. The logits are those of :meth:`forward` on the whole text, at the last T positions.
        """
        body, before, present = self.transformer, past[0].shape[2], list[Tensor]()
        x = body.wte(ids) + body.wpe.weight[before : before + ids.shape[1]]
        for block, keys, values in zip(self.blocks(), past[::2], past[1::2], strict=True):
            mixed, keys, values = block.attn.attend(block.ln_1(x), keys, values)
            x = x + mixed
            x = x + block.mlp(block.ln_2(x))
            present += [keys, values]
        return self.answers(body.ln_f(x)), *present

    def no_past(self, count: int, length: int = 0) -> list[Tensor]:
        """``past`` of ``count`` texts of ``length`` tokens, zeros."""
        attentions = [block.attn for block in self.blocks()]
        return [torch.zeros(count, a.heads // a.num_key_value_groups, length, a.head_size)
                for a in attentions for _ in ("keys", "values")]  # fmt: skip

    def blocks(self) -> list[Any]:
        """The blocks that compute something: a method may have left some out."""
        return [block for block in self.transformer.h if hasattr(block, "attn")]


class Body(nn.Module):
    """GPT-2 without its head, under GPT-2's names."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.wte, self.wpe, self.h, self.ln_f = model.wte, model.wpe, model.h, model.ln_f


def _transformer(layers: int, width: int, heads: int, spread: float) -> Body:
    from transformers import GPT2Config, GPT2Model  # takes seconds to import: only where a language model is made

    config = GPT2Config(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=width, n_layer=layers, n_head=heads,
                        activation_function="gelu_pytorch_tanh", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                        use_cache=False, bos_token_id=None, eos_token_id=None, initializer_range=spread)  # fmt: skip
    return with_linear_layers(Body(GPT2Model(config)))


def with_linear_layers(body: Body) -> Body:
    """Replace transformers' ``Conv1D`` (a linear layer, weight transposed) and its attention by ours, in place."""
    for block in body.h:
        block.attn = separate(block.attn)
        block.mlp.c_fc, block.mlp.c_proj = linear(block.mlp.c_fc), linear(block.mlp.c_proj)
    return body


@torch.no_grad()
def linear(conv: Any) -> nn.Linear:
    """A ``Conv1D`` (weight [in, out], bias [out]) as a linear layer of the same function; tensors are copies."""
    made = nn.Linear(*conv.weight.shape)
    made.weight.copy_(conv.weight.T)
    made.bias.copy_(conv.bias)
    return made


@torch.no_grad()
def separate(attention: Any) -> CausalAttention:
    """Transformers' ``GPT2Attention`` as :class:`CausalAttention` with the same weights."""
    made = CausalAttention(attention.embed_dim, attention.num_heads)
    joint = linear(attention.c_attn)
    layers = (made.q_proj, made.k_proj, made.v_proj)
    for layer, weight, bias in zip(layers, joint.weight.chunk(3), joint.bias.chunk(3), strict=True):
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    made.c_proj = linear(attention.c_proj)
    return made
