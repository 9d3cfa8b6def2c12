"""The survey against one estimate at a time: best few, front and counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cost.layout import single
from sim.cost.memory import per_device
from sim.cost.training import step_times
from sim.errors import InfeasibleError, UsageError
from sim.plan import survey as module
from sim.plan.candidates import enumerate_layouts, space
from sim.plan.search import RunRules, evaluate
from sim.plan.survey import Survey, plan, survey
from sim.spec.cluster import ClusterSpec
from sim.spec.layout import LayoutSpec
from sim.spec.workload import TrainingSpec
from tests.helpers.steps import real_machine, real_software, small_model, work

MACHINE, SOFTWARE = real_machine("h100-sxm"), real_software("h100-sxm")
MODEL = small_model(layers=2, hidden=4096, heads=32, kv_heads=8, head_dim=128, ffn_hidden=14336, gated=True)
WORK = work(MODEL, sequence=2048, batch=8)


def rows(found: Survey, name: str) -> list[tuple[float, float]]:
    timed = getattr(found, name)
    return list(zip(timed.steps.step_s.tolist(), timed.memory.total_bytes.tolist(), strict=True))


@pytest.mark.parametrize("wish", [LayoutSpec(), LayoutSpec(zero_stage=3), LayoutSpec(tp=2, recompute="full")])
def test_equal_to_a_loop_over_single_layouts(wish: LayoutSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 64)
    devices = 8
    degrees = space(MODEL, WORK.sequence, WORK.global_batch, MACHINE.domain_devices, wish, every_choice=True)
    listed = enumerate_layouts(degrees, MODEL, WORK.sequence, WORK.global_batch, devices, every_data=True).all()
    alone = []
    for index in range(len(listed)):
        layout = single(**listed.row(index))
        total = per_device(MODEL, WORK.recipe, SOFTWARE.memory, layout, WORK.sequence, WORK.global_batch).total_bytes
        if total[0] <= MACHINE.memory_bytes:
            step_s = float(step_times(WORK, MACHINE, SOFTWARE, layout).step_s[0])
            alone.append((step_s, int(layout.devices[0]), float(total[0])))
    found = survey(WORK, MACHINE, SOFTWARE, wish, devices, keep=7)
    assert (found.legal, found.fitting) == (len(listed), len(alone))

    ranked = sorted(alone)[:7]
    assert found.best.steps.step_s.tolist() == pytest.approx([step_s for step_s, _, _ in ranked], rel=1e-12)
    assert found.best.layouts.devices.tolist() == [used for _, used, _ in ranked]
    front = [
        (step_s, total)
        for step_s, _, total in alone
        if not any(s <= step_s and m <= total and (s, m) != (step_s, total) for s, _, m in alone)
    ]
    assert np.array(rows(found, "front")) == pytest.approx(np.array(sorted(set(front))), rel=1e-12)


@settings(max_examples=10)
@given(st.integers(20, 1000), st.integers(1, 9))
def test_chunks_and_the_number_kept_change_nothing(chunk: int, keep: int) -> None:
    """The same front, and the first few of the same ranking, whatever the size of a chunk."""
    whole = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(pp=1), 8, keep=9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_ROWS", chunk)
        cut = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(pp=1), 8, keep=keep)
    assert rows(cut, "best") == rows(whole, "best")[:keep]
    assert rows(cut, "front") == rows(whole, "front")
    assert (cut.legal, cut.fitting, cut.illegal) == (whole.legal, whole.fitting, whole.illegal)


@pytest.mark.parametrize("devices", [1, 3, 8, 64])
def test_the_usual_one_is_what_howlong_plans(devices: int) -> None:
    """The same layout as the search of a run that nothing interrupts, which leaves dominated ones out."""
    rules = RunRules(steps=1.0, rate_per_s=0.0, restart_s=0.0, write_s=0.0, interval_s=None)
    searched = evaluate(WORK, MACHINE, SOFTWARE, rules, LayoutSpec(), devices)
    usual = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(), devices).usual
    assert usual is not None
    assert float(usual.steps.step_s[0]) == float(searched.steps.step_s[searched.best()])
    assert usual.layouts.zero_stage[0] <= 1


@settings(max_examples=15)
@given(st.integers(1, 63))
def test_the_best_never_gets_slower_with_more_devices(devices: int) -> None:
    few, many = (survey(WORK, MACHINE, SOFTWARE, LayoutSpec(), n, keep=1) for n in (devices, devices + 1))
    assert float(many.best.steps.step_s[0]) <= float(few.best.steps.step_s[0])


def test_the_front_begins_with_the_best_and_only_gets_slower_and_smaller() -> None:
    found = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(), 8)
    front = rows(found, "front")
    assert front[0][0] == rows(found, "best")[0][0]
    assert [step_s for step_s, _ in front] == sorted(step_s for step_s, _ in front)
    assert [total for _, total in front] == sorted((total for _, total in front), reverse=True)


def on(count: int, accelerator: str = "h100-sxm", spares: int = 0) -> ClusterSpec:
    return ClusterSpec(accelerator=accelerator, count=count, spares=spares)


def test_a_plan_needs_no_budget_and_leaves_spares_alone() -> None:
    planned = plan(on(64, spares=2), TrainingSpec(model="llama-3.1-8b", sequence=2048, batch=2**20))
    assert planned.devices == 64 - 2 * 8
    assert int(planned.survey.best.layouts.devices.max()) <= 48
    assert 0.2 < planned.utilization(planned.survey.best, 0) < 0.7


def test_zero_3_makes_a_model_fit_that_zero_1_does_not() -> None:
    """405e9 parameters over 64 devices on one stage without tensor parallelism: 18 bytes each do not fit, 18/64 do."""
    wish = {"tp": 1, "pp": 1, "virtual_stages": 1, "recompute": "full"}
    spec = TrainingSpec(model="llama-3.1-70b", sequence=2048, batch=2**20)
    with pytest.raises(InfeasibleError, match="does not fit"):
        plan(on(64), spec.model_copy(update={"plan": LayoutSpec(**wish, zero_stage=1)}))
    sharded = plan(on(64), spec.model_copy(update={"plan": LayoutSpec(**wish, zero_stage=3)}))
    assert sharded.survey.best.layouts.zero_stage.tolist() == [3] * len(sharded.survey.best)


def test_what_does_not_fit_names_the_nearest() -> None:
    with pytest.raises(InfeasibleError) as raised:
        plan(on(8), TrainingSpec(model="llama-3.1-405b"))
    assert "the smallest needs" in raised.value.value


def test_an_ideal_machine_has_no_layouts() -> None:
    with pytest.raises(UsageError, match="ideal"):
        plan("humanity", TrainingSpec(model="llama-3.1-8b"))
