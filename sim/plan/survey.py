"""Every legal layout of one training step: how many there are, the fastest few, and the front of time and memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import joined
from sim.cost.memory import OPTIMIZER_SPLIT, Memory, per_device
from sim.cost.training import StepTimes, step_times
from sim.errors import InfeasibleError, SimError
from sim.plan import machine as machines
from sim.plan.candidates import enumerate_layouts, space
from sim.plan.resolve import ResolvedCluster, resolve_cluster, resolve_training
from sim.plan.search import does_not_fit, joined_memory, joined_steps, no_legal_layout
from sim.plan.work import work_of
from sim.spec.layout import LayoutSpec

if TYPE_CHECKING:
    from sim.cost.layout import Counts, Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.work import Work
    from sim.spec.cluster import ClusterSpec
    from sim.spec.workload import TrainingSpec

CHUNK_ROWS = 16_384
"""Layouts that are timed at once: their arrays stay in the second-level cache."""

CLOSER = 1 - 1e-12
"""Layouts are faster than another one if by more than rounding."""


@dataclass(frozen=True, slots=True)
class Way:
    """The step in one precision recipe, on the machine and under the software as they are with it."""

    work: Work
    machine: Machine
    software: Software


@dataclass(frozen=True, slots=True)
class Timed:
    """Layouts with their step times and memory, in some order; arrays of one length."""

    layouts: Layouts
    steps: StepTimes
    memory: Memory
    ways: Counts
    """Of each, the position of its precision recipe among those that were searched."""

    def __len__(self) -> int:
        """Count them."""
        return len(self.layouts)

    def take(self, index: Counts) -> Timed:
        """Give those at these positions."""
        return Timed(self.layouts.take(index), self.steps.take(index), self.memory.take(index), self.ways[index])

    def under(self, way: int) -> Timed:
        """Give the same as layouts of another recipe."""
        return replace(self, ways=np.full(len(self), way))


@dataclass(frozen=True, slots=True)
class Survey:
    """What all legal layouts of a step come to."""

    legal: int
    fitting: int
    """Legal layouts that fit into memory."""
    illegal: dict[str, int]
    """Layouts of the search space by the first rule that they break."""
    best: Timed
    """The fastest, the very fastest first; of equal ones first the one with fewer devices, then with less memory."""
    usual: Timed | None
    """The fastest one whose replicas share the optimizer state at most (ZeRO 0 or 1), as ``sim howlong`` plans."""
    front: Timed
    """Those that no other beats in both time and memory, the fastest first."""
    faster: int
    """Fitting layouts that are faster than the one that is asked about."""

    def under(self, way: int) -> Survey:
        """Give the same as layouts of another recipe."""
        usual = None if self.usual is None else self.usual.under(way)
        return replace(self, best=self.best.under(way), usual=usual, front=self.front.under(way))


@dataclass(frozen=True, slots=True)
class Planned:
    """A training step on its cluster, with all of its layouts surveyed."""

    cluster: ResolvedCluster
    ways: tuple[Way, ...]
    """One for each precision recipe that was searched."""
    left_out: dict[str, str]
    """Recipes that were asked for and cannot be searched here, with the reason."""
    devices: int
    """Devices that may work: the cluster's without its spares."""
    survey: Survey
    beside: Beside | None
    """The layout that was to be compared."""

    @property
    def work(self) -> Work:
        """The step; its recipe is the first of those that were searched."""
        return self.ways[0].work

    @property
    def machine(self) -> Machine:
        """The machine; its peaks are those of the first recipe."""
        return self.ways[0].machine

    @property
    def software(self) -> Software:
        """The software with the first recipe."""
        return self.ways[0].software

    def recipe(self, timed: Timed, index: int) -> str:
        """Name the precision recipe of one of the layouts."""
        return self.ways[int(timed.ways[index])].work.recipe.name

    def utilization(self, timed: Timed, index: int) -> float:
        """Give the model FLOP utilization of one of the layouts, against the dense peak of its recipe."""
        way = self.ways[int(timed.ways[index])]
        capacity = timed.steps.step_s[index] * timed.layouts.devices[index] * way.machine.gemm_peak_flop_per_s
        return float(way.work.model_flop / capacity)


@dataclass(frozen=True, slots=True)
class Beside:
    """One layout to be compared with the best: as given, and what it leaves open at its fastest."""

    timed: Timed
    fits: bool

    @property
    def step_s(self) -> float:
        """Time of its step."""
        return float(self.timed.steps.step_s[0])


