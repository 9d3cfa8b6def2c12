"""What runs on a shared cluster, as its user describes it: all that a scheduling policy may know of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Devices: TypeAlias = int | Fraction
"""A number of devices: whole, or a fraction below 1 for a share of one. Fractions, since sums of floats do not hold."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a job proceeds on the devices that it holds."""

    rate: float
    """Progress over that on the devices it asked for, on the first kind of device; 0.5 takes twice as long."""
    parts: tuple[tuple[str, float], ...] = ()
    """Account and share of the time that the job computes; they sum to 1. Empty: all of it is useful compute."""
    overhead: float = 0.0
    """Recompute and padding for each operation of the mathematics."""


class Speed(Protocol):
    """Says how fast a job is where it runs."""

    def at(self, devices: Devices, kind: str, place: object = None) -> Pace:
        """Give the pace on so many devices of a kind; ``place`` is where they sit, None where that is not known."""


@dataclass(frozen=True, slots=True)
class Rigid:
    """The same speed wherever it runs."""

    pace: Pace = field(default_factory=lambda: Pace(1.0))

    def at(self, devices: Devices, kind: str, place: object = None) -> Pace:  # noqa: ARG002
        """Give the one pace."""
        return self.pace


RIGID = Rigid()


@dataclass(frozen=True, slots=True)
class Scaling:
    """A speed that grows with the devices by Amdahl's law, and differs by the kind of device.

    Source: Amdahl 1967, "Validity of the single processor approach": time = serial + (1 - serial) / devices.
    """

    asked: Devices
    """Devices on which the pace is 1."""
    serial: float = 0.0
    """Share of the work that does not speed up with devices; 0 means twice as fast on twice as many."""
    kinds: Mapping[str, float] = field(default_factory=dict)
    """Speed on each kind of device over that on the first; a kind that is absent cannot run the job."""

    def at(self, devices: Devices, kind: str, place: object = None) -> Pace:  # noqa: ARG002
        """Give the pace; 0 where the job cannot run on this kind."""
        by_kind = self.kinds.get(kind, 0.0) if self.kinds else 1.0
        if devices == self.asked:
            return Pace(by_kind)
        time = self.serial + (1 - self.serial) / devices
        return Pace(by_kind * (self.serial + (1 - self.serial) / self.asked) / time)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its user describes it; how long it really takes is not for policies to know."""

    number: int
    """Order of submission; jobs that arrive together are told apart by it."""
    arrival_s: float
    devices: Devices
    """What it asks for, all at once (a gang): whole devices, or a share of one."""
    estimate_s: float
    """How long its user says that it takes on these devices; infinite where nobody knows: it runs until released."""
    priority: int = 0
    """Larger is more urgent."""
    tenant: str = ""
    name: str = ""
    least: int = 0
    """Fewest devices on which it can run; 0 where it takes exactly what it asks for."""
    most: int = 0
    """Most devices that it can use; 0 where it takes exactly what it asks for."""
    checkpoint_s: float | None = None
    """Useful time between two checkpoints; 0 saves all the time; None: it starts again from nothing."""
    restart_s: float = 0.0
    """Time from getting devices to going on, whenever it was stopped before or resized."""
    kinds: tuple[str, ...] = ()
    """Kinds of device on which it runs; empty: any."""
    speed: Speed = RIGID
    preemptible: bool = True
    chunk: int = 0
    """Devices that must share a node; 0: as many as the node or the job allows."""
    within: str = ""
    """Level of which one group must hold all its devices, such as "domain"; empty: none must."""

    @property
    def is_open(self) -> bool:
        """Tell whether nobody knows how long it takes: it keeps its devices until its owner gives them back."""
        return self.estimate_s == math.inf

    @property
    def is_elastic(self) -> bool:
        """Tell whether it can run on another number of devices than it asks for."""
        return self.most > 0

    def takes(self, devices: Devices) -> bool:
        """Tell whether it can run on so many devices."""
        return devices == self.devices or (self.most > 0 and self.least <= devices <= self.most)


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs in the order in which they arrive, and what only the simulator knows of them."""

    jobs: Sequence[Job]
    run_s: Sequence[float]
    """How long each takes where its pace is 1."""
    flop: Sequence[float] = ()
    """Operations of the mathematics of each; empty where nothing is known of them."""
    until_s: Mapping[int, float] = field(default_factory=dict)
    """When those are released, by row, that nobody knows the length of; they take infinitely long until then."""

    def __post_init__(self) -> None:
        """Check that the columns belong together; the order is what the engine relies on."""
        assert len(self.run_s) == len(self.jobs)
        assert len(self.flop) in (0, len(self.jobs))
