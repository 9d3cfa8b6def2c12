"""What would change an answer most: each change planned anew."""

import pytest

from sim.study.predict import expected_s
from sim.study.question_scenario import build_scenario
from tests.helpers.answers import asked

QUESTION = ("howlong", "1e24 FLOP", "1024xh100-sxm")


def test_the_strongest_stands_first() -> None:
    answer = asked(*QUESTION)
    total_s = answer.wall_clock_s.expected
    effects = [abs(lever.wall_clock_s / total_s - 1) for lever in answer.levers]
    assert effects == sorted(effects, reverse=True)
    assert {lever.name for lever in answer.levers} == {
        "devices",
        "batch",
        "precision",
        "network per device",
        "failure rate",
        "restart",
        "checkpoint bandwidth",
    }
    assert len({lever.name for lever in answer.levers}) == len(answer.levers)


@pytest.mark.parametrize(
    ("name", "on", "options"),
    [
        ("devices", "2048xh100-sxm", {}),
        ("batch", "1024xh100-sxm", {"batch": 2.0**25}),
        ("precision", "1024xh100-sxm", {"precision": "fp8"}),
        ("failure rate", "1024xh100-sxm", {"failure_rate": 19.7e-6 / 3600 / 2}),
        ("restart", "1024xh100-sxm", {"restart": 300.0}),
    ],
)
def test_a_lever_is_the_answer_to_the_changed_question(name: str, on: str, options: dict[str, object]) -> None:
    lever = next(lever for lever in asked(*QUESTION).levers if lever.name == name)
    scenario = build_scenario(on, "1e24 FLOP", options)
    assert lever.wall_clock_s == pytest.approx(expected_s(scenario.one_cluster, scenario.training), rel=1e-12)


def test_better_things_never_slow_a_run_down() -> None:
    answer = asked(*QUESTION)
    for lever in answer.levers:
        if lever.name != "batch":  # a larger batch has fewer steps, and may overlap less
            assert lever.wall_clock_s <= answer.wall_clock_s.expected * (1 + 1e-12), lever.name


def test_fp8_is_no_lever_where_it_is_used_or_missing() -> None:
    used = asked("howlong", "1e24 FLOP", "1024xh100-sxm", precision="fp8")
    missing = asked("howlong", "1e23 FLOP", "256xa100-80gb-sxm")
    for answer in (used, missing):
        assert "precision" not in {lever.name for lever in answer.levers}


def test_a_given_step_has_no_levers_of_the_step() -> None:
    names = {lever.name for lever in asked("howlong", "1e24 FLOP", "1024xh100-sxm", mfu=0.4).levers}
    assert names == {"devices", "failure rate", "restart", "checkpoint bandwidth"}


def test_without_failures_nothing_is_said_of_them() -> None:
    names = {lever.name for lever in asked("howlong", "1e24 FLOP", "1024xh100-sxm", failure_rate="0/h").levers}
    assert not names & {"failure rate", "restart", "checkpoint bandwidth"}


def test_an_ideal_machine_has_one_lever() -> None:
    answer = asked("howlong", "5e25 FLOP", "humanity")
    (lever,) = answer.levers
    assert lever.name == "devices"
    assert lever.wall_clock_s == pytest.approx(answer.wall_clock_s.expected / 2)


def test_levers_of_a_simulated_run_are_simulated_with_its_seeds() -> None:
    options = {"failure_rate": "1e-3/h", "spares": 2, "repair": "2 d"}
    answer = asked("howlong", "1e22 FLOP", "272xh100-sxm", **options)
    lever = next(lever for lever in answer.levers if lever.name == "restart")
    scenario = build_scenario("272xh100-sxm", "1e22 FLOP", {**options, "restart": "5 min"})
    assert lever.wall_clock_s == expected_s(scenario.one_cluster, scenario.training, 0, 4)
