"""Taps: reading a model's inner tensors by role, without changing its code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from engine.errors import InputError, unknown_name
from engine.step import Output, flat


def tap_paths(roles: Iterable[str], taps: Mapping[str, str], model: str) -> dict[str, str]:
    """Module paths of ``roles`` by a ModelSpec's ``taps``; raises :class:`InputError` for a role that it lacks."""
    missing = [role for role in roles if role not in taps]
    if missing:
        raise unknown_name(f"{model}: tap", missing[0], taps)
    return {role: taps[role] for role in roles}


def _found(model: nn.Module, path: str) -> nn.Module:
    """The module at ``path``; InputError where a stage has taken it out."""
    try:
        return model.get_submodule(path)
    except AttributeError:
        there = "a loss that looks at a layer which this student still has"
        raise InputError(f"{type(model).__name__}.taps", path, there) from None


class TapReader:
    """Runs a model and gives its :class:`Output` with the tensors that modules at ``paths`` (by role) put out.

    The hooks stay on the model until :meth:`close`; use it as a context manager. A module that runs several times in
    one forward gives its last output.
    """

    def __init__(self, model: nn.Module, paths: Mapping[str, str]) -> None:
        self.model = model
        self._seen: dict[str, Tensor] = {}
        self._hooks = [_found(model, path).register_forward_hook(self._keep(r)) for r, path in paths.items()]

    def __call__(self, inputs: Tensor) -> Output:
        """One forward."""
        self._seen.clear()
        logits = self.model(inputs)
        return Output(flat(logits), dict(self._seen))

    def close(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> TapReader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _keep(self, role: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._seen[role] = output

        return hook
