"""Whether a model fits on a cluster for training: with how much room, or the smallest changes that make it fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.memory import per_device
from sim.cost.recurrent import require_measured_scan
from sim.errors import SimError
from sim.plan import machine as machines
from sim.plan.candidates import WHEREVER_LEGAL, enumerate_layouts, space
from sim.plan.resolve import ResolvedCluster, resolve_cluster, resolve_training
from sim.plan.search import no_legal_layout
from sim.plan.survey import CHUNK_ROWS, Planned, plan
from sim.plan.work import work_of
from sim.spec import catalog
from sim.spec.layout import LayoutSpec
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.cost.layout import Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.work import Work
    from sim.spec.cluster import ClusterSpec
    from sim.spec.hardware import Accelerator
    from sim.spec.workload import TrainingSpec

MOST_DEVICES = 1_000_000
SHORTEST_SEQUENCE = 256
"""Bounds of the changes that are tried."""
MOST_CHIPS = 2
"""Chips with more memory that are named."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to change, alone, that makes it fit."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TrainingFit:
    """Whether a training step fits."""

    planned: Planned | None
    """The surveyed layouts, where any fits."""
    least_bytes: float
    """Of the layout that needs least memory, fitting or not."""
    least: Layouts
    memory_bytes: float
    fewest_devices: int | None
    """The smallest number of devices, in whole nodes above one, on which it fits; None where no number does."""
    changes: tuple[Change, ...]
    """What would make it fit, the smallest change first; empty where it fits."""

    @property
    def fits(self) -> bool:
        """Whether any layout fits."""
        return self.planned is not None


@dataclass(frozen=True, slots=True)
class _Question:
    cluster: ResolvedCluster
    training: TrainingSpec
    work: Work
    machine: Machine
    software: Software
    wish: LayoutSpec

    @classmethod
    def of(cls, cluster: str | ClusterSpec, training: TrainingSpec) -> _Question:
        resolved = resolve_cluster(cluster)
        amounts = resolve_training(training)
        require_measured_scan(amounts.model)
        work = work_of(training, amounts.model, amounts.global_batch)
        machine = machines.build(resolved, work.recipe)
        software = machines.software(training.profile, resolved.accelerator, work.recipe)
        wish = training.plan if isinstance(training.plan, LayoutSpec) else LayoutSpec()
        return cls(resolved, training, work, machine, software, wish)

    @property
    def devices(self) -> int:
        return self.cluster.spec.count - self.cluster.spec.spares * self.cluster.devices_per_node

    def fits(self, devices: int) -> bool:
        found = least_memory(self.work, self.machine, self.software, self.wish, devices)
        return found is not None and found[0] <= self.machine.memory_bytes


def training_fit(cluster: str | ClusterSpec, training: TrainingSpec) -> TrainingFit:
    """Tell whether a training step fits, and what would make it fit.

    Raises:
        InfeasibleError: no layout is legal.
        SimError: as ``sim.plan.training.prepare``.

    """
    if training.budget is None and training.tokens is None:
        training = training.model_copy(update={"tokens": training.batch})
    asked = _Question.of(cluster, training)
    found = least_memory(asked.work, asked.machine, asked.software, asked.wish, asked.devices)
    if found is None:
        raise no_legal_layout(asked.work, asked.devices, _illegal(asked))
    least_bytes, least = found
    fewest = fewest_devices(asked.fits, asked.cluster.devices_per_node, asked.devices)
    room = asked.machine.memory_bytes
    if least_bytes <= room:
        return TrainingFit(plan(cluster, training), least_bytes, least, room, fewest, ())
    return TrainingFit(None, least_bytes, least, room, fewest, tuple(_changes(asked, fewest)))


def least_memory(
    work: Work, machine: Machine, software: Software, wish: LayoutSpec, devices: int
) -> tuple[float, Layouts] | None:
    """Give the smallest memory of all legal layouts, in bytes, and its layout; None where none is legal.

    Choices that never need less than another are left out: larger micro-batches, sequence parallelism off, ZeRO 0.
    """
    degrees = space(work.model, work.sequence, work.global_batch, machine.domain_devices, wish, every_choice=True)
    degrees = replace(degrees, micro_batch=(min(degrees.micro_batch),))
    if wish.zero_stage is None:
        degrees = replace(degrees, zero_stage=(1, 2, 3))
    if wish.sequence_parallel is None:
        degrees = replace(degrees, sequence_parallel=(WHEREVER_LEGAL,))
    candidates = enumerate_layouts(degrees, work.model, work.sequence, work.global_batch, devices, every_data=True)
    found: tuple[float, Layouts] | None = None
    for layouts in candidates.chunks(CHUNK_ROWS):
        memory = per_device(work.model, work.recipe, software.memory, layouts, work.sequence, work.global_batch)
        place = int(np.argmin(memory.total_bytes))
        if found is None or memory.total_bytes[place] < found[0]:
            found = float(memory.total_bytes[place]), layouts.take(np.array([place]))
    return found


