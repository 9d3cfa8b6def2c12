"""Schedules slot by slot: everything is done once, in an order that the dependencies allow, one thing at a time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.schedules import RULES
from sim.cost.slots import (
    BACKWARD,
    FORWARD,
    INPUT_GRADIENT,
    OVERLAPPED,
    WEIGHT_GRADIENT,
    Slot,
    play,
    slots,
)
from sim.errors import UsageError

SECONDS = {"F": 1.0, "B": 1.25, "W": 0.75}
Runnable = tuple[str, int, int, int]


@st.composite
def runnable(draw: st.DrawFn) -> Runnable:
    """A schedule with stages, micro-batches and virtual stages that it can run."""
    name = draw(st.sampled_from(sorted(RULES)))
    stages = 2 * draw(st.integers(1, 4)) if name == "dualpipe" else draw(st.integers(1 + (name == "interleaved"), 8))
    virtual = {"interleaved": draw(st.integers(2, 3)), "zb-v": 2}.get(name, 1)
    rounds, more = draw(st.integers(1, 3)), draw(st.integers(0, 12))
    batches = {
        "interleaved": stages * rounds,
        "zb-h1": stages + more,
        "zb-v": 2 * stages - 1 + more,
        "dualpipe": 2 * stages + 2 * more,
    }.get(name, 1 + more)
    assert RULES[name].allows(stages, batches, virtual)
    return name, stages, batches, virtual


def parts_of(name: str, stages: int, virtual: int) -> int:
    return stages if name == "dualpipe" else stages * virtual


def phases(slot: Slot) -> tuple[str, ...]:
    return (INPUT_GRADIENT, WEIGHT_GRADIENT) if slot.phase == BACKWARD else (slot.phase,)


@given(runnable())
def test_each_micro_batch_goes_through_each_part_once(example: Runnable) -> None:
    name, stages, batches, virtual = example
    done = Counter(
        (phase, slot.micro_batch, slot.part)
        for line in slots(name, stages, batches, virtual)
        for slot in line
        for phase in phases(slot)
    )
    parts = parts_of(name, stages, virtual)
    assert done == Counter((phase, mb, part) for phase in "FBW" for mb in range(batches) for part in range(parts))


@given(runnable(), st.floats(0, 0.5))
def test_dependencies_hold_and_no_stage_does_two_things_at_once(example: Runnable, hop_s: float) -> None:
    name, stages, batches, virtual = example
    parts = parts_of(name, stages, virtual)
    found = play(slots(name, stages, batches, virtual), parts, SECONDS, hop_s)
    began: dict[tuple[str, int, int], tuple[float, int]] = {}
    ended: dict[tuple[str, int, int], tuple[float, int]] = {}
    for stage, (line, starts) in enumerate(zip(found.slots, found.starts_s, strict=True)):
        free_s, place = 0.0, 0
        while place < len(line):
            mixed = line[place : place + 1 + line[place].with_next]
            whole = SECONDS["B"] + SECONDS["W"]
            takes = {BACKWARD: whole, OVERLAPPED: whole + SECONDS["F"], **SECONDS}
            end_s = starts[place] + takes[OVERLAPPED if len(mixed) == 2 else mixed[0].phase]
            assert starts[place] >= free_s
            assert {starts[place + offset] for offset in range(len(mixed))} == {starts[place]}
            for slot in mixed:
                for phase in phases(slot):
                    began[phase, slot.micro_batch, slot.part] = starts[place], stage
                    ended[phase, slot.micro_batch, slot.part] = end_s, stage
            free_s, place = end_s, place + len(mixed)
        assert free_s <= found.end_s + 1e-9
    for (phase, micro_batch, part), (start_s, stage) in began.items():
        if phase == FORWARD and part:
            needs = [(FORWARD, micro_batch, part - 1)]
        elif phase == INPUT_GRADIENT:
            needs = [(FORWARD, micro_batch, part)]
            needs += [(INPUT_GRADIENT, micro_batch, part + 1)] if part < parts - 1 else []
        else:
            needs = []
        for need in needs:
            end_s, where = ended[need]
            assert start_s >= end_s + (hop_s if where != stage else 0.0) - 1e-9


@given(runnable())
def test_no_schedule_is_faster_than_its_work_or_slower_than_one_after_the_other(example: Runnable) -> None:
    name, stages, batches, virtual = example
    parts = parts_of(name, stages, virtual)
    found = play(slots(name, stages, batches, virtual), parts, SECONDS)
    assert max(found.busy_s) <= found.end_s <= sum(found.busy_s) + 1e-9
    assert sum(found.busy_s) == pytest.approx(batches * parts * sum(SECONDS.values()))


@pytest.mark.parametrize(
    ("name", "numbers", "rule"),
    [
        ("zb-v", (4, 8, 1), "two virtual stages"),
        ("zb-v", (4, 6, 2), "2 p - 1"),
        ("dualpipe", (3, 8, 1), "even number"),
        ("interleaved", (4, 2, 2), "a multiple of the stages"),
        ("gpipe", (4, 2, 2), "one virtual stage"),
        ("round-robin", (4, 2, 1), "no such schedule"),
    ],
)
def test_what_a_schedule_cannot_run_is_refused(name: str, numbers: tuple[int, int, int], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        slots(name, *numbers)


def test_an_order_that_waits_for_itself_is_refused() -> None:
    line = [Slot(BACKWARD, 0, 0), Slot(FORWARD, 0, 0)]
    with pytest.raises(UsageError, match="waits for itself"):
        play([line], 1, SECONDS)