ANY = "any"
"""Stands for every recipe that the chip can multiply."""


def plan(
    cluster: str | ClusterSpec,
    training: TrainingSpec,
    keep: int = 5,
    precisions: tuple[str, ...] = (),
    beside: LayoutSpec | None = None,
    fill: float = 1.0,
) -> Planned:
    """Survey the layouts of a training run; of the run, only its step matters.

    Args:
        cluster: a cluster of the catalogue, or a specification.
        training: what to train; a budget may be missing.
        keep: how many of the fastest to keep.
        precisions: recipes to search instead of the training's own, or ``ANY``.
        beside: a layout to compare with the best; what it leaves open is taken at its fastest.
        fill: share of the memory that may be filled.

    Raises:
        SimError: as ``sim.plan.training.prepare``; or the layout to compare is not legal.

    """
    resolved = resolve_cluster(cluster)
    if training.budget is None and training.tokens is None:
        training = training.model_copy(update={"tokens": training.batch})
    every = ANY in precisions
    names = machines.trained_in(resolved.accelerator) if every else precisions
    wish = training.plan if isinstance(training.plan, LayoutSpec) else LayoutSpec()
    devices = resolved.spec.count - resolved.spec.spares * resolved.devices_per_node
    ways: list[Way] = []
    left_out: dict[str, str] = {}
    for precision in names or (training.precision,):
        try:
            ways.append(_way(resolved, training.model_copy(update={"precision": precision}), fill))
        except SimError as error:
            if not every:
                raise
            left_out[str(precision)] = error.rule
    if not ways:
        ways.append(_way(resolved, training, fill))
    compared = None if beside is None else _beside(ways, beside, devices)
    surveyed = _survey_all(ways, wish, devices, keep, np.inf if compared is None else compared.step_s, left_out)
    return Planned(resolved, tuple(ways), left_out, devices, surveyed, compared)


def _way(resolved: ResolvedCluster, training: TrainingSpec, fill: float) -> Way:
    amounts = resolve_training(training)
    work = work_of(training, amounts.model, amounts.global_batch)
    machine = machines.build(resolved, work.recipe)
    machine = replace(machine, memory_bytes=fill * machine.memory_bytes)
    return Way(work, machine, machines.software(training.profile, resolved.accelerator, work.recipe))


def _survey_all(
    ways: list[Way], wish: LayoutSpec, devices: int, keep: int, than_s: float, left_out: dict[str, str]
) -> Survey:
    """Survey each recipe and put them together; one that fits nowhere is left out as long as another one fits."""
    found: Survey | None = None
    refused: InfeasibleError | None = None
    for place, way in enumerate(ways):
        try:
            one = survey(way.work, way.machine, way.software, wish, devices, keep, than_s).under(place)
        except InfeasibleError as error:
            refused = refused or error
            left_out[way.work.recipe.name] = error.rule
            continue
        found = one if found is None else _merged(found, one, keep)
    if found is None:
        assert refused is not None
        raise refused
    return found


def _merged(first: Survey, second: Survey, keep: int) -> Survey:
    usual = second.usual if first.usual is None else first.usual
    if first.usual is not None and second.usual is not None:
        usual = _fastest(second.usual, first.usual, 1)
    rules = {*first.illegal, *second.illegal}
    return Survey(
        first.legal + second.legal,
        first.fitting + second.fitting,
        {rule: first.illegal.get(rule, 0) + second.illegal.get(rule, 0) for rule in sorted(rules)},
        _fastest(second.best, first.best, keep),
        usual,
        _front(second.front, first.front),
        first.faster + second.faster,
    )


def _beside(ways: list[Way], wish: LayoutSpec, devices: int) -> Beside:
    """Time the layout that a wish describes, in the recipe that is fastest; where none fits, the smallest.

    Raises:
        InfeasibleError: it is not legal.

    """
    found: list[tuple[bool, float, Timed]] = []
    for place, way in enumerate(ways):
        work, machine = way.work, way.machine
        degrees = space(work.model, work.sequence, work.global_batch, machine.domain_devices, wish, every_choice=True)
        candidates = enumerate_layouts(degrees, work.model, work.sequence, work.global_batch, devices, every_data=True)
        if candidates.legal == 0:
            raise no_legal_layout(work, devices, candidates.illegal, "--beside")
        layouts = candidates.all()
        memory = per_device(work.model, work.recipe, way.software.memory, layouts, work.sequence, work.global_batch)
        steps = step_times(work, machine, way.software, layouts)
        too_big = memory.total_bytes > machine.memory_bytes
        order = np.lexsort((np.where(too_big, memory.total_bytes, steps.step_s), too_big))[:1]
        timed = Timed(layouts, steps, memory, np.full(len(layouts), place)).take(order)
        found.append((bool(too_big[order[0]]), float(timed.steps.step_s[0]), timed))
    fails, _, best = min(found, key=lambda each: each[:2])
    return Beside(best, not fails)


