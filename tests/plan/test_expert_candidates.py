"""Expert parallelism in the search: exactly the legal layouts, and the same best one as a loop over all of them."""

from itertools import product
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cost.layout import RECOMPUTE, SCHEDULE, single
from sim.cost.memory import per_device
from sim.cost.schedules import RULES as ORDERS
from sim.cost.training import step_times
from sim.errors import InfeasibleError
from sim.plan.candidates import EXPERTS, RULES, Space, enumerate_layouts, space
from sim.plan.search import RunRules, evaluate
from sim.plan.survey import survey
from sim.spec.layout import LayoutSpec
from sim.spec.model import ModelShape
from tests.helpers.steps import mixture, real_machine, real_software, small_model, work

NAMES = ("tp", "pp", "virtual_stages", "cp", "dp", "micro_batch", "recompute", "zero_stage", "sequence_parallel", "ep")
MACHINE, SOFTWARE = real_machine("h100-sxm"), real_software("h100-sxm")
MODEL = mixture(layers=2, hidden=2048, heads=16, kv_heads=8, head_dim=128, ffn_hidden=4096, gated=True)
WORK = work(MODEL, sequence=2048, batch=8)
RULES_OF_RUN = RunRules(steps=1.0, rate_per_s=0.0, restart_s=0.0, write_s=0.0, interval_s=None)


