"""Plain jobs on a plain cluster, played to the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.engine.cluster.job import Job, Workload
from sim.engine.cluster.places import Places
from sim.engine.cluster.policy import Policy
from sim.engine.cluster.recording import ClusterRecording
from sim.engine.cluster.rules import Pool, Rules
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.world import World
from sim.plan.placement import ClusterMap
from tests.helpers.shared_data import SHARED

LUBLIN = "traces/swf_lublin_256_synthetic.swf"


def play(
    workload: Workload,
    policy: Policy,
    devices: int = 4,
    rules: Rules | None = None,
    pools: tuple[Pool, ...] = (),
    places: ClusterMap | None = None,
) -> ClusterRecording:
    """Play jobs on so many devices; with places they are packed on nodes."""
    pools = pools or (Pool("gpu", devices),)
    world = World(sum(pool.devices for pool in pools), seed=0)
    scheduler = Scheduler(world, pools, workload, policy, rules, None if places is None else Places(places, "packed"))
    scheduler.begin()
    world.run_until(scheduler.has_finished)
    return scheduler.record()


def jobs(*rows: tuple[float, int, float], **common: Any) -> Workload:
    """Give jobs of (arrival, devices, run time), numbered from 1, whose estimates are right."""
    found = [Job(at + 1, arrival, devices, run, **common) for at, (arrival, devices, run) in enumerate(rows)]
    return Workload(found, [run for _, _, run in rows])


def lublin(count: int) -> Workload:
    """Give the first jobs of the Lublin trace, which begins again where it ends; skips the test where it is absent."""
    path = SHARED / LUBLIN
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/{LUBLIN}, which is not shipped")
    lines = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith(";")]
    rows = [(float(fields[1]), int(fields[4]), float(fields[3])) for fields in lines]
    span_s = rows[-1][0] - rows[0][0] + 1
    found = []
    for at in range(count):
        turn, place = divmod(at, len(rows))
        arrival_s, devices, run_s = rows[place]
        found.append((arrival_s + turn * span_s, devices, run_s))
    return jobs(*found)


def mean_wait_s(recording: ClusterRecording) -> float:
    """Average the time from arrival to first start."""
    return float(np.mean(recording.start_s - np.array([job.arrival_s for job in recording.workload.jobs])))


def makespan_s(recording: ClusterRecording) -> float:
    """Give the time from the first submission to the last end."""
    return recording.wall_clock_s - recording.workload.jobs[0].arrival_s
