"""The sections, figures and tables that a report shows of the jobs on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.engine.cluster.recording import REJECTED, RELEASED
from sim.engine.ledger import FREE
from sim.results.jobs import JobFigures, figures, jain, over_time
from sim.results.run_report import Column, Section, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.engine.cluster.job import Devices
    from sim.engine.cluster.recording import ClusterRecording
    from sim.results.run_report import Better

_QUANTILES = (("mean", None), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("wait_s", "wait_s", "second"),
    ("jct_s", "turnaround_s", "second"),
    ("slowdown", "slowdown", "ratio"),
    ("finish_time_fairness", "finish_time", "ratio"),
)
"""Name, attribute and dimension of what is averaged over jobs."""


def sentence(recording: ClusterRecording) -> str:
    """Say in one sentence what happened."""
    from sim.results.words import duration  # noqa: PLC0415 - words load the answer model

    done = figures(recording)
    own = own_rows(recording)
    ended, asked = len(done.rows), int(np.sum(recording.outcome[own] != RELEASED))
    share = _held_share(recording)
    wait = duration(float(done.wait_s.mean())) if ended else "none"
    turned_away = int(np.sum(recording.outcome == REJECTED))
    more = f" ({turned_away} can never run here)" if turned_away else ""
    return (
        f"{ended} of {asked} jobs{more} end within {duration(recording.wall_clock_s)} under {recording.policy}; "
        f"a job waits {wait} on average, and {share:.1%} of the devices are held."
    )


def values(recording: ClusterRecording, prefix: str = "jobs") -> dict[str, Value]:
    """Give the figures of a play under dotted names; of each tenant too, where there are several."""
    done = figures(recording)
    found: dict[str, Value] = {}
    if len(done.rows):
        found |= _of_jobs(done, np.arange(len(done.rows)), prefix)
        tenants = sorted(set(done.tenants))
        for tenant in tenants if len(tenants) > 1 else ():
            rows = np.array([row for row, name in enumerate(done.tenants) if name == tenant])
            found |= _of_jobs(done, rows, f"{prefix}.{tenant or 'nobody'}")
        first_s = float(done.arrival_s.min())
        found["makespan_s"] = Value(float(recording.finish_s[done.rows].max()) - first_s, "second", "lower")
        found[f"{prefix}.fairness.jain"] = Value(jain(1.0 / done.slowdown), "ratio", "higher")
    found["allocated"] = Value(_held_share(recording), "fraction", "higher")
    own = own_rows(recording)
    found[f"{prefix}.preemptions"] = Value(float(recording.preemptions[own].sum()), "ratio", "lower")
    found[f"{prefix}.failures"] = Value(float(recording.failures[own].sum()), "ratio", "lower")
    found[f"{prefix}.lost_device_s"] = Value(float(done.lost_device_s.sum()), "second", "lower")
    found[f"{prefix}.rejected"] = Value(float(np.sum(recording.outcome == REJECTED)), "ratio", "lower")
    return found


def own_rows(recording: ClusterRecording) -> slice:
    """Give the rows that are jobs; those behind them are replicas of services."""
    return slice(len(recording.workload.jobs) - len(recording.replicas))


def sections(recording: ClusterRecording, fragmentation: float | None = None) -> tuple[Section, ...]:
    """Give the tables that people read: jobs by tenant, and the cluster over time."""
    return (_jobs_section(recording), _time_section(recording, fragmentation))


def tables(recording: ClusterRecording) -> dict[str, dict[str, NDArray[Any]]]:
    """Give the columns by job, by stretch of a job, over time, and the events."""
    jobs, stretches = recording.workload.jobs, recording.stretches
    done = figures(recording)
    by_row: dict[str, NDArray[Any]] = {
        name: np.full(len(jobs), np.nan) for name in ("slowdown", "finish_time_fairness", "lost_device_s")
    }
    by_row["slowdown"][done.rows], by_row["lost_device_s"][done.rows] = done.slowdown, done.lost_device_s
    by_row["finish_time_fairness"][done.rows] = done.finish_time
    outcomes = np.array(["waiting", "finished", "rejected", "released"], dtype=object)
    kinds = np.array(recording.kinds, dtype=object)
    return _heat(recording) | {
        "jobs": {
            "number": np.array([job.number for job in jobs], dtype=np.int64),
            "name": np.array([job.name for job in jobs], dtype=object),
            "tenant": np.array([job.tenant for job in jobs], dtype=object),
            "service": np.array([""] * (len(jobs) - len(recording.replicas)) + list(recording.replicas), dtype=object),
            "priority": np.array([job.priority for job in jobs], dtype=np.int64),
            "devices": _counts([job.devices for job in jobs]),
            "arrival_s": np.array([job.arrival_s for job in jobs], dtype=np.float64),
            "start_s": recording.start_s,
            "finish_s": recording.finish_s,
            "run_s": _known(np.array(recording.workload.run_s, dtype=np.float64)),
            "estimate_s": _known(np.array([job.estimate_s for job in jobs], dtype=np.float64)),
            "outcome": outcomes[recording.outcome],
            "preemptions": recording.preemptions,
            "failures": recording.failures,
            **by_row,
        },
        "allocations": {
            "number": np.array([jobs[row].number for row in stretches.position], dtype=np.int64),
            "start_s": stretches.start_s,
            "end_s": stretches.end_s,
            "devices": stretches.devices,
            "kind": kinds[stretches.kind],
            "work_s": stretches.work_s,
            "lost_s": stretches.lost_s,
        },
        "cluster": dict(over_time(recording)),
        "events": {
            "time_s": np.array([time_s for time_s, _, _ in recording.events], dtype=np.float64),
            "kind": np.array([kind for _, kind, _ in recording.events], dtype=object),
            "detail": np.array([detail for _, _, detail in recording.events], dtype=object),
        },
    }


def _counts(devices: Sequence[Devices]) -> NDArray[Any]:
    """Give whole numbers, or floats where some are shares of a device."""
    return np.array(devices, dtype=np.int64 if all(isinstance(each, int) for each in devices) else np.float64)


def parts(recording: ClusterRecording) -> tuple[tuple[str, float], ...]:
    """Give account and seconds, averaged over all devices; they sum to the wall-clock."""
    accounts = recording.accounts.device_seconds
    largest_first = sorted(accounts, key=lambda name: -accounts[name])
    return tuple((name, accounts[name] / recording.capacity) for name in largest_first)


def _known(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out lengths that nobody knows."""
    return np.where(np.isinf(seconds), np.nan, seconds)


