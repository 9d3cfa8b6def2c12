"""What a played service says: its figures under dotted names, and the small tables that people read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.cost.precision import WeightedFlop, weigh
from sim.engine.serving.request import STATUSES
from sim.results.run_report import Better, Value, measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sim.engine.serving.recording import ServiceRecording
    from sim.plan.serving import ReplicaPlan
    from sim.results.serving_fold import Group, Latencies, Measured, ServiceFold

SHARES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""Quantiles that are told."""
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class RateCap:
    """A named limit on the arithmetic of a service over time."""

    name: str
    flop_per_s: float
    source: str


CAPS = (RateCap("proposed cap on inference", 1e20, "Keep the Future Human, proposed cap"),)
"""In ascending order."""


@dataclass(frozen=True, slots=True)
class Served:
    """One service after its run, and what its devices are."""

    name: str
    plan: ReplicaPlan
    replicas: str
    """How many, in words."""
    devices: int
    """Held at most."""
    recording: ServiceRecording
    fold: ServiceFold
    workloads: dict[int, Measured]
    compute: str
    """Precision of the products."""
    peaks_flop_per_s: dict[str, float]
    """Dense peaks of one device by precision."""
    bandwidth_bytes_per_s: float
    """Memory bandwidth of one device."""
    wall_factor: float | None
    """Power at the meter over that of the boards; None where the power of a board is not known."""
    price_usd_per_s: float | None
    """Of one device."""

    @property
    def held_s(self) -> float:
        """Give the device-seconds that the service held."""
        return math.fsum(self.recording.device_seconds.values())

    @property
    def energy_j(self) -> float | None:
        """Give the energy at the meter; None where the power of the devices is not known."""
        if self.wall_factor is None:
            return None
        return math.fsum(self.recording.joules.values()) * self.wall_factor

    @property
    def cost_usd(self) -> float | None:
        """Give the rent of the devices while they were held."""
        return None if self.price_usd_per_s is None else self.held_s * self.price_usd_per_s

    def told(self) -> list[str]:
        """Name the groups that tables show: tenants that have one workload each are told as that workload."""
        names = [name for name, _ in self.groups()]
        if len(self.fold.by_tenant) == len(self.workloads):
            return [name for name in names if not name.startswith(f"{self.name}.tenants.")]
        return names

    def groups(self) -> Iterator[tuple[str, Group]]:
        """Give the service and, where there are several, its workloads and tenants, each with its name."""
        yield self.name, self.fold.whole
        if len(self.workloads) > 1:
            for index, workload in self.workloads.items():
                if workload.label != self.name:
                    yield f"{self.name}.{workload.label}", self.fold.by_workload[index]
        if len(self.fold.by_tenant) > 1:
            for place, group in self.fold.by_tenant.items():
                yield f"{self.name}.tenants.{self.recording.tenants[place] or 'nobody'}", group


def values(served: Served) -> dict[str, Value]:
    """Give every figure of a service that it has; docs/serving.md defines each."""
    return measured(figures(served))


def figures(served: Served) -> dict[str, Value]:
    """Give every figure of a service, not numbers where there was nothing to measure it by."""
    found: dict[str, Value] = {}
    for name, group in served.groups():
        found |= {f"{name}.{key}": value for key, value in _of_group(group)}
    return found | {f"{served.name}.{key}": value for key, value in _of_service(served)}


def _of_group(group: Group) -> Iterator[tuple[str, Value]]:
    for key, latencies in (
        ("ttft_s", group.ttft),
        ("tpot_s", group.tpot),
        ("e2e_s", group.e2e),
        ("e2e_per_token_s", group.normalized),
    ):
        yield from _spread(key, latencies)
    yield "tpot_s.pooled", Value(group.decode_s / (group.decode_gaps or math.nan), "second", "lower")
    span_s = group.span_s or math.nan
    yield "output_tokens_per_s", Value(group.output_tokens / span_s, "token_per_s", "higher")
    yield "requests_per_s", Value(group.finished / span_s, "per_s", "higher")
    every = group.output_tokens + group.prompt_tokens
    yield "total_tokens_per_s", Value(every / span_s, "token_per_s", "higher")
    if group.limited or group.has_limits:
        # Without a request that has limits nothing says whether they are met; where none met them, none did.
        limited = group.limited or math.nan
        yield "goodput_per_s", Value(group.good / span_s if group.good else 0.0 * limited, "per_s", "higher")
        yield "slo_met", Value(group.good / limited, "fraction", "higher")
    counts = dict(zip(("finished", "timed_out", "rejected", "cancelled"), group.statuses[1:].tolist(), strict=True))
    yield "requests", Value(float(group.measured), "count")
    for key, count in counts.items():
        yield key, Value(float(count), "count", "higher" if key == "finished" else "lower")
    yield "preemptions", Value(float(group.preemptions), "count", "lower")
    yield "hit_rate", Value(group.cached_tokens / (group.prompt_tokens or math.nan), "fraction", "higher")


