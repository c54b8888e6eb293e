"""Bytes, milliseconds, seconds and shares as people write and read them.

Sizes are decimal, as on a data sheet: 1 kB is 1,000 bytes (1 KiB is 1,024). Inside the program sizes are always bytes,
latencies milliseconds, runs seconds and proportions fractions of one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from engine.errors import InputError

BYTES: dict[str, float] = {
    "": 1, "b": 1, "kb": 1e3, "k": 1e3, "mb": 1e6, "m": 1e6, "gb": 1e9, "g": 1e9,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3,
}  # fmt: skip
MILLISECONDS: dict[str, float] = {"": 1, "ms": 1, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6, "s": 1e3}
COUNTS: dict[str, float] = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}
SHARES: dict[str, float] = {"": 1, "%": 0.01}
BYTE_STEPS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
TIME_STEPS = ((1e3, "s"), (1.0, "ms"), (1e-3, "µs"))
COUNT_STEPS = ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, ""))
_NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zA-Zµμ%]*)\s*", re.IGNORECASE)


def parse_bytes(text: str, where: str) -> float:
    """``"100kB"``, ``"1.5 MB"``, ``"2KiB"`` or plain bytes, as bytes above 0; raises :class:`InputError`."""
    return _parse(text, where, BYTES, "a size above 0 such as 900, 100kB, 1.5MB or 64KiB")


def parse_ms(text: str, where: str) -> float:
    """``"1ms"``, ``"500us"``, ``"0.2 s"`` or a plain number of milliseconds, as milliseconds above 0."""
    return _parse(text, where, MILLISECONDS, "a time above 0 such as 500us, 1ms or 0.2s")


def parse_count(text: str, where: str) -> float:
    """``"700k"``, ``"1.5 M"`` or a plain number, as a count above 0; raises :class:`InputError`."""
    return _parse(text, where, COUNTS, "a number above 0 such as 900, 700k or 1.5M")


def parse_share(text: str, where: str) -> float:
    """``"0.88"`` or ``"88%"`` as a fraction from 0 to 1."""
    allowed = "a proportion from 0 to 1 such as 0.88 or 88%"
    value = _parse(text, where, SHARES, allowed, zero=True)
    if value > 1:
        raise InputError(where, text, allowed, f"{value / 100:g}" if value <= 100 else None)
    return value


def _parse(text: str, where: str, units: Mapping[str, float], allowed: str, zero: bool = False) -> float:
    found = _NUMBER.fullmatch(text)
    factor = units.get(found.group(2).lower()) if found else None
    value = float(found.group(1)) * factor if found and factor is not None else math.nan
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise InputError(where, text, allowed)
    return value


def format_bytes(value: float) -> str:
    """Three significant digits: ``"940 B"``, ``"9.41 kB"``, ``"2.3 MB"``."""
    return _scaled(value, BYTE_STEPS)


def format_ms(value: float) -> str:
    """A time given in milliseconds: ``"85 µs"``, ``"1.25 ms"``, ``"2.1 s"``."""
    return _scaled(value, TIME_STEPS)


def format_count(value: float) -> str:
    """A number of things: ``"940"``, ``"9.41 k"``, ``"2.3 M"``."""
    steps = next(((f, u) for f, u in COUNT_STEPS if abs(value) >= f), COUNT_STEPS[-1])
    return f"{_three(value / steps[0])}{steps[1]}"


def format_share(value: float) -> str:
    """A fraction as percent with one decimal: ``"89.9 %"``."""
    return f"{100 * value:.1f} %"


def format_seconds(value: float) -> str:
    """A duration as a person says it: ``"8 s"``, ``"2.5 s"``, ``"2 min 5 s"``; whole numbers stay whole."""
    whole = max(0, round(value))
    if whole < 60:
        return f"{value:.1f} s" if isinstance(value, float) and 0 < value < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def decade_ticks(low: float, high: float, steps: tuple[tuple[float, str], ...]) -> tuple[list[float], list[str]]:
    """Ticks for a logarithmic axis from ``low`` to ``high`` (both above 0): 1, 10, 100 ... with units.

    Within two decades 2 and 5 are added, so that an axis never has fewer than two ticks.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    parts = (1,) if math.log10(high / low) > 2.2 else (1, 2, 5)
    values = [part * 10.0**power for power in range(first, last + 1) for part in parts]
    # one tick beyond each end, so that the axis' own margin is labelled too
    kept = [v for v in values if low / 5 <= v <= high * 5]
    return kept, [_scaled(v, steps) for v in kept]


def _scaled(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    # the rounded value decides on the unit, so that 999.9 B is 1 kB and not "1000 B"
    rounded = float(f"{value:.3g}")
    for factor, unit in steps:
        if abs(rounded) >= factor * 0.9999999:
            return f"{_three(rounded / factor)} {unit}"
    return f"{_three(rounded / steps[-1][0])} {steps[-1][1]}"


def _three(value: float) -> str:
    """At most three significant digits, without an exponent."""
    if not math.isfinite(value):
        return "?"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{float(text):f}".rstrip("0").rstrip(".")
