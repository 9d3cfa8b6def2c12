"""What holds for every training run that can be played."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sim.engine.recording import Recording
from sim.engine.training import play
from sim.errors import InfeasibleError, LimitError, SimError
from sim.plan.run import TrainingRun
from tests.helpers.training_runs import record_bytes, training_run

seeds = st.integers(0, 2**64)
PLAYED_AT_MOST = 2_000
"""Interruptions of one example: enough for every path, few enough for fifty examples in a second."""


@st.composite
def training_runs(draw: st.DrawFn) -> TrainingRun:
    """Give a run of any scale, written in ratios so that what can never finish stays rare."""
    step_s = draw(st.floats(1e-6, 1e6))
    steps = draw(st.floats(0.01, 1e6))
    useful_s = steps * step_s
    interval_s = useful_s / draw(st.floats(0.1, 1e4))
    write_s = interval_s * draw(st.sampled_from([0.0, 1e-9, 0.01, 1.0, 3.0]))
    between_s = (min(interval_s, useful_s) + write_s) * draw(st.floats(0.3, 1e6))
    restart_s = between_s * draw(st.sampled_from([0.0, 1e-6, 0.1, 1.0, 2.0]))
    per_node, active = draw(st.integers(1, 72)), draw(st.integers(1, 100_000))
    spare_nodes = draw(st.integers(0, 3))
    share = draw(st.floats(0, 1))
    model_flop = draw(st.floats(0, 1e25))
    return training_run(
        devices=active + spare_nodes * per_node + draw(st.integers(0, 100)),
        active_devices=active,
        devices_per_node=per_node,
        spare_nodes=spare_nodes,
        steps=steps,
        step_s=step_s,
        step_parts=(("useful compute", share * step_s), ("host", step_s - share * step_s)),
        model_flop_per_step=model_flop,
        hardware_flop_per_step=model_flop * draw(st.floats(1, 2)),
        interval_s=interval_s,
        write_s=write_s,
        hazard_per_s=draw(st.sampled_from([0.0, 1.0, 1.0, 1.0])) / between_s,
        restart_s=restart_s,
        repair_s=between_s * draw(st.sampled_from([0.0, 0.5, 3.0, 30.0])),
        node_loss_share=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )


def played_or_skipped(run: TrainingRun, seed: int) -> Recording:
    """Play what ends within the limit; the tests of limits are elsewhere."""
    try:
        return play(run, seed, max_interruptions=PLAYED_AT_MOST)
    except (InfeasibleError, LimitError):
        assume(False)
        raise


@given(run=training_runs(), seed=seeds)
def test_everything_is_conserved(run: TrainingRun, seed: int) -> None:
    """The ledger asserts its own laws at close; this states them once more, from outside."""
    played = played_or_skipped(run, seed)
    clock = played.clock
    assert sum(played.device_seconds.values()) == pytest.approx(run.devices * played.wall_clock_s, rel=1e-9)
    assert min(played.device_seconds.values()) >= 0
    assert sum(getattr(clock, name) for name in clock.__slots__) == pytest.approx(played.wall_clock_s, rel=1e-9)
    assert played.flop["model"] == pytest.approx(run.steps * run.model_flop_per_step, rel=1e-9)
    assert played.tokens["trained"] == pytest.approx(run.steps * run.tokens_per_step, rel=1e-9)
    down = played.device_seconds.get("down", 0.0)
    powered = run.devices * played.wall_clock_s - down
    assert sum(played.joules.values()) == pytest.approx(run.power_w_per_device * powered, rel=1e-9)
    assert played.executed_flop(played.wall_clock_s) == pytest.approx(sum(played.flop.values()), rel=1e-6)


@given(run=training_runs(), seed=seeds)
def test_no_run_beats_its_undisturbed_self(run: TrainingRun, seed: int) -> None:
    played = played_or_skipped(run, seed)
    undisturbed_s = run.useful_s + played.checkpoints * run.write_s
    assert played.wall_clock_s >= undisturbed_s * (1 - 1e-12)
    assert played.checkpoints == max(1, math.ceil(run.useful_s / run.interval_s * (1 - 1e-12)))
    if not run.hazard_per_s:
        assert played.wall_clock_s == pytest.approx(undisturbed_s, rel=1e-12)
        assert played.interruptions == 0


@given(run=training_runs(), seed=seeds, power=st.integers(-8, 8))
def test_another_unit_of_time_changes_nothing_else(run: TrainingRun, seed: int, power: int) -> None:
    """Powers of two, which floats scale exactly: the same events, at times in the other unit, to the last bit."""
    unit = 2.0**power
    scaled = replace(
        run,
        step_s=run.step_s * unit,
        step_parts=tuple((name, seconds * unit) for name, seconds in run.step_parts),
        interval_s=run.interval_s * unit,
        write_s=run.write_s * unit,
        restart_s=run.restart_s * unit,
        repair_s=run.repair_s * unit,
        hazard_per_s=run.hazard_per_s / unit,
    )
    one, other = played_or_skipped(run, seed), played_or_skipped(scaled, seed)
    assert other.wall_clock_s == one.wall_clock_s * unit
    assert other.events.time_s == tuple(time_s * unit for time_s in one.events.time_s)
    assert other.events.kind == one.events.kind
    assert other.flop == one.flop


@given(run=training_runs(), seed=seeds)
def test_no_hazard_is_no_faults(run: TrainingRun, seed: int) -> None:
    """With hazard 0, what only faults use (restart, repair, loss share, seed) has no effect."""
    calm = replace(run, hazard_per_s=0.0)
    other = replace(calm, restart_s=run.restart_s + 7.0, repair_s=99.0, node_loss_share=0.5)
    one, two = play(calm, seed), play(other, seed + 1)
    assert (one.wall_clock_s, one.device_seconds) == (two.wall_clock_s, two.device_seconds)


@given(run=training_runs(), seed=seeds, factor=st.floats(1, 10))
def test_longer_repairs_never_shorten_a_run(run: TrainingRun, seed: int, factor: float) -> None:
    """Seed by seed: no interruption strikes while the run waits, so each comes at the same point of its work."""
    quick, slow = played_or_skipped(run, seed), played_or_skipped(replace(run, repair_s=run.repair_s * factor), seed)
    assert slow.wall_clock_s >= quick.wall_clock_s * (1 - 1e-9)
    assert slow.interruptions == quick.interruptions


@given(run=training_runs(), seed=seeds, more=st.integers(1, 4))
def test_more_spares_never_lengthen_a_run(run: TrainingRun, seed: int, more: int) -> None:
    """The j-th lost node takes what the (j - spares)-th repair frees: with more spares it is never later."""
    with_one = replace(run, spare_nodes=run.spare_nodes + 1, devices=run.devices + run.devices_per_node)
    richer = replace(
        with_one, spare_nodes=with_one.spare_nodes + more, devices=with_one.devices + more * run.devices_per_node
    )
    few, many = played_or_skipped(with_one, seed), played_or_skipped(richer, seed)
    assert many.wall_clock_s <= few.wall_clock_s * (1 + 1e-9)
    assert many.interruptions == few.interruptions


@given(run=training_runs(), seed=seeds)
def test_repeated_to_the_byte(run: TrainingRun, seed: int) -> None:
    assert record_bytes(played_or_skipped(run, seed)) == record_bytes(played_or_skipped(run, seed))


@given(
    between_ratio=st.floats(1e-300, 0.05),
    interval_s=st.floats(1e-3, 1e7),
    restart_ratio=st.floats(0, 1e3),
    steps=st.floats(1, 1e9),
)
def test_hopeless_runs_end_in_a_clear_error(
    between_ratio: float, interval_s: float, restart_ratio: float, steps: float
) -> None:
    """An interruption twenty times an interval and more: refused at once, never played."""
    run = training_run(
        steps=steps,
        interval_s=interval_s,
        write_s=0.0,
        hazard_per_s=1 / (between_ratio * interval_s),
        restart_s=restart_ratio * interval_s,
    )
    assume(run.useful_s >= interval_s)
    with pytest.raises(SimError, match=r"never finishes|must be a finite number") as caught:
        play(run, seed=0)
    assert caught.value.exit_code in (2, 4)