def brute_force(
    degrees: Space, model: ModelShape, sequence: int, batch: int, devices: int, every_choice: bool
) -> set[tuple[Any, ...]]:
    """Every legal layout by one loop after the other, the rules written out once more."""
    legal = set()
    assert model.experts is not None
    axes = [getattr(degrees, name) for name in Space.__slots__ if name != "common"]
    for tp, pp, v, cp, micro, again, zero, sp, dp, ep, order in product(*axes):
        if model.heads % tp or model.ffn_hidden % tp or (model.kv_heads % tp and tp % model.kv_heads):
            continue
        if pp > model.layers or (v > 1 and (pp == 1 or pp * (v - 1) >= model.layers)):
            continue
        if cp > 1 and (sequence % (2 * cp) or (micro > 1 and len(degrees.micro_batch) > 1)):
            continue
        if tp * pp * cp * dp > devices or batch % (dp * micro) or (v > 1 and batch // (dp * micro) < pp):
            continue
        if (tp * cp * dp) % ep or model.experts.count % ep:
            continue
        splits = tp > 1 and sequence % (tp * cp) == 0
        if not every_choice:
            sp = int(splits)  # noqa: PLW2901 - wherever it is legal
        if (dp * cp == 1 and zero > min(degrees.zero_stage)) or (sp and not splits) or (tp > 1 and not sp):
            continue
        if order and (pp == 1 or not ORDERS[SCHEDULE[order]].allows(pp, batch // (dp * micro), v)):
            continue
        legal.add((tp, pp, v, cp, dp, micro, RECOMPUTE[again], zero, sp, ep, SCHEDULE[order]))
    return legal


@settings(max_examples=15)
@given(
    st.sampled_from([6, 8]),
    st.sampled_from([2048, 6000]),
    st.sampled_from([1, 12, 16]),
    st.integers(1, 24),
    st.booleans(),
    st.sampled_from([None, "any", "zb-v"]),
)
def test_every_legal_layout_once_and_no_other(
    experts: int, sequence: int, batch: int, devices: int, every_choice: bool, schedule: Any
) -> None:
    model = mixture(count=experts, layers=2, kv_heads=2)
    degrees = space(model, sequence, batch, 8, LayoutSpec(schedule=schedule), every_choice=every_choice)
    found = enumerate_layouts(degrees, model, sequence, batch, devices, every_data=True)
    written = found.all()
    listed = [written.row(index) for index in range(len(written))]
    rows = [(*(row[name] for name in NAMES), row.get("schedule", "1f1b")) for row in listed]
    assert len(rows) == len(set(rows)) == found.legal
    assert set(rows) == brute_force(degrees, model, sequence, batch, devices, every_choice)
    assert found.legal + sum(found.illegal.values()) == prod(
        len(getattr(degrees, name)) for name in Space.__slots__ if name != "common"
    )
    assert set(found.illegal) <= set(RULES)
    assert all((written.tensor_parallel * written.replicas) % written.expert_parallel == 0)


def test_the_survey_and_the_search_equal_a_loop_over_single_layouts() -> None:
    devices = 8
    degrees = space(MODEL, WORK.sequence, WORK.global_batch, MACHINE.domain_devices, LayoutSpec(), every_choice=True)
    listed = enumerate_layouts(degrees, MODEL, WORK.sequence, WORK.global_batch, devices, every_data=True).all()
    alone = []
    for index in range(len(listed)):
        layout = single(**listed.row(index))
        total = per_device(MODEL, WORK.recipe, SOFTWARE.memory, layout, WORK.sequence, WORK.global_batch).total_bytes
        assert total[0] <= MACHINE.memory_bytes
        alone.append((float(step_times(WORK, MACHINE, SOFTWARE, layout).step_s[0]), int(layout.zero_stage[0])))
    found = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(), devices)
    assert (found.legal, found.fitting) == (len(listed), len(alone))
    assert float(found.best.steps.step_s[0]) == pytest.approx(min(alone)[0], rel=1e-12)
    searched = evaluate(WORK, MACHINE, SOFTWARE, RULES_OF_RUN, LayoutSpec(), devices)
    usual = min(step_s for step_s, zero in alone if zero <= 1)
    assert float(searched.steps.step_s[searched.best()]) == pytest.approx(usual, rel=1e-12)


def test_a_wish_for_expert_parallelism_is_taken() -> None:
    found = survey(WORK, MACHINE, SOFTWARE, LayoutSpec(ep=4), 8)
    assert set(found.best.layouts.expert_parallel.tolist()) == {4}


@pytest.mark.parametrize(("model", "ep", "devices"), [(MODEL, 3, 12), (MODEL, 16, 16), (MODEL, 8, 4)])
def test_experts_are_not_spread_over_more_than_there_is(model: ModelShape, ep: int, devices: int) -> None:
    with pytest.raises(InfeasibleError, match="expert parallel divides the experts"):
        survey(work(model, 2048, 8), MACHINE, SOFTWARE, LayoutSpec(ep=ep), devices)


def test_a_dense_model_has_no_experts_to_spread() -> None:
    dense = small_model()
    assert space(dense, 2048, 16, 8, LayoutSpec()).expert_parallel == (0,)
    assert space(dense, 2048, 16, 8, LayoutSpec(ep=1)).expert_parallel == (0,)
    refused = enumerate_layouts(space(dense, 2048, 16, 8, LayoutSpec(ep=2)), dense, 2048, 16, 16, every_data=True)
    assert refused.legal == 0
    assert list(refused.illegal)[-1] == EXPERTS


def test_experts_let_a_model_fit_on_fewer_devices() -> None:
    """8 experts of 1e9 parameters in all on 8 devices: whole on each device they do not fit beside their states."""
    big = mixture(layers=32, hidden=4096, heads=32, kv_heads=8, head_dim=128, ffn_hidden=14336, gated=True, vocab=32000)
    experts = {"count": 8, "top_k": 2, "ffn_hidden": 14336}
    big = ModelShape.model_validate(big.model_dump() | {"experts": experts})
    wish = {"tp": 1, "pp": 1, "zero_stage": 1}
    with pytest.raises(InfeasibleError, match="does not fit"):
        survey(work(big, 2048, 64), MACHINE, SOFTWARE, LayoutSpec(**wish, ep=1), 64)
    spread = survey(work(big, 2048, 64), MACHINE, SOFTWARE, LayoutSpec(**wish, ep=8), 64)
    assert spread.fitting > 0
