"""What a play leaves behind: when each stretch of work ran, what it kept, and the curves that follow from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Segments:
    """The run cut at its checkpoints: equal stretches of useful time, a write after each, the last one maybe short."""

    count: int
    interval_s: float
    """Useful seconds of every segment but the last."""
    last_s: float
    """Useful seconds of the last segment."""
    write_s: float

    @property
    def useful_s(self) -> float:
        """Give the useful seconds of all segments."""
        return (self.count - 1) * self.interval_s + self.last_s

    def useful_until_s(self, segment: int) -> float:
        """Give the useful seconds of all segments before this one."""
        return self.useful_s if segment == self.count else segment * self.interval_s

    def length_s(self, segment: int) -> float:
        """Give the useful seconds of one segment."""
        return self.last_s if segment == self.count - 1 else self.interval_s

    def duration_s(self, first: int) -> float:
        """Give the seconds from the start of segment ``first`` to the end of the run, writes included."""
        full = self.count - 1 - first
        return full * (self.interval_s + self.write_s) + self.last_s + self.write_s


@dataclass(frozen=True, slots=True)
class Stretches:
    """Columns: each unbroken stretch of stepping, from the end of a restart to the next interruption or the end."""

    start_s: tuple[float, ...]
    first_segment: tuple[int, ...]
    """Segments saved before the stretch began."""
    segments: tuple[int, ...]
    """Segments that the stretch finished and saved."""
    lost_compute_s: tuple[float, ...]
    """Seconds of stepping at its end that were lost."""


@dataclass(frozen=True, slots=True)
class RunClock:
    """The wall-clock of the run by what the run did; the parts sum to it."""

    useful_s: float
    checkpoint_s: float
    lost_compute_s: float
    lost_write_s: float
    restart_s: float
    waiting_for_repair_s: float


@dataclass(frozen=True, slots=True)
class EventColumns:
    """What happened, in order."""

    time_s: tuple[float, ...]
    kind: tuple[str, ...]
    detail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """One play of a training run. Seed and inputs decide every byte of it."""

    name: str
    seed: int
    wall_clock_s: float
    device_seconds: dict[str, float]
    """By account; they sum to devices x wall-clock."""
    flop: dict[str, float]
    """By purpose: "model", "recompute and padding", "lost and redone"; together what was executed."""
    tokens: dict[str, float]
    """"trained" and "lost"."""
    joules: dict[str, float]
    """By account, at the wall."""
    clock: RunClock
    interruptions: int
    checkpoints: int
    nodes_lost: int
    world_events: int
    """Wake-ups that the simulation handled."""
    events: EventColumns
    segments: Segments
    stretches: Stretches
    model_flop_per_s: float
    """While stepping, over all devices."""
    hardware_flop_per_s: float

    def model_flop(self, time_s: float) -> float:
        """Give the operations of the mathematics that were done by then and were never lost."""
        place = self._stretch_at(time_s)
        return 0.0 if place is None else self.model_flop_per_s * self._kept_s(place, time_s)

    def executed_flop(self, time_s: float) -> float:
        """Give the operations that the devices had executed by then: recompute, padding and lost work included."""
        place = self._stretch_at(time_s)
        if place is None:
            return 0.0
        segments, stretches = self.segments, self.stretches
        full = segments.interval_s + segments.write_s
        saved_end_s = stretches.start_s[place] + stretches.segments[place] * full
        losing_s = min(max(time_s - saved_end_s, 0.0), stretches.lost_compute_s[place])
        kept_s = self._kept_s(place, time_s)
        return self.hardware_flop_per_s * (kept_s + float(self._lost_before()[place]) + losing_s)

    def model_crossing_s(self, flop: float) -> float | None:
        """Give the time at which kept model operations reach an amount, or None if they never do."""
        target_s = flop / self.model_flop_per_s if self.model_flop_per_s else np.inf
        if not target_s <= self.segments.useful_s:
            return None
        place = int(np.searchsorted(self._saved_after(), target_s, side="left"))
        return self._time_of(place, target_s)

    def executed_crossing_s(self, flop: float) -> float | None:
        """Give the time at which executed operations reach an amount, or None if they never do."""
        target_s = flop / self.hardware_flop_per_s if self.hardware_flop_per_s else np.inf
        lost_s = np.asarray(self.stretches.lost_compute_s)
        saved_after_s = self._saved_after()
        executed_after_s = saved_after_s + np.cumsum(lost_s)
        if not target_s <= executed_after_s[-1]:
            return None
        place = int(np.searchsorted(executed_after_s, target_s, side="left"))
        kept_target_s = target_s - float(self._lost_before()[place])
        over_s = kept_target_s - float(saved_after_s[place])
        if over_s <= 0:
            return self._time_of(place, kept_target_s)
        full = self.segments.interval_s + self.segments.write_s
        return self.stretches.start_s[place] + self.stretches.segments[place] * full + over_s

    def to_dict(self) -> dict[str, object]:
        """Give the recording as plain data that JSON can hold."""
        return asdict(self)

    def _stretch_at(self, time_s: float) -> int | None:
        place = int(np.searchsorted(np.asarray(self.stretches.start_s), time_s, side="right")) - 1
        return place if place >= 0 else None

    def _saved_after(self) -> NDArray[np.float64]:
        """Give useful seconds that are saved at the end of each stretch."""
        stretches = self.stretches
        saved = [first + segments for first, segments in zip(stretches.first_segment, stretches.segments, strict=True)]
        return np.array([self.segments.useful_until_s(segment) for segment in saved], dtype=np.float64)

    def _lost_before(self) -> NDArray[np.float64]:
        lost_s = np.asarray(self.stretches.lost_compute_s, dtype=np.float64)
        return np.asarray(np.cumsum(lost_s) - lost_s)

    def _kept_s(self, place: int, time_s: float) -> float:
        """Give useful seconds done by then, of those that the run kept."""
        segments, first = self.segments, self.stretches.first_segment[place]
        saving = self.stretches.segments[place]
        into_s = time_s - self.stretches.start_s[place]
        full = segments.interval_s + segments.write_s
        finished = min(int(into_s // full), saving)
        before_s = segments.useful_until_s(first + finished)
        if finished == saving:
            return before_s
        return before_s + min(into_s - finished * full, segments.length_s(first + finished))

    def _time_of(self, place: int, useful_s: float) -> float:
        """Give when a stretch reached an amount of useful time that it kept."""
        segments, stretches = self.segments, self.stretches
        into_s = max(useful_s - stretches.first_segment[place] * segments.interval_s, 0.0)
        finished = min(math.ceil(into_s / segments.interval_s), stretches.segments[place]) - 1
        return stretches.start_s[place] + into_s + max(finished, 0) * segments.write_s
