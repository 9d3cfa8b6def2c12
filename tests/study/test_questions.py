"""The three questions agree with each other; what overrides a prediction does; what cannot be asked is said."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from sim.errors import CatalogError, InfeasibleError, SimError, UsageError
from sim.results.thresholds import Threshold
from sim.study.predict import expected_s
from sim.study.question_scenario import build_scenario
from sim.study.questions import howlong, howmany, howmuch
from tests.helpers.answers import H100_BF16, asked

DAY = 86400.0
RATE = {"failure_rate": "1e-3/h"}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"precision": "fp8"},
    {"failure_rate": "0/h"},
    {"failure_rate": "1e-3/h", "restart": "30 min"},
    {"mfu": 0.4},
    {"batch": 2e6, "sequence": 4096},
    {"law": "chinchilla"},
]


def expected(on: str, budget: str, **options: Any) -> float:
    scenario = build_scenario(on, budget, options)
    return expected_s(scenario.one_cluster, scenario.training)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("flop", "days", "chip"), [("1e22 FLOP", 10, "h100-sxm"), ("3e23 FLOP", 30, "a100-80gb-sxm")])
def test_howmany_is_the_fewest_whole_nodes(flop: str, days: int, chip: str, options: dict[str, Any]) -> None:
    if options.get("precision") == "fp8" and chip.startswith("a100"):
        pytest.skip("the A100 has no fp8")
    answer = asked("howmany", flop, f"{days} d", chip, **options)
    count = answer.answer["count"]
    assert count % 8 == 0
    assert count == 8 * answer.answer["nodes"] == answer.plan["devices"]
    assert expected(f"{count}x{chip}", flop, **options) == answer.wall_clock_s.expected <= days * DAY
    assert expected(f"{count - 8}x{chip}", flop, **options) > days * DAY


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("days", "on"), [(10, "256xh100-sxm"), (30, "1024xa100-80gb-sxm")])
def test_howmuch_fills_the_time(days: int, on: str, options: dict[str, Any]) -> None:
    if options.get("precision") == "fp8" and "a100" in on:
        pytest.skip("the A100 has no fp8")
    answer = asked("howmuch", f"{days} d", on, **options)
    flop = answer.answer["flop"]["expected"]
    assert answer.flop["model"].operations == pytest.approx(flop, rel=1e-12)
    time_s = expected(on, f"{flop!r} FLOP", **options)
    assert time_s == answer.wall_clock_s.expected <= days * DAY * (1 + 1e-11)
    if time_s < days * DAY * (1 - 1e-9):
        # A larger budget buys another model shape, whose run is longer by more than the budget is.
        assert expected(on, f"{flop * (1 + 1e-5)!r} FLOP", **options) > days * DAY


def test_howmuch_of_a_named_model_hits_the_time_exactly() -> None:
    answer = asked("howmuch", "10 d", "256xh100-sxm", model="llama-3.1-8b")
    assert answer.wall_clock_s.expected == pytest.approx(10 * DAY, rel=1e-9)
    again = asked("howlong", f"{answer.answer['flop']['expected']!r} FLOP", "256xh100-sxm", model="llama-3.1-8b")
    assert again.wall_clock_s.expected == pytest.approx(10 * DAY, rel=1e-9)


def test_howmany_with_spares_is_the_fewest_by_the_same_seeds() -> None:
    options = {**RATE, "spares": 2, "repair": "6 h"}
    answer = asked("howmany", "1e22 FLOP", "5 d", "h100-sxm", **options)
    count = answer.answer["count"]

    def simulated(devices: int) -> float:
        scenario = build_scenario(f"{devices}xh100-sxm", "1e22 FLOP", options)
        return expected_s(scenario.one_cluster, scenario.training, seed=0, seeds=4)

    assert simulated(count) == answer.wall_clock_s.expected <= 5 * DAY < simulated(count - 8)


def test_a_given_mfu_is_the_mfu_of_the_step() -> None:
    answer = asked("howlong", "1e22 FLOP", "256xh100-sxm", mfu=0.37, failure_rate="0/h")
    assert answer.utilization.mfu_step == pytest.approx(0.37, rel=1e-12)
    write_s = answer.plan["checkpoint_write_s"]
    assert answer.wall_clock_s.expected == pytest.approx(1e22 / (256 * H100_BF16 * 0.37) + write_s, rel=1e-9)
    assert answer.plan["step_given_by"] == "mfu"
    assert answer.plan["layout"] is None


def test_a_given_step_time_is_the_step() -> None:
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b", step_time=20.0, failure_rate="0/h")
    steps = 1e12 / 2**24
    assert answer.plan["step_s"] == 20.0
    assert answer.plan["steps"] == pytest.approx(steps)
    assert answer.wall_clock_s.expected == pytest.approx(20 * steps + answer.plan["checkpoint_write_s"])


def test_failures_only_add_time() -> None:
    quiet = asked("howlong", "1e22 FLOP", "256xh100-sxm", failure_rate="0/h")
    usual, often = asked("howlong", "1e22 FLOP", "256xh100-sxm"), asked("howlong", "1e22 FLOP", "256xh100-sxm", **RATE)
    assert quiet.wall_clock_s.expected < usual.wall_clock_s.expected < often.wall_clock_s.expected
    assert {"lost work", "restart"} <= set(dict(usual.parts))
    assert not {"lost work", "restart"} & set(dict(quiet.parts))
    assert quiet.events == {"interruptions": 0.0, "checkpoints": 1.0}


def test_tokens_and_params_size_the_run() -> None:
    both = asked("howlong", None, "256xh100-sxm", params=7e9, tokens=1e12)
    assert both.model["parameters"] == pytest.approx(7e9, rel=0.02)
    assert both.model["tokens"] == 1e12
    assert both.model["sized_by"] == "parameters"
    named = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b")
    same = asked("howlong", None, "256xh100-sxm", model="llama-3.1-8b", tokens=1e12)
    assert named.wall_clock_s.expected == same.wall_clock_s.expected


def test_a_number_is_flop() -> None:
    assert (
        asked("howlong", 1e22, "256xh100-sxm").wall_clock_s
        == asked("howlong", np.float64(1e22), "256xh100-sxm").wall_clock_s
        == asked("howlong", "1e22 FLOP", "256xh100-sxm").wall_clock_s
    )
    assert asked("howmuch", 10 * DAY, "256xh100-sxm").answer == asked("howmuch", "10 d", "256xh100-sxm").answer


def test_budget_that_nearly_agrees_with_tokens_is_taken() -> None:
    """Published totals count 6ND and are rounded: 10 % apart is one budget, more is a contradiction."""
    answer = asked("howlong", None, "256xh100-sxm", model="llama-3.1-8b", tokens=1e12)
    flop = answer.flop["model"].operations
    near = asked("howlong", f"{flop * 0.93!r} FLOP", "256xh100-sxm", model="llama-3.1-8b", tokens=1e12)
    assert near.wall_clock_s == answer.wall_clock_s
    with pytest.raises(UsageError, match="contradict the model and its tokens"):
        howlong(f"{flop * 0.8!r} FLOP", "256xh100-sxm", model="llama-3.1-8b", tokens=1e12)


@pytest.mark.parametrize(
    ("question", "arguments", "options", "kind", "said"),
    [
        (howlong, (None, "1024xh100-sxm"), {}, UsageError, "a run needs a budget"),
        (howlong, ("1e12 tokens", "1024xh100-sxm"), {}, UsageError, "tokens alone do not size a model"),
        (howlong, ("1e24 FLOP", "1024xh100-sxm"), {"step_time": 1e-3}, UsageError, "faster than its arithmetic"),
        (howlong, ("1e24 FLOP", "1024xv100-sxm2-32gb"), {}, UsageError, "no dense peak for bf16"),
        (howlong, ("1e24 FLOP", "1024xa100-80gb-sxm"), {"precision": "fp8"}, UsageError, "no dense peak for fp8"),
        (howlong, ("1e26 FLOP", "8xh100-sxm"), {}, InfeasibleError, "the smallest needs"),
        (howlong, ("1e24 FLOP", "1024xh100-sxm"), {"failure_rate": "10/h"}, InfeasibleError, "never finishes"),
        (howlong, ("1e24 FLOP", "1024xh100-sxm"), {"spares": 128}, UsageError, "some must be left"),
        (howlong, ("1 FLOP", "1024xh100-sxm"), {}, UsageError, "has at least"),
        (howlong, ("1e24 FLOP", "1024xh100-sxm"), {"model": "jamba-v0.1"}, SimError, "Mamba-1"),
        (howmany, ("1e26 FLOP", "1 s", "h100-sxm"), {}, InfeasibleError, "the nearest: "),
        (howmany, ("1e35 FLOP", "90 d", "h100-sxm"), {}, InfeasibleError, "does not fit on 1000000000 x"),
        (howmany, ("1e26 FLOP", "90 d", "1024xh100-sxm"), {}, UsageError, "howmany looks for the count"),
        (howmany, ("1e26 FLOP", "90 d", "meta-16k-llama3"), {}, UsageError, "howmany looks for the count"),
        (howmany, ("1e26 FLOP", "90 d", "h100"), {}, CatalogError, "h100-sxm"),
        (howmany, ("1e26 FLOP", "90 d", "h100-sxm"), {"step_time": 5.0}, UsageError, "one number of devices"),
        (howmany, ("1e26 FLOP", "0 d", "h100-sxm"), {}, UsageError, "more than zero"),
        (howmany, ("1e26 FLOP", float("nan"), "h100-sxm"), {}, UsageError, "time"),
        (howmany, ("1e26 FLOP", "90", "h100-sxm"), {}, UsageError, "has no unit"),
        (howmany, ("1e22 FLOP", "3 d", "h100-sxm"), {"spares": 1, "failure_rate": "0.01/h", "repair": "60 d"},
         InfeasibleError, "the run waits for repairs"),
        (howmuch, ("1e31 s", "8xh100-sxm"), {}, UsageError, "at most 1e+30 s"),
        (howmuch, ("1e30 s", "humanity"), {}, UsageError, "more than that fits"),
        (howmuch, ("1 ns", "8xh100-sxm"), {"model": "llama-3.1-8b"}, InfeasibleError, "one checkpoint alone"),
        (howmuch, ("1 s", "8xh100-sxm"), {}, UsageError, "has at least"),
        (howmuch, ("90 d", "8xh100-sxm"), {"model": "llama-3.1-405b"}, InfeasibleError, "does not fit"),
        (howmuch, ("90 d", "1024xh100-sxm"), {"failure_rate": "100/h"}, InfeasibleError, "never finishes"),
        (howmuch, ("90 d", "1024xh100-sxm"), {"step_time": 5.0}, UsageError, "sizes the model by its answer"),
        (howmuch, ("90 d", "1024xh100-sxm"), {"tokens": 1e12}, UsageError, "asks for the tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered(
    question: Any, arguments: tuple[Any, ...], options: dict[str, Any], kind: type[SimError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        question(*arguments, seeds=2, **options)
    error = caught.value
    assert said in f"{error.rule} {error.value} {error.mend}"
    assert error.exit_code == (4 if kind is InfeasibleError else error.exit_code)
    assert error.rule
    assert error.mend


def test_a_model_that_does_not_fit_says_by_how_much() -> None:
    with pytest.raises(InfeasibleError) as caught:
        howlong("1e26 FLOP", "8xh100-sxm")
    assert "more than its 80 GiB" in caught.value.value


def test_the_budget_that_fits_below_one_that_does_not() -> None:
    """Scaled to the time, the model would not fit; a smaller budget does, and ends before the time is over."""
    answer = asked("howmuch", "20000 d", "64xrtx-4090")
    assert answer.wall_clock_s.expected < 20000 * DAY * 0.99
    with pytest.raises(InfeasibleError):
        howlong(answer.answer["flop"]["expected"] * 1.01, "64xrtx-4090")


def test_interval_of_howmuch_is_inverse() -> None:
    flop = asked("howmuch", "10 d", "256xh100-sxm").answer["flop"]
    assert flop["p10"] < flop["expected"] < flop["p90"]
    wall = asked("howmuch", "10 d", "256xh100-sxm").wall_clock_s
    assert flop["p10"] / flop["expected"] == pytest.approx(wall.expected / wall.p90, rel=1e-3)


def test_more_seeds_move_the_interval_and_not_the_middle() -> None:
    few, many = (
        asked("howlong", "1e22 FLOP", "256xh100-sxm", **RATE),
        howlong("1e22 FLOP", "256xh100-sxm", seeds=40, **RATE),
    )
    other = howlong("1e22 FLOP", "256xh100-sxm", seeds=4, seed=9, **RATE)
    assert few.wall_clock_s.expected == many.wall_clock_s.expected == other.wall_clock_s.expected
    assert len({few.wall_clock_s.p90, many.wall_clock_s.p90, other.wall_clock_s.p90}) == 3
    assert few.parts == many.parts == other.parts


def test_an_answer_is_the_same_whenever_it_is_asked() -> None:
    first = howlong("1e22 FLOP", "256xh100-sxm", seeds=3).to_dict()
    howmuch("3 d", "64xa100-80gb-sxm", seeds=2)
    assert howlong("1e22 FLOP", "256xh100-sxm", seeds=3).to_dict() == first


def test_thresholds_and_dates_of_the_asker() -> None:
    mine = Threshold("mine", 5e21, "given by you")
    answer = asked("howlong", "1e22 FLOP", "256xh100-sxm", thresholds=(mine,), start=dt.date(2026, 12, 1))
    assert answer.crossings[0].threshold == mine
    days = round(answer.wall_clock_s.expected / DAY - 0.5)
    assert answer.answer["dates"]["expected"] == str(dt.date(2026, 12, 1) + dt.timedelta(days=days))


@pytest.mark.parametrize(
    ("question", "arguments", "options", "following"),
    [
        ("howlong", ("1e22 FLOP", "256xh100-sxm"), {}, "sim howmany 1e22 90d h100-sxm"),
        ("howlong", ("1e22 FLOP", "256xh100-sxm"), {"precision": "fp8"},
         "sim howmany 1e22 90d h100-sxm --precision fp8"),
        ("howlong", ("1e22 FLOP", "256xh100-sxm"), {"price": "2.5 USD/h"},
         "sim howmany 1e22 90d h100-sxm --price '2.5 USD/h'"),
    ],
)  # fmt: skip
def test_the_next_command_asks_of_the_same_run(
    question: str, arguments: tuple[str, ...], options: dict[str, Any], following: str
) -> None:
    assert asked(question, *arguments, **options).next == (following,)


def test_the_next_command_of_a_given_step_keeps_its_utilization() -> None:
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b", step_time=20.0, failure_rate="0/h")
    (following,) = answer.next
    assert "--step-time" not in following
    assert f"--mfu {answer.utilization.mfu_step:.3g}" in following
