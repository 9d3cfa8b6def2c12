"""Fit fused attention forward to measured times.

The table has the columns batch_size, isl (sequence), num_heads, num_key_value_heads, head_dim, and latency in
milliseconds; attention is causal, without window or prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.calibrate import fitting
from sim.cost.attention import AttentionCurve, attention_forward_s
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SHORTEST_SEQUENCE = 256
LARGE_SEQUENCE = 2048
HEAD_DIMS = (64, 256)
"""Kernels for wider heads are another code path."""


def fit(
    path: Path,
    peak_flop_per_s: float,
    bandwidth_bytes_per_s: float,
    element_bytes: float,
    *,
    half_head_dim: float | None = None,
    where: Mapping[str, str] | None = None,
) -> tuple[AttentionCurve, fitting.Judgement]:
    """Fit a curve to the rows that match `where`; peaks in FLOP/s and B/s.

    `half_head_dim` is fixed where the table holds one head dimension, which cannot tell it from efficiency.
    """
    names = ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "latency")
    table = tables.read(path, names, where)
    keep = (
        (table["isl"] >= SHORTEST_SEQUENCE) & (table["head_dim"] >= HEAD_DIMS[0]) & (table["head_dim"] <= HEAD_DIMS[1])
    )
    batch, sequence, heads, kv_heads, head_dim, latency = (table[name][keep] for name in names)

    def curve(values: Sequence[float]) -> AttentionCurve:
        efficiency, half_sequence, half_rows, memory, overhead_s = values[:5]
        half = values[5] if half_head_dim is None else half_head_dim
        return AttentionCurve(efficiency, half_sequence, half, half_rows, memory, overhead_s)

    def predict(values: Sequence[float]) -> fitting.Array:
        seconds = attention_forward_s(
            batch,
            heads,
            kv_heads,
            head_dim,
            sequence,
            True,  # noqa: FBT003
            peak_flop_per_s,
            bandwidth_bytes_per_s,
            curve(values),
            element_bytes,
        )
        return np.asarray(seconds)

    parameters = [
        fitting.Parameter(0.6, 0.05, 1.0),
        fitting.Parameter(500.0, 0.0, 1e4),
        fitting.Parameter(1e4, 0.0, 1e6),
        fitting.Parameter(0.6, 0.05, 1.0),
        fitting.Parameter(1e-5, 0.0, 1e-3),
    ]
    if half_head_dim is None:
        parameters.append(fitting.Parameter(50.0, 0.0, 1000.0))
    values, judgement = fitting.fit(predict, latency * 1e-3, parameters, sequence >= LARGE_SEQUENCE)
    return curve(values), judgement