def _spread(key: str, latencies: Latencies) -> Iterator[tuple[str, Value]]:
    mean, quantiles = latencies.describe(tuple(SHARES.values()))
    yield f"{key}.mean", Value(mean, "second", "lower")
    for name, quantile in zip(SHARES, quantiles, strict=True):
        yield f"{key}.{name}", Value(quantile, "second", "lower")


def _of_service(served: Served) -> Iterator[tuple[str, Value]]:
    recording, whole = served.recording, served.fold.whole
    gaps = recording.inter_token
    yield "itl_s.mean", Value(gaps.mean_s, "second", "lower")
    for name, share in SHARES.items():
        yield f"itl_s.{name}", Value(gaps.quantile_s(share), "second", "lower")
    per_device = whole.output_tokens / (whole.span_s or math.nan) / served.devices
    yield "output_tokens_per_s_per_device", Value(per_device, "token_per_s", "higher")
    for name, (value, dimension, better) in _usage(served).items():
        yield name, Value(value, dimension, better)
    for name in ("retries", "failures", "too long", "replicas", "iterations"):
        wanted: Better = "" if name in {"replicas", "iterations"} else "lower"
        yield name.replace(" ", "_"), Value(float(recording.counts.get(name, 0)), "count", wanted)
    for name, rate in flop_rates(recording).items():
        yield f"flop_per_s.{name}", Value(rate, "flop_per_s", "lower")
    share = flop_rates(recording)["peak_1s"] / CAPS[0].flop_per_s
    yield "flop_per_s.share_of_cap", Value(share, "fraction", "lower")
    # Everything that was delivered has its part in cost and energy, the answers of the warm-up included.
    delivered = recording.tokens["delivered"] or math.nan
    asked = recording.tokens["prefill"] + recording.tokens["cached"]
    if served.energy_j is not None:
        yield "energy_j", Value(served.energy_j, "joule", "lower")
        yield "joules_per_output_token", Value(served.energy_j / delivered, "joule", "lower")
    if served.cost_usd is not None:
        yield "cost_usd", Value(served.cost_usd, "usd", "lower")
        yield "usd_per_output_token", Value(served.cost_usd / delivered, "usd_per_token", "lower")
        yield "usd_per_token", Value(served.cost_usd / (delivered + asked), "usd_per_token", "lower")


