"""One run, averaged or simulated, as accounts of wall-clock time: the common ground of both views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.cost.reliability import ExpectedRun
    from sim.engine.recording import Recording
    from sim.plan.run import TrainingRun

IDLE = "allocated idle"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the time of a run went; of several simulated runs, their mean."""

    wall_clock_s: float
    parts: tuple[tuple[str, float], ...]
    """Account and seconds, averaged over all devices of the cluster; they sum to ``wall_clock_s``."""
    lost_compute_s: float
    """Seconds of stepping that were redone."""
    interruptions: float
    checkpoints: float
    energy_j: float


def from_expected(run: TrainingRun, mean: ExpectedRun) -> Outcome:
    """Give the accounts of the closed form: every active device does the same, the others idle."""
    share = run.active_devices / run.devices
    stepping = [(name, run.steps * seconds * share) for name, seconds in run.step_parts]
    around = [
        ("checkpoint", float(mean.checkpoint_s) * share),
        ("lost work", float(mean.lost_s) * share),
        ("restart", float(mean.restart_s) * share),
        (IDLE, float(mean.wall_clock_s) * (1 - share)),
    ]
    parts = tuple((name, seconds) for name, seconds in (*stepping, *around) if seconds > 0)
    wall_clock_s = float(mean.wall_clock_s)
    return Outcome(
        wall_clock_s=wall_clock_s,
        parts=parts,
        lost_compute_s=float(mean.lost_compute_s),
        interruptions=float(mean.interruptions),
        checkpoints=float(mean.checkpoints),
        energy_j=run.power_w_per_device * run.devices * wall_clock_s,
    )


def from_recordings(run: TrainingRun, recordings: Sequence[Recording]) -> Outcome:
    """Average the accounts of simulated runs."""
    count = len(recordings)
    names: dict[str, None] = {}
    for recording in recordings:
        names.update(dict.fromkeys(recording.device_seconds))
    order = [name for name, _ in run.step_parts]
    order += [name for name in ("checkpoint", "lost work", "restart", "waiting for repair", IDLE) if name in names]
    order += [name for name in names if name not in order]

    def mean(values: list[float]) -> float:
        return sum(values) / count

    parts = tuple(
        (name, mean([recording.device_seconds.get(name, 0.0) for recording in recordings]) / run.devices)
        for name in order
        if name in names
    )
    return Outcome(
        wall_clock_s=mean([recording.wall_clock_s for recording in recordings]),
        parts=parts,
        lost_compute_s=mean([recording.clock.lost_compute_s for recording in recordings]),
        interruptions=mean([float(recording.interruptions) for recording in recordings]),
        checkpoints=mean([float(recording.checkpoints) for recording in recordings]),
        energy_j=mean([sum(recording.joules.values()) for recording in recordings]),
    )
