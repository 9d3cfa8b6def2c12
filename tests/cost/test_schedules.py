"""Bubbles and activations in flight against the published formulae, and against the schedules slot by slot."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sim.cost.layout import SCHEDULE, single
from sim.cost.schedules import RULES, bubble_s, can_run, chunks_in_flight, copies
from sim.cost.slots import Timeline, play, slots

STAGES, VIRTUAL = st.integers(1, 64), st.integers(1, 12)
SECONDS = st.floats(0.2, 2.0)
THREE = st.tuples(SECONDS, SECONDS, SECONDS)


def bubble(stages: int, virtual: int, schedule: str = "1f1b", seconds: tuple[float, float, float] = (1, 1, 1)) -> float:
    return float(bubble_s(single(pp=stages, virtual_stages=virtual, schedule=schedule), *seconds)[0])


def timeline(
    name: str, stages: int, batches: int, virtual: int, seconds: tuple[float, float, float] = (1, 1, 1)
) -> Timeline:
    order = slots("interleaved" if name == "1f1b" and virtual > 1 else name, stages, batches, virtual)
    parts = stages if name == "dualpipe" else stages * virtual
    return play(order, parts, {phase: value / virtual for phase, value in zip("FBW", seconds, strict=True)})


@given(STAGES, VIRTUAL)
def test_bubble_of_narayanan_2021(stages: int, virtual: int) -> None:
    assert bubble(stages, virtual) * virtual == pytest.approx(3 * (stages - 1))


@given(STAGES, st.integers(2, 12))
def test_first_stage_holds_what_korthikanti_2022_says(stages: int, virtual: int) -> None:
    """L (1 + (p - 1) / (p m)) layers' activations under interleaving with m chunks per stage, for one of L layers."""
    many = 1000 * stages
    share = float(chunks_in_flight(single(pp=stages, virtual_stages=virtual), many)[0]) / (stages * virtual)
    assert share == pytest.approx(1 + (stages - 1) / (stages * virtual))


@given(STAGES, VIRTUAL, st.integers(1, 300))
def test_later_stages_hold_no_more_and_nobody_more_than_the_batch(stages: int, virtual: int, batches: int) -> None:
    layout = single(pp=stages, virtual_stages=virtual)
    held = [float(chunks_in_flight(layout, batches, rank)[0]) for rank in range(stages)]
    assert held == sorted(held, reverse=True)
    assert 1 <= held[-1] <= held[0] <= batches * virtual
    if virtual == 1:
        assert held[-1] == 1


@given(st.sampled_from(["1f1b", "gpipe", "zb-h1"]), st.integers(2, 7), st.integers(1, 3), st.integers(0, 9), THREE)
def test_bubble_is_that_of_the_slots(
    name: str, stages: int, virtual: int, more: int, seconds: tuple[float, float, float]
) -> None:
    virtual = virtual if name == "1f1b" else 1
    batches = stages * (1 + more) if virtual > 1 else stages + more
    found = timeline(name, stages, batches, virtual, seconds)
    assert bubble(stages, virtual, name, seconds) == pytest.approx(found.bubble_s)


@given(st.integers(2, 7), st.integers(0, 9), THREE)
def test_bubble_of_zero_bubble_v_where_it_is_exact(stages: int, more: int, seconds: tuple[float, float, float]) -> None:
    forward, inputs, weights = seconds
    assume(forward <= inputs and weights <= inputs)
    found = timeline("zb-v", stages, 2 * stages + more, 2, seconds)
    assert bubble(stages, 2, "zb-v", seconds) == pytest.approx(found.bubble_s)


@given(st.integers(1, 4), st.integers(0, 5), st.floats(0.7, 1.4), st.floats(0.7, 1.4))
def test_bubble_of_dual_pipe_is_near_that_of_its_slots(half: int, more: int, inputs: float, weights: float) -> None:
    """Equal where all three are equal, as in the paper; else the paper's formula is an estimate."""
    stages, batches = 2 * half, 4 * half + 2 * more
    assert bubble(stages, 1, "dualpipe") == pytest.approx(timeline("dualpipe", stages, batches, 1).bubble_s)
    whole = 1 + inputs + weights
    seconds = (1.0, inputs, weights)
    off = bubble(stages, 1, "dualpipe", seconds) - timeline("dualpipe", stages, batches, 1, seconds).bubble_s
    assert abs(off) <= max(half - 1, 0) * whole / 3 + 1e-9


@given(st.sampled_from(SCHEDULE), st.integers(2, 8), st.integers(1, 3), st.integers(1, 24))
def test_a_stage_holds_what_its_slots_hold(name: str, stages: int, virtual: int, batches: int) -> None:
    runs = RULES["interleaved" if name == "1f1b" and virtual > 1 else name].allows(stages, batches, virtual)
    order = SCHEDULE.index(name)
    if name != "1f1b":
        assert runs == bool(can_run(order, np.array([stages]), np.array([virtual]), np.array([batches]))[0])
    assume(runs and (virtual == 1 or name != "1f1b" or batches % stages == 0))
    found = timeline(name, stages, batches, virtual)
    layout = single(pp=stages, virtual_stages=virtual, schedule=name)
    most = [float(chunks_in_flight(layout, batches, rank)[0]) for rank in range(stages)]
    assert most == pytest.approx(found.most_held)


def test_only_dual_pipe_keeps_its_parameters_twice() -> None:
    twice = [int(copies(single(pp=4, virtual_stages=1 + (name == "zb-v"), schedule=name))[0]) for name in SCHEDULE]
    assert twice == [1, 1, 1, 1, 2]
    assert int(copies(single(pp=1, schedule="dualpipe"))[0]) == 1
