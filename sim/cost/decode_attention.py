"""How long attention of one new token over a cache takes: keys and values of every sequence are read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec import kernels

QUERY_HEADS, KEY_HEADS = 32.0, 8.0
"""Heads of the sequence that the constants of the curve are stated for."""
SINGLE = 1.5
"""Query heads to a key head below which the kernel is that of single heads."""


@dataclass(frozen=True, slots=True)
class DecodeCurve:
    """What a decode kernel reaches; times in s."""

    memory_efficiency: float
    overhead_s: float
    query_s: float
    key_s: float
    ramp_s: float
    ramp_half_s: float
    group_slowdown: float
    single_slowdown: float

    @classmethod
    def of(cls, entry: kernels.DecodeAttention) -> DecodeCurve:
        """Take the curve from a file of the catalogue."""
        return cls(
            entry.memory_efficiency,
            entry.overhead_s,
            entry.query_s,
            entry.key_s,
            entry.ramp_s,
            entry.ramp_half_s,
            entry.group_slowdown,
            entry.single_slowdown,
        )


@dataclass(frozen=True, slots=True)
class LatentCurve:
    """What an absorbed latent-attention kernel reaches; times in s."""

    memory_efficiency: float
    compute_efficiency: float
    power: float
    overhead_s: float
    sequence_s: float

    @classmethod
    def of(cls, entry: kernels.LatentDecode) -> LatentCurve:
        """Take the curve from a file of the catalogue."""
        return cls(entry.memory_efficiency, entry.compute_efficiency, entry.power, entry.overhead_s, entry.sequence_s)


def decode_attention_s(
    sequences: Numbers,
    context: Numbers,
    query_heads: Numbers,
    kv_heads: Numbers,
    head_dim: Numbers,
    element_bytes: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: DecodeCurve,
) -> Numbers:
    """Give the time of attention of one token of each of ``sequences`` over ``context`` tokens in all, in s.

    Heads are those on this device; element_bytes is the size of one cached number.

    Source: bytes of keys and values (Kwon et al. 2023, arXiv:2309.06180, section 3); form and constants fitted to
    kernel tables, see hardware_specs/kernels.
    Valid for: 1 to 16 query heads to a key head, head_dim 64 to 256, contexts of like length.

    >>> curve = DecodeCurve(0.9, 1e-5, 0.0, 0.0, 0.0, 1e-6, 0.0, 0.0)
    >>> round(1e6 * decode_attention_s(64, 64 * 4096, 32, 8, 128, 2, 3.35e12, curve))
    366
    """
    moved = 2.0 * context * kv_heads * head_dim * element_bytes
    groups = query_heads / kv_heads
    slowdown = np.where(np.less(groups, SINGLE), curve.single_slowdown, curve.group_slowdown * groups / QUERY_HEADS)
    transfer_s = moved * (1.0 + slowdown) / (curve.memory_efficiency * bandwidth_bytes_per_s)
    transfer_s = transfer_s + curve.ramp_s * transfer_s / (transfer_s + curve.ramp_half_s)
    blocks_s = sequences * (curve.query_s * query_heads / QUERY_HEADS + curve.key_s * kv_heads / KEY_HEADS)
    return curve.overhead_s + np.sqrt(blocks_s**2 + transfer_s**2)


def latent_decode_s(
    sequences: Numbers,
    context: Numbers,
    heads: Numbers,
    kv_rank: Numbers,
    rope_dim: Numbers,
    element_bytes: Numbers,
    peak_flop_per_s: Numbers,
    bandwidth_bytes_per_s: Numbers,
    curve: LatentCurve,
) -> Numbers:
    """Give the time of absorbed latent attention of one token of each sequence over ``context`` tokens in all, in s.

    Heads are those on this device; every one of them reads the same compressed vector.

    Source: DeepSeek-V2 (arXiv:2405.04434), section 2.1.2: 2 h (kv_rank + rope_dim) + 2 h kv_rank FLOP a cached token;
    constants fitted to kernel tables, see hardware_specs/kernels.
    Valid for: kv_rank 512 and rope_dim 64, 8 to 128 heads on a device.

    >>> curve = LatentCurve(0.9, 0.9, 2.0, 1e-5, 0.0)
    >>> round(1e6 * latent_decode_s(64, 64 * 4096, 16, 512, 64, 2, 989.4e12, 3.35e12, curve))
    111
    """
    moved = context * (kv_rank + rope_dim) * element_bytes
    flop = 2.0 * context * heads * (2.0 * kv_rank + rope_dim)
    power = curve.power
    arithmetic_s = flop / (curve.compute_efficiency * peak_flop_per_s)
    memory_s = moved / (curve.memory_efficiency * bandwidth_bytes_per_s)
    return curve.overhead_s + sequences * curve.sequence_s + (arithmetic_s**power + memory_s**power) ** (1.0 / power)
