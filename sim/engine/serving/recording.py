"""What a service leaves behind: a row for each request, curves over time, sums that agree."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.engine.serving.request import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from sim.engine.serving.histogram import Distribution
    from sim.engine.serving.request import Request

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

ROWS_AT_ONCE = 16_384
"""Requests that are turned into columns together: the memory that streaming takes."""


@dataclass(frozen=True, slots=True)
class RequestColumns:
    """One row for each request, in the order in which they were done with."""

    id: Counts
    arrival_s: Floats
    first_token_s: Floats
    """NaN: never."""
    finish_s: Floats
    prompt_tokens: Counts
    output_tokens: Counts
    """Asked for."""
    generated_tokens: Counts
    cached_tokens: Counts
    preemptions: Counts
    retries: Counts
    replica: Counts
    status: Counts
    """Place in STATUSES."""
    tenant: Counts
    """Place in `ServiceRecording.tenants`."""

    def __len__(self) -> int:
        """Count the requests."""
        return len(self.id)


_FLOATS = ("arrival_s", "first_token_s", "finish_s")
_NAMES = tuple(field.name for field in fields(RequestColumns))


def join_columns(chunks: list[RequestColumns]) -> RequestColumns:
    """Put chunks behind one another."""
    if len(chunks) == 1:
        return chunks[0]
    joined: list[Any] = [
        np.concatenate([np.zeros(0, _kind(name)), *(getattr(chunk, name) for chunk in chunks)]) for name in _NAMES
    ]
    return RequestColumns(*joined)


class RequestRows:
    """Collects requests that are done with and hands them on as columns, a chunk at a time."""

    def __init__(self, consume: Callable[[RequestColumns], None]) -> None:
        """Keep who takes the chunks."""
        self._consume = consume
        self._requests: list[Request] = []
        self.tenants: dict[str, int] = {}

    def add(self, request: Request) -> None:
        """Record a request that is done with; nothing changes it any more."""
        self._requests.append(request)
        if len(self._requests) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hand on what is left."""
        requests, self._requests = self._requests, []
        if not requests:
            return
        tenants = self.tenants
        for tenant in dict.fromkeys(map(attrgetter("tenant"), requests)):
            tenants.setdefault(tenant, len(tenants))
        codes: dict[str, dict[Any, int]] = {"status": STATUS_CODES, "tenant": tenants}
        columns: list[Any] = []
        for name in _NAMES:
            found: Iterable[Any] = map(attrgetter(name), requests)
            if name in codes:
                found = map(codes[name].__getitem__, found)
            if name == "first_token_s":
                columns.append(np.array(list(found), np.float64))  # None becomes NaN
            else:
                columns.append(np.fromiter(found, _kind(name), len(requests)))
        self._consume(RequestColumns(*columns))


def _kind(name: str) -> type:
    return np.float64 if name in _FLOATS else np.int64


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the service did in each bin of time; work is spread evenly over the iterations that did it."""

    bin_s: float
    """1 s, or longer where the run is: the longest runs have at most MAX_BINS bins."""
    prefill_tokens: Floats
    decode_tokens: Floats
    prefill_pairs: Floats
    decode_pairs: Floats
    """(query, key) pairs of attention."""
    outputs: Floats
    """Next tokens computed: rows of the LM head."""
    busy_s: Floats
    """Seconds in which replicas ran iterations, summed over replicas."""
    running: Floats
    """Sequences that decode, times seconds."""
    waiting: Floats
    """Requests in replicas' queues while iterations ran, times seconds."""
    kv_blocks: Floats
    """Blocks of cache held by running sequences while iterations ran, times seconds."""
    flop: Floats


@dataclass(frozen=True, slots=True)
class ServiceRecording:
    """All that a service leaves. Seed and inputs decide every byte of it."""

    name: str
    start_s: float
    end_s: float
    requests: RequestColumns | None
    """None where chunks were handed to a consumer instead."""
    tenants: tuple[str, ...]
    counts: dict[str, int]
    """Requests by status, submitted, too long; iterations, preemptions, retries, failures, replicas, world events."""
    inter_token: Distribution
    """Gaps between tokens of one request, pooled. Several tokens of one iteration (speculation) are one gap."""
    tokens: dict[str, int]
    """By what they were for: prefill, recomputed, cached; delivered, refused drafts, wasted prefill and output."""
    flop: dict[str, float]
    """By what it was for: prefill, decode, recompute, wasted (given up, or on a replica that failed); with drafts also
    speculative waste and drafting."""
    joules: dict[str, float]
    """By account."""
    device_seconds: dict[str, float]
    """By account; they sum to what the service held."""
    kv_blocks: int
    """Capacity of one replica that decodes."""
    blocks_allocated: int
    timeline: Timeline
    devices: int
    """Of one replica that decodes."""
    peak_flop_per_s: float
    """Of one replica that decodes."""
