"""The two views of one run: the mean of many plays is the closed form, part by part.

The fixed seeds make these tests exact repetitions; four standard errors leave a wrong model no room: at the point
where restarts weigh as much as the mean time between interruptions, restarts that could not be interrupted
would be off by more than ten.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.cost.reliability import ExpectedRun, expected_run, whole_interval_s, young_daly_interval_s
from sim.engine.recording import Recording
from sim.engine.training import play_many
from sim.plan.run import TrainingRun
from tests.helpers.training_runs import training_run

SEEDS = range(400)
STANDARD_ERRORS = 4.0


def run_of(useful_s: float, interval_s: float, write_s: float, mean_between_s: float, restart_s: float) -> TrainingRun:
    return training_run(
        steps=useful_s / 10.0,
        interval_s=interval_s,
        write_s=write_s,
        hazard_per_s=1 / mean_between_s,
        restart_s=restart_s,
    )


LLAMA_3_WRITE_S = 2.8
LLAMA_3_BETWEEN_S = 1e6 * 3600 / 19.7 / 16_384
POINTS = {
    "a week of Llama 3": run_of(
        7 * 86_400.0,
        whole_interval_s(7 * 86_400.0, young_daly_interval_s(LLAMA_3_WRITE_S, 1 / LLAMA_3_BETWEEN_S)),
        LLAMA_3_WRITE_S,
        LLAMA_3_BETWEEN_S,
        600.0,
    ),
    "M of five intervals": run_of(60_000.0, 1_000.0, 100.0, 5_000.0, 200.0),
    "restart as long as M": run_of(12_000.0, 300.0, 20.0, 1_000.0, 1_000.0),
    "writes as long as intervals": run_of(20_000.0, 500.0, 500.0, 3_000.0, 100.0),
    "M shorter than an interval": run_of(40_000.0, 2_000.0, 10.0, 1_500.0, 50.0),
}


@pytest.fixture(scope="module", params=POINTS.values(), ids=POINTS.keys())
def views(request: pytest.FixtureRequest) -> tuple[ExpectedRun, list[Recording]]:
    run: TrainingRun = request.param
    return expected_run(run.parameters), play_many(run, SEEDS)


def standard_errors_off(played: list[float], expected: float) -> float:
    values = np.array(played)
    error = values.std(ddof=1) / math.sqrt(len(values))
    return float(abs(values.mean() - expected) / error) if error else abs(values.mean() / expected - 1) / 1e-12


def test_mean_time(views: tuple[ExpectedRun, list[Recording]]) -> None:
    expected, plays = views
    assert standard_errors_off([played.wall_clock_s for played in plays], expected.wall_clock_s) < STANDARD_ERRORS


@pytest.mark.parametrize("part", ["useful_s", "checkpoint_s", "lost_compute_s", "lost_write_s", "restart_s"])
def test_mean_of_each_part(views: tuple[ExpectedRun, list[Recording]], part: str) -> None:
    expected, plays = views
    played_s = [getattr(played.clock, part) for played in plays]
    if part in ("useful_s", "checkpoint_s"):
        assert played_s == pytest.approx([getattr(expected, part)] * len(plays), rel=1e-9)
    else:
        assert standard_errors_off(played_s, getattr(expected, part)) < STANDARD_ERRORS


def test_mean_interruptions(views: tuple[ExpectedRun, list[Recording]]) -> None:
    expected, plays = views
    assert standard_errors_off([played.interruptions for played in plays], expected.interruptions) < STANDARD_ERRORS


def test_spread_of_one_interval_without_restart() -> None:
    """A second moment: attempts at one interval are geometric, so the variance of their number is (1 - p) / p^2."""
    run = run_of(1_000.0, 1_000.0, 0.0, 1_000.0, 0.0)
    counts = np.array([played.interruptions for played in play_many(run, range(2_000))])
    success = math.exp(-1)
    assert counts.mean() == pytest.approx(1 / success - 1, abs=4 * counts.std() / math.sqrt(len(counts)))
    assert counts.var() == pytest.approx((1 - success) / success**2, rel=0.2)


def test_a_short_last_interval_differs_by_less_than_a_write() -> None:
    """What the closed form leaves out: the run of 9.3 intervals writes ten times, the formula 9.3 times."""
    run = training_run(steps=93.0, hazard_per_s=1e-9)
    difference_s = play_many(run, [0])[0].wall_clock_s - expected_run(run.parameters).wall_clock_s
    assert 0 < difference_s < run.write_s
