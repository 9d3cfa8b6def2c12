"""The jumping engine against one that takes every iteration alone: the same times, iterations and preemptions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from sim.engine.serving.contents import chain
from sim.engine.serving.options import Offload, ServiceOptions, Speculation
from sim.engine.serving.request import STATUSES, Request
from sim.plan.serving import SchedulerRules
from tests.helpers.naive_serving import NaiveService
from tests.helpers.serving import HandPlan, LinearCost, serve

V1 = SchedulerRules(admission="first-chunk", prefix_caching=False)
RULES = {
    "v1": V1,
    "prefix cache": replace(V1, prefix_caching=True),
    "whole prompts": replace(V1, admission="prompt"),
    "watermark": replace(V1, admission="prompt", watermark=0.1),
    "no evict": replace(V1, admission="whole"),
    "no chunks": replace(V1, chunked_prefill=False),
    "prompts first": replace(V1, order="prefill-first"),
    "vllm 0.6": replace(V1, order="prefill-first", chunked_prefill=False, admission="prompt", watermark=0.05),
    "static": replace(V1, batching="static", admission="whole"),
    "cached no evict": replace(V1, admission="whole", prefix_caching=True),
    "cached prompts first": replace(V1, order="prefill-first", prefix_caching=True),
}


OPTIONS = {
    "one": ServiceOptions(),
    "priorities": ServiceOptions(by_priority=True),
    "round robin": ServiceOptions(replicas=3, router="round-robin"),
    "least outstanding": ServiceOptions(replicas=2, router="least-outstanding"),
    "power of two": ServiceOptions(replicas=3, router="power-of-two"),
    "prefix aware": ServiceOptions(replicas=2, router="prefix-aware"),
    "short queue": ServiceOptions(max_queue=2),
    "short queues": ServiceOptions(replicas=2, max_queue=0),
    "tenants": ServiceOptions(tenant_limits={"a": 1, "b": 3}),
    "tenants of some": ServiceOptions(replicas=2, router="power-of-two", tenant_limits={"a": 2}, max_queue=3),
    "speculation": ServiceOptions(speculation=Speculation(2, 0.6, head_share=0.1)),
    "host memory": ServiceOptions(offload=Offload(2e8, 1e10)),
    "little host memory": ServiceOptions(offload=Offload(2e7, 1e9)),
}
SOME_RULES = {name: RULES[name] for name in ("v1", "prefix cache", "no evict", "cached prompts first")} | {
    "swap": replace(V1, preemption="swap"),
    "vllm 0.6 swap": replace(RULES["vllm 0.6"], preemption="swap"),
}


@st.composite
def workloads(draw: st.DrawFn) -> tuple[HandPlan, list[Request]]:
    """Few blocks and short gaps, so that queues, preemptions and evictions are the rule."""
    size = draw(st.sampled_from([1, 2, 4, 16]))
    blocks = draw(st.integers(4, 40))
    most = size * blocks
    budget = draw(st.integers(2, 48))
    plan = HandPlan(
        cost=LinearCost(
            base_s=draw(st.sampled_from([0.01, 0.0137])), pair_s=draw(st.sampled_from([0.0, 1e-6, 3.3e-5]))
        ),
        kv_blocks=blocks,
        block_size=size,
        token_budget=budget,
        max_sequences=draw(st.integers(1, min(budget, 12))),
    )
    gaps = st.one_of(st.just(0.0), st.floats(0.0, 0.3), st.sampled_from([0.01, 0.05, 2.0]))
    requests: list[Request] = []
    now_s = 0.0
    for number in range(draw(st.integers(1, 14))):
        now_s += draw(gaps)
        prompt = draw(st.integers(1, max(1, min(most - 1, 80))))
        output = draw(st.integers(1, max(1, min(most - prompt + 1, 60))))
        shared = draw(st.integers(0, prompt))
        head = draw(st.sampled_from("ab"))
        contents = chain([(head, shared), (f"rest {number}", prompt - shared)], size)
        if draw(st.booleans()):
            contents = contents[: shared // size]
        requests.append(Request(number, now_s, prompt, output, blocks=contents, priority=draw(st.integers(0, 2))))
    return plan, requests


QUICK = (Phase.explicit, Phase.generate)
"""Shrinking a failure takes minutes; do it by hand."""
ONE = ServiceOptions()
FEW, FEWER = settings.default.max_examples // 4, settings.default.max_examples // 12
"""12 and 4 as a rule, 250 and 83 with the long profile: both engines serve each workload, for each of many features."""


def compare(plan: HandPlan, requests: list[Request], options: ServiceOptions = ONE) -> int:
    """Serve with both engines; every time, count and status is the same. Give the preemptions."""
    naive = NaiveService(plan, options)
    naive.serve(requests)
    assume(not (naive.tied and options.router != "round-robin"))
    tasks, units = naive.tasks, naive.units
    recording, _ = serve(plan, requests, options)
    columns = recording.requests
    assert columns is not None
    rows = {int(number): row for row, number in enumerate(columns.id)}
    assert len(rows) == len(tasks)
    order = [rows[task.request.id] for task in tasks]
    assert [STATUSES[columns.status[row]] for row in order] == [task.status for task in tasks]
    assert columns.preemptions[order].tolist() == [task.preemptions for task in tasks]
    assert columns.cached_tokens[order].tolist() == [max(task.cached, 0) for task in tasks]
    assert columns.generated_tokens[order].tolist() == [task.generated for task in tasks]
    assert recording.counts["iterations"] == sum(unit.iterations for unit in units)
    np.testing.assert_allclose(columns.first_token_s[order], [task.first_s for task in tasks], rtol=1e-9)
    np.testing.assert_allclose(columns.finish_s[order], [task.finish_s for task in tasks], rtol=1e-9)
    gaps = np.concatenate([np.diff(task.token_s) for task in tasks]) if tasks else np.zeros(0)
    finished_gaps = sum(len(task.token_s) - 1 for task in tasks if task.token_s)
    assert recording.inter_token.count == pytest.approx(finished_gaps)
    assert recording.inter_token.total_s == pytest.approx(gaps.sum(), rel=1e-9, abs=1e-12)
    return recording.counts["preemptions"]


@pytest.mark.parametrize("rules", RULES)
@given(workload=workloads())
@settings(max_examples=FEW, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=QUICK)
def test_each_rule_alone(rules: str, workload: tuple[HandPlan, list[Request]]) -> None:
    plan, requests = workload
    compare(replace(plan, rules=RULES[rules]), requests)


@pytest.mark.parametrize("rules", ["v1", "prefix cache", "cached no evict", "vllm 0.6", "static"])
@given(workload=workloads(), replicas=st.integers(2, 4), time_out_s=st.sampled_from([None, 0.1, 0.5]))
@settings(max_examples=FEW, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=QUICK)
def test_replicas_that_share_a_queue(
    rules: str, workload: tuple[HandPlan, list[Request]], replicas: int, time_out_s: float | None
) -> None:
    plan, requests = workload
    for request in requests:
        request.time_out_s = time_out_s
    compare(replace(plan, rules=RULES[rules]), requests, ServiceOptions(replicas=replicas, router="shared-queue"))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rules", SOME_RULES)
@given(workload=workloads(), time_out_s=st.sampled_from([None, 0.1, 0.5]), curved=st.booleans())
@settings(max_examples=FEWER, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=QUICK)
def test_features_in_pairs(
    rules: str, options: str, workload: tuple[HandPlan, list[Request]], time_out_s: float | None, curved: bool
) -> None:
    plan, requests = workload
    width = 3 if "speculation" in options else 1
    plan = replace(
        plan,
        rules=SOME_RULES[rules],
        token_budget=max(plan.token_budget, plan.max_sequences * width),
        cost=replace(plan.cost, curved_s=1e-4 if curved else 0.0),
    )
    for request in requests:
        # Whether one of a tenant comes at the instant at which another is given up, before or after, is nobody's rule.
        request.time_out_s = None if "tenants" in options else time_out_s
        request.tenant = "abc"[request.id % 3]
    compare(plan, requests, OPTIONS[options])
