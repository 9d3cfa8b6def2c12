"""Every legal layout of one training step: how many there are, the fastest few, and the front of time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.memory import OPTIMIZER_SPLIT, Memory, per_device
from sim.cost.training import StepTimes, step_times
from sim.cost.work import Work
from sim.plan import machine as machines
from sim.plan.candidates import enumerate_layouts, joined, space
from sim.plan.resolve import ResolvedCluster, resolve_cluster, resolve_training
from sim.plan.search import does_not_fit, joined_memory, joined_steps, no_legal_layout
from sim.spec.layout import LayoutSpec

if TYPE_CHECKING:
    from sim.cost.layout import Counts, Layouts
    from sim.cost.machine import Machine, Software
    from sim.spec.cluster import ClusterSpec
    from sim.spec.workload import TrainingSpec

CHUNK_ROWS = 16_384
"""Layouts that are timed at once: their arrays stay in the second-level cache."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Layouts with their step times and memory, in some order; arrays of one length."""

    layouts: Layouts
    steps: StepTimes
    memory: Memory

    def __len__(self) -> int:
        """Count them."""
        return len(self.layouts)

    def take(self, index: Counts) -> Timed:
        """Give those at these positions."""
        return Timed(self.layouts.take(index), self.steps.take(index), self.memory.take(index))


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


@dataclass(frozen=True, slots=True)
class Planned:
    """A training step on its cluster, with all of its layouts surveyed."""

    cluster: ResolvedCluster
    work: Work
    machine: Machine
    software: Software
    devices: int
    """Devices that may work: the cluster's without its spares."""
    survey: Survey

    def utilization(self, timed: Timed, index: int) -> float:
        """Give the model FLOP utilization of one of the layouts, against the dense peak of the recipe."""
        capacity = timed.steps.step_s[index] * timed.layouts.devices[index] * self.machine.gemm_peak_flop_per_s
        return float(self.work.model_flop / capacity)


def plan(cluster: str | ClusterSpec, training: TrainingSpec, keep: int = 5) -> Planned:
    """Survey the layouts of a training run; of the run, only its step matters.

    Args:
        cluster: a cluster of the catalogue, or a specification.
        training: what to train; a budget may be missing.
        keep: how many of the fastest to keep.

    Raises:
        SimError: as ``sim.plan.training.prepare``.

    """
    resolved = resolve_cluster(cluster)
    if training.budget is None and training.tokens is None:
        training = training.model_copy(update={"tokens": training.batch})
    amounts = resolve_training(training)
    work = Work(
        amounts.model,
        machines.recipe_of(training.precision, training.profile, training.adapters or 0),
        training.sequence,
        amounts.global_batch,
    )
    machine = machines.build(resolved, work.recipe)
    software = machines.software(training.profile, resolved.accelerator, work.recipe)
    wish = training.plan if isinstance(training.plan, LayoutSpec) else LayoutSpec()
    devices = resolved.spec.count - resolved.spec.spares * resolved.devices_per_node
    surveyed = survey(work, machine, software, wish, devices, keep)
    return Planned(resolved, work, machine, software, devices, surveyed)


def survey(work: Work, machine: Machine, software: Software, wish: LayoutSpec, devices: int, keep: int = 5) -> Survey:
    """Time every legal layout on at most ``devices`` devices.

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
    fitting = 0
    for written in candidates.chunks(CHUNK_ROWS):
        memory = per_device(model, work.recipe, software.memory, written, work.sequence, work.global_batch)
        total = memory.total_bytes
        kept = np.nonzero(total <= machine.memory_bytes)[0]
        fitting += len(kept)
        if len(kept):
            layouts = written.take(kept)
            timed = Timed(layouts, step_times(work, machine, software, layouts), memory.take(kept))
            best = _fastest(timed, best, keep)
            if layouts.zero_stage[0] <= OPTIMIZER_SPLIT:  # All layouts of a chunk have the same.
                usual = _fastest(timed, usual, 1)
            front = _front(timed, front)
        elif best is None and (smallest is None or total.min() < smallest[0]):
            smallest = float(total.min()), written.take(np.array([np.argmin(total)]))
    if best is None or front is None:
        assert smallest is not None
        raise does_not_fit(work, machine, software, smallest[1], devices)
    return Survey(legal, fitting, candidates.illegal, best, usual, front)


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
    return Timed(layouts, steps, joined_memory([first.memory, second.memory]))
