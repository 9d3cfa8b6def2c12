"""The best layout: every legal one is timed at once, and the run that it gives is averaged over its interruptions."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import joined
from sim.cost.memory import Memory, per_device
from sim.cost.reliability import RunParameters, expected_run, young_daly_interval_s
from sim.cost.training import StepTimes, step_times
from sim.errors import InfeasibleError
from sim.plan.candidates import enumerate_layouts, space
from sim.units import show

if TYPE_CHECKING:
    from sim.cost.layout import Counts, Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.work import Work
    from sim.plan.candidates import Space
    from sim.spec.layout import LayoutSpec

CHUNK_ROWS = 16_384
"""Layouts that are timed at once: their arrays stay in the second-level cache."""


@dataclass(frozen=True, slots=True)
class RunRules:
    """What turns the time of a step into the time of a run; the interval is None for the Young/Daly optimum."""

    steps: float
    rate_per_s: float
    """Interruptions per device and second."""
    restart_s: float
    write_s: float
    interval_s: float | None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Layouts that fit, the best among them, with step times, memory and mean wall-clock; arrays of one length."""

    layouts: Layouts
    steps: StepTimes
    memory: Memory
    wall_clock_s: Floats
    considered: int
    """Legal layouts, whether they fit or not."""

    def best(self) -> int:
        """Give the position of the layout with the shortest run; of equal ones, the one with the fewest devices."""
        fastest = np.nonzero(self.wall_clock_s == self.wall_clock_s.min())[0]
        return int(fastest[np.argmin(self.layouts.devices[fastest])])

    def rank(self) -> tuple[float, int]:
        """Give what the best is chosen by: mean time of the run in s, then devices."""
        best = self.best()
        return float(self.wall_clock_s[best]), int(self.layouts.devices[best])


def evaluate(
    work: Work,
    machine: Machine,
    software: Software,
    rules: RunRules,
    wish: LayoutSpec,
    devices: int,
    *,
    every_data: bool = False,
) -> Evaluated:
    """Time every legal layout on at most ``devices`` devices that fits into memory.

    Raises:
        InfeasibleError: no layout is legal, or none fits; says by how much the smallest one misses.

    """
    degrees = space(work.model, work.sequence, work.global_batch, machine.domain_devices, wish)
    candidates = enumerate_layouts(
        degrees, work.model, work.sequence, work.global_batch, devices, every_data=every_data
    )
    if candidates.legal == 0:
        raise no_legal_layout(work, devices, candidates.illegal)
    parts: list[Evaluated] = []
    smallest: tuple[float, Layouts] | None = None
    for written in candidates.chunks(CHUNK_ROWS):
        memory = per_device(work.model, work.recipe, software.memory, written, work.sequence, work.global_batch)
        total = memory.total_bytes
        kept = np.nonzero(total <= machine.memory_bytes)[0]
        if len(kept):
            layouts = written.take(kept)
            steps = step_times(work, machine, software, layouts)
            wall_clock_s = mean_wall_clock_s(rules, steps.step_s, layouts.devices)
            parts.append(Evaluated(layouts, steps, memory.take(kept), wall_clock_s, candidates.legal))
        elif smallest is None or total.min() < smallest[0]:
            smallest = float(total.min()), written.take(np.array([np.argmin(total)]))
        if not every_data and len(parts) > 1:
            parts = [min(parts, key=Evaluated.rank)]
    if not parts:
        assert smallest is not None
        raise does_not_fit(work, machine, software, smallest[1], devices)
    if every_data:
        return _joined(parts)
    return _with_fewer_replicas(parts[0], work, machine, software, rules, degrees, devices)


def _joined(parts: list[Evaluated]) -> Evaluated:
    """Put evaluated layouts one after the other."""
    if len(parts) == 1:
        return parts[0]
    layouts = joined([part.layouts for part in parts])
    steps = joined_steps([part.steps for part in parts])
    memory = joined_memory([part.memory for part in parts])
    return Evaluated(layouts, steps, memory, np.concatenate([part.wall_clock_s for part in parts]), parts[0].considered)


def joined_steps(parts: list[StepTimes]) -> StepTimes:
    """Put step times one after the other."""
    return StepTimes(
        np.concatenate([part.step_s for part in parts]),
        tuple(np.concatenate(same) for same in zip(*(part.parts_s for part in parts), strict=True)),
        np.concatenate([part.hardware_flop for part in parts]),
    )


