"""Attention blocks of transformers, found by the names of their layers: heads cut out, keys shared, blocks skipped.

Queries, keys and values are linear layers of their own whose outputs are heads one after the other, each ``size``
numbers wide; the output layer reads them in the same order. Where there are fewer heads of keys than of queries, head i
of the queries reads head ``i // each`` of the keys (as ``repeat_kv`` in transformers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.weights.constraint import constraints, weight_of

PROJECTIONS = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"))
OUTPUTS = ("c_proj", "o_proj", "out_proj")  # beside them; BERT's lies in the module around, as ``output.dense``
SIZES = ("attention_head_size", "head_size", "head_dim")
COUNTS = ("num_attention_heads", "heads")  # what the models themselves remember
GROUPS = "num_key_value_groups"  # what attention functions of transformers, and ours, repeat keys and values by


@dataclass(frozen=True)
class Attention:
    """One attention block: the path and module that hold the projections, the four layers' paths, a head's width.

    A layer may be two in a row where it was factored: the last one of a projection writes heads, the first one of the
    output reads them.
    """

    name: str
    module: nn.Module
    size: int
    layers: tuple[str, ...]
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear

    @property
    def heads(self) -> int:
        """Heads of queries."""
        return self.query.out_features // self.size

    @property
    def groups(self) -> int:
        """Heads of keys and values."""
        return self.key.out_features // self.size

    @property
    def each(self) -> int:
        """How many heads of queries read one of keys."""
        return self.heads // self.groups


class Skipped(nn.Module):
    """What stands in the place of a block that was removed: the states [B, T, D] go on unchanged."""

    def forward(self, states: Tensor, *_args: object, **_options: object) -> Tensor:
        """The first argument."""
        return states


def attentions(model: nn.Module) -> list[Attention]:
    """All attention blocks, in the order in which the model holds them."""
    found = []
    for name, module in model.named_modules():
        children = dict(module.named_children())
        for names in PROJECTIONS:
            if all(n in children for n in names) and (out := _output(model, name, module)):
                query, key, value = (_linears(children[n])[-1] for n in names)
                read = _linears(model.get_submodule(out))[0]
                paths = (*(f"{name}.{n}" for n in names), out)
                found.append(Attention(name, module, _size(module, query), paths, query, key, value, read))
    return found


def blocks(model: nn.Module) -> list[str]:
    """Paths of the transformer blocks that are left: the entries of a list of modules with attention inside."""
    found: dict[str, None] = {}
    for attention in attentions(model):
        parts = attention.name.split(".")
        for end in range(len(parts), 0, -1):
            if isinstance(model.get_submodule(".".join(parts[: end - 1])), nn.ModuleList):
                found[".".join(parts[:end])] = None
                break
    return list(found)


def places(model: nn.Module) -> dict[str, str]:
    """Of every layer inside a block: its path within the block, equal for layers that do the same work."""
    return {
        f"{block}.{inner}": inner
        for block in blocks(model)
        for inner, _ in model.get_submodule(block).named_modules()
        if inner
    }


def put(model: nn.Module, path: str, module: nn.Module) -> None:
    """Let ``module`` stand at ``path``."""
    parent, _, child = path.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def drop(model: nn.Module, paths: Sequence[str]) -> None:
    """Take these blocks out of their list. The others keep their order and, but for two, their names.

    The last one that stays takes the last place and the first one, if it is another, the first: losses that look at the
    first or the last layer find it there.
    """
    for path in paths:
        put(model, path, Skipped())
    for name in dict.fromkeys(path.rpartition(".")[0] for path in paths):
        row = model.get_submodule(name)
        count = len(list(row.children()))
        for place, take in ((count - 1, -1), (0, 0)):
            left = [i for i in range(count) if not isinstance(row.get_submodule(str(i)), Skipped)]
            if left and (take or len(left) > 1) and left[take] != place:
                block = row.get_submodule(str(left[take]))
                put(row, str(left[take]), Skipped())
                put(row, str(place), block)


def constrained(attention: Attention) -> bool:
    """Whether a mask or a rounding lies on one of the layers: they cannot be cut any more."""
    return any(constraints(layer) for layer in (attention.query, attention.key, attention.value, attention.out))


@torch.no_grad()
def keep(attention: Attention, groups: Sequence[int]) -> None:
    """Leave these heads of keys and values, ascending, with all heads of queries that read them; cut out the rest.

    Rows of queries, keys and values go, and the columns of the output layer that read them.
    """
    size, each = attention.size, attention.each
    chosen = torch.tensor(list(groups), device=weight_of(attention.out).device)
    rows, wide = _spread(chosen, size), _spread(chosen, each * size)
    _keep_rows(attention.query, wide)
    for layer in (attention.key, attention.value):
        _keep_rows(layer, rows)
    attention.out.weight = nn.Parameter(weight_of(attention.out)[:, wide].contiguous())
    attention.out.in_features = len(wide)
    _remember(attention)


@torch.no_grad()
def pool(attention: Attention, groups: int) -> None:
    """Heads of keys and of values become ``groups`` (a divisor), each the mean of neighbours (arXiv:2305.13245)."""
    for layer in (attention.key, attention.value):
        weight, bias = weight_of(layer), layer.bias
        layer.weight = nn.Parameter(_pooled(weight, groups, attention.size))
        if isinstance(bias, Tensor):
            layer.bias = nn.Parameter(_pooled(bias, groups, attention.size))
        layer.out_features = groups * attention.size
    _remember(attention)


def strength(attention: Attention) -> Tensor:
    """For every head of keys and values [groups]: the squared norm of all weights that go with it."""
    size, each = attention.size, attention.each
    total = _squares(weight_of(attention.query), each * size) + _squares(weight_of(attention.out).T, each * size)
    return total + _squares(weight_of(attention.key), size) + _squares(weight_of(attention.value), size)


def _squares(weight: Tensor, rows: int) -> Tensor:
    return weight.detach().square().sum(1).view(-1, rows).sum(1)


def _pooled(tensor: Tensor, groups: int, size: int) -> Tensor:
    heads = tensor.reshape(groups, -1, size, *tensor.shape[1:])
    return heads.mean(1).flatten(0, 1).contiguous()


def _spread(chosen: Tensor, width: int) -> Tensor:
    """Indices of all numbers of the chosen heads."""
    return (chosen[:, None] * width + torch.arange(width, device=chosen.device)).flatten()


def _keep_rows(layer: nn.Linear, rows: Tensor) -> None:
    layer.weight = nn.Parameter(weight_of(layer)[rows].contiguous())
    if isinstance(layer.bias, Tensor):
        layer.bias = nn.Parameter(layer.bias[rows].contiguous())
    layer.out_features = len(rows)


def _remember(attention: Attention) -> None:
    """What the module itself keeps about its heads."""
    module = attention.module
    for name in COUNTS:
        if hasattr(module, name):
            setattr(module, name, attention.heads)
    if hasattr(module, "all_head_size"):
        setattr(module, "all_head_size", attention.heads * attention.size)  # noqa: B010 (mypy knows no such field)
    setattr(module, GROUPS, attention.each)


def _output(model: nn.Module, name: str, module: nn.Module) -> str | None:
    inside = [f"{name}.{n}" for n, _ in module.named_children() if n in OUTPUTS]
    around = name.rpartition(".")[0]
    beside = f"{around}.output.dense" if around else "output.dense"
    known = dict(model.named_modules(remove_duplicate=False)) if not inside else {}
    return inside[0] if inside else beside if beside in known else None


def _size(module: nn.Module, query: nn.Linear) -> int:
    known = next((int(getattr(module, n)) for n in SIZES if hasattr(module, n)), None)
    counts = next((int(getattr(module, n)) for n in COUNTS if hasattr(module, n)), 1)
    return known or query.out_features // counts


def _linears(module: nn.Module) -> list[nn.Linear]:
    return list(_found(module))


def _found(module: nn.Module) -> Iterator[nn.Linear]:
    for inner in module.modules():
        if isinstance(inner, nn.Linear):
            yield inner
