"""What stands around replicas: every feature conserves tokens, blocks and device-seconds, and does what it says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from sim.engine.serving.contents import chain
from sim.engine.serving.options import (
    Disaggregation,
    Failures,
    Offload,
    Scaling,
    ServiceOptions,
    Speculation,
)
from sim.engine.serving.recording import RequestColumns
from sim.engine.serving.request import STATUSES, Request
from sim.engine.serving.service import Service
from sim.engine.world import World
from sim.errors import ScenarioError
from sim.plan.serving import SchedulerRules
from tests.helpers.serving import HandPlan, LinearCost, serve

PLAN = HandPlan(kv_blocks=120)
SWAP = replace(PLAN, rules=SchedulerRules(preemption="swap"))
DRAFT = HandPlan(cost=LinearCost(base_s=0.001))


def requests(count: int = 150, *, time_out_s: float | None = None) -> Iterator[Request]:
    """Too many for one replica, so that queues and preemptions are the rule."""
    draw = random.Random(1)
    now_s = 0.0
    for number in range(count):
        now_s += draw.expovariate(20)
        prompt, output = draw.randint(1, 400), draw.randint(1, 120)
        blocks = chain([(f"head {draw.randint(0, 5)}", prompt // 2), (f"rest {number}", prompt - prompt // 2)], 16)
        yield Request(
            number,
            now_s,
            prompt,
            output,
            blocks=blocks,
            session=number % 17,
            tenant="ab"[number % 2],
            priority=number % 3,
            time_out_s=time_out_s,
        )


EVERYTHING = {
    "round robin": (PLAN, ServiceOptions(replicas=3, router="round-robin")),
    "power of two": (PLAN, ServiceOptions(replicas=3, router="power-of-two")),
    "prefix aware": (PLAN, ServiceOptions(replicas=3, router="prefix-aware")),
    "shared queue": (PLAN, ServiceOptions(replicas=3, router="shared-queue")),
    "queue limit": (PLAN, ServiceOptions(max_queue=4)),
    "tenants": (PLAN, ServiceOptions(tenant_limits={"a": 3})),
    "scaling": (PLAN, ServiceOptions(scaling=Scaling(1, 4, 8, 2.0, 3.0), cold_start_s=1.5)),
    "failures": (PLAN, ServiceOptions(replicas=2, failures=Failures(0.2, 2.0), cold_start_s=1.0)),
    "shared failures": (PLAN, ServiceOptions(replicas=2, router="shared-queue", failures=Failures(0.2, 2.0))),
    "scaling failures": (PLAN, ServiceOptions(scaling=Scaling(1, 3, 8, 2.0, 3.0), failures=Failures(0.2, 2.0))),
    "speculation": (PLAN, ServiceOptions(speculation=Speculation(3, 0.7))),
    "draft failures": (
        PLAN,
        ServiceOptions(replicas=2, speculation=Speculation(2, 0.7, DRAFT), failures=Failures(0.2, 2.0)),  # type: ignore[arg-type]
    ),
    "prefill apart": (PLAN, ServiceOptions(replicas=2, disaggregation=Disaggregation(1, PLAN, 1e9, 0.001))),  # type: ignore[arg-type]
    "apart failures": (
        PLAN,
        ServiceOptions(replicas=2, disaggregation=Disaggregation(2, PLAN, 1e8), failures=Failures(0.2, 2.0)),  # type: ignore[arg-type]
    ),
    "offload": (PLAN, ServiceOptions(offload=Offload(1e9, 5e10))),
    "swap": (SWAP, ServiceOptions(offload=Offload(1e8, 5e10))),
    "swap failures": (SWAP, ServiceOptions(replicas=2, offload=Offload(1e8, 5e10), failures=Failures(0.2, 2.0))),
}


@pytest.mark.parametrize("time_out_s", [None, 4.0])
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_request_comes_to_its_end_and_the_books_close(name: str, time_out_s: float | None) -> None:
    plan, options = EVERYTHING[name]
    recording, _ = serve(plan, requests(time_out_s=time_out_s), options)
    columns = recording.requests
    assert columns is not None
    assert sorted(columns.id.tolist()) == list(range(150))
    finished = columns.status == STATUSES.index("finished")
    assert finished.sum() == recording.counts["finished"] > 0
    assert (columns.generated_tokens[finished] == columns.output_tokens[finished]).all()
    assert recording.tokens["delivered"] == columns.output_tokens[finished].sum()
    assert (columns.finish_s >= columns.arrival_s).all()
    if time_out_s is not None:
        assert (columns.finish_s - columns.arrival_s <= time_out_s * (1 + 1e-12)).all()
    held = sum(recording.device_seconds.values())
    assert held == pytest.approx(sum(recording.joules.values()) / 700)


def test_what_was_asked_of_each_feature_happened() -> None:
    counts = {name: serve(plan, requests(), options)[0].counts for name, (plan, options) in EVERYTHING.items()}
    assert counts["queue limit"]["rejected"] > 0
    assert counts["scaling"]["replicas"] == 4
    assert counts["failures"]["failures"] > 0
    assert counts["failures"]["retries"] > 0
    assert counts["speculation"]["iterations"] < 0.6 * counts["offload"]["iterations"]
    assert counts["swap"]["preemptions"] > 0


def test_same_seed_gives_the_same_bytes_and_another_seed_other_ones() -> None:
    plan, options = EVERYTHING["draft failures"]
    one, same, other = (serve(plan, requests(), options, seed=seed)[0].requests for seed in (3, 3, 4))
    assert one is not None
    assert same is not None
    assert other is not None
    assert one.finish_s.tobytes() == same.finish_s.tobytes()
    assert one.finish_s.tobytes() != other.finish_s.tobytes()


def test_chunks_that_are_consumed_are_the_columns_that_are_kept() -> None:
    chunks: list[RequestColumns] = []
    recording, _ = serve(PLAN, requests(), consume=chunks.append)
    kept, _ = serve(PLAN, requests())
    assert recording.requests is None
    assert kept.requests is not None
    assert np.concatenate([chunk.finish_s for chunk in chunks]).tolist() == kept.requests.finish_s.tolist()


def test_a_prompt_that_was_computed_once_is_found() -> None:
    contents = chain([("system", 160), ("question", 40)], 16)
    again = chain([("system", 160), ("another", 40)], 16)
    asked = [Request(0, 0.0, 200, 10, blocks=contents), Request(1, 5.0, 200, 10, blocks=again)]
    columns = serve(PLAN, asked)[0].requests
    assert columns is not None
    assert columns.cached_tokens.tolist() == [0, 160]


def test_the_next_turn_of_a_conversation_finds_the_answer_that_was_generated() -> None:
    first = [("question", 64), ("answer", 64)]
    asked = [
        Request(0, 0.0, 64, 64, blocks=chain(first, 16)),
        Request(1, 50.0, 160, 8, blocks=chain([*first, ("more", 32)], 16)),
    ]
    columns = serve(PLAN, asked)[0].requests
    assert columns is not None
    # The last token of an answer is never computed, so its block is not full.
    assert columns.cached_tokens.tolist() == [0, 112]


def test_a_cancelled_request_leaves_at_the_end_of_its_iteration_and_wakes_who_waited() -> None:
    plan = replace(PLAN, max_sequences=1, cost=LinearCost(0.5, 0.0, 0.0, 0.0))
    world = World(1, 0)
    service = Service(world, plan)  # type: ignore[arg-type]
    ended: list[tuple[int, str, float]] = []

    def done(request: Request) -> None:
        ended.append((request.id, request.status, world.now_s))

    long, short = Request(0, 0.0, 10, 100), Request(1, 0.0, 10, 1)
    service.submit(long, done)
    service.submit(short, done)
    world.after(1.2, lambda: service.cancel(long))
    world.run_until(lambda: len(ended) == 2)
    assert ended == [(0, "cancelled", 1.5), (1, "finished", 2.0)]
    assert long.generated_tokens == 3
    recording = service.close()
    assert recording.tokens["wasted output"] == 3
    service.cancel(short)
    assert short.status == "finished"


def test_a_request_that_no_replica_can_hold_is_rejected_and_counted() -> None:
    recording, _ = serve(PLAN, [Request(0, 0.0, 16 * 120, 2)])
    assert recording.counts["rejected"] == recording.counts["too long"] == 1


def test_numbers_that_contradict_each_other_are_told() -> None:
    with pytest.raises(ScenarioError, match="token budget"):
        Service(World(1, 0), replace(PLAN, token_budget=10))  # type: ignore[arg-type]
    with pytest.raises(ScenarioError, match="at least 1 replica"):
        Service(World(1, 0), PLAN, ServiceOptions(replicas=0))  # type: ignore[arg-type]
    with pytest.raises(ScenarioError, match="at least 1 token"):
        Service(World(1, 0), PLAN).submit(Request(0, 0.0, 0, 1), lambda _: None)  # type: ignore[arg-type]


def test_a_static_batch_takes_nobody_until_it_is_over() -> None:
    plan = replace(PLAN, rules=SchedulerRules(batching="static", admission="whole"), cost=LinearCost(1.0, 0, 0, 0))
    asked = [Request(0, 0.0, 4, 10), Request(1, 0.0, 4, 3), Request(2, 0.5, 4, 1)]
    columns = serve(plan, asked)[0].requests
    assert columns is not None
    assert columns.first_token_s.tolist() == [1.0, 1.0, 11.0]
    assert columns.finish_s.tolist() == [3.0, 10.0, 11.0]
