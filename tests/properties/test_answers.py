"""What holds for every question: more devices never take longer, the three questions agree, parts are a whole."""

import math
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim.errors import InfeasibleError, SimError
from sim.study.predict import expected_s, predict
from sim.study.question_scenario import build_scenario
from sim.study.questions import howmany, howmuch

CHIPS = st.sampled_from(
    ["h100-sxm", "a100-80gb-sxm", "b200-sxm", "gb300", "mi300x", "tpu-v5p", "trainium2", "rtx-4090"]
)
FEW = max(settings.default.max_examples // 5, 1)
"""Whole answers take a second each."""
EXPONENTS = st.floats(20.0, 27.0)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "batch": st.sampled_from([1e5, 1e6, 4e6, 6e7, 1e9, 720720 * 2048.0]),
        "sequence": st.sampled_from([1000, 2048, 4096, 32768, 131072]),
        "failure_rate": st.sampled_from(["0/h", "1e-6/h", "1e-4/h", "3e-3/h", "0.1/h"]),
        "restart": st.sampled_from(["1 s", "1 h"]),
        "law": st.just("chinchilla"),
    },
)


def seconds(count: int, chip: str, flop: float, options: dict[str, Any]) -> float:
    scenario = build_scenario(f"{count}x{chip}", f"{flop!r} FLOP", options)
    try:
        return expected_s(scenario.one_cluster, scenario.training)
    except InfeasibleError:
        return math.inf


@given(CHIPS, EXPONENTS, OPTIONS, st.integers(1, 300_000), st.integers(1, 40) | st.integers(1, 1_000_000))
def test_time_never_rises_with_the_count(
    chip: str, exponent: float, options: dict[str, Any], count: int, more: int
) -> None:
    """A layout may leave devices idle, also where more of them would only mean more interruptions."""
    flop = 10.0**exponent
    assert seconds(count + more, chip, flop, options) <= seconds(count, chip, flop, options) * (1 + 1e-12)


@settings(max_examples=FEW)
@given(CHIPS, st.floats(20.0, 25.0), OPTIONS, st.floats(0.1, 300.0))
def test_howmany_is_the_fewest(chip: str, exponent: float, options: dict[str, Any], days: float) -> None:
    flop, target_s = 10.0**exponent, days * 86400
    try:
        answer = howmany(flop, target_s, chip, seeds=1, **options)
    except InfeasibleError:
        assume(False)
    count, nodes = answer.answer["count"], answer.answer["nodes"]
    assert answer.wall_clock_s.expected <= target_s
    if nodes > 1:
        assert seconds(count - count // nodes, chip, flop, options) > target_s


@settings(max_examples=FEW)
@given(CHIPS, st.integers(1, 20_000), OPTIONS, st.floats(0.1, 300.0))
def test_howmuch_is_the_most(chip: str, count: int, options: dict[str, Any], days: float) -> None:
    target_s = days * 86400
    try:
        answer = howmuch(target_s, f"{count}x{chip}", seeds=1, **options)
    except SimError as error:
        assume(isinstance(error, InfeasibleError) or "has at least" in error.rule)
        return
    flop = answer.answer["flop"]["expected"]
    assert seconds(count, chip, flop, options) == answer.wall_clock_s.expected <= target_s * (1 + 1e-11)
    if answer.wall_clock_s.expected < target_s * (1 - 1e-9):
        # The shape of the model jumps here: a larger budget takes longer than there is time.
        assert seconds(count, chip, flop * (1 + 1e-5), options) > target_s


@given(CHIPS, EXPONENTS, OPTIONS, st.integers(1, 100_000))
def test_parts_are_a_whole_and_shares_are_shares(
    chip: str, exponent: float, options: dict[str, Any], count: int
) -> None:
    from sim.results.build import utilization
    from sim.results.flop import accounts

    scenario = build_scenario(f"{count}x{chip}", f"{10.0**exponent!r} FLOP", options)
    try:
        found = predict(scenario, 1)
    except SimError:
        assume(False)
    outcome = found.outcome
    assert math.isclose(math.fsum(value for _, value in outcome.parts), outcome.wall_clock_s, rel_tol=1e-9)
    assert all(value > 0 for _, value in outcome.parts)
    use = utilization(found.prepared, outcome, accounts(found.prepared, outcome)["executed"].operations)
    for share in (use.allocated, use.busy, use.ettr, use.mfu_step, use.mfu_run, use.hfu_run):
        assert 0 < share <= 1
    assert use.mfu_run <= use.hfu_run * (1 + 1e-12)
    assert use.mfu_run <= use.busy
    assert found.prepared.peak_flop_per_s * count * outcome.wall_clock_s >= 10.0**exponent
