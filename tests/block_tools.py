"""A small transformer of our own for tests: a norm before attention and before the layers behind it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.stages._base import StageContext

WIDTH, WORDS, PLACES = 16, 20, 12


class Block(nn.Module):
    """Pre-norm attention and two layers with ``between`` between them; ``late``: norms behind the sums instead."""

    def __init__(self, between: nn.Module, late: bool = False) -> None:
        super().__init__()
        self.late, self.between = late, between
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        if self.late:
            x = self.ln_1(x + self.attend(x))
            out: Tensor = self.ln_2(x + self.down(self.between(self.up(x))))
            return out
        x = x + self.attend(self.ln_1(x))
        return x + self.down(self.between(self.up(self.ln_2(x))))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(2, (2, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class TinyText(nn.Module):
    """Ids [B, T] -> logits [B, T, WORDS]; channel 3 and 7 of the norms are far larger than the others."""

    def __init__(self, between: nn.Module | None = None, late: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, WIDTH)
        self.block = Block(between or nn.GELU(), late)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS)
        with torch.no_grad():
            for norm in (self.block.ln_1, self.block.ln_2, self.norm):
                norm.weight[3], norm.weight[7] = 30.0, -12.0
                norm.bias.normal_()

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.block(self.table(ids))))
        return logits


def tiny(seed: int = 0, between: nn.Module | None = None, late: bool = False) -> TinyText:
    """Fresh weights that depend on ``seed`` alone."""
    torch.manual_seed(seed)
    return TinyText(between, late).eval()


def ids(count: int = 24, seed: int = 5) -> Tensor:
    """Ids [count, PLACES]."""
    return torch.randint(WORDS, (count, PLACES), generator=torch.Generator().manual_seed(seed))


def context() -> StageContext:
    """Two calibration batches."""
    batches = [(ids(seed=seed), torch.zeros(24, dtype=torch.long)) for seed in (1, 2)]
    return StageContext(batches, batches[0][0][:1], _loss, torch.Generator().manual_seed(1))


def answers(model: nn.Module) -> Tensor:
    """Logits of ids that no calibration has seen."""
    with torch.no_grad():
        logits: Tensor = model.eval()(ids())
    return logits


def _loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).flatten(0, 1), inputs.flatten())
