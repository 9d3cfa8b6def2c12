"""How long one operator takes on one chip: a roofline with a calibrated efficiency curve.

The smooth roofline has four constants, all fitted to kernel measurements: the share of peak arithmetic
that a large operator reaches, the share of memory bandwidth that a thin one reaches, how sharply one
regime passes into the other, and the time of an operator with nothing to do. Functions take numbers or
numpy arrays and broadcast; `flop` and `bytes_moved` are exact counts, seconds are estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sim.spec.calibration import Gemm

Numbers: TypeAlias = float | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RooflineCurve:
    """What one kind of operator reaches of the peaks of one chip.

    ``quantisation_bytes`` is the memory traffic, per element of the activation operand, of turning it into
    the format of the product before each call, in a kernel of its own (0 where the operand already has it).
    """

    compute_efficiency: float
    memory_efficiency: float
    power: float
    overhead_s: float
    quantisation_bytes: float = 0.0

    @classmethod
    def of(cls, gemm: Gemm, *, quantised: bool = False) -> RooflineCurve:
        """Take the curve from a calibration file; `quantised` where the operator before has cast the activation."""
        if quantised:
            static_s = gemm.overhead_s if gemm.static_overhead_s is None else gemm.static_overhead_s
            return cls(gemm.compute_efficiency, gemm.memory_efficiency, gemm.power, static_s)
        return cls(
            gemm.compute_efficiency, gemm.memory_efficiency, gemm.power, gemm.overhead_s, gemm.quantisation_bytes
        )


IDEAL = RooflineCurve(1.0, 1.0, float("inf"), 0.0)
"""The roofline of the textbook: the slower of arithmetic and memory, and nothing else."""


def roofline_s(
    flop: Numbers, bytes_moved: Numbers, peak_flop_per_s: Numbers, bandwidth_bytes_per_s: Numbers, curve: RooflineCurve
) -> Numbers:
    """Give the time of one operator, in s: ((F / (ec P))^p + (B / (em W))^p)^(1/p) + t0.

    flop in FLOP, bytes_moved in bytes of device memory, peak_flop_per_s dense, in FLOP/s.

    Source: Williams, Waterman, Patterson 2009 (roofline); smooth form and constants fitted in sim.calibrate.
    Valid for: one operator that fills the chip, with its operands in device memory.

    >>> roofline_s(2e12, 1e9, 1e15, 4e12, RooflineCurve(0.8, 0.8, 2.0, 4e-6))
    0.002523455546343297
    """
    arithmetic_s = flop / (curve.compute_efficiency * peak_flop_per_s)
    memory_s = bytes_moved / (curve.memory_efficiency * bandwidth_bytes_per_s)
    return _smooth_maximum(arithmetic_s, memory_s, curve.power) + curve.overhead_s


def gemm_s(
    m: Numbers,
    n: Numbers,
    k: Numbers,
    element_bytes: Numbers,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: RooflineCurve,
    output_bytes: Numbers = 2.0,
) -> Numbers:
    """Give the time of D[m, n] = A[m, k] W[n, k], in s; A is the activation.

    element_bytes is the size of one element of A and W (0.5 for fp4; scales are not counted), output_bytes that of D.

    Source: 2 m n k operations (one multiply-add is 2 FLOP), each matrix moved once; constants of the curve
    fitted to kernel tables, see hardware_specs/calibration.
    Valid for: n, k >= 256 and m >= 1, weights that do not stay in the last-level cache between calls.

    >>> round(1e6 * gemm_s(8192, 8192, 8192, 2, 989.5e12, 3.35e12, RooflineCurve(0.77, 0.84, 2.9, 4e-6)))
    1448
    """
    moved = (m * k + n * k) * element_bytes + m * n * output_bytes
    product_s = roofline_s(2.0 * m * n * k, moved, peak_flop_per_s, bandwidth_bytes_per_s, curve)
    if not curve.quantisation_bytes:
        return product_s
    return product_s + memory_bound_s(m * k * curve.quantisation_bytes, bandwidth_bytes_per_s, curve.memory_efficiency)


def memory_bound_s(
    bytes_moved: Numbers, bandwidth_bytes_per_s: Numbers, memory_efficiency: Numbers = 1.0, overhead_s: Numbers = 0.0
) -> Numbers:
    """Give the time of an operator that only moves bytes through device memory, in s: B / (em W) + t0.

    Source: the bandwidth corner of the roofline (Williams, Waterman, Patterson 2009).
    Valid for: norms, residuals, activations, casts, optimizer updates: more than a few MB, beyond the cache.

    >>> memory_bound_s(2e9, 4e12, 0.5)
    0.001
    """
    return bytes_moved / (memory_efficiency * bandwidth_bytes_per_s) + overhead_s


def _smooth_maximum(first: Numbers, second: Numbers, power: float) -> Numbers:
    """Join two times: their sum at power 1, their maximum at infinity."""
    if power == 1.0:
        return first + second
    if power == float("inf"):
        larger = np.maximum(first, second)
        return larger if isinstance(larger, np.ndarray) else float(larger)
    return (first**power + second**power) ** (1.0 / power)
