"""Accounts of a run: the closed form's, and the mean of simulated ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.reliability import expected_run
from sim.engine.training import play_many
from sim.results.outcome import from_expected, from_recordings
from tests.helpers.training_runs import training_run


@given(st.floats(1e-9, 1e-3), st.floats(0.0, 100.0), st.integers(1, 64))
def test_parts_of_the_closed_form_sum_to_the_wall_clock(hazard: float, write_s: float, active: int) -> None:
    run = training_run(hazard_per_s=hazard, write_s=write_s, active_devices=active)
    mean = expected_run(run.parameters)
    outcome = from_expected(run, mean)
    assert math.fsum(seconds for _, seconds in outcome.parts) == pytest.approx(outcome.wall_clock_s, rel=1e-12)
    assert outcome.wall_clock_s == mean.wall_clock_s
    assert ("allocated idle" in dict(outcome.parts)) == (active < 64)
    assert outcome.energy_j == pytest.approx(1000.0 * 64 * outcome.wall_clock_s)


def test_a_quiet_run_by_hand() -> None:
    """100 steps of 10 s, ten checkpoints of 5 s, nothing else; a quarter of the devices idles."""
    run = training_run(hazard_per_s=0.0, active_devices=48)
    outcome = from_expected(run, expected_run(run.parameters))
    assert outcome.wall_clock_s == 1050.0
    assert dict(outcome.parts) == pytest.approx(
        {"useful compute": 562.5, "pipeline bubble": 187.5, "checkpoint": 37.5, "allocated idle": 262.5}
    )
    assert (outcome.interruptions, outcome.checkpoints, outcome.lost_compute_s) == (0.0, 10.0, 0.0)


def test_mean_of_recordings_is_theirs() -> None:
    run = training_run(spare_nodes=1, active_devices=56, hazard_per_s=1 / 300)
    recordings = play_many(run, range(5))
    outcome = from_recordings(run, recordings)
    times = [recording.wall_clock_s for recording in recordings]
    assert outcome.wall_clock_s == pytest.approx(math.fsum(times) / 5)
    assert math.fsum(seconds for _, seconds in outcome.parts) == pytest.approx(outcome.wall_clock_s, rel=1e-9)
    assert outcome.interruptions == pytest.approx(sum(recording.interruptions for recording in recordings) / 5)
    lost = sum(recording.device_seconds["lost work"] for recording in recordings) / 5 / 64
    assert dict(outcome.parts)["lost work"] == pytest.approx(lost)


def test_parts_of_a_step_come_first_and_in_order() -> None:
    run = training_run(hazard_per_s=1 / 300)
    for outcome in (from_expected(run, expected_run(run.parameters)), from_recordings(run, play_many(run, range(3)))):
        names = [name for name, _ in outcome.parts]
        assert names == ["useful compute", "pipeline bubble", "checkpoint", "lost work", "restart"]


def test_simulated_parts_are_those_of_the_closed_form() -> None:
    """Both views of one run: every account of the mean of 400 seeds is within 4 standard errors."""
    run = training_run(steps=400.0, hazard_per_s=1 / 1000)
    recordings = play_many(run, range(400))
    expected, simulated = from_expected(run, expected_run(run.parameters)), from_recordings(run, recordings)
    assert dict(simulated.parts).keys() == dict(expected.parts).keys()
    for name, seconds in expected.parts:
        own = [recording.device_seconds.get(name, 0.0) / 64 for recording in recordings]
        mean = math.fsum(own) / 400
        error = math.sqrt(math.fsum((value - mean) ** 2 for value in own) / 399 / 400)
        assert abs(mean - seconds) <= 4 * error + 1e-9 * seconds, name
