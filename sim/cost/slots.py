"""Pipeline schedules slot by slot: what each stage does in which order, and when, if its neighbours allow it.

The formulae of `sim.cost.schedules` time thousands of layouts at once; the slots are what those formulae sum up, and
the tests hold each formula against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sim.cost.schedules import RULES
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, BACKWARD = "F", "B", "W", "BW"
"""Phases of a slot; ``BACKWARD`` is both gradients at once."""
OVERLAPPED = "F&BW"
"""A forward and a backward that run mixed, so that the communication of one hides behind the other."""


class Slot(NamedTuple):
    """One piece of work of one stage: one micro-batch through one part of the model."""

    phase: str
    micro_batch: int
    part: int
    """Position of the part along the model, 0 first."""
    direction: int = 0
    """1 for micro-batches that DualPipe feeds from the other end, through the stage's second copy."""
    with_next: bool = False
    """Whether it runs mixed with the slot behind it: both start together and end together."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """When every slot runs."""

    slots: tuple[tuple[Slot, ...], ...]
    """By stage, in the order of work."""
    starts_s: tuple[tuple[float, ...], ...]
    end_s: float
    busy_s: tuple[float, ...]
    """By stage."""
    most_held: tuple[int, ...]
    """Parts of the model whose activations a stage holds at its fullest."""

    @property
    def bubble_s(self) -> float:
        """Idle time of the busiest stage, in s."""
        return self.end_s - max(self.busy_s)


def slots(schedule: str, stages: int, micro_batches: int, virtual_stages: int = 1) -> tuple[tuple[Slot, ...], ...]:
    """Give what each stage does, in order.

    Args:
        schedule: one of ``ORDERS``.
        stages: pipeline stages p.
        micro_batches: micro-batches of a step m.
        virtual_stages: parts of the model that each stage holds v.

    Raises:
        UsageError: the schedule does not exist, or cannot run with these numbers.

    Source: GPipe: Huang et al. 2019 (arXiv:1811.06965); 1F1B and interleaved: Narayanan et al. 2021
    (arXiv:2104.04473); ZB-H1: Qi et al. 2023 (arXiv:2401.10241); ZB-V: Qi et al. 2024 (arXiv:2405.15362), with the
    order of PyTorch's ScheduleZBVZeroBubble; DualPipe: DeepSeek-V3 (arXiv:2412.19437), section 3.2.1, with the steps
    of github.com/deepseek-ai/DualPipe.

    >>> " ".join(f"{slot.phase}{slot.micro_batch}" for slot in slots("1f1b", 2, 3)[0])
    'F0 F1 BW0 F2 BW1 BW2'
    """
    if schedule not in ORDERS:
        raise UsageError("there is no such schedule", value=schedule, mend=f"one of {', '.join(ORDERS)}")
    found = RULES[schedule]
    if not found.allows(stages, micro_batches, virtual_stages):
        given = f"{stages} stages, {micro_batches} micro-batches, {virtual_stages} virtual stages"
        raise UsageError(f"{schedule} needs {found.needs}", value=given, mend="another schedule, or other numbers")
    order = ORDERS[schedule]
    return tuple(tuple(order(stage, stages, micro_batches, virtual_stages)) for stage in range(stages))


def play(
    order: Sequence[Sequence[Slot]],
    parts: int,
    seconds: Mapping[str, float],
    hop_s: float = 0.0,
    weights: Sequence[float] | None = None,
) -> Timeline:
    """Time the slots of all stages: each starts when its stage is free and what it needs has arrived.

    Args:
        order: what each stage does, as `slots` gives it.
        parts: parts of the model, over all stages.
        seconds: time of one slot of one part by phase, in s; ``BW`` is that of ``B`` and ``W`` where left out, and
            ``F&BW`` that of ``F`` and ``BW``.
        hop_s: time that activations or gradients take to the next stage, in s.
        weights: what a slot of each part takes, over ``seconds``; none: all parts take as long.

    Raises:
        UsageError: the order waits for itself.

    Source: longest path through the dependencies: forward after the forward of the part before, backward after the
    backward of the part behind, a weight gradient after the input gradient of its part.

    >>> play(slots("gpipe", 2, 2), 2, {"F": 1.0, "B": 1.0, "W": 1.0}).end_s
    9.0
    """
    takes = {BACKWARD: seconds.get(INPUT_GRADIENT, 0.0) + seconds.get(WEIGHT_GRADIENT, 0.0)} | dict(seconds)
    takes = {OVERLAPPED: takes[FORWARD] + takes[BACKWARD]} | takes
    each = [1.0] * parts if weights is None else list(weights)
    done: dict[tuple[str, int, int], tuple[float, int]] = {}
    starts: list[list[float]] = [[] for _ in order]
    free_s = [0.0] * len(order)
    waiting = set(range(len(order)))
    while waiting:
        moved = False
        for stage in sorted(waiting):
            moved |= _advance(order[stage], stage, each, takes, hop_s, done, starts[stage], free_s)
            if len(starts[stage]) == len(order[stage]):
                waiting.discard(stage)
        if waiting and not moved:
            raise UsageError("this order of slots waits for itself", value=f"stages {sorted(waiting)}")
    busy = tuple(_busy_s(line, takes, each) for line in order)
    held = tuple(_most_held(line) for line in order)
    return Timeline(tuple(map(tuple, order)), tuple(map(tuple, starts)), max(free_s), busy, held)


def _advance(
    line: Sequence[Slot],
    stage: int,
    weights: Sequence[float],
    takes: Mapping[str, float],
    hop_s: float,
    done: dict[tuple[str, int, int], tuple[float, int]],
    starts: list[float],
    free_s: list[float],
) -> bool:
    """Run the slots of one stage until one has to wait for a slot that has no time yet; tell whether any ran."""
    before = len(starts)
    while len(starts) < len(line):
        first = len(starts)
        mixed = line[first : first + 1 + line[first].with_next]
        ready_s = free_s[stage]
        for need in (need for slot in mixed for need in _needs(slot, len(weights))):
            if need not in done:
                return first > before
            ended_s, where = done[need]
            ready_s = max(ready_s, ended_s + (hop_s if where != stage else 0.0))
        starts.extend(ready_s for _ in mixed)
        free_s[stage] = ready_s + _takes_s(mixed, takes, weights)
        for slot in mixed:
            for phase in (INPUT_GRADIENT, WEIGHT_GRADIENT) if slot.phase == BACKWARD else (slot.phase,):
                done[phase, slot.micro_batch, slot.part] = free_s[stage], stage
    return len(starts) > before


def _takes_s(mixed: Sequence[Slot], takes: Mapping[str, float], weights: Sequence[float]) -> float:
    """Give the time of one slot, or of a forward mixed with a backward, each at the weight of its part."""
    if len(mixed) == 1:
        return takes[mixed[0].phase] * weights[mixed[0].part]
    apart = takes[FORWARD] + takes[BACKWARD]
    return takes[OVERLAPPED] / apart * sum(takes[slot.phase] * weights[slot.part] for slot in mixed)


def _busy_s(line: Sequence[Slot], takes: Mapping[str, float], weights: Sequence[float]) -> float:
    busy_s, at = 0.0, 0
    while at < len(line):
        mixed = line[at : at + 1 + line[at].with_next]
        busy_s += _takes_s(mixed, takes, weights)
        at += len(mixed)
    return busy_s


def _needs(slot: Slot, parts: int) -> list[tuple[str, int, int]]:
    """Name what must have ended before a slot may start."""
    micro_batch, part = slot.micro_batch, slot.part
    if slot.phase == FORWARD:
        return [(FORWARD, micro_batch, part - 1)] if part else []
    if slot.phase == WEIGHT_GRADIENT:
        return [(INPUT_GRADIENT, micro_batch, part)]
    needs = [(FORWARD, micro_batch, part)]
    return needs if part == parts - 1 else [*needs, (INPUT_GRADIENT, micro_batch, part + 1)]


def _most_held(line: Sequence[Slot]) -> int:
    """Count the forwards whose weight gradient is not done yet, at their most."""
    held = most = 0
    for slot in line:
        held += slot.phase == FORWARD
        most = max(most, held)
        held -= slot.phase in (WEIGHT_GRADIENT, BACKWARD)
    return most


def _gpipe(stage: int, stages: int, micro_batches: int, virtual_stages: int) -> list[Slot]:  # noqa: ARG001
    forwards = [Slot(FORWARD, micro_batch, stage) for micro_batch in range(micro_batches)]
    return [*forwards, *(Slot(BACKWARD, micro_batch, stage) for micro_batch in range(micro_batches))]


def _one_f_one_b(stage: int, stages: int, micro_batches: int, virtual_stages: int) -> list[Slot]:
    """Warm up, then one forward and one backward in turn; with several parts, go round the stages in groups."""
    count = micro_batches * virtual_stages
    forwards = _in_groups(stages, micro_batches, virtual_stages)
    backwards = [(micro_batch, virtual_stages - 1 - part) for micro_batch, part in forwards]
    ahead = stages - stage - 1
    if virtual_stages > 1:
        ahead = 2 * ahead + (virtual_stages - 1) * stages
    ahead = min(ahead, count)
    line = [Slot(FORWARD, micro_batch, part * stages + stage) for micro_batch, part in forwards[:ahead]]
    for place, (micro_batch, part) in enumerate(backwards):
        if ahead + place < count:
            forward, of = forwards[ahead + place]
            line.append(Slot(FORWARD, forward, of * stages + stage))
        line.append(Slot(BACKWARD, micro_batch, part * stages + stage))
    return line


def _in_groups(stages: int, micro_batches: int, virtual_stages: int) -> list[tuple[int, int]]:
    """List (micro-batch, part of the stage): groups of p micro-batches go through all parts, one part at a time."""
    if virtual_stages == 1:
        return [(micro_batch, 0) for micro_batch in range(micro_batches)]
    return [
        (micro_batch, part)
        for first in range(0, micro_batches, stages)
        for part in range(virtual_stages)
        for micro_batch in range(first, min(first + stages, micro_batches))
    ]


def _zero_bubble_h1(stage: int, stages: int, micro_batches: int, virtual_stages: int) -> list[Slot]:  # noqa: ARG001
    """Follow 1F1B, but put weight gradients off by as many micro-batches as the stage has room for."""
    ahead = min(stages - stage - 1, micro_batches)
    line = [Slot(FORWARD, micro_batch, stage) for micro_batch in range(ahead)]
    weighed = 0
    for micro_batch in range(micro_batches):
        if ahead + micro_batch < micro_batches:
            line.append(Slot(FORWARD, ahead + micro_batch, stage))
        line.append(Slot(INPUT_GRADIENT, micro_batch, stage))
        # Stage r has started p - r micro-batches, so it may keep r more and still hold no more than p.
        if micro_batch >= stage or ahead + micro_batch >= micro_batches:
            line.append(Slot(WEIGHT_GRADIENT, weighed, stage))
            weighed += 1
    return [*line, *(Slot(WEIGHT_GRADIENT, micro_batch, stage) for micro_batch in range(weighed, micro_batches))]


def _zero_bubble_v(stage: int, stages: int, micro_batches: int, virtual_stages: int) -> list[Slot]:  # noqa: ARG001
    """Hold the parts r and 2 p - 1 - r: down the stages and up again, so that both ends are on the first stage."""
    line: list[Slot] = []
    parts = (stage, 2 * stages - 1 - stage)
    next_of: dict[tuple[str, int], int] = {}

    def do(phase: str, branch: int) -> None:
        micro_batch = next_of.get((phase, branch), 0)
        next_of[phase, branch] = micro_batch + 1
        line.append(Slot(phase, micro_batch, parts[branch]))

    def started(phase: str, branch: int) -> int:
        return next_of.get((phase, branch), 0)

    for _ in range(2 * (stages - stage) - 1):
        do(FORWARD, 0)
    for _ in range(stage):
        do(FORWARD, 1)
        do(FORWARD, 0)
    for _ in range(stages - stage):
        do(FORWARD, 1)
        do(INPUT_GRADIENT, 1)
        do(WEIGHT_GRADIENT, 1)
    while started(FORWARD, 1) < started(FORWARD, 0) or started(FORWARD, 0) < micro_batches:
        if started(FORWARD, 0) < micro_batches:
            do(FORWARD, 0)
        do(INPUT_GRADIENT, 0)
        do(WEIGHT_GRADIENT, 0)
        do(FORWARD, 1)
        do(INPUT_GRADIENT, 1)
        do(WEIGHT_GRADIENT, 1)
    for _ in range(stage):
        do(INPUT_GRADIENT, 0)
        do(INPUT_GRADIENT, 1)
    for _ in range(stages - stage):
        do(INPUT_GRADIENT, 0)
        do(WEIGHT_GRADIENT, 0)
    for branch in (1, 0):
        while started(WEIGHT_GRADIENT, branch) < started(INPUT_GRADIENT, branch):
            do(WEIGHT_GRADIENT, branch)
    return line


class _Dual:
    """Write down the slots of one DualPipe rank; its two copies are the parts r and p - 1 - r of the model."""

    def __init__(self, stage: int, stages: int, micro_batches: int) -> None:
        self.half = stages // 2
        self.near = min(stage, stages - 1 - stage)
        self._swapped = stage >= self.half
        self._parts = (stage, stages - 1 - stage)
        self._each = micro_batches // 2
        self._next: dict[tuple[str, int], int] = {}
        self._put_off: list[Slot] = []
        self.line: list[Slot] = []

    def forward(self, feed: int) -> None:
        self.line.append(self._slot(FORWARD, feed))

    def backward(self, feed: int) -> None:
        self.line.append(self._slot(BACKWARD, feed))

    def input_gradient(self, feed: int) -> None:
        slot = self._slot(BACKWARD, feed)
        self.line.append(slot._replace(phase=INPUT_GRADIENT))
        self._put_off.append(slot._replace(phase=WEIGHT_GRADIENT))

    def weight_gradient(self) -> None:
        self.line.append(self._put_off.pop(0))

    def mixed(self, forward: int, backward: int) -> None:
        self.line.append(self._slot(FORWARD, forward)._replace(with_next=True))
        self.backward(backward)

    def _slot(self, phase: str, feed: int) -> Slot:
        direction = feed ^ self._swapped
        place = self._next.get((phase, direction), 0)
        self._next[phase, direction] = place + 1
        return Slot(phase, direction * self._each + place, self._parts[direction], direction)


def _dual_pipe(stage: int, stages: int, micro_batches: int, virtual_stages: int) -> list[Slot]:  # noqa: ARG001
    """Feed half of the micro-batches from each end; the eight steps of DeepSeek's implementation."""
    dual = _Dual(stage, stages, micro_batches)
    half, near = dual.half, dual.near
    is_middle = near == half - 1
    for _ in range(2 * (half - near - 1)):
        dual.forward(0)
    for _ in range(near + 1):
        dual.forward(0)
        dual.forward(1)
    for _ in range(half - near - 1):
        dual.input_gradient(1)
        dual.weight_gradient()
        dual.forward(1)
    for place in range(micro_batches // 2 - stages + near + 1):
        if place == 0 and is_middle:
            dual.forward(0)
            dual.backward(1)
        else:
            dual.mixed(0, 1)
        dual.mixed(1, 0)
    for _ in range(half - near - 1):
        dual.backward(1)
        dual.mixed(1, 0)
    _drain(dual, half, near)
    return dual.line


def _drain(dual: _Dual, half: int, near: int) -> None:
    """End with backwards alone; those of the second half put their weight gradients off to fill the bubble."""
    put_off = False
    for place in range(near + 1):
        for feed in (1, 0):
            put_off |= place == (near + 1) // 2 and near % 2 == feed
            (dual.input_gradient if put_off else dual.backward)(feed)
    for _ in range(half - near - 1):
        dual.weight_gradient()
        dual.input_gradient(0)
    for _ in range(near + 1):
        dual.weight_gradient()


ORDERS: dict[str, Callable[[int, int, int, int], list[Slot]]] = {
    "gpipe": _gpipe,
    "1f1b": _one_f_one_b,
    "interleaved": _one_f_one_b,
    "zb-h1": _zero_bubble_h1,
    "zb-v": _zero_bubble_v,
    "dualpipe": _dual_pipe,
}
"""How each schedule orders its slots, by the name that users type; ``sim.cost.schedules.RULES`` says what it needs."""
