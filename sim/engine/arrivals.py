"""When requests come and how long they are: draws from named streams, in chunks, so that length costs no memory.

The chunk is part of nobody's numbers but the rounding of sums: it is a constant.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.distributions import Z95
from sim.spec.requests import LONGEST_TOKENS
from sim.spec.traces_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from sim.engine.random import Streams
    from sim.spec.arrivals import ArrivalsSpec, Diurnal
    from sim.spec.distribution import Distribution
    from sim.spec.requests import RequestsSpec

    Floats = NDArray[np.float64]

CHUNK = 4096
"""Draws made at once."""
_BISECTIONS = 64
"""Halvings after which an interval of arrival times has no width left in a float."""


def arrival_times(streams: Streams, name: str, spec: ArrivalsSpec) -> Iterator[Floats]:
    """Give arrival times in s from the beginning of the workload, in order, chunk by chunk, without end.

    Args:
        streams: of the world.
        name: of the workload; the stream is ``NAME/arrivals``.
        spec: an open way to arrive; users in a closed loop have no times of their own.

    """
    assert spec.closed is None, "a closed loop has no arrival times before it is played"
    if spec.at_once is not None:
        for start in range(0, spec.at_once, CHUNK):
            yield np.zeros(min(CHUNK, spec.at_once - start))
        return
    if spec.deterministic is not None:
        yield from _even(spec.deterministic)
        return
    generator = streams.generator(f"{name}/arrivals")
    gaps = _gaps(spec, generator)
    warp = None if spec.diurnal is None else _warp(spec.diurnal)
    last = 0.0
    while True:
        times = np.cumsum(np.concatenate(([last], gaps(CHUNK))))[1:]
        last = float(times[-1])
        yield times if warp is None else warp(times)


def sample(distribution: Distribution, generator: np.random.Generator, count: int) -> Floats:
    """Draw so many values of a distribution of the scenario, in SI."""
    kind, values = distribution.kind, distribution.values
    if kind == "fixed":
        return np.full(count, values[0])
    if kind == "uniform":
        least, most = values
        shares = generator.random(count)
        if distribution.whole:
            return np.minimum(least + np.floor(shares * (most - least + 1)), most)
        return least + shares * (most - least)
    if kind == "empirical":
        return np.asarray(values)[(generator.random(count) * len(values)).astype(np.int64)]
    if kind == "exponential":
        drawn = generator.standard_exponential(count) * values[0]
    else:
        median, high = values
        drawn = median * np.exp(math.log(high / median) / Z95 * generator.standard_normal(count))
    return np.rint(drawn) if distribution.whole else drawn


class Lengths:
    """Draws how long requests are, and which of the shared heads they have."""

    def __init__(self, streams: Streams, spec: RequestsSpec) -> None:
        """Open the streams ``NAME/input``, ``NAME/output`` and ``NAME/prefix``."""
        assert spec.input is not None
        assert spec.output is not None
        self._input, self._output = spec.input, spec.output
        self._groups = None if spec.prefix is None else spec.prefix.groups
        self._generators = [streams.generator(f"{spec.label}/{part}") for part in ("input", "output", "prefix")]

    def draw(self, arrival_s: Floats) -> Rows:
        """Draw a request for each arrival: at least 1 token; the only hash id of each is the number of its head."""
        asked, answered, prefix = self._generators
        count = len(arrival_s)
        hashes: list[tuple[int, ...]] | None = None
        if self._groups is not None:
            hashes = [(group,) for group in prefix.integers(0, self._groups, count).tolist()]
        return Rows(arrival_s, _tokens(self._input, asked, count), _tokens(self._output, answered, count), hashes)


def drawn_requests(streams: Streams, spec: RequestsSpec) -> Iterator[Rows]:
    """Draw the requests of an open process, arrivals from the beginning of the world, chunk by chunk without end."""
    assert spec.arrivals is not None
    lengths = Lengths(streams, spec)
    for arrival_s in arrival_times(streams, spec.label, spec.arrivals):
        yield lengths.draw(arrival_s + spec.at)


def recorded_requests(chunks: Iterable[Rows], spec: RequestsSpec) -> Iterator[Rows]:
    """Give the requests of a trace at the speed and from the time that the workload says."""
    assert spec.trace is not None
    for rows in chunks:
        rows.arrival_s = rows.arrival_s / spec.trace.speed + spec.at
        yield rows


def _tokens(distribution: Distribution, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    return np.clip(sample(distribution, generator, count), 1, LONGEST_TOKENS).astype(np.int64)


def durations(streams: Streams, name: str, distribution: Distribution) -> Iterator[float]:
    """Draw times without end, one by one."""
    generator = streams.generator(name)
    while True:
        yield from sample(distribution, generator, CHUNK).tolist()


def _gaps(spec: ArrivalsSpec, generator: np.random.Generator) -> Callable[[int], Floats]:
    """Give the function that draws gaps between arrivals; of a changing rate, gaps of mean 1 before it is changed."""
    if spec.gamma is not None:
        shape = spec.gamma.cv**-2
        scale = 1 / (spec.gamma.rate * shape)
        return lambda count: generator.standard_gamma(shape, count) * scale
    if spec.weibull is not None:
        shape = spec.weibull.shape
        scale = 1 / (spec.weibull.rate * math.gamma(1 + 1 / shape))
        return lambda count: generator.weibull(shape, count) * scale
    rate = 1.0 if spec.diurnal is not None else spec.poisson
    assert rate is not None
    return lambda count: generator.standard_exponential(count) / rate


def _even(rate_per_s: float) -> Iterator[Floats]:
    start = 1
    while True:
        yield np.arange(start, start + CHUNK) / rate_per_s
        start += CHUNK


def _warp(spec: Diurnal) -> Callable[[Floats], Floats]:
    """Turn arrivals of rate 1 into those of a rate mean + (peak - mean) cos(2 pi (t - peak_at) / period).

    The time is found where the integral of the rate reaches that of the arrival, by bisection.
    """
    swing = (spec.peak - spec.mean) * spec.period / (2 * math.pi)
    turn = 2 * math.pi / spec.period
    begun = swing * math.sin(-turn * spec.peak_at)

    def expected(times: Floats) -> Floats:
        return spec.mean * times + swing * np.sin(turn * (times - spec.peak_at)) - begun

    def warp(targets: Floats) -> Floats:
        low = np.maximum(targets - 2 * swing, 0) / spec.mean
        high = (targets + 2 * swing) / spec.mean
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            early = expected(middle) < targets
            low, high = np.where(early, middle, low), np.where(early, high, middle)
        return np.maximum.accumulate(high)

    return warp
