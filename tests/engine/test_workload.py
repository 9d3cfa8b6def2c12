"""Workloads against a service of a few lines: who comes when, who waits for whom, and Little's law to the digit."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.arrivals import drawn_requests
from sim.engine.serving.contents import chain, count, each
from sim.engine.serving.request import Request
from sim.engine.workload import ID_BITS, ClosedLoop, Contents, Linked, OpenLoop, Player
from sim.engine.world import World
from sim.spec.requests import RequestsSpec
from sim.spec.traces_rows import Rows
from sim.spec.yaml import loads, validate


class Counter:
    """One server: each request takes 1 ms per token of its answer."""

    def __init__(self, world: World, status: str = "finished") -> None:
        self.world, self.status = world, status
        self.queue: deque[tuple[Request, Callable[[Request], None]]] = deque()
        self.requests: list[Request] = []
        self.tokens_s: list[float] = []
        self.busy = False

    def submit(self, request: Request, done: Callable[[Request], None]) -> None:
        self.requests.append(request)
        self.queue.append((request, done))
        if not self.busy:
            self.serve()

    def serve(self) -> None:
        self.busy = bool(self.queue)
        if self.queue:
            self.world.after(1e-3 * self.queue[0][0].output_tokens, self.finish)

    def finish(self) -> None:
        request, done = self.queue.popleft()
        request.finish_s = self.world.now_s
        request.status = self.status  # type: ignore[assignment]
        done(request)
        self.serve()


def spec(text: str) -> RequestsSpec:
    return validate(RequestsSpec, loads(f"{{service: chat, {text}}}"))


def play(text: str, seed: int = 0) -> tuple[Counter, Player]:
    world, told = World(1, seed), spec(text)
    counter = Counter(world)
    contents = Contents("chat", 16, told.prefix.tokens if told.prefix else 0)
    assert told.arrivals is not None
    player: OpenLoop | ClosedLoop
    if told.arrivals.closed is not None:
        player = ClosedLoop(world, counter.submit, told, 3, contents)
        player.start()
    else:
        player = OpenLoop(world, counter.submit, told, 3, contents)
        player.start(drawn_requests(world.streams, told))
    world.run_until(lambda: player.over)
    return counter, player


def test_a_count_ends_an_open_workload() -> None:
    counter, player = play("arrivals: 40/s, input: 10 tokens, output: 20 tokens, count: 5000, tenant: a, priority: 4")
    assert player.submitted == len(counter.requests) == 5000
    assert [request.id for request in counter.requests] == [(3 << ID_BITS) + place for place in range(5000)]
    assert all(request.tenant == "a" and request.priority == 4 for request in counter.requests)


def test_a_duration_ends_an_open_workload() -> None:
    counter, _ = play("arrivals: {deterministic: 10/s}, input: 1 tokens, output: 1 tokens, duration: 2 s, at: 3 s")
    arrivals = [request.arrival_s for request in counter.requests]
    assert arrivals == pytest.approx([3 + place / 10 for place in range(1, 20)])


def test_nobody_comes_in_a_moment_too_short() -> None:
    counter, player = play("arrivals: {deterministic: 1/s}, input: 1 tokens, output: 1 tokens, duration: 0.5 s")
    assert player.over
    assert not counter.requests


def test_all_at_once_come_together() -> None:
    counter, _ = play("arrivals: {at_once: 9000}, input: 1 tokens, output: 1 tokens")
    assert len(counter.requests) == 9000
    assert {request.arrival_s for request in counter.requests} == {0.0}


@given(st.integers(1, 40), st.floats(0, 0.2), st.integers(1, 300), st.integers(0, 3))
@settings(deadline=None, max_examples=25)
def test_little_holds_to_the_digit_in_a_closed_loop(users: int, think_s: float, count: int, seed: int) -> None:
    """Each user thinks or waits at any time: users x time = thinking + waiting, until the last request is sent."""
    text = f"arrivals: {{closed: {{users: {users}, think: {think_s!r} s}}}}"
    counter, player = play(f"{text}, input: 1 tokens, output: {{uniform: [1, 30]}}, count: {count}", seed)
    assert player.submitted == count
    arrival_s = np.array([request.arrival_s for request in counter.requests])
    finish_s = np.array([request.finish_s for request in counter.requests], dtype=np.float64)
    end_s = arrival_s.max()
    waiting_s = (np.minimum(finish_s, end_s) - arrival_s).sum()
    thoughts_s = np.concatenate([np.zeros(users), finish_s[finish_s < end_s]])
    thinking_s = np.minimum(end_s - thoughts_s, think_s).sum()
    assert waiting_s + thinking_s == pytest.approx(users * end_s, rel=1e-9)


def test_users_without_thought_keep_the_service_busy() -> None:
    """N users, one server, no thinking: throughput is 1 / service time, and each wait N service times."""
    counter, _ = play("arrivals: {closed: {users: 8}}, input: 1 tokens, output: 50 tokens, count: 400")
    finish = np.array([request.finish_s for request in counter.requests], dtype=np.float64)
    residence = finish - [request.arrival_s for request in counter.requests]
    assert finish[-1] == pytest.approx(400 * 0.05, rel=1e-9)
    assert residence[8:] == pytest.approx(np.full(392, 8 * 0.05), rel=1e-9)


def test_a_duration_ends_a_closed_workload_at_once() -> None:
    text = "arrivals: {closed: {users: 3, think: 1000 s}}, input: 1 tokens, output: 1 tokens, duration: 1500 s"
    counter, player = play(text)
    assert len(counter.requests) == 3
    assert counter.world.now_s == 1500
    assert player.over


def test_heads_are_shared_and_the_rest_is_not() -> None:
    text = "arrivals: 9/s, input: {uniform: [10, 90]}, output: 1 tokens, count: 300, prefix: {tokens: 40, groups: 2}"
    counter, _ = play(text)
    heads = {chain([(f"chat/head/{group}", 40)], 16) for group in (0, 1)}
    assert {request.blocks for request in counter.requests if request.prompt_tokens >= 32} == heads
    short = [request for request in counter.requests if request.prompt_tokens < 32]
    assert short
    assert all(count(request.blocks) == request.prompt_tokens // 16 for request in short)


def test_hashes_of_a_trace_become_blocks() -> None:
    rows = Rows(np.zeros(2), np.array([1030, 700]), np.array([1, 1]), [(4, 5, 6), (4, 9)])
    for block_size in (16, 512, 1024, 48):
        first, second = (list(each(blocks)) for blocks in Contents("t", block_size).of(rows))
        assert len(first) == 1030 // block_size
        assert len(second) == 700 // block_size
        alike = sum(one == other for one, other in zip(first, second, strict=False))
        assert alike == 512 // block_size
        assert len(set(first)) == len(first)


def linked(counter: Counter, parents: list[tuple[int, ...]], arrival_s: list[float]) -> Linked:
    asked = len(parents)
    rows = Rows(
        np.array(arrival_s), np.full(asked, 5), np.full(asked, 100), tool_wait_s=np.arange(asked, dtype=np.float64)
    )
    told = spec("trace: x.jsonl")
    player = Linked(counter.world, counter.submit, told, 1, Contents("t", 16))
    player.start(rows, parents)
    counter.world.run_until(lambda: player.over)
    return player


def test_linked_requests_come_when_all_they_wait_for_are_answered() -> None:
    counter = Counter(World(1, 0))
    linked(counter, [(), (), (0, 1), (2,)], [2.0, 1.0, np.nan, np.nan])
    arrivals = {request.id - (1 << ID_BITS): request.arrival_s for request in counter.requests}
    assert arrivals == pytest.approx({0: 2.0, 1: 1.0, 2: 2.1 + 2, 3: 2.1 + 2 + 0.1 + 3})


def test_what_waits_for_an_unanswered_request_never_comes() -> None:
    counter = Counter(World(1, 0), "timed out")
    player = linked(counter, [(), (0,), (1,), (0, 2), ()], [0.0, np.nan, np.nan, np.nan, 9.0])
    assert [request.id - (1 << ID_BITS) for request in counter.requests] == [0, 4]
    assert player.over
