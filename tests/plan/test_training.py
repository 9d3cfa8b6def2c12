"""From a scenario to a run: what is chosen, what the user overrides, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InfeasibleError, NotYetError, SimError, UsageError
from sim.plan.training import Prepared, power_model, prepare
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.layout import LayoutSpec
from sim.spec.workload import Budget, TrainingSpec

SMALL = TrainingSpec(model="llama-3.1-8b", tokens=1e12, sequence=4096, batch=4096 * 256)


def on(count: int, accelerator: str = "h100-sxm", **rest: object) -> ClusterSpec:
    return ClusterSpec.model_validate({"accelerator": accelerator, "count": count} | rest)


def spec(**changes: object) -> TrainingSpec:
    return SMALL.model_copy(update=changes)


def mfu(prepared: Prepared) -> float:
    run = prepared.run
    return run.model_flop_per_step / (run.step_s * run.active_devices * prepared.peak_flop_per_s)


def test_a_run_is_consistent() -> None:
    prepared = prepare(on(256), SMALL)
    run = prepared.run
    assert sum(seconds for _, seconds in run.step_parts) == pytest.approx(run.step_s, rel=1e-12)
    assert run.steps * run.tokens_per_step == pytest.approx(1e12)
    assert run.steps * run.model_flop_per_step == pytest.approx(prepared.training.model_flop)
    assert run.hardware_flop_per_step > run.model_flop_per_step
    assert 0.3 < mfu(prepared) < 0.6
    assert prepared.layout is not None
    assert prepared.layouts_considered > 100
    assert prepared.expected().wall_clock_s > run.useful_s


def test_the_layout_uses_what_it_says() -> None:
    prepared = prepare(on(256), SMALL)
    layout = prepared.layout
    assert layout is not None
    degrees = [int(layout[name]) for name in ("tp", "pp", "cp", "dp")]
    product = degrees[0] * degrees[1] * degrees[2] * degrees[3]
    assert product == prepared.run.active_devices <= 256


def test_a_given_layout_is_taken() -> None:
    wish = LayoutSpec(tp=4, pp=2, virtual_stages=2, cp=2, dp=8, micro_batch=1, recompute="full", zero_stage=2)
    prepared = prepare(on(256), spec(plan=wish))
    assert prepared.layout == wish.model_dump() | {"sequence_parallel": 1}
    assert prepared.run.active_devices == 128


@given(st.integers(8, 64))
def test_more_devices_are_never_later_without_failures(nodes: int) -> None:
    few, many = (prepare(on(8 * n, failure_rate="0"), SMALL).run for n in (nodes, nodes + 3))
    assert many.useful_s <= few.useful_s


def test_spares_are_not_planned_with() -> None:
    prepared = prepare(on(256, spares=4), SMALL)
    assert prepared.run.active_devices <= 256 - 4 * 8
    assert prepared.run.spare_nodes == 4


def test_utilization_given() -> None:
    prepared = prepare(on(256), spec(mfu=0.4))
    assert prepared.step_given_by == "mfu"
    assert mfu(prepared) == pytest.approx(0.4)
    assert prepared.layout is None


def test_step_time_given() -> None:
    prepared = prepare(on(256), spec(step_time=10.0))
    assert (prepared.step_given_by, prepared.run.step_s) == ("step_time", 10.0)
    assert sum(seconds for _, seconds in prepared.run.step_parts) == pytest.approx(10.0)


def test_a_step_below_its_arithmetic_is_refused() -> None:
    with pytest.raises(UsageError, match="arithmetic at peak"):
        prepare(on(256), spec(step_time=1e-3))


def test_an_ideal_machine_runs_at_its_peak_and_is_not_interrupted() -> None:
    prepared = prepare("humanity", TrainingSpec(budget=Budget(flop=5e25), precision="bf16"))
    assert prepared.step_given_by == "ideal"
    assert mfu(prepared) == pytest.approx(1.0)
    assert prepared.run.hazard_per_s == 0
    assert prepared.expected().wall_clock_s == pytest.approx(prepared.run.useful_s)


@pytest.mark.parametrize(
    ("cluster", "training", "kind", "word"),
    [
        (on(8), TrainingSpec(model="llama-3.1-405b", tokens=1e12), InfeasibleError, "does not fit on 8 x h100-sxm"),
        (on(64, "a100-80gb-sxm"), spec(precision="fp8"), UsageError, "no dense peak for fp8"),
        (on(64), TrainingSpec(model="jamba-v0.1", tokens=1e12), NotYetError, "Mamba-1"),
        (on(64), spec(budget=Budget(flop=1e20)), UsageError, "contradict"),
        (on(64, spares=8), SMALL, UsageError, "some must be left"),
        (on(64), spec(plan=LayoutSpec(tp=7)), InfeasibleError, "no parallel layout is legal"),
        (on(64), spec(plan=LayoutSpec(dp=3)), InfeasibleError, "data parallel x micro-batch divides the batch"),
    ],
)
def test_what_cannot_be_planned_says_why(
    cluster: ClusterSpec, training: TrainingSpec, kind: type[SimError], word: str
) -> None:
    with pytest.raises(kind) as raised:
        prepare(cluster, training)
    assert word in str(raised.value)
    assert raised.value.exit_code == (4 if kind is InfeasibleError else 2)


def test_a_run_that_never_ends_is_refused() -> None:
    prepared = prepare(on(256, failure_rate="1000/h"), SMALL)
    with pytest.raises(InfeasibleError):
        prepared.expected()


def test_power_at_the_meter() -> None:
    prepared = prepare(on(64), SMALL)
    power = power_model(prepared.cluster)
    chip = catalog.load("accelerators", "h100-sxm")
    assert power is not None
    assert chip.power_w is not None
    assert power.board_w == chip.power_w.value
    assert prepared.run.power_w_per_device == power.wall_w_per_device > chip.power_w.value