def _usage(served: Served) -> dict[str, tuple[float, str, Better]]:
    """Say how well the devices were used."""
    recording, plan, time = served.recording, served.plan, served.recording.timeline
    replica_s = served.held_s / plan.devices or math.nan
    working_s, useful = float(time.busy_s.sum()), recording.flop.get("prefill", 0.0) + recording.flop.get("decode", 0.0)
    busy_s = working_s or math.nan
    held = time.kv_blocks / (time.bin_s * recording.kv_blocks)
    found: dict[str, tuple[float, str, Better]] = {
        "busy": (working_s / replica_s, "fraction", "higher"),
        "mfu": (useful / (plan.peak_flop_per_s * replica_s), "fraction", "higher"),
        "mfu_busy": (useful / (plan.peak_flop_per_s * busy_s), "fraction", "higher"),
        "batch.mean": (float(time.running.sum()) / busy_s, "ratio", "higher"),
        "batch.peak": (float(time.running.max()) / time.bin_s, "ratio", ""),
        "queue.mean": (float(time.waiting.sum()) / replica_s, "ratio", "lower"),
        "queue.peak": (float(time.waiting.max()) / time.bin_s, "ratio", "lower"),
        "kv_use.mean": (float(time.kv_blocks.sum()) / busy_s / recording.kv_blocks, "fraction", ""),
        "kv_use.peak": (float(held.max()) / max(served.devices // plan.devices, 1), "fraction", "lower"),
    }
    if plan.model.experts is None:
        moved = recording.counts["iterations"] * plan.weights_bytes + float(time.decode_pairs.sum()) * (
            plan.kv_bytes_per_token
        )
        bandwidth = served.bandwidth_bytes_per_s * plan.devices
        found["bandwidth_utilization"] = (moved / (bandwidth * busy_s), "fraction", "higher")
    return found


def flop_rates(recording: ServiceRecording) -> dict[str, float]:
    """Give peak and 99th percentile of the arithmetic over windows of 1 s and of 1 h, in FLOP/s.

    Windows begin with each bin of the timeline; one that is longer than the run is divided by its whole length.
    """
    time = recording.timeline
    bins = time.flop[int(recording.start_s // time.bin_s) :]
    found: dict[str, float] = {}
    for name, window_s in (("1s", time.bin_s), ("1h", HOUR_S)):
        width = max(round(window_s / time.bin_s), 1)
        if len(bins) > width:
            sums = np.cumsum(np.concatenate(([0.0], bins)))
            rates = (sums[width:] - sums[:-width]) / (width * time.bin_s)
        else:
            rates = np.array([bins.sum() / (width * time.bin_s)])
        found[f"peak_{name}"], found[f"p99_{name}"] = float(rates.max()), float(np.quantile(rates, 0.99))
    return found


def weighted_flop(served: Served) -> dict[str, WeightedFlop]:
    """Weigh the operations of each purpose: products in their precision, attention and LM head in 16 bit."""
    time, cost = served.recording.timeline, served.plan.cost
    decoded = float(time.decode_tokens.sum())
    sums = {
        True: (float(time.prefill_tokens.sum()), float(time.prefill_pairs.sum()), float(time.outputs.sum()) - decoded),
        False: (decoded, float(time.decode_pairs.sum()), decoded),
    }
    found: dict[str, WeightedFlop] = {}
    for purpose, flop in served.recording.flop.items():
        if not flop:
            continue
        tokens, pairs, outputs = sums[purpose in {"prefill", "recompute"}]
        layers, whole = cost.flop(tokens, 0, 0), cost.flop(tokens, pairs, outputs)
        narrow = flop * (layers / whole if whole else 1.0)
        parts = {served.compute: narrow, "bf16": flop - narrow} if served.compute != "bf16" else {"bf16": flop}
        peaks = served.peaks_flop_per_s
        found[purpose] = weigh(parts, peaks if "bf16" in peaks else peaks | {"bf16": peaks["fp16"]})
    return found


def tables(every: Sequence[Served]) -> dict[str, dict[str, NDArray[Any]]]:
    """Give the requests and the curves over time as columns."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for served in every:
        rows = served.fold.rows()
        if rows is not None:
            names = type(rows).__dataclass_fields__
            columns = {name: np.asarray(getattr(rows, name)) for name in names}
            columns["status"] = np.array(STATUSES)[columns["status"]]
            columns["tenant"] = np.array(served.recording.tenants or ("",))[columns["tenant"]]
            columns["service"] = np.full(len(rows), served.name)
            columns["workload"] = served.fold.labels(rows)
            columns["counted"] = served.fold.measured(rows)
            columns["met"] = served.fold.met(rows)
            _append(found, "requests", columns)
        time = served.recording.timeline
        starts = np.arange(len(time.flop)) * time.bin_s
        curves = {
            "time_s": starts,
            "service": np.full(len(starts), served.name),
            "busy_s": time.busy_s,
            "running": time.running / time.bin_s,
            "waiting": time.waiting / time.bin_s,
            "kv_use": time.kv_blocks / (time.bin_s * served.recording.kv_blocks),
            "output_tokens_per_s": time.decode_tokens / time.bin_s,
            "prefill_tokens_per_s": time.prefill_tokens / time.bin_s,
            "flop_per_s": time.flop / time.bin_s,
        }
        _append(found, "timeline", curves)
    return found


def _append(found: dict[str, dict[str, NDArray[Any]]], name: str, columns: dict[str, NDArray[Any]]) -> None:
    if name in found:
        columns = {key: np.concatenate([found[name][key], column]) for key, column in columns.items()}
    found[name] = columns
