"""The jumping engine against one that takes every iteration alone: the same times, iterations and preemptions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.engine.serving.contents import chain
from sim.engine.serving.options import ServiceOptions
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


ONE = ServiceOptions()


def compare(plan: HandPlan, requests: list[Request], options: ServiceOptions = ONE) -> int:
    """Serve with both engines; every time, count and status is the same. Give the preemptions."""
    naive = NaiveService(plan, replicas=options.replicas, router=options.router, by_priority=options.by_priority)
    naive.serve(requests)
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
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_rule_alone(rules: str, workload: tuple[HandPlan, list[Request]]) -> None:
    plan, requests = workload
    compare(replace(plan, rules=RULES[rules]), requests)
