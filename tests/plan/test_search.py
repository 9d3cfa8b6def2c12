"""The search against one estimate at a time, and what it says where nothing is legal or nothing fits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.layout import single
from sim.cost.memory import per_device
from sim.cost.training import step_times
from sim.errors import InfeasibleError
from sim.plan.candidates import enumerate_layouts, space
from sim.plan.search import RunRules, checkpoint_interval_s, evaluate, mean_wall_clock_s
from sim.spec.layout import LayoutSpec
from tests.helpers.steps import real_machine, real_software, small_model, work

MACHINE, SOFTWARE = real_machine("h100-sxm"), real_software("h100-sxm")
MODEL = small_model(layers=4, hidden=4096, heads=32, kv_heads=8, head_dim=128, ffn_hidden=14336, gated=True)
WORK = work(MODEL, sequence=4096, batch=16)
RULES = RunRules(steps=1e4, rate_per_s=1e-8, restart_s=600.0, write_s=10.0, interval_s=None)
NO_FAILURES = replace(RULES, rate_per_s=0.0, write_s=0.0)
ANY = LayoutSpec()


def one_by_one(devices: int) -> tuple[float, dict[str, Any]]:
    """Plan each legal layout alone, in a loop; keep the shortest run, then the fewest devices."""
    degrees = space(MODEL, WORK.sequence, WORK.global_batch, MACHINE.domain_devices, ANY)
    listed = enumerate_layouts(degrees, MODEL, WORK.sequence, WORK.global_batch, devices, every_data=True).all()
    best: tuple[float, int] | None = None
    chosen: dict[str, Any] = {}
    for index in range(len(listed)):
        row = listed.row(index)
        layout = single(**row)
        memory = per_device(MODEL, WORK.recipe, SOFTWARE.memory, layout, WORK.sequence, WORK.global_batch)
        if memory.total_bytes[0] > MACHINE.memory_bytes:
            continue
        step_s = step_times(WORK, MACHINE, SOFTWARE, layout).step_s
        value = (float(mean_wall_clock_s(RULES, step_s, layout.devices)[0]), int(layout.devices[0]))
        if best is None or value < best:
            best, chosen = value, row
    assert best is not None
    return best[0], chosen


@pytest.mark.parametrize("devices", [1, 6, 12])
def test_search_equals_a_loop_over_single_layouts(devices: int) -> None:
    found = evaluate(WORK, MACHINE, SOFTWARE, RULES, ANY, devices, every_data=True)
    wall_clock_s, row = one_by_one(devices)
    best = found.best()
    assert float(found.wall_clock_s[best]) == pytest.approx(wall_clock_s, rel=1e-12)
    assert found.layouts.row(best) == row


@given(st.integers(1, 64))
def test_leaving_out_small_data_degrees_loses_nothing(devices: int) -> None:
    """Without failures; with them a few devices less may win, and the two largest degrees are kept for that."""
    every, largest = (
        evaluate(WORK, MACHINE, SOFTWARE, NO_FAILURES, ANY, devices, every_data=kept) for kept in (True, False)
    )
    assert float(largest.wall_clock_s.min()) == float(every.wall_clock_s.min())


@given(st.integers(1, 200), st.integers(1, 64))
def test_best_on_at_most_n_devices_never_gets_slower_with_n(devices: int, more: int) -> None:
    few, many = (evaluate(WORK, MACHINE, SOFTWARE, RULES, ANY, n, every_data=True) for n in (devices, devices + more))
    assert many.wall_clock_s.min() <= few.wall_clock_s.min()


@given(st.integers(1, 64), st.floats(10e9, 80e9))
def test_everything_that_is_kept_fits_and_uses_no_more_devices(devices: int, memory_bytes: float) -> None:
    machine = replace(MACHINE, memory_bytes=memory_bytes)
    try:
        found = evaluate(WORK, machine, SOFTWARE, RULES, ANY, devices)
    except InfeasibleError:
        return
    assert float(found.memory.total_bytes.max()) <= memory_bytes
    assert int(found.layouts.devices.max()) <= devices
    assert len(found.layouts) == len(found.wall_clock_s) <= found.considered


@given(st.floats(20e9, 80e9), st.floats(1.0, 4.0))
def test_more_memory_is_never_slower(memory_bytes: float, factor: float) -> None:
    small, large = (
        evaluate(WORK, replace(MACHINE, memory_bytes=each), SOFTWARE, RULES, ANY, 16)
        for each in (memory_bytes, factor * memory_bytes)
    )
    assert large.wall_clock_s.min() <= small.wall_clock_s.min()


def test_a_model_that_does_not_fit_names_the_nearest_layout() -> None:
    with pytest.raises(InfeasibleError) as raised:
        evaluate(work("llama-3.1-405b", 8192, 64), MACHINE, SOFTWARE, RULES, ANY, 8)
    error = raised.value
    assert error.exit_code == 4
    assert "does not fit on 8 x h100-sxm" in error.rule
    assert "the smallest needs" in error.value
    assert "recompute full" in error.value
    assert "more devices" in error.mend


def test_where_nothing_is_legal_the_rule_is_named() -> None:
    with pytest.raises(InfeasibleError) as raised:
        evaluate(WORK, MACHINE, SOFTWARE, RULES, LayoutSpec(tp=5), 16)
    assert raised.value.exit_code == 4
    assert raised.value.rule.startswith("no parallel layout is legal: tensor parallel divides the heads")


@given(
    st.floats(1.0, 1e7), st.floats(0.1, 100.0), st.just(0.0) | st.floats(1e-12, 1e-3), st.none() | st.floats(1.0, 1e5)
)
def test_checkpoints_divide_the_run_and_no_step(steps: float, step_s: float, hazard: float, wish: float | None) -> None:
    rules = replace(RULES, steps=steps, interval_s=wish)
    useful_s = np.asarray(steps * step_s)
    interval_s = float(checkpoint_interval_s(rules, useful_s, np.asarray(hazard)))
    pieces = float(useful_s) / interval_s
    assert pieces == pytest.approx(round(pieces))
    assert interval_s >= step_s * (1 - 1e-9) / 2


def test_a_run_without_failures_is_its_steps_and_its_checkpoints() -> None:
    wall_clock_s = mean_wall_clock_s(NO_FAILURES, np.array([2.0]), np.array([1000]))
    assert wall_clock_s.tolist() == [2.0 * NO_FAILURES.steps]
