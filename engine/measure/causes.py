"""Why a smaller model is not faster: read off a profile by operator, else by a rule of thumb. Plain numbers only.

The rules over a profile, the first that holds. A model is *slower by* its median less the dense student's.

1. *no kernel*: its weights have fewer bits, and of the time in convolutions and matrix products half or more is spent
   in float kernels: nothing here computes with these bits.
2. *zeros in a dense kernel*: a float network with zeros, half or more of its time in float products, which multiply
   zeros like anything else.
3. *conversion nodes*: they take more than the dense student's, by as much as it is slower by, or more.
4. *memory-bound*: a call moves 4 MiB or more, at half or more of the rate at which this processor copies memory:
   fewer operations save nothing there.
5. *too small*: an operator takes less than 0.05 ms an example on average: starting it, and vectors that its few
   channels cannot fill, cost more than integers save.

Where none holds, a *simulated* network has no kernel, and for the rest the cause stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

NO_KERNEL, CONVERSIONS, DENSE_ZEROS, TOO_SMALL = "no kernel", "conversion nodes", "zeros in a dense kernel", "too small"
MEMORY_BOUND = "memory-bound"
CAUSES = (NO_KERNEL, CONVERSIONS, DENSE_ZEROS, MEMORY_BOUND, TOO_SMALL)
SMALL_MS, SMALL_PARAMETERS = 0.3, 50_000  # below, an integer network's fixed costs outweigh what its kernels save
HALF, MOVED_BYTES, OPERATOR_MS = 0.5, 4 * 2**20, 0.05


@dataclass(frozen=True)
class Facts:
    """What the cause of a latency is decided from. ``nonzero`` counts among ``parameters``.

    ``bits``, ``simulated`` and ``conversions`` are those of :class:`engine.artifact.Built`.
    """

    simulated: bool
    bits: int | None
    conversions: int
    parameters: int
    nonzero: int


@dataclass(frozen=True)
class Evidence:
    """What a profile says of one call: shares of its time, from 0 to 1, and per operator.

    ``conversions``: between number formats and layouts, beyond what the dense student spends on them; ``integers`` and
    ``floats``: convolutions and matrix products in kernels of either kind. ``moved_bytes``: what all operators read
    and write; ``copying``: at which part of the processor's copying rate. ``operator_ms``: an operator's mean time an
    example, conversions left out.
    """

    conversions: float
    integers: float
    floats: float
    moved_bytes: int
    copying: float
    operator_ms: float


def profiled_cause(facts: Facts, found: Evidence, ratio: float) -> str | None:
    """One of CAUSES by the rules above, else None; ``ratio`` is the time over the dense student's, above 1."""
    products = found.integers + found.floats
    if facts.bits is not None and found.floats > 0 and found.floats >= HALF * products:
        return NO_KERNEL
    if facts.bits is None and facts.nonzero < facts.parameters and found.floats >= HALF:
        return DENSE_ZEROS
    if found.conversions > 0 and found.conversions >= 1 - 1 / ratio:
        return CONVERSIONS
    if found.moved_bytes >= MOVED_BYTES and found.copying >= HALF:
        return MEMORY_BOUND
    if found.operator_ms < OPERATOR_MS:
        return TOO_SMALL
    return NO_KERNEL if facts.simulated else None


def cause(facts: Facts, milliseconds: float) -> str | None:
    """The rule of thumb where there is no profile, as for results of other machines; ``milliseconds`` for one example.

    Bits that no kernel executes leave a float network; so do zeros. An integer network that is small, or fast already,
    loses to the fixed costs of its kernels; a larger one to its conversions between floats and integers.
    """
    if facts.bits is None:
        return DENSE_ZEROS if facts.nonzero < facts.parameters else None
    if facts.simulated:
        return NO_KERNEL
    if facts.parameters < SMALL_PARAMETERS or milliseconds < SMALL_MS or facts.conversions == 0:
        return TOO_SMALL
    return CONVERSIONS
