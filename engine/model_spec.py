"""ModelSpec: what a model declares so that it can be a teacher or a student of a task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn

ROLES = ("student", "teacher", "both")


@dataclass(frozen=True)
class ModelSpec:
    """One architecture at one size, registered as an instance.

    ``make()`` builds it with fresh weights from torch's global generator (the pipeline seeds it). ``taps`` maps the
    roles that losses ask for ("last_feature", "attention") to module paths. ``weights`` is a safetensors file
    that a teacher ships; where it holds only what was trained on top of others' weights, ``complete`` makes the whole
    state of it, and raises :class:`NotInstalledError` without those. ``learning_rate`` (peak) and ``batch_size`` are
    the ones its training uses.
    """

    kind: ClassVar[str] = "models"
    name: str
    title: str
    help: str
    source: str
    family: str
    tasks: tuple[str, ...]
    make: Callable[[], nn.Module]
    parameters: int
    role: str = "student"
    learning_rate: float = 2e-2
    batch_size: int = 64
    weight_decay: float = 0.0
    seconds_per_epoch: float = 5.0
    taps: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None
    complete: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    version: int = 1

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"{self.name}: role {self.role!r} is none of {ROLES}")
        if self.role == "teacher" and self.weights is None:
            raise ValueError(f"{self.name}: a teacher ships weights")

    def facts(self) -> dict[str, Any]:
        """What the catalogue holds besides words."""
        row: dict[str, Any] = {k: getattr(self, k) for k in ("family", "parameters", "role", "seconds_per_epoch")}
        row |= {"tasks": list(self.tasks), "learning_rate": self.learning_rate, "batch_size": self.batch_size}
        row["weights_sha256"] = _sha256(self.weights) if self.weights else ""
        return row


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