def survey(
    work: Work,
    machine: Machine,
    software: Software,
    wish: LayoutSpec,
    devices: int,
    keep: int = 5,
    than_s: float = np.inf,
) -> Survey:
    """Time every legal layout on at most ``devices`` devices, and count those faster than ``than_s``.

    The space has every degree of ``sim.plan.candidates``, all ZeRO stages, and sequence parallelism on and off.

    Raises:
        InfeasibleError: no layout is legal, or none fits; says by how much the smallest one misses.
        NotYetError: the model is of a kind that is not modelled yet.

    """
    model = work.model
    degrees = space(model, work.sequence, work.global_batch, machine.domain_devices, wish, every_choice=True)
    candidates = enumerate_layouts(degrees, model, work.sequence, work.global_batch, devices, every_data=True)
    legal = candidates.legal
    if legal == 0:
        raise no_legal_layout(work, devices, candidates.illegal)
    best: Timed | None = None
    usual: Timed | None = None
    front: Timed | None = None
    smallest: tuple[float, Layouts] | None = None
    fitting = faster = 0
    for written in candidates.chunks(CHUNK_ROWS):
        memory = per_device(model, work.recipe, software.memory, written, work.sequence, work.global_batch)
        total = memory.total_bytes
        kept = np.nonzero(total <= machine.memory_bytes)[0]
        fitting += len(kept)
        if len(kept):
            layouts = written.take(kept)
            steps = step_times(work, machine, software, layouts)
            timed = Timed(layouts, steps, memory.take(kept), np.zeros(len(kept), dtype=np.int64))
            faster += int(np.count_nonzero(steps.step_s < than_s * CLOSER))
            best = _fastest(timed, best, keep)
            if layouts.zero_stage[0] <= OPTIMIZER_SPLIT:  # All layouts of a chunk have the same.
                usual = _fastest(timed, usual, 1)
            front = _front(timed, front)
        elif best is None and (smallest is None or total.min() < smallest[0]):
            smallest = float(total.min()), written.take(np.array([np.argmin(total)]))
    if best is None or front is None:
        assert smallest is not None
        raise does_not_fit(work, machine, software, smallest[1], devices)
    return Survey(legal, fitting, candidates.illegal, best, usual, front, faster)


def _fastest(timed: Timed, best: Timed | None, keep: int) -> Timed:
    """Give the fastest of both; rows that cannot be among them are left out before anything is sorted."""
    step_s = timed.steps.step_s
    if best is not None and len(best) == keep:
        step_s_max = best.steps.step_s[-1]
    else:
        step_s_max = np.partition(step_s, keep - 1)[keep - 1] if len(step_s) > keep else np.inf
    index = np.nonzero(step_s <= step_s_max)[0]
    if best is not None and not len(index):
        return best
    both = _together(best, timed.take(index))
    order = np.lexsort((both.memory.total_bytes, both.layouts.devices, both.steps.step_s))
    return both.take(order[:keep])


def _front(timed: Timed, front: Timed | None) -> Timed:
    """Give the layouts of both that no other beats in time and memory."""
    if front is not None:
        # Memory of the best of the front that is as fast: what a new layout has to undercut.
        place = np.searchsorted(front.steps.step_s, timed.steps.step_s, side="right")
        to_beat = np.concatenate([[np.inf], front.memory.total_bytes])[place]
        index = np.nonzero(timed.memory.total_bytes < to_beat)[0]
        if not len(index):
            return front
        timed = timed.take(index)
    both = _together(front, timed)
    order = np.lexsort((both.layouts.devices, both.memory.total_bytes, both.steps.step_s))
    memory = both.memory.total_bytes[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(memory)[:-1]])
    return both.take(order[memory < before])


def _together(first: Timed | None, second: Timed) -> Timed:
    if first is None:
        return second
    layouts = joined([first.layouts, second.layouts])
    steps = joined_steps([first.steps, second.steps])
    memory = joined_memory([first.memory, second.memory])
    return Timed(layouts, steps, memory, np.concatenate([first.ways, second.ways]))
