"""Fit the feed-forward of experts to measured times.

The table has the columns num_tokens (of the whole expert-parallel group), hidden_size, inter_size, topk, num_experts,
moe_tp_size, moe_ep_size and latency in milliseconds: one rank that holds num_experts / moe_ep_size gated experts of
inner width inter_size / moe_tp_size, chosen evenly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.calibrate import fitting
from sim.cost.grouped import GroupedCurve, routed_feed_forward_s
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

COLUMNS = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size", "latency")
LARGE_ROWS = 256
"""Rows of an expert from which training is judged."""
MOST_EFFICIENCY = 0.95
"""Bytes of a visit and arithmetic stand for each other in large calls: nothing reaches more of a peak than this."""


def fit(
    path: Path,
    peak_flop_per_s: float,
    bandwidth_bytes_per_s: float,
    element_bytes: float,
    *,
    where: Mapping[str, str] | None = None,
) -> tuple[GroupedCurve, fitting.Judgement]:
    """Fit a curve to the rows that match `where`; peaks in FLOP/s and B/s."""
    table = tables.read(path, COLUMNS, where)
    tokens, hidden, inner, top_k, experts, tensor, spread, latency = (table[name].astype(float) for name in COLUMNS)
    visits = tokens * top_k / spread

    def predict(values: Sequence[float]) -> fitting.Array:
        seconds = routed_feed_forward_s(
            tokens,
            visits,
            experts / spread,
            hidden,
            inner / tensor,
            element_bytes,
            peak_flop_per_s,
            bandwidth_bytes_per_s,
            GroupedCurve(*values),
        )
        return np.asarray(seconds)

    parameters = [
        fitting.Parameter(0.6, 0.05, MOST_EFFICIENCY),
        fitting.Parameter(0.7, 0.05, 1.0),
        fitting.Parameter(2.0, 1.0, 12.0),
        fitting.Parameter(30e-6, 0.0, 1e-3),
        fitting.Parameter(50.0, 0.0, 600.0),
        fitting.Parameter(10.0, 0.0, 80.0),
        fitting.Parameter(4.0, 0.0, 80.0),
    ]
    large = visits >= LARGE_ROWS * experts / spread
    values, judgement = fitting.fit(predict, latency * 1e-3, parameters, large)
    return GroupedCurve(*values), judgement
