"""How long the experts of one device take: all of them in one grouped product, a few rows each.

An expert works in tiles of rows, and its last tile is partly empty: what a product of r rows costs beyond its
arithmetic is that of a fixed number of further rows. Around the products, each visit of a token is copied, scaled
and added up: bytes for each visit, and for each token whether it stays or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.roofline import RooflineCurve, memory_bound_s, roofline_s

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec.calibration import Experts


@dataclass(frozen=True, slots=True)
class GroupedCurve:
    """What the feed-forward of experts reaches of the peaks of one chip."""

    compute_efficiency: float
    memory_efficiency: float
    power: float
    overhead_s: float
    """Of the whole feed-forward: choice, permutation, two grouped products and their sum."""
    half_rows: float
    """Rows of an expert at which its partly empty tiles halve the rate."""
    visit_bytes: float
    """Bytes moved for each visit of a token and each element of its input and inner width."""
    token_bytes: float
    """Bytes moved for each token of the whole group, visiting or not, and each element of its width."""

    @classmethod
    def of(cls, experts: Experts) -> GroupedCurve:
        """Take the curve from a calibration file."""
        return cls(
            experts.compute_efficiency,
            experts.memory_efficiency,
            experts.power,
            experts.overhead_s,
            experts.half_rows,
            experts.visit_bytes,
            experts.token_bytes,
        )


def grouped_s(
    experts: Numbers,
    rows: Numbers,
    columns: Numbers,
    inner: Numbers,
    element_bytes: Numbers,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: GroupedCurve,
    output_bytes: Numbers = 2.0,
) -> Numbers:
    """Give the time of one grouped product, in s: so many experts, each D[rows, columns] = A[rows, inner] W.

    element_bytes is the size of one element of A and W, output_bytes that of D; the start is not in it.

    Source: form and constants fitted to kernel tables of whole expert layers, see hardware_specs/calibration.
    Valid for: experts chosen evenly; the same rows for each.

    >>> curve = GroupedCurve(0.8, 0.8, 4.0, 30e-6, 64.0, 8.0, 0.0)
    >>> round(1e6 * grouped_s(16, 1024, 4096, 2048, 2.0, 1e15, 3.35e12, curve))
    370
    """
    flop = 2.0 * experts * (rows + curve.half_rows) * columns * inner
    moved = experts * ((columns * inner + rows * inner) * element_bytes + rows * columns * output_bytes)
    start_free = RooflineCurve(curve.compute_efficiency, curve.memory_efficiency, curve.power, 0.0)
    return roofline_s(flop, moved, peak_flop_per_s, bandwidth_bytes_per_s, start_free)


def routed_feed_forward_s(
    tokens: Numbers,
    visits: Numbers,
    experts: Numbers,
    hidden: Numbers,
    ffn_hidden: Numbers,
    element_bytes: Numbers,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: GroupedCurve,
) -> Numbers:
    """Give the time of the gated feed-forward of the experts of one device, forward, in s.

    Both products, the activation, and the way of the tokens in and out; dispatch between devices is not in it. Where
    fewer visits than experts come, so many experts work on one row each.

    Args:
        tokens: tokens of the whole expert-parallel group.
        visits: visits of tokens to the experts of this device: tokens x top_k / devices of the group.
        experts: experts on this device.
        hidden: width of a token.
        ffn_hidden: inner width of an expert on this device.
        element_bytes: size of one element of the operands.
        peak_flop_per_s: dense peak in their format.
        bandwidth_bytes_per_s: memory bandwidth.
        curve: constants of chip and format.

    Source: form and constants fitted to kernel tables of whole expert layers, see hardware_specs/calibration.
    Valid for: gated experts chosen evenly; 1 to 16,384 tokens, hidden 2,048 to 7,168.

    >>> curve = GroupedCurve(0.8, 0.8, 4.0, 30e-6, 64.0, 8.0, 0.0)
    >>> round(1e6 * routed_feed_forward_s(4096, 4096 * 2, 8, 4096, 14336, 2.0, 1e15, 3.35e12, curve))
    4329
    """
    working = np.maximum(np.minimum(experts, visits), 1.0)
    rows = visits / working
    peak, bandwidth = peak_flop_per_s, bandwidth_bytes_per_s
    into_s = grouped_s(working, rows, 2 * ffn_hidden, hidden, element_bytes, peak, bandwidth, curve)
    out_s = grouped_s(working, rows, hidden, ffn_hidden, element_bytes, peak, bandwidth, curve)
    moved = curve.visit_bytes * visits * (hidden + ffn_hidden) + curve.token_bytes * tokens * hidden
    return into_s + out_s + memory_bound_s(moved, bandwidth, curve.memory_efficiency, curve.overhead_s)
