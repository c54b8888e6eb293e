"""Claims about rounded activations: which range, and who finds it."""

from __future__ import annotations

from benchmarks.claims.quantization import DENSE, linear, taking_part
from benchmarks.claims.values import RECALIBRATE, Claim, Setting, apply, body

SMALL, MIDDLE = "plain_5k", "plain_10k"


def few_levels(student: str, bits: int, calibration: str) -> Setting:
    """Activations in few bits over a calibrated range, against the range of all that was seen; weights in 8 bits."""
    stages = [linear(8, activation_bits=bits, calibration=way) for way in (calibration, "min_max")]
    arms = [body(student, DENSE, apply(stage, RECALIBRATE)) for stage in stages]
    return Setting(f"{student}, activations of {bits} bits, rounded after training", *arms)


def ceilings(student: str, bits: int) -> Setting:
    """Learned ceilings against calibrated ranges, both while training."""
    learned = {"name": "quantize_pact", "bits": 4, "activation_bits": bits}
    return taking_part(student, learned, linear(4, activation_bits=bits, training="qat"),
                       words=f"weights of 4 bits, activations of {bits}")  # fmt: skip


CLAIMS = (
    Claim(
        "histogram_mse", "With 4-bit activations: is the range of least squared error better than all that was seen?",
        "Nagel et al. 2021, arXiv:2106.08295", 0.005,
        (few_levels(SMALL, 4, "mse"), few_levels(MIDDLE, 4, "mse"), few_levels(SMALL, 3, "mse")),
    ),
    Claim(
        "histogram_entropy", "With 4-bit activations: does the range of least lost information beat all that was seen?",
        "Migacz 2017, TensorRT; Nagel et al. 2021, arXiv:2106.08295", 0.005,
        (few_levels(SMALL, 4, "entropy"), few_levels(MIDDLE, 4, "entropy"), few_levels(SMALL, 3, "entropy")),
    ),
    Claim(
        "pact", "Are learned ceilings of activations better than calibrated ranges, both while training?",
        "Choi et al. 2018, arXiv:1805.06085", 0.003, (ceilings(SMALL, 4), ceilings(SMALL, 3), ceilings(SMALL, 2)),
    ),
)  # fmt: skip
