"""Fold finished requests into what is said of them, a chunk at a time: exact for short runs, in flat memory for long.

Definitions (docs/serving.md): arrival is at the router. TTFT is the end of the iteration that yields token 1, minus
arrival. TPOT is (last - first token) / (output - 1) of requests of 2 tokens or more. A request is measured if it
arrives after the warm-up; those given up or turned away are left out of latencies and count as missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.engine.serving.histogram import LogHistogram
from sim.engine.serving.recording import RequestColumns, join_columns
from sim.engine.serving.request import STATUSES
from sim.engine.workload import ID_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.spec.requests import Slo

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

EXACT_REQUESTS = 200_000
"""Requests up to which every latency is kept; beyond, quantiles are of a histogram with bins of half a percent."""
FINISHED = STATUSES.index("finished")


class Latencies:
    """Durations of one kind: mean and quantiles."""

    def __init__(self) -> None:
        """Begin empty."""
        self._kept: list[Floats] | None = []
        self._histogram = LogHistogram()
        self.count = 0

    def add(self, durations_s: Floats) -> None:
        """Take more."""
        self.count += len(durations_s)
        if self._kept is not None:
            self._kept.append(durations_s)
            if self.count > EXACT_REQUESTS:
                for kept in self._kept:
                    self._histogram.add(kept, np.ones(len(kept)))
                self._kept = None
        elif len(durations_s):
            self._histogram.add(durations_s, np.ones(len(durations_s)))

    def describe(self, shares: Sequence[float]) -> tuple[float, tuple[float, ...]]:
        """Give mean and quantiles, in s; not numbers where there is nothing.

        Quantiles interpolate linearly between order statistics (numpy's default, type 7 of Hyndman and Fan 1996).
        """
        if not self.count:
            return math.nan, (math.nan,) * len(shares)
        if self._kept is not None:
            values = np.concatenate(self._kept)
            return float(values.mean()), tuple(float(each) for each in np.quantile(values, shares))
        closed = self._histogram.close()
        return closed.mean_s, tuple(closed.quantile_s(share) for share in shares)


class Group:
    """Requests that are told together: of a service, a workload or a tenant."""

    def __init__(self, *, has_limits: bool = False) -> None:
        """Begin empty; ``has_limits`` where requests of it have limits, whether or not any is measured."""
        self.has_limits = has_limits
        self.ttft, self.tpot, self.e2e, self.normalized = Latencies(), Latencies(), Latencies(), Latencies()
        self.statuses = np.zeros(len(STATUSES), dtype=np.int64)
        self.prompt_tokens = self.output_tokens = self.cached_tokens = self.preemptions = 0
        self.decode_s = 0.0
        self.decode_gaps = 0
        self.limited = self.good = 0
        self.first_arrival_s, self.last_finish_s = math.inf, -math.inf

    @property
    def measured(self) -> int:
        """Count the requests."""
        return int(self.statuses.sum())

    @property
    def finished(self) -> int:
        """Count those that were answered in full."""
        return int(self.statuses[FINISHED])

    @property
    def span_s(self) -> float:
        """Give the time from the first arrival to the last answer; 0 where nothing was answered."""
        return max(self.last_finish_s - self.first_arrival_s, 0.0) if self.finished else 0.0

    def add(self, rows: RequestColumns, chosen: Booleans, good: Booleans, limited: Booleans) -> None:
        """Take the chosen rows of a chunk."""
        self.statuses += np.bincount(rows.status[chosen], minlength=len(STATUSES))
        self.limited += int(limited[chosen].sum())
        self.good += int(good[chosen].sum())
        if chosen.any():
            self.first_arrival_s = min(self.first_arrival_s, float(rows.arrival_s[chosen].min()))
        self.preemptions += int(rows.preemptions[chosen].sum())
        done = chosen & (rows.status == FINISHED)
        if not done.any():
            return
        finish_s, first_s, arrival_s = rows.finish_s[done], rows.first_token_s[done], rows.arrival_s[done]
        output = rows.output_tokens[done]
        self.last_finish_s = max(self.last_finish_s, float(finish_s.max()))
        self.prompt_tokens += int(rows.prompt_tokens[done].sum())
        self.output_tokens += int(output.sum())
        self.cached_tokens += int(rows.cached_tokens[done].sum())
        self.ttft.add(first_s - arrival_s)
        self.e2e.add(finish_s - arrival_s)
        self.normalized.add((finish_s - arrival_s) / output)
        several = output > 1
        decode_s, gaps = (finish_s - first_s)[several], output[several] - 1
        self.tpot.add(decode_s / gaps)
        self.decode_s += float(decode_s.sum())
        self.decode_gaps += int(gaps.sum())


@dataclass(frozen=True, slots=True)
class Measured:
    """How the requests of one workload are measured."""

    label: str
    from_s: float
    """End of the warm-up: earlier arrivals are not measured."""
    slo: Slo | None


class ServiceFold:
    """Takes the finished requests of one service and sorts them into groups."""

    def __init__(self, workloads: dict[int, Measured], *, keep: int = EXACT_REQUESTS) -> None:
        """Take the workloads by the number that begins the numbers of their requests."""
        has_limits = {index: workload.slo is not None for index, workload in workloads.items()}
        self.whole = Group(has_limits=any(has_limits.values()))
        alone = len(workloads) == 1
        self.by_workload = {index: self.whole if alone else Group(has_limits=has_limits[index]) for index in workloads}
        self.by_tenant: dict[int, Group] = {}
        self.total = 0
        self._chunks: list[RequestColumns] | None = []
        self._keep = keep
        self._names = {index: workload.label for index, workload in workloads.items()}
        size = max(workloads, default=0) + 2
        self._from_s, self._limits_s = np.zeros(size), np.full((3, size), math.inf)
        self._limited = np.zeros(size, dtype=np.bool_)
        for index, workload in workloads.items():
            self._from_s[index] = workload.from_s
            if workload.slo is not None:
                limits = (workload.slo.ttft, workload.slo.tpot, workload.slo.e2e)
                self._limits_s[:, index] = [math.inf if limit is None else limit for limit in limits]
                self._limited[index] = True

    def __call__(self, rows: RequestColumns) -> None:
        """Take a chunk."""
        self.total += len(rows)
        if self._chunks is not None:
            self._chunks.append(rows)
            self._chunks = self._chunks if self.total <= self._keep else None
        workload = self._workloads(rows)
        measured = self.measured(rows)
        limited, good = self._judged(rows)
        self.whole.add(rows, measured, good, limited)
        for index, group in self.by_workload.items():
            if group is self.whole:
                break
            group.add(rows, measured & (workload == index), good, limited)
        for tenant in sorted(set(rows.tenant.tolist())):
            self.by_tenant.setdefault(tenant, Group()).add(rows, measured & (rows.tenant == tenant), good, limited)

    def measured(self, rows: RequestColumns) -> Booleans:
        """Tell which requests count: those that arrived after the warm-up of their workload."""
        return np.asarray(rows.arrival_s >= self._from_s[self._workloads(rows)], dtype=np.bool_)

    def met(self, rows: RequestColumns) -> NDArray[np.int8]:
        """Give 1 for requests that met every limit, 0 for those that did not, -1 for those that have none."""
        limited, good = self._judged(rows)
        return np.where(limited, good, -1).astype(np.int8)

    def labels(self, rows: RequestColumns) -> NDArray[Any]:
        """Give the name of the workload of each request; none for those that graphs send."""
        names = np.full(len(self._from_s), "", dtype=object)
        for index, label in self._names.items():
            names[index] = label
        return np.asarray(names[self._workloads(rows)])

    def _judged(self, rows: RequestColumns) -> tuple[Booleans, Booleans]:
        """Tell which requests have limits, and which of them met every one."""
        workload = self._workloads(rows)
        limited = self._limited[workload]
        return limited, limited & (rows.status == FINISHED) & self._meets(rows, self._limits_s[:, workload])

    def _workloads(self, rows: RequestColumns) -> NDArray[np.int64]:
        # Requests of graphs have numbers of their own, beyond those of the workloads.
        return np.asarray(np.minimum(rows.id >> ID_BITS, len(self._from_s) - 1), dtype=np.int64)

    def rows(self) -> RequestColumns | None:
        """Give every request, those of the warm-up included, in the order of their numbers; None where too many."""
        if self._chunks is None:
            return None
        joined = join_columns(self._chunks)
        order = np.argsort(joined.id, kind="stable")
        names = RequestColumns.__dataclass_fields__
        return RequestColumns(*(getattr(joined, name)[order] for name in names))

    @staticmethod
    def _meets(rows: RequestColumns, limits_s: Floats) -> Booleans:
        ttft_s, tpot_s, e2e_s = limits_s
        further = np.maximum(rows.output_tokens - 1, 1)
        with np.errstate(invalid="ignore"):
            met = rows.first_token_s - rows.arrival_s <= ttft_s
            met &= (rows.output_tokens < 2) | ((rows.finish_s - rows.first_token_s) / further <= tpot_s)  # noqa: PLR2004 - of one token there is no gap
            met &= rows.finish_s - rows.arrival_s <= e2e_s
        return np.asarray(met, dtype=np.bool_)
