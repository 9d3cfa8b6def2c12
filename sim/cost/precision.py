"""Precision: how wide an operation is, and what it counts for in 16-bit FLOP."""

from __future__ import annotations

from dataclasses import dataclass

BITS: dict[str, float] = {
    "fp64": 64,
    "fp64_matrix": 64,
    "fp32": 32,
    "tf32": 19,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "int8": 8,
    "fp6": 6,
    "fp4": 4,
}
"""Bits of one operand. tf32 stores 32 and multiplies 19; TPP practice counts 19."""


@dataclass(frozen=True, slots=True)
class WeightedFlop:
    """One amount of arithmetic on the three scales that people compare."""

    operations: float
    """One operation is 1 FLOP at any precision: what laws count."""
    bits16: float
    """Operations x bits / 16: the default meaning of "16-bit FLOP"."""
    device_time16: float
    """Operations x 16-bit peak / peak of the precision, on the same chip: the 16-bit capacity that was occupied."""

    def to_dict(self) -> dict[str, float]:
        """Give the three numbers by name."""
        return {"operations": self.operations, "bits16": self.bits16, "device_time16": self.device_time16}


def weigh(flop_by_precision: dict[str, float], peak_flop_per_s: dict[str, float]) -> WeightedFlop:
    """Weigh amounts of arithmetic done in different precisions.

    Args:
        flop_by_precision: operations by precision name.
        peak_flop_per_s: dense peaks of the chip by precision name; must hold each precision, and bf16 or fp16.

    Returns:
        The sum on the three scales.

    Source: US ECCN 3A090 "TPP" (bit length) for bits16; the chip's own dense peaks for device_time16.
    Valid for: any mix of precisions in ``BITS``.

    >>> weigh({"fp8": 2.0}, {"bf16": 1.0, "fp8": 2.0})
    WeightedFlop(operations=2.0, bits16=1.0, device_time16=1.0)

    """
    peak16 = peak_flop_per_s["bf16"] if "bf16" in peak_flop_per_s else peak_flop_per_s["fp16"]
    return WeightedFlop(
        operations=sum(flop_by_precision.values()),
        bits16=sum(flop * BITS[name] / 16 for name, flop in flop_by_precision.items()),
        device_time16=sum(flop * peak16 / peak_flop_per_s[name] for name, flop in flop_by_precision.items()),
    )
