"""What a simulated training run did over time, as the lines of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.engine.recording import Recording

POINTS = 241
"""Times at which growing sums are read."""
INTERRUPTION_BINS = 60
MOST_STRETCHES = 2000
"""Stretches of a run that are drawn one by one; of a longer run the sums alone."""

Series = dict[str, "NDArray[np.object_] | NDArray[np.float64]"]


def series(recording: Recording, active_devices: int) -> Series:
    """Give the lines of a run: what its active devices did, the arithmetic done, and its interruptions."""
    rows: list[tuple[str, str, float, float]] = []
    if len(recording.stretches.start_s) <= MOST_STRETCHES:
        rows += _devices(recording, active_devices)
    times = np.linspace(0.0, recording.wall_clock_s, POINTS)
    for line, done in (("model", recording.model_flop), ("executed", recording.executed_flop)):
        rows += [("flop", line, float(time), float(done(float(time)))) for time in times]
    struck = np.array(
        [t for t, kind in zip(recording.events.time_s, recording.events.kind, strict=True) if kind == "interruption"]
    )
    if len(struck):
        counts, edges = np.histogram(struck, bins=INTERRUPTION_BINS, range=(0.0, recording.wall_clock_s))
        rows += [
            ("interruptions", "interruptions", float(at), float(n)) for at, n in zip(edges[:-1], counts, strict=True)
        ]
    charts, lines, at_s, values = zip(*rows, strict=True)
    return {
        "chart": np.array(charts, dtype=object),
        "line": np.array(lines, dtype=object),
        "time_s": np.array(at_s),
        "value": np.array(values),
    }


def _devices(recording: Recording, active: int) -> list[tuple[str, str, float, float]]:
    """Say what the active devices did: stepping, writing checkpoints, work that was lost, restarting or waiting."""
    segments, stretches = recording.segments, recording.stretches
    struck = [
        t for t, kind in zip(recording.events.time_s, recording.events.kind, strict=True) if kind == "interruption"
    ]
    full_s = segments.interval_s + segments.write_s
    names = ("stepping", "checkpoint", "lost work", "restart and waiting")
    rows: list[tuple[str, str, float, float]] = []

    def now(time_s: float, *shares: float) -> None:
        rows.extend(("devices", name, time_s, active * share) for name, share in zip(names, shares, strict=True))

    if not stretches.start_s or stretches.start_s[0] > 0:
        now(0.0, 0, 0, 0, 1)
    for place, start_s in enumerate(stretches.start_s):
        saved_s = start_s + stretches.segments[place] * full_s
        end_s = next((t for t in struck[int(np.searchsorted(struck, start_s)) :]), recording.wall_clock_s)
        writing = segments.write_s / full_s
        if stretches.segments[place]:
            now(start_s, 1 - writing, writing, 0, 0)
        if end_s > saved_s and place < len(stretches.start_s) - 1:
            now(saved_s, 0, 0, 1, 0)
        now(max(end_s, saved_s) if place < len(stretches.start_s) - 1 else recording.wall_clock_s, 0, 0, 0, 1)
    return rows
