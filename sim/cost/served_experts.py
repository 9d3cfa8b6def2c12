"""How long the routed experts of one layer take in an inference engine: few rows to an expert, most weights read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec import kernels


@dataclass(frozen=True, slots=True)
class GroupedCurve:
    """What the kernels of routed experts reach; times in s."""

    compute_efficiency: float
    memory_efficiency: float
    power: float
    half_rows: float
    overhead_s: float
    expert_s: float
    moved_bytes: float

    @classmethod
    def of(cls, entry: kernels.Grouped) -> GroupedCurve:
        """Take the curve from a file of the catalogue."""
        return cls(
            entry.compute_efficiency,
            entry.memory_efficiency,
            entry.power,
            entry.half_rows,
            entry.overhead_s,
            entry.expert_s,
            entry.moved_bytes,
        )


def visited_experts(tokens: Numbers, top_k: Numbers, experts: Numbers, *, balanced: bool = False) -> Numbers:
    """Give how many of ``experts`` are visited by ``tokens`` that choose ``top_k`` each, evenly at random.

    Source: expectation of distinct choices, E (1 - (1 - k/E)^T); ``balanced`` spreads them over as many as possible,
    as kernel benchmarks do.
    Valid for: independent tokens; prompts on one subject visit fewer.

    >>> round(float(visited_experts(16, 8, 128)), 1)
    82.4
    """
    if balanced:
        return np.minimum(experts, tokens * top_k)
    return experts * (1.0 - (1.0 - top_k / experts) ** tokens)


def grouped_s(
    visits: Numbers,
    visited: Numbers,
    hidden: Numbers,
    inner: Numbers,
    matrices: Numbers,
    element_bytes: Numbers,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: GroupedCurve,
) -> Numbers:
    """Give the time of the routed experts of one layer on one device, in s: permutation, both products, combination.

    Args:
        visits: (token, expert) pairs on this device.
        visited: experts of this device that have at least one.
        hidden: width of the residual stream.
        inner: inner width of the part of an expert that this device holds.
        matrices: of an expert: 3 with a gate, 2 without.
        element_bytes: of one weight.
        peak_flop_per_s: dense peak of the format.
        bandwidth_bytes_per_s: of memory.
        curve: what is reached.

    Source: exact counts; form and constants fitted to kernel tables, see hardware_specs/kernels.
    Valid for: gated experts of inner width 256 to 16384, 1 to 16384 tokens.
    """
    seen = np.maximum(visited, 1e-9)
    rows = np.maximum(visits / seen, 1e-9)
    moved = seen * matrices * hidden * inner * element_bytes
    flop = 2.0 * visits * matrices * hidden * inner
    memory_s = moved / (curve.memory_efficiency * bandwidth_bytes_per_s)
    arithmetic_s = flop * (1.0 + curve.half_rows / rows) / (curve.compute_efficiency * peak_flop_per_s)
    shuffle_s = curve.moved_bytes * visits * hidden / bandwidth_bytes_per_s
    joined_s = (memory_s**curve.power + arithmetic_s**curve.power) ** (1.0 / curve.power)
    return curve.overhead_s + curve.expert_s * seen + shuffle_s + joined_s
