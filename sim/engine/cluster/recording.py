"""What a play of a shared cluster leaves behind: columns by job and by stretch, and the accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.cluster.job import Workload
    from sim.engine.ledger import Accounts
    from sim.plan.placement_held import HeldSamples

FINISHED, REJECTED, RELEASED = 1, 2, 3
"""Outcome of a job; 0 is none yet. Work of unknown length is released by its owner, whether it ever ran or not."""


@dataclass(frozen=True, slots=True)
class StretchColumns:
    """Each time that a job held a number of devices without change, in the order in which that ended."""

    position: NDArray[np.int64]
    """Row of the job in the workload."""
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    devices: NDArray[np.int64] | NDArray[np.float64]
    """Whole numbers, unless some job held a share of a device."""
    kind: NDArray[np.int64]
    """Index into the kinds of the cluster."""
    work_s: NDArray[np.float64]
    """Progress of the job, in seconds at pace 1."""
    lost_s: NDArray[np.float64]
    """Progress that was lost when the stretch ended."""


@dataclass(frozen=True, slots=True)
class KindAccounts:
    """Where the time and the energy of the devices of one kind went."""

    kind: str
    devices: int
    device_seconds: dict[str, float]
    """By account; they sum to devices x time."""
    energy_j: float


@dataclass(frozen=True, slots=True)
class ClusterRecording:
    """One play of a cluster. Seed and inputs decide every byte of it."""

    policy: str
    seed: int
    workload: Workload
    capacity: int
    kinds: tuple[str, ...]
    wall_clock_s: float
    """From 0 to the last end."""
    outcome: NDArray[np.int8]
    start_s: NDArray[np.float64]
    """First start of each job; not a number where it never started."""
    finish_s: NDArray[np.float64]
    preemptions: NDArray[np.int64]
    failures: NDArray[np.int64]
    """Interruptions by failing devices, by job."""
    stretches: StretchColumns
    accounts: Accounts
    by_kind: tuple[KindAccounts, ...]
    """The same device-seconds, kind by kind."""
    events: tuple[tuple[float, str, str], ...]
    """Failures, repairs and rejections, in order."""
    world_events: int
    replicas: tuple[str, ...] = ()
    """Service of each row at the end that is a replica of one; all rows before are jobs."""
    fragmentation: float | None = None
    """Part of the free device-seconds that the mean job could not use; none where devices have no place."""
    held: HeldSamples | None = None
    """How full each part of the cluster was over time; none where devices have no place."""