def joined_memory(parts: list[Memory]) -> Memory:
    """Put memory one after the other."""
    return Memory(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Memory)))


def _with_fewer_replicas(
    found: Evaluated,
    work: Work,
    machine: Machine,
    software: Software,
    rules: RunRules,
    degrees: Space,
    devices: int,
) -> Evaluated:
    """Give what was found, or a layout with fewer replicas where that is faster.

    More replicas mean more interruptions and more communication, so beyond some number they slow the run down. What
    is left to try can be no faster than its arithmetic at peak, which bounds its devices from below.
    """
    best_s = float(found.wall_clock_s.min())
    device_s = rules.steps * work.model_flop / machine.gemm_peak_flop_per_s
    left = enumerate_layouts(
        degrees,
        work.model,
        work.sequence,
        work.global_batch,
        devices,
        every_data=False,
        fewer_from=device_s / best_s,
    )
    considered = found.considered + left.legal
    for written in left.chunks(CHUNK_ROWS):
        layouts = written.take(np.nonzero(written.devices * best_s >= device_s)[0])
        memory = per_device(work.model, work.recipe, software.memory, layouts, work.sequence, work.global_batch)
        kept = np.nonzero(memory.total_bytes <= machine.memory_bytes)[0]
        if not len(kept):
            continue
        layouts = layouts.take(kept)
        steps = step_times(work, machine, software, layouts)
        wall_clock_s = mean_wall_clock_s(rules, steps.step_s, layouts.devices)
        if wall_clock_s.min() < best_s:
            best_s = float(wall_clock_s.min())
            found = Evaluated(layouts, steps, memory.take(kept), wall_clock_s, considered)
    return replace(found, considered=considered)


def mean_wall_clock_s(rules: RunRules, step_s: Floats, devices: Counts) -> Floats:
    """Give the mean time of the whole run for each layout, in s."""
    useful_s = rules.steps * step_s
    hazard = rules.rate_per_s * devices
    interval = checkpoint_interval_s(rules, useful_s, hazard)
    return np.asarray(
        expected_run(RunParameters(useful_s, interval, rules.write_s, hazard, rules.restart_s)).wall_clock_s
    )


def checkpoint_interval_s(rules: RunRules, useful_s: Floats, hazard_per_s: Floats) -> Floats:
    """Give the useful seconds between checkpoints: as told, or the optimum, rounded so that it divides the run."""
    wanted = (
        np.asarray(young_daly_interval_s(rules.write_s, hazard_per_s))
        if rules.interval_s is None
        else np.asarray(rules.interval_s, dtype=float)
    )
    wanted = np.maximum(wanted, useful_s / rules.steps if rules.steps > 1 else useful_s)
    return np.asarray(useful_s / np.maximum(1.0, np.ceil(useful_s / wanted * (1 - 1e-12))))


def no_legal_layout(work: Work, devices: int, illegal: dict[str, int], where: str = "training.plan") -> InfeasibleError:
    """Say that no layout is legal, and which rule those break that obey the rules before it."""
    return InfeasibleError(
        f"no parallel layout is legal: {list(illegal)[-1]}",
        value=f"{work.model.name} with {work.global_batch} sequences of {work.sequence} tokens on {devices} devices",
        where=where,
        mend="leave degrees out of the plan, or choose ones that obey the rule",
    )


def does_not_fit(work: Work, machine: Machine, software: Software, smallest: Layouts, devices: int) -> InfeasibleError:
    """Say by how much the layout that needs least memory misses."""
    memory = per_device(work.model, work.recipe, software.memory, smallest, work.sequence, work.global_batch)
    row = smallest.row(0)
    need = float(memory.total_bytes[0])
    plan = ", ".join(f"{name} {value}" for name, value in row.items())
    return InfeasibleError(
        f"{work.model.name} does not fit on {devices} x {machine.name}: no legal layout needs so little memory",
        value=(
            f"the smallest needs {show(need, 'byte')} a device, {show(need - machine.memory_bytes, 'byte')} more than "
            f"its {show(machine.memory_bytes, 'byte')} ({plan})"
        ),
        where="training.plan",
        mend="more devices, a chip with more memory, a smaller model or a shorter sequence: sim fits tries each",
    )
