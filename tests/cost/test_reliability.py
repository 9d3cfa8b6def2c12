"""The closed form of an interrupted run: its own identities, a second derivation, and its limits."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.reliability import (
    MAX_SLOWDOWN,
    RunParameters,
    expected_run,
    refuse_endless,
    whole_interval_s,
    young_daly_interval_s,
    young_interval_s,
)
from sim.errors import InfeasibleError, ScenarioError

DAY = 86_400.0
LLAMA_3_HAZARD_PER_S = 16_384 * 19.7e-6 / 3600
LLAMA_3_WRITE_S = 14 * 405e9 / 2e12
LLAMA_3 = RunParameters(
    useful_s=60 * DAY,
    interval_s=young_daly_interval_s(LLAMA_3_WRITE_S, LLAMA_3_HAZARD_PER_S),
    write_s=LLAMA_3_WRITE_S,
    hazard_per_s=LLAMA_3_HAZARD_PER_S,
    restart_s=600.0,
)
"""The published rate, 19.7 interruptions per million device-hours, with the default checkpoint and restart."""

seconds = st.floats(1e-3, 1e7)


def daly(p: RunParameters) -> float:
    """Give the formula as it is printed, without the rearrangement that keeps digits."""
    mean_between = 1 / p.hazard_per_s
    growth = math.exp((p.interval_s + p.write_s) / mean_between) - 1
    return float(p.useful_s / p.interval_s * mean_between * math.exp(p.restart_s / mean_between) * growth)


def exponential_excess(x: Fraction) -> Fraction:
    """Give e^x - 1 - x in exact arithmetic, to far more digits than a float has."""
    term, total = x, Fraction(0)
    for order in range(2, 30):
        term = term * x / order
        total += term
    return total


def test_formula_as_printed() -> None:
    assert expected_run(LLAMA_3).wall_clock_s == pytest.approx(daly(LLAMA_3), rel=1e-12)


def test_published_interruptions_and_effective_time() -> None:
    """Llama 3, section 3.3.4: 419 unexpected interruptions in 54 days, effective training time above 90 %."""
    run = expected_run(LLAMA_3)
    assert run.interruptions / run.wall_clock_s * 54 * DAY == pytest.approx(419, rel=0.003)
    assert 0.9 < run.useful_s / run.wall_clock_s < 0.95


def test_attempts_by_renewal() -> None:
    """One interval, derived as first attempt + repeated attempts that begin with a restart."""
    interval, write, restart, hazard = 500.0, 40.0, 90.0, 1 / 700
    lasts = 1 - math.exp(-hazard * (interval + write))
    first_attempt = lasts / hazard
    after_failure = (math.exp(hazard * (interval + write + restart)) - 1) / hazard
    run = expected_run(RunParameters(interval, interval, write, hazard, restart))
    assert run.wall_clock_s == pytest.approx(first_attempt + lasts * after_failure, rel=1e-12)


@given(
    useful=seconds,
    intervals=st.floats(0.01, 1e4),
    write=st.floats(0, 1e4),
    hazard=st.floats(0, 1e-2),
    restart=st.floats(0, 1e4),
)
def test_parts_sum_and_interruptions_follow_wall_clock(
    useful: float, intervals: float, write: float, hazard: float, restart: float
) -> None:
    run = expected_run(RunParameters(useful, useful / intervals, write, hazard, restart))
    parts = run.useful_s + run.checkpoint_s + run.lost_s + run.restart_s
    if math.isinf(run.wall_clock_s):
        assert math.isinf(parts)
        return
    assert parts == pytest.approx(run.wall_clock_s, rel=1e-12)
    assert run.interruptions == pytest.approx(hazard * run.wall_clock_s, rel=1e-12)
    assert run.restart_s == pytest.approx(run.wall_clock_s * -math.expm1(-restart * hazard), rel=1e-9)
    assert min(run.lost_compute_s, run.lost_write_s, run.restart_s, run.checkpoint_s) >= 0


def test_hazard_zero_is_useful_plus_writes_exactly() -> None:
    run = expected_run(RunParameters(1e6, 1_000.0, 7.0, 0.0, 300.0))
    assert (run.wall_clock_s, run.lost_s, run.restart_s, run.interruptions) == (1e6 + 7_000.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("hazard", [1e-300, 1e-18, 1e-12, 1e-9, 1e-6, 0.9e-4, 1.1e-4, 1e-3])
def test_lost_parts_keep_their_digits(hazard: float) -> None:
    """Below and above the switch from series to subtraction, against exact rational arithmetic."""
    interval, write, rate = Fraction(1000), Fraction(8), Fraction(hazard)
    run = expected_run(RunParameters(1000.0, 1000.0, 8.0, hazard, 0.0))
    lost_write = exponential_excess(rate * write) / rate
    lost_all = exponential_excess(rate * (interval + write)) / rate
    assert run.lost_write_s == pytest.approx(float(lost_write), rel=1e-13)
    assert run.lost_compute_s == pytest.approx(float(lost_all - lost_write), rel=1e-13)


def test_arrays_equal_scalars() -> None:
    hazards = np.array([0.0, 1e-9, 1e-5, 1e-3])
    many = expected_run(RunParameters(1e6, 1_800.0, 5.0, hazards, 600.0))
    for position, hazard in enumerate(hazards):
        one = expected_run(RunParameters(1e6, 1_800.0, 5.0, float(hazard), 600.0))
        assert isinstance(one.wall_clock_s, float)
        for name in one.__slots__:
            assert getattr(many, name)[position] == pytest.approx(getattr(one, name), rel=1e-13)


@pytest.mark.parametrize(("write", "restart"), [(0.0, 0.0), (5.0, 600.0)])
def test_endless_is_infinite_not_nan(write: float, restart: float) -> None:
    run = expected_run(RunParameters(1e6, 1e6, write, 1.0, restart))
    assert math.isinf(run.wall_clock_s)
    assert math.isinf(run.lost_s)
    assert not any(math.isnan(getattr(run, name)) for name in run.__slots__)


@pytest.mark.parametrize("ratio", [1e-6, 1e-3, 0.1, 0.5, 1.0, 1.9, 2.0, 5.0])
def test_daly_interval_is_the_optimum_within_its_claim(ratio: float) -> None:
    intervals = np.geomspace(ratio / 100 + 1e-6, 4.0, 100_001)
    best = np.min(expected_run(RunParameters(1.0, intervals, ratio, 1.0, 0.0)).wall_clock_s)
    chosen = young_daly_interval_s(ratio, 1.0)
    assert expected_run(RunParameters(1.0, chosen, ratio, 1.0, 0.0)).wall_clock_s <= best * 1.002


def test_daly_tends_to_young_and_ends_at_the_mean_time() -> None:
    assert young_daly_interval_s(1e-6, 1e-6) == pytest.approx(young_interval_s(1e-6, 1e-6), rel=1e-5)
    assert young_interval_s(50.0, 1e-2) == pytest.approx(100.0)
    assert young_daly_interval_s(300.0, 1e-2) == pytest.approx(100.0)
    both = np.asarray(young_daly_interval_s(np.array([60.0, 60.0]), np.array([0.0, 1e-4])))
    assert both == pytest.approx([math.inf, 1055.81], abs=0.01)
    assert young_daly_interval_s(0.0, 1e-4) == 0.0
    assert math.isinf(young_interval_s(1.0, 0.0))


@given(useful=seconds, interval=seconds)
def test_whole_interval_divides_the_run(useful: float, interval: float) -> None:
    fitted = whole_interval_s(useful, interval)
    count = useful / fitted
    assert count == pytest.approx(round(count), rel=1e-9)
    assert fitted <= interval * (1 + 1e-9)
    assert fitted >= min(useful, interval) / 2


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((-1.0, 1.0, 1.0, 0.0, 0.0), "useful_s"),
        ((1.0, 0.0, 1.0, 0.0, 0.0), "interval_s"),
        ((1.0, math.inf, 1.0, 0.0, 0.0), "interval_s"),
        ((1.0, 1.0, math.nan, 0.0, 0.0), "write_s"),
        ((1.0, 1.0, 1.0, math.inf, 0.0), "hazard_per_s"),
        ((1.0, 1.0, 1.0, 0.0, -2.0), "restart_s"),
    ],
)
def test_what_is_no_duration_is_refused(values: tuple[float, ...], name: str) -> None:
    with pytest.raises(ScenarioError, match=name):
        RunParameters(*values)


def test_bad_intervals_are_refused() -> None:
    with pytest.raises(ScenarioError, match="0 or more"):
        young_daly_interval_s(-1.0, 1e-4)
    with pytest.raises(ScenarioError, match="above 0"):
        whole_interval_s(100.0, 0.0)


def test_endless_run_is_refused_with_its_reason() -> None:
    fine = RunParameters(1e6, 1_800.0, 5.0, 1e-4, 600.0)
    refuse_endless(fine, expected_run(fine))
    endless = RunParameters(1e6, 1_800.0, 5.0, 1 / 60, 600.0)
    assert expected_run(endless).wall_clock_s > MAX_SLOWDOWN * 1e6
    with pytest.raises(InfeasibleError, match="an interruption every 60 s") as caught:
        refuse_endless(endless, expected_run(endless))
    assert "1800 s between checkpoints" in caught.value.value
