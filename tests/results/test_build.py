"""Utilization, energy, cost and the rule of thumb of a run that can be done by hand."""

import math

import pytest

from sim.results.build import KERNELS
from tests.helpers.answers import H100_BF16, asked

STEP_S, TOKENS, BATCH = 10.0, 1e10, 2**20
RATE, RESTART_S, INTERVAL_S, WIDTH = 1e-3, 300.0, 100.0, 14.0
BANDWIDTH = 2e12


@pytest.fixture(scope="module")
def by_hand():  # type: ignore[no-untyped-def]
    """16 H100, a given step of 10 s, an interruption every 62.5 hours, a checkpoint about every 100 s."""
    return asked(
        "howlong",
        "1e10 tokens",
        "16xh100-sxm",
        model="llama-3.1-8b",
        batch=float(BATCH),
        step_time=STEP_S,
        failure_rate="1e-3/h",
        restart=RESTART_S,
        checkpoint=INTERVAL_S,
        price="2 USD/h",
    )


def test_expected_time_is_dalys(by_hand) -> None:  # type: ignore[no-untyped-def]
    useful_s = TOKENS / BATCH * STEP_S
    intervals = math.ceil(useful_s / INTERVAL_S)
    interval_s = useful_s / intervals
    write_s = by_hand.model["parameters"] * WIDTH / BANDWIDTH
    between_s = 3600 / (16 * RATE)
    mean_s = intervals * between_s * math.exp(RESTART_S / between_s) * math.expm1((interval_s + write_s) / between_s)
    assert by_hand.wall_clock_s.expected == pytest.approx(mean_s, rel=1e-9)
    assert by_hand.events["interruptions"] == pytest.approx(mean_s / between_s, rel=1e-9)
    assert by_hand.events["checkpoints"] == pytest.approx(intervals)


def test_utilization_by_definition(by_hand) -> None:  # type: ignore[no-untyped-def]
    wall_s, use = by_hand.wall_clock_s.expected, by_hand.utilization
    useful_s = TOKENS / BATCH * STEP_S
    flop = by_hand.flop["model"].operations
    assert use.allocated == pytest.approx(1.0)
    assert use.ettr == pytest.approx(useful_s / wall_s)
    assert use.mfu_run == pytest.approx(flop / (16 * H100_BF16 * wall_s))
    assert use.mfu_step == pytest.approx(flop / (16 * H100_BF16 * useful_s))
    executed = by_hand.flop["executed"].operations
    assert use.hfu_run == pytest.approx(executed / (16 * H100_BF16 * wall_s))
    # A given step is all kernels; what was lost was stepping too.
    assert use.busy == pytest.approx(useful_s * executed / by_hand.flop["hardware"].operations / wall_s)
    assert use.peak_precision == "bf16"


def test_energy_cost_and_carbon(by_hand) -> None:  # type: ignore[no-untyped-def]
    wall_s = by_hand.wall_clock_s.expected
    assert by_hand.device_hours == pytest.approx(16 * wall_s / 3600)
    assert by_hand.cost_usd == pytest.approx(2.0 * 16 * wall_s / 3600)
    # Board x node over its boards (10.2 kW over 8 x 700 W) x PUE.
    assert by_hand.energy_j == pytest.approx(16 * wall_s * 10_200 / 8 * 1.2)
    assert by_hand.co2_kg == pytest.approx(by_hand.energy_j / 3.6e6 * 0.369473)
    assert by_hand.missing == ()


def test_rule_of_thumb(by_hand) -> None:  # type: ignore[no-untyped-def]
    wanted_s = 6 * by_hand.model["parameters"] * TOKENS / (16 * H100_BF16 * 0.4)
    assert by_hand.rule_of_thumb_s == pytest.approx(wanted_s)


def test_rule_of_thumb_of_a_mixture_counts_what_is_active() -> None:
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="mixtral-8x7b", mfu=0.4)
    assert answer.model["parameters"] == pytest.approx(46.7e9, rel=0.01)
    assert answer.model["active_parameters"] == pytest.approx(12.9e9, rel=0.01)
    wanted_s = 6 * answer.model["active_parameters"] * 1e12 / (256 * H100_BF16 * 0.4)
    assert answer.rule_of_thumb_s == pytest.approx(wanted_s)


def test_parts_sum_to_the_expected_time(by_hand) -> None:  # type: ignore[no-untyped-def]
    assert sum(seconds for _, seconds in by_hand.parts) == pytest.approx(by_hand.wall_clock_s.expected, rel=1e-9)
    assert all(seconds > 0 for _, seconds in by_hand.parts)


def test_busy_counts_kernels_alone() -> None:
    answer = asked("howlong", "1e24 FLOP", "1024xh100-sxm", failure_rate="0/h")
    kernels_s = sum(seconds for name, seconds in answer.parts if name in KERNELS)
    assert answer.utilization.busy == pytest.approx(kernels_s / answer.wall_clock_s.expected, rel=1e-9)
    assert 0 < answer.utilization.mfu_run <= answer.utilization.busy < 1


def test_devices_that_no_layout_uses_are_allocated_and_idle() -> None:
    """GPT-3 has 96 layers and 96 heads: 1,000 devices are not all used, and they are held all the same."""
    answer = asked("howlong", "1e22 FLOP", "1001xh100-sxm", model="gpt3-175b", failure_rate="0/h")
    active = answer.plan["active_devices"]
    assert active < 1001
    idle_s = dict(answer.parts)["allocated idle"]
    assert idle_s == pytest.approx(answer.wall_clock_s.expected * (1 - active / 1001), rel=1e-9)
    assert answer.utilization.allocated == 1.0
    assert answer.utilization.mfu_run == pytest.approx(
        answer.utilization.mfu_step * answer.utilization.ettr * active / 1001
    )


def test_a_chip_without_price_or_power_says_so() -> None:
    answer = asked("howlong", "5e25 FLOP", "humanity")
    assert (answer.cost_usd, answer.energy_j, answer.co2_kg) == (None, None, None)
    cost, energy = answer.missing
    assert cost == "cost: the catalogue has no price for human; give one with --price '2.50 USD/h'"
    assert energy == "energy: the catalogue has no power for human"


def test_humanity_with_pencils_takes_a_billion_years() -> None:
    """8.2e9 people, an operation every five seconds each."""
    answer = asked("howlong", "5e25 FLOP", "humanity")
    assert answer.wall_clock_s.expected == pytest.approx(5e25 / (8.2e9 / 5), rel=1e-9)
    assert answer.wall_clock_s.expected / (365.25 * 86400) == pytest.approx(1e9, rel=0.05)
    assert answer.parts == (("useful compute", answer.wall_clock_s.expected),)
    assert answer.utilization.mfu_run == pytest.approx(1.0)


def test_spares_are_free_and_failed_nodes_are_down() -> None:
    answer = asked("howlong", "1e22 FLOP", "272xh100-sxm", spares=2, failure_rate="1e-3/h", repair="2 d")
    parts = dict(answer.parts)
    assert parts["free"] > 0
    assert parts["down"] > 0
    assert parts["waiting for repair"] > 0
    assert sum(parts.values()) == pytest.approx(answer.wall_clock_s.expected, rel=1e-9)
    unheld_s = parts["free"] + parts["down"]
    assert answer.utilization.allocated == pytest.approx(1 - unheld_s / answer.wall_clock_s.expected)
