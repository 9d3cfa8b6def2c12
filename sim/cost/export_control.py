"""The measure of chips that export control uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cost.precision import BITS

if TYPE_CHECKING:
    from collections.abc import Mapping


def total_processing_performance(peak_flop_per_s: Mapping[str, float]) -> float:
    """Give the TPP of a chip: its peak in 1e12 operations a second x the bits of one, the greatest of all precisions.

    Args:
        peak_flop_per_s: dense peaks by precision name, in FLOP/s.

    Source: US ECCN 3A090, technical note: TPP = 2 x MacTOPS x bit length (15 CFR 774, supplement 1).
    Valid for: dense peaks; sparse ones do not count. tf32 counts 19 bits.

    >>> round(total_processing_performance({"bf16": 989.4e12, "fp8": 1978.9e12, "fp64": 33.5e12}))
    15831
    """
    return max(peak / 1e12 * BITS[precision] for precision, peak in peak_flop_per_s.items())
