"""What services got from the queue that they share with jobs: when replicas had their devices, and what was taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.results.run_report import Column, Section, Value, measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.engine.cluster.recording import ClusterRecording


@dataclass(frozen=True, slots=True)
class Waited:
    """What became of the gangs of one service."""

    asked: int
    never: int
    """Gangs that were given up before they had devices."""
    wait_mean_s: float
    """From asking to having devices, or to giving up."""
    wait_max_s: float
    preempted: int
    failed: int
    held_device_s: float


def waited(recording: ClusterRecording, service: str) -> Waited:
    """Fold the gangs of a service."""
    first = len(recording.workload.jobs) - len(recording.replicas)
    rows = np.array([first + row for row, name in enumerate(recording.replicas) if name == service], dtype=np.int64)
    asked_s = np.array([recording.workload.jobs[row].arrival_s for row in rows.tolist()], dtype=np.float64)
    never = np.isnan(recording.start_s[rows])
    wait_s = np.where(never, recording.finish_s[rows], recording.start_s[rows]) - asked_s
    stretches = recording.stretches
    own = np.isin(stretches.position, rows)
    held = float(np.sum((stretches.devices * (stretches.end_s - stretches.start_s))[own]))
    return Waited(
        asked=len(rows),
        never=int(never.sum()),
        wait_mean_s=float(wait_s.mean()) if len(rows) else math.nan,
        wait_max_s=float(wait_s.max()) if len(rows) else math.nan,
        preempted=int(recording.preemptions[rows].sum()),
        failed=int(recording.failures[rows].sum()),
        held_device_s=held,
    )


def values(recording: ClusterRecording, services: Sequence[str]) -> dict[str, Value]:
    """Give what services waited for and lost, under their dotted names."""
    found: dict[str, Value] = {}
    for service in services:
        each = waited(recording, service)
        found |= {
            f"{service}.devices_wait_s.mean": Value(each.wait_mean_s, "second", "lower"),
            f"{service}.devices_wait_s.max": Value(each.wait_max_s, "second", "lower"),
            f"{service}.replicas_without_devices": Value(float(each.never), "count", "lower"),
            f"{service}.replicas_preempted": Value(float(each.preempted), "count", "lower"),
            f"{service}.replicas_failed": Value(float(each.failed), "count", "lower"),
        }
    return measured(found)


def notes(recording: ClusterRecording, services: Sequence[str]) -> list[str]:
    """Say plainly where replicas never had devices."""
    found = []
    for service in services:
        each = waited(recording, service)
        if each.never:
            found.append(f"{service}: {each.never:,} of {each.asked:,} replicas asked for devices and never had any")
    return found


def section(recording: ClusterRecording, services: Sequence[str]) -> Section:
    """Give the table that people read."""
    columns = (
        Column("service"),
        Column("asked", "count"),
        Column("never had any", "count"),
        Column("wait mean", "second"),
        Column("wait max", "second"),
        Column("preempted", "count"),
        Column("failed", "count"),
        Column("device-h", "ratio"),
    )
    rows: list[tuple[float | str | None, ...]] = []
    for service in services:
        each = waited(recording, service)
        told = [None if math.isnan(wait_s) else wait_s for wait_s in (each.wait_mean_s, each.wait_max_s)]
        counts = (float(each.asked), float(each.never))
        rows.append((service, *counts, *told, float(each.preempted), float(each.failed), each.held_device_s / 3600))
    note = "Each replica is a gang in the queue; wait: from asking to having devices, or to wanting them no more."
    return Section("queued_services", "Services in the queue", columns, tuple(rows), note)