def fewest_devices(fits: Callable[[int], bool], per_node: int, near: int) -> int | None:
    """Give the smallest number of devices on which something fits: a divisor of a node, or whole nodes.

    ``fits`` has to stay true with more devices; ``near`` is where the search begins.
    """
    within = [part for part in range(1, per_node) if per_node % part == 0]
    if near > per_node and not fits(per_node):
        within = []
    counts = _Counts(within, per_node)
    low, high = 0, max(counts.place_of(near), 1)
    while not fits(counts[high]):
        if counts[high] >= MOST_DEVICES:
            return None
        low, high = high, 2 * high + 1
    while low < high:
        middle = (low + high) // 2
        if fits(counts[middle]):
            high = middle
        else:
            low = middle + 1
    return counts[high]


class _Counts:
    """Numbers of devices in ascending order: the parts of one node, then whole nodes."""

    def __init__(self, within: list[int], per_node: int) -> None:
        self._within = within
        self._per_node = per_node

    def __getitem__(self, place: int) -> int:
        parts = len(self._within)
        return self._within[place] if place < parts else (place - parts + 1) * self._per_node

    def place_of(self, devices: int) -> int:
        """Give the place of the smallest number that is at least this one."""
        place = next((place for place, part in enumerate(self._within) if part >= devices), None)
        return place if place is not None else len(self._within) - 1 + -(-devices // self._per_node)


def larger_chips(than: Accelerator) -> list[Accelerator]:
    """List the chips with more memory: first those of the same vendor, of them the one with least memory first."""
    known = [catalog.load("accelerators", name) for name in catalog.names("accelerators")]
    assert than.memory_bytes is not None
    room = than.memory_bytes.value
    larger = [chip for chip in known if chip.memory_bytes is not None and chip.memory_bytes.value > room]
    return sorted(larger, key=lambda chip: (chip.vendor != than.vendor, chip.memory_bytes.value, chip.name))  # type: ignore[union-attr]


def _changes(asked: _Question, fewest: int | None) -> Iterator[Change]:
    """Try changes one by one: the layout first, then devices, chip, and what is trained."""
    yield from _of_layout(asked)
    if fewest is not None:
        yield Change("devices", f"{asked.devices:,}", f"{fewest:,}")
    yield from _of_chip(asked)
    yield from _of_sequence(asked)


def _of_layout(asked: _Question) -> Iterator[Change]:
    """Change one degree that the user fixed, or leave it to the search."""
    smaller: dict[str, object] = {"micro_batch": 1, "recompute": "full", "sequence_parallel": True, "zero_stage": 3}
    free = dict.fromkeys(("tp", "pp", "cp", "dp", "ep", "virtual_stages"))
    for name, value in (smaller | free).items():
        fixed = getattr(asked.wish, name)
        if fixed is None or fixed == value:
            continue
        wish = asked.wish.model_copy(update={name: value})
        if replace(asked, wish=wish).fits(asked.devices):
            yield Change(name.replace("_", " "), str(fixed), "searched" if value is None else str(value))


def _of_chip(asked: _Question) -> Iterator[Change]:
    chip = asked.cluster.accelerator
    named = 0
    for larger in larger_chips(chip):
        spec = asked.cluster.spec.model_copy(update={"accelerator": larger, "node": None, "fabric": None})
        try:
            fits = _Question.of(spec, asked.training).fits(asked.devices)
        except SimError:  # This chip lacks the precision, a curve, or a network of its own.
            continue
        if fits:
            yield Change("chip", _with_memory(chip), _with_memory(larger))
            named += 1
        if named == MOST_CHIPS:
            return


def _of_sequence(asked: _Question) -> Iterator[Change]:
    """Halve the sequence, with the same tokens a step, until it fits."""
    sequence = asked.training.sequence
    while sequence >= 2 * SHORTEST_SEQUENCE:
        sequence //= 2
        batch = max(round(asked.training.batch / sequence), 1)
        work = replace(asked.work, sequence=sequence, global_batch=batch)
        if replace(asked, work=work).fits(asked.devices):
            yield Change("sequence", f"{asked.training.sequence:,} tokens", f"{sequence:,} tokens")
            return


def _illegal(asked: _Question) -> dict[str, int]:
    work = asked.work
    degrees = space(work.model, work.sequence, work.global_batch, asked.machine.domain_devices, asked.wish)
    return enumerate_layouts(
        degrees, work.model, work.sequence, work.global_batch, asked.devices, every_data=True
    ).illegal


def _with_memory(chip: Accelerator) -> str:
    assert chip.memory_bytes is not None
    return f"{chip.name} ({show(chip.memory_bytes.value, 'byte')})"
