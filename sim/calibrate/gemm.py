"""Fit the roofline of matrix products to measured times.

The table has the columns m, n, k (D[m, n] = A[m, k] W[n, k]) and latency in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.calibrate import fitting
from sim.cost.roofline import RooflineCurve, gemm_s
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LEAST_SIDE = 256
"""Products thinner than this in n or k are no part of a model, and pay for tiles that they do not fill."""
COPIES_IN_CACHE = 5
"""The collector rotates five copies of the weights: a weight below a fifth of the cache is read from the cache."""
LARGE_ROWS, LARGE_SIDE = 2048, 1024
POWER = fitting.Parameter(2.0, 1.0, 12.0)


def fit(
    path: Path,
    peak_flop_per_s: float,
    bandwidth_bytes_per_s: float,
    element_bytes: float,
    cache_bytes: float = 0.0,
    *,
    quantises: bool = False,
    where: Mapping[str, str] | None = None,
) -> tuple[RooflineCurve, fitting.Judgement]:
    """Fit a curve to the rows that match `where`; peaks in FLOP/s and B/s, the cache in bytes.

    With `quantises` the measured call also turns the activation from 16 bit into the format of the product, and
    that traffic is a constant of its own. Weights that stay in the cache are dropped.
    """
    table = tables.read(path, ("m", "n", "k", "latency"), where)
    m, n, k = (table[name].astype(float) for name in ("m", "n", "k"))
    keep = (n >= LEAST_SIDE) & (k >= LEAST_SIDE) & (n * k * element_bytes > cache_bytes / COPIES_IN_CACHE)
    m, n, k, measured_s = m[keep], n[keep], k[keep], table["latency"][keep] * 1e-3

    def predict(values: Sequence[float]) -> fitting.Array:
        seconds = gemm_s(m, n, k, element_bytes, peak_flop_per_s, bandwidth_bytes_per_s, RooflineCurve(*values))
        return np.asarray(seconds)

    parameters = [
        fitting.Parameter(0.75, 0.05, 1.0),
        fitting.Parameter(0.8, 0.05, 1.0),
        POWER,
        fitting.Parameter(5e-6, 0.0, 1e-3),
    ]
    if quantises:
        parameters.append(fitting.Parameter(5.0, 0.0, 40.0))
    large = (m >= LARGE_ROWS) & (n >= LARGE_SIDE) & (k >= LARGE_SIDE)
    values, judgement = fitting.fit(predict, measured_s, parameters, large)
    return RooflineCurve(*values), judgement
