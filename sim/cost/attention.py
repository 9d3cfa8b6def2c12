"""How long softmax attention takes: fused (flash) kernels, prefill and training.

A flash kernel works in tiles, one row of tiles per group of queries of a head. Three things keep it from its
final rate, each with one constant: the diagonal and start-up of a row of tiles (sequence length), the
exponentials, of which there is one per score whatever the head size (head_dim), and rows of tiles too few to
fill the chip (batch x heads x sequence). Query heads that share keys and values (GQA) shrink the bytes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.cost.roofline import Numbers, memory_bound_s

if TYPE_CHECKING:
    from sim.spec.calibration import Attention

BACKWARD_OVER_FORWARD = 2.5
"""Five matrix products against two: the scores are computed again (FlashAttention-2, Dao 2023, section 3.1)."""


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """What fused attention reaches of the peaks of one chip.

    Each ``half_`` is the size at which its limit alone halves the rate: tokens of sequence, head dimension, and
    query rows (batch x heads x sequence) of the whole call.
    """

    compute_efficiency: float
    half_sequence: float
    half_head_dim: float
    half_rows: float
    memory_efficiency: float
    overhead_s: float

    @classmethod
    def of(cls, attention: Attention) -> AttentionCurve:
        """Take the curve from a calibration file."""
        return cls(
            attention.compute_efficiency,
            attention.half_sequence,
            attention.half_head_dim,
            attention.half_rows,
            attention.memory_efficiency,
            attention.overhead_s,
        )


def attention_flop(
    batch: Numbers, query_heads: Numbers, head_dim: Numbers, sequence: Numbers, *, causal: bool = True
) -> Numbers:
    """Give the operations of attention forward, scores and weighted sum, in FLOP: 4 b h s^2 d, half of it if causal.

    Source: two s x s x d matrix products per head, 2 FLOP a multiply-add; softmax not counted.
    Valid for: every full attention; the causal half counts the diagonal half.

    >>> attention_flop(1, 32, 128, 4096)
    137438953472.0
    """
    return (2.0 if causal else 4.0) * batch * query_heads * sequence * sequence * head_dim


def attention_forward_s(
    batch: Numbers,
    query_heads: Numbers,
    kv_heads: Numbers,
    head_dim: Numbers,
    sequence: Numbers,
    causal: bool,  # noqa: FBT001 - part of the shape
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: AttentionCurve,
    element_bytes: Numbers = 2.0,
) -> Numbers:
    """Give the time of one fused attention forward, in s: F (1 + s'/s)(1 + d'/d)(1 + r'/r) / (ec P) + B / (em W) + t0.

    Heads are those on this device; element_bytes is the size of one element of Q, K, V and the output.
    s', d', r' are the half_ constants of the curve for sequence s, head_dim d and rows r = batch x heads x sequence.

    Source: form and constants fitted to kernel tables, see hardware_specs/calibration.
    Valid for: self-attention without a prefix, sequence 256 to 16384 (rate is flat beyond), head_dim 64 to 256.

    >>> curve = AttentionCurve(0.79, 600.0, 48.0, 15000.0, 0.6, 12e-6)
    >>> round(1e6 * attention_forward_s(1, 32, 8, 128, 8192, True, 989.5e12, 3.35e12, curve))
    1193
    """
    rows = batch * query_heads * sequence
    slowdown = (
        (1.0 + curve.half_sequence / sequence) * (1.0 + curve.half_head_dim / head_dim) * (1.0 + curve.half_rows / rows)
    )
    flop = attention_flop(batch, query_heads, head_dim, sequence, causal=causal)
    arithmetic_s = flop * slowdown / (curve.compute_efficiency * peak_flop_per_s)
    moved = 2.0 * batch * sequence * head_dim * (query_heads + kv_heads) * element_bytes
    return arithmetic_s + memory_bound_s(moved, bandwidth_bytes_per_s, curve.memory_efficiency, curve.overhead_s)


def attention_backward_s(
    batch: Numbers,
    query_heads: Numbers,
    kv_heads: Numbers,
    head_dim: Numbers,
    sequence: Numbers,
    causal: bool,  # noqa: FBT001 - as forward
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: AttentionCurve,
    element_bytes: Numbers = 2.0,
) -> Numbers:
    """Give the time of one fused attention backward, in s: 2.5 times the forward.

    Source: five matrix products against two; FlashAttention-2 (Dao 2023, section 3.1).
    Valid for: flash kernels that recompute the scores, at the same efficiency as the forward.

    >>> curve = AttentionCurve(0.79, 600.0, 48.0, 15000.0, 0.6, 12e-6)
    >>> round(1e6 * attention_backward_s(1, 32, 8, 128, 8192, True, 989.5e12, 3.35e12, curve))
    2982
    """
    forward_s = attention_forward_s(
        batch,
        query_heads,
        kv_heads,
        head_dim,
        sequence,
        causal,
        peak_flop_per_s,
        bandwidth_bytes_per_s,
        curve,
        element_bytes,
    )
    return BACKWARD_OVER_FORWARD * forward_s
