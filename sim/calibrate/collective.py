"""Fit a collective inside one scale-up domain to measured times, one curve for each number of ranks.

The table has the columns num_gpus, message_size in elements, and latency in milliseconds; size means what nccl-tests
means by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.calibrate import fitting
from sim.cost.collectives import Collective, CollectiveCurve, RankedCurve, collective_s
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PARAMETERS = (
    fitting.Parameter(1e-5, 1e-7, 1e-2),
    fitting.Parameter(0.7, 0.01, 1.5),
    fitting.Parameter(1e-5, 0.0, 1e-2),
)


def fit(
    path: Path,
    kind: Collective,
    bandwidth_bytes_per_s: float,
    element_bytes: float = 2.0,
    *,
    ranks: Sequence[int] | None = None,
    where: Mapping[str, str] | None = None,
) -> tuple[RankedCurve, fitting.Judgement]:
    """Fit one curve for each number of ranks in the rows that match `where`; bandwidth per device, one way, in B/s.

    `ranks` leaves out what the table measured with a fault.
    """
    table = tables.read(path, ("num_gpus", "message_size", "latency"), where)
    counts = sorted({int(count) for count in table["num_gpus"]} if ranks is None else ranks)
    fitted, ratios, chosen = [], [], []
    for count in counts:
        size_bytes, measured_s = _by_size(table, count, element_bytes)
        values, _ = fit_curve(kind, size_bytes, measured_s, count, bandwidth_bytes_per_s)
        seconds = collective_s(kind, size_bytes, float(count), bandwidth_bytes_per_s, CollectiveCurve(*values))
        fitted.append(values)
        ratios.append(np.asarray(seconds) / measured_s)
        chosen.append(fitting.split(len(size_bytes)))
    latency_s, fraction, ramp_s = zip(*fitted, strict=True)
    judgement = fitting.judge(np.concatenate(ratios), np.concatenate(chosen))
    return RankedCurve(tuple(float(count) for count in counts), latency_s, fraction, ramp_s), judgement


def fit_curve(
    kind: Collective, size_bytes: fitting.Array, measured_s: fitting.Array, ranks: int, bandwidth_bytes_per_s: float
) -> tuple[tuple[float, ...], fitting.Judgement]:
    """Fit latency, share of line rate and ramp at one number of ranks; sizes in bytes, times in s."""

    def predict(values: Sequence[float]) -> fitting.Array:
        curve = CollectiveCurve(*values)
        return np.asarray(collective_s(kind, size_bytes, float(ranks), bandwidth_bytes_per_s, curve))

    return fitting.fit(predict, measured_s, PARAMETERS)


def _by_size(table: tables.Columns, ranks: int, element_bytes: float) -> tuple[fitting.Array, fitting.Array]:
    """Give sizes in bytes and the median time of each in s, so that repeated runs count once."""
    rows = table["num_gpus"] == ranks
    sizes = np.unique(table["message_size"][rows])
    times = [np.median(table["latency"][rows & (table["message_size"] == size)]) for size in sizes]
    return sizes * element_bytes, np.array(times) * 1e-3
