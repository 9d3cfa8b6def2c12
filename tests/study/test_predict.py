"""One run predicted: its mean, and the luck of its seeds, also where it is too long to play."""

import math
from statistics import fmean, stdev

import pytest

from sim.cost.reliability import expected_run
from sim.engine.training import play_many
from sim.results.step_error import CONFIGURATION_LEFT_OUT, NEW_CHIP, SOURCE_LEFT_OUT
from sim.study import predict as module
from sim.study.predict import by_simulation, expected_s, luck_of, predict, step_sigma
from sim.study.question_scenario import build_scenario
from tests.helpers.answers import prepared
from tests.helpers.training_runs import training_run

RATE = {"failure_rate": "1e-3/h"}


def test_mean_is_the_closed_form_and_luck_that_of_the_seeds() -> None:
    scenario = build_scenario("256xh100-sxm", "1e22 FLOP", RATE)
    found = predict(scenario, 6)
    run = found.prepared.run
    assert found.outcome.wall_clock_s == expected_run(run.parameters).wall_clock_s
    assert found.outcome.wall_clock_s == expected_s(scenario.one_cluster, scenario.training)
    assert list(found.recordings) == play_many(run, range(6))
    times = [recording.wall_clock_s for recording in found.recordings]
    assert list(found.luck) == pytest.approx([time / fmean(times) for time in times])
    assert fmean(found.luck) == pytest.approx(1.0)


def test_seeds_begin_with_that_of_the_scenario() -> None:
    found = predict(build_scenario("256xh100-sxm", "1e22 FLOP", RATE, seed=5), 3)
    assert [recording.seed for recording in found.recordings] == [5, 6, 7]


def test_without_interruptions_there_is_no_luck() -> None:
    found = predict(build_scenario("256xh100-sxm", "1e22 FLOP", {"failure_rate": "0/h"}), 16)
    assert (found.luck, found.recordings) == ((), ())
    assert found.interval.luck_share == 0.0


def test_with_spares_only_the_simulation_answers() -> None:
    scenario = build_scenario("272xh100-sxm", "1e22 FLOP", {**RATE, "spares": 2, "repair": "2 d"})
    found = predict(scenario, 4)
    assert by_simulation(found.prepared.run)
    assert found.outcome.wall_clock_s == pytest.approx(fmean(each.wall_clock_s for each in found.recordings))
    assert found.outcome.wall_clock_s == expected_s(scenario.one_cluster, scenario.training, 0, 4)
    without = build_scenario("256xh100-sxm", "1e22 FLOP", RATE)
    assert found.outcome.wall_clock_s > expected_s(without.cluster, without.training)


def test_a_given_step_has_no_error() -> None:
    assert step_sigma(prepared("256xh100-sxm", "1e22 FLOP", mfu=0.4)) == 0.0
    assert step_sigma(prepared("humanity", "1e22 FLOP")) == 0.0
    assert step_sigma(prepared("256xh100-sxm", "1e22 FLOP")) == SOURCE_LEFT_OUT["dense"][0]


def test_the_error_is_that_of_what_is_known() -> None:
    """A named profile with constants for the chip is known; the default is a guess; some chips nobody has measured."""
    named = prepared("256xh100-sxm", "1e22 FLOP", profile="nemo")
    assert step_sigma(named) == CONFIGURATION_LEFT_OUT["dense", "hopper"][0]
    mixture = {"model": "mixtral-8x7b"}
    assert step_sigma(prepared("256xh100-sxm", "1e22 FLOP", **mixture)) == SOURCE_LEFT_OUT["MoE"][0]
    assert step_sigma(prepared("256xh100-sxm", "1e22 FLOP", **mixture, profile="nemo")) < SOURCE_LEFT_OUT["MoE"][0]
    assert step_sigma(prepared("256xtpu-v5p", "1e22 FLOP")) == NEW_CHIP["dense"]
    # A profile without a constant of its own for the chip stands in: it is not known.
    assert (
        step_sigma(prepared("256xh100-sxm", "1e22 FLOP", profile="deepseek", precision="fp8"))
        == SOURCE_LEFT_OUT["dense"][0]
    )


def test_luck_of_a_long_run_is_that_of_its_parts() -> None:
    """From an eighth of the run the spread comes out as that of the whole, within the error of 200 seeds."""
    run = training_run(steps=1600.0, hazard_per_s=1 / 500)
    count = float(expected_run(run.parameters).interruptions)
    whole_recordings, whole = luck_of(run, count, 0, 200)
    part_recordings, part = luck_of(run, count, 0, 200, most=count / 8)
    assert len(whole_recordings) == 200
    assert part_recordings == []
    assert fmean(part) == pytest.approx(1.0)
    # The standard error of a standard deviation of n values is about sd / sqrt(2 n): 5 % of each here.
    assert stdev(part) == pytest.approx(stdev(whole), rel=4 * math.sqrt(2) * 0.05)


def test_a_run_of_a_million_interruptions_is_answered_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[float] = []
    play = module.play_seeds

    def watched(run, seed, seeds):  # type: ignore[no-untyped-def]
        played.append(float(expected_run(run.parameters).interruptions))
        return play(run, seed, seeds)

    monkeypatch.setattr(module, "play_seeds", watched)
    run = training_run(steps=1e8, hazard_per_s=1 / 1000)
    _, luck = luck_of(run, 1e6, 0, 4, most=100)
    assert 50 < played[0] < 200
    assert 0 < stdev(luck) < 0.01
