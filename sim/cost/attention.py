"""How long softmax attention takes: fused (flash) kernels, prefill and training.

A flash kernel works in tiles, so short sequences waste part of the diagonal tiles and pay start-up per
tile row: efficiency grows with sequence length as s / (s + s_half). Keys and values are shared by the query
heads of a group (GQA), which shrinks the bytes and not the operations.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.cost.roofline import Numbers, RooflineCurve, roofline_s

BACKWARD_OVER_FORWARD = 2.5
"""Five matrix products against two (FlashAttention-2, Dao 2023, section 3.1: backward recomputes the scores)."""


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """What fused attention reaches of the peaks of one chip.

    ``half_sequence`` is the sequence length, in tokens, at which half of the final efficiency is reached.
    """

    compute_efficiency: float
    half_sequence: float
    memory_efficiency: float
    power: float
    overhead_s: float


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
    *,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: AttentionCurve,
    causal: bool = True,
    element_bytes: Numbers = 2.0,
) -> Numbers:
    """Give the time of one fused attention forward, in s.

    Heads are those on this device; element_bytes is the size of one element of Q, K, V and the output.

    Source: form s / (s + s_half) and constants fitted to kernel tables, see hardware_specs/calibration.
    Valid for: self-attention without a prefix, sequence >= 128, head_dim 64 to 256.

    >>> chip = {"peak_flop_per_s": 989.5e12, "bandwidth_bytes_per_s": 3.35e12}
    >>> curve = AttentionCurve(0.55, 1200.0, 0.5, 2.0, 15e-6)
    >>> round(1e6 * attention_forward_s(1, 32, 8, 128, 8192, curve=curve, **chip))
    1177
    """
    flop = attention_flop(batch, query_heads, head_dim, sequence, causal=causal) * (
        1.0 + curve.half_sequence / sequence
    )
    moved = 2.0 * batch * sequence * head_dim * (query_heads + kv_heads) * element_bytes
    roofline = RooflineCurve(curve.compute_efficiency, curve.memory_efficiency, curve.power, curve.overhead_s)
    return roofline_s(flop, moved, peak_flop_per_s, bandwidth_bytes_per_s, roofline)


def attention_backward_s(
    batch: Numbers,
    query_heads: Numbers,
    kv_heads: Numbers,
    head_dim: Numbers,
    sequence: Numbers,
    *,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: AttentionCurve,
    causal: bool = True,
    element_bytes: Numbers = 2.0,
) -> Numbers:
    """Give the time of one fused attention backward, in s: 2.5 times the forward.

    Source: five matrix products against two; FlashAttention-2 (Dao 2023, section 3.1).
    Valid for: flash kernels that recompute the scores, at the same efficiency as the forward.

    >>> chip = {"peak_flop_per_s": 989.5e12, "bandwidth_bytes_per_s": 3.35e12}
    >>> curve = AttentionCurve(0.55, 1200.0, 0.5, 2.0, 15e-6)
    >>> round(1e6 * attention_backward_s(1, 32, 8, 128, 8192, curve=curve, **chip))
    2944
    """
    return BACKWARD_OVER_FORWARD * attention_forward_s(
        batch,
        query_heads,
        kv_heads,
        head_dim,
        sequence,
        peak_flop_per_s=peak_flop_per_s,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        curve=curve,
        causal=causal,
        element_bytes=element_bytes,
    )