def _heat(recording: ClusterRecording) -> dict[str, dict[str, NDArray[Any]]]:
    """Give how full each part of the cluster was over time, part by part; nothing where devices have no place."""
    held = recording.held
    if held is None:
        return {}
    count = len(held.time_s)
    return {
        "heat": {
            "row": np.repeat(np.array(held.parts, dtype=object), count),
            "time_s": np.tile(held.time_s, len(held.parts)),
            "value": held.share.T.reshape(-1),
        }
    }


def _held_share(recording: ClusterRecording) -> float:
    whole = recording.capacity * recording.wall_clock_s
    accounts = recording.accounts.device_seconds
    return 1.0 - (accounts.get(FREE, 0.0) + accounts.get("down", 0.0)) / whole if whole else 0.0


def _of_jobs(done: JobFigures, rows: NDArray[np.int64], prefix: str) -> dict[str, Value]:
    better: Better = "lower"
    found = {}
    for name, attribute, dimension in _FIGURES:
        column = getattr(done, attribute)[rows]
        for statistic, share in _QUANTILES:
            amount = float(column.mean()) if share is None else float(np.quantile(column, share))
            found[f"{prefix}.{name}.{statistic}"] = Value(amount, dimension, better)
    return found


def _jobs_section(recording: ClusterRecording) -> Section:
    done = figures(recording)
    tenants = sorted(set(done.tenants))
    groups = [("all", np.arange(len(done.rows)))]
    if len(tenants) > 1:
        names = np.array(done.tenants, dtype=object)
        groups += [(tenant or "nobody", np.flatnonzero(names == tenant)) for tenant in tenants]
    rows: list[tuple[float | str | None, ...]] = []
    for name, at in groups:
        if not len(at):
            rows.append((name, 0.0, *([None] * 8)))
            continue
        rows.append(
            (
                name,
                float(len(at)),
                float(done.wait_s[at].mean()),
                float(np.quantile(done.wait_s[at], 0.99)),
                float(done.turnaround_s[at].mean()),
                float(np.quantile(done.turnaround_s[at], 0.99)),
                float(done.slowdown[at].mean()),
                float(np.quantile(done.finish_time[at], 0.9)),
                float(done.preemptions[at].sum() + done.failures[at].sum()),
                float(done.lost_device_s[at].sum() / 3600),
            )
        )
    columns = (
        Column("tenant"),
        Column("jobs", "ratio"),
        Column("wait mean", "second"),
        Column("wait p99", "second"),
        Column("JCT mean", "second"),
        Column("JCT p99", "second"),
        Column("slowdown", "ratio"),
        Column("fairness p90", "ratio"),
        Column("stopped", "ratio"),
        Column("lost device-h", "ratio"),
    )
    note = (
        "wait: to the first start; JCT: to the end; slowdown: JCT over run time, bounded at 10 s; fairness: JCT over "
        "that in a cluster of one's own, 1/N of this one; stopped: by preemption or failure."
    )
    return Section("jobs", "Jobs", columns, tuple(rows), note)


def _time_section(recording: ClusterRecording, fragmentation: float | None) -> Section:
    curve = over_time(recording, 8)
    rows = tuple(
        (
            float(curve["start_s"][index]),
            float(curve["waiting_jobs"][index]),
            float(curve["running_jobs"][index]),
            float(curve["allocated_devices"][index] / recording.capacity),
        )
        for index in range(len(curve["start_s"]))
    )
    columns = (
        Column("from", "second"),
        Column("jobs waiting", "ratio"),
        Column("jobs running", "ratio"),
        Column("devices held", "fraction"),
    )
    told = ["Replicas of services count as jobs here."] if recording.replicas else []
    told += [] if fragmentation is None else [f"Fragmentation, averaged over time: {fragmentation:.1%}."]
    return Section("cluster", "Queue and allocation over time", columns, rows, " ".join(told))
