"""The curves of a recording, against a run that is small enough to follow by hand, and against their own inverse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.engine.recording import EventColumns, Recording, RunClock, Segments, Stretches
from sim.engine.training import play
from tests.helpers.training_runs import training_run

BY_HAND = Recording(
    name="by hand",
    seed=0,
    wall_clock_s=82.0,
    device_seconds={},
    flop={},
    tokens={},
    joules={},
    clock=RunClock(25.0, 6.0, 9.0, 0.0, 42.0, 0.0),
    interruptions=2,
    checkpoints=3,
    nodes_lost=0,
    world_events=3,
    events=EventColumns((), (), ()),
    # Ten seconds of steps, two of writing, ten, two, five, two. The first stretch saves one segment and loses 4 s;
    # the second, from 26 s on, loses 5 s and saves nothing; the third, from 63 s on, does the rest.
    segments=Segments(count=3, interval_s=10.0, last_s=5.0, write_s=2.0),
    stretches=Stretches((0.0, 26.0, 63.0), (0, 1, 1), (1, 0, 2), (4.0, 5.0, 0.0)),
    model_flop_per_s=2.0,
    hardware_flop_per_s=3.0,
)


@pytest.mark.parametrize(
    ("time_s", "model", "executed"),
    [
        (-1.0, 0, 0),
        (0.0, 0, 0),
        (4.0, 8, 12),
        (11.0, 20, 30),
        (12.0, 20, 30),
        (14.0, 20, 36),
        (20.0, 20, 42),
        (29.0, 20, 51),
        (63.0, 20, 57),
        (70.0, 34, 78),
        (74.0, 40, 87),
        (78.0, 46, 96),
        (81.0, 50, 102),
        (1e9, 50, 102),
    ],
)
def test_curves_by_hand(time_s: float, model: float, executed: float) -> None:
    assert BY_HAND.model_flop(time_s) == model
    assert BY_HAND.executed_flop(time_s) == executed


@pytest.mark.parametrize(
    ("flop", "model_s", "executed_s"),
    [
        (0, 0.0, 0.0),
        (8, 4.0, 8 / 3),
        (20, 10.0, 20 / 3),
        (22, 64.0, 22 / 3),
        (36, 71.0, 14.0),
        (42, 76.0, 16.0),
        (50, 80.0, 26 + 8 / 3),
        (78, None, 70.0),
        (102, None, 80.0),
        (102.1, None, None),
    ],
)
def test_crossings_by_hand(flop: float, model_s: float | None, executed_s: float | None) -> None:
    assert BY_HAND.model_crossing_s(flop) == (None if model_s is None else pytest.approx(model_s, rel=1e-12))
    assert BY_HAND.executed_crossing_s(flop) == (None if executed_s is None else pytest.approx(executed_s, rel=1e-12))


@pytest.mark.parametrize("seed", range(5))
def test_curves_end_at_the_ledger_and_invert(seed: int) -> None:
    played = play(training_run(steps=970.0, hazard_per_s=1 / 400), seed)
    executed = sum(played.flop.values())
    assert played.interruptions > 10
    assert played.model_flop(played.wall_clock_s) == pytest.approx(played.flop["model"], rel=1e-12)
    assert played.executed_flop(played.wall_clock_s) == pytest.approx(executed, rel=1e-12)
    for share in (0.001, 0.1, 0.25, 0.5, 0.77, 0.999):
        model_s = played.model_crossing_s(share * played.flop["model"])
        executed_s = played.executed_crossing_s(share * executed)
        assert model_s is not None
        assert executed_s is not None
        assert played.model_flop(model_s) == pytest.approx(share * played.flop["model"], rel=1e-9)
        assert played.executed_flop(executed_s) == pytest.approx(share * executed, rel=1e-9)


def test_curves_never_fall() -> None:
    played = play(training_run(steps=300.0, hazard_per_s=1 / 300), 3)
    times = [played.wall_clock_s * step / 2_000 for step in range(2_001)]
    for curve in (played.model_flop, played.executed_flop):
        values = [curve(time_s) for time_s in times]
        assert values == sorted(values)
    assert all(played.model_flop(time_s) / 4 <= played.executed_flop(time_s) / 5 * (1 + 1e-12) for time_s in times), (
        "hardware FLOP are 5/4 of model FLOP here, and lost work only adds"
    )


def test_work_without_operations_crosses_nothing() -> None:
    idle = replace(BY_HAND, model_flop_per_s=0.0, hardware_flop_per_s=0.0)
    assert idle.model_crossing_s(1.0) is None
    assert idle.executed_crossing_s(1.0) is None
