"""Replay a load test of one replica: requests at a fixed concurrency, or all at once, without any random draw.

A small engine of its own beside sim.engine.serving, for tables of thousands of load tests: first come first served,
continuous batching, decode iterations between two changes of the batch summed as one array. Lengths and arrivals are
given; what a client sees (its own time before and after the engine) is added.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import InfeasibleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from sim.plan.serving import ReplicaPlan

    Floats = npt.NDArray[np.float64]

GOLDEN, SILVER = 0.6180339887498949, 0.7548776662466927
"""Steps of two sequences that fill an interval evenly: lengths without a random draw."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: so many requests, so many of them at once."""

    prompts: Sequence[int]
    outputs: Sequence[int]
    concurrency: int
    arrivals_s: Sequence[float] | None = None
    """Given arrivals (by rate) in place of a closed loop."""
    client_s: float = 0.0
    """From the client to the scheduler, and again with the first token back, together."""
    lookahead: bool = False
    """Whether the engine plans an iteration while the one before still runs: a request waits for one more."""
    beams: int = 1
    """Answers that are carried along for each prompt: each reads the cache of the prompt and has one of its own."""
    receive_steps: int = 1
    """Decode iterations between two looks at new requests; after prompts, and with nothing to do, it looks at once."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it, by request, in s."""

    arrival_s: Floats
    first_s: Floats
    finish_s: Floats
    outputs: Floats

    median: bool = False
    """Whether the latencies below are medians over requests; else means."""

    @property
    def time_to_first_s(self) -> float:
        """Over requests."""
        return self._middle(self.first_s - self.arrival_s)

    @property
    def time_per_token_s(self) -> float:
        """Over requests, (last - first token) / (output - 1)."""
        several = self.outputs > 1
        return self._middle((self.finish_s - self.first_s)[several] / (self.outputs[several] - 1.0))

    @property
    def end_to_end_s(self) -> float:
        """Over requests."""
        return self._middle(self.finish_s - self.arrival_s)

    def _middle(self, values: Floats) -> float:
        return float(np.median(values) if self.median else np.mean(values))

    @property
    def span_s(self) -> float:
        """From the first arrival to the last finish: what throughput is taken over."""
        return float(np.max(self.finish_s) - np.min(self.arrival_s))


def even_lengths(count: int, longest: int, shortest_share: float, step: float) -> list[int]:
    """Spread lengths evenly between a share of the longest and the longest; the same ones each time.

    >>> even_lengths(4, 100, 0.8, GOLDEN)
    [92, 85, 97, 89]
    """
    places = (np.arange(1, count + 1) * step) % 1.0
    return [max(1, round(longest * (shortest_share + (1.0 - shortest_share) * place))) for place in places.tolist()]


def replay(plan: ReplicaPlan, load: Load) -> Replay:
    """Replay a load test.

    Raises:
        InfeasibleError: a request is longer than the whole cache.

    """
    return _Replica(plan, load).run()


class _Replica:
    def __init__(self, plan: ReplicaPlan, load: Load) -> None:
        self.plan, self.load = plan, load
        self.count = len(load.prompts)
        self.arrival = [0.0] * self.count
        self.first = [0.0] * self.count
        self.finish = [0.0] * self.count
        self.blocks = [
            -(-(prompt + load.beams * output) // plan.block_size)
            for prompt, output in zip(load.prompts, load.outputs, strict=True)
        ]
        if max(self.blocks) > plan.kv_blocks:
            raise InfeasibleError(
                "a request is longer than the whole cache", f"{max(self.blocks)} blocks of {plan.kv_blocks}"
            )
        self.free = plan.kv_blocks
        self.time = self.before = 0.0
        """Now, and the start of the last iteration."""
        self.iteration = 0
        self.context = 0
        self.decoding: list[tuple[int, int]] = []
        self.waiting: deque[int] = deque()
        self.coming: list[tuple[float, int]] = []
        self.sent = 0
        self.done_of_head = 0
        self.since_look = load.receive_steps
        """Decode iterations since the last look at new requests."""

    def run(self) -> Replay:
        given = self.load.arrivals_s
        for index in range(self.count if given is not None else min(self.load.concurrency, self.count)):
            self._send(0.0 if given is None else given[index])
        while self.waiting or self.coming or self.decoding:
            self._take()
            chunks = self._chunks()
            if chunks:
                self._mixed(chunks)
            elif self.decoding:
                self._decode()
            else:
                self.time = self.before = self.coming[0][0]
        return Replay(
            np.array(self.arrival), np.array(self.first), np.array(self.finish), np.array(self.load.outputs, float)
        )

    def _send(self, at_s: float) -> None:
        """Let the next request arrive; the scheduler sees it half a client's time later."""
        index, self.sent = self.sent, self.sent + 1
        self.arrival[index] = at_s
        heapq.heappush(self.coming, (at_s + self.load.client_s / 2.0, index))

    def _take(self) -> None:
        """Move what the scheduler can see into the queue."""
        if self.decoding and self.since_look < self.load.receive_steps:
            return
        self.since_look = 0
        seen = self.before if self.load.lookahead and self.decoding else self.time
        while self.coming and self.coming[0][0] <= seen:
            self.waiting.append(heapq.heappop(self.coming)[1])

    def _chunks(self) -> list[tuple[int, int, int]]:
        """Choose the prompts, or parts of one, of the next iteration: request, tokens, tokens before them."""
        rules, load = self.plan.rules, self.load
        budget = self.plan.token_budget - (load.beams * len(self.decoding) if rules.order == "decode-first" else 0)
        chosen: list[tuple[int, int, int]] = []
        ranks = self.plan.layout.attention_data_parallel
        """Each of them takes a prompt that is longer than its budget whole, where prompts are not cut."""
        room = self.plan.max_sequences // load.beams - len(self.decoding)
        while self.waiting and (budget > 0 or len(chosen) < ranks) and room > 0:
            index = self.waiting[0]
            prompt = load.prompts[index]
            if self.done_of_head == 0:
                whole = prompt <= budget or len(chosen) < ranks
                if self.blocks[index] > self.free or not (rules.chunked_prefill or whole):
                    break
                self.free -= self.blocks[index]
            left = prompt - self.done_of_head
            tokens = min(left, max(budget, 1)) if rules.chunked_prefill else left
            chosen.append((index, tokens, self.done_of_head))
            budget -= tokens
            room -= 1
            self.done_of_head += tokens
            if self.done_of_head < prompt:
                break
            self.waiting.popleft()
            self.done_of_head = 0
        return chosen

    def _mixed(self, chunks: list[tuple[int, int, int]]) -> None:
        """Run one iteration with prompts in it."""
        plan = self.plan
        alone = plan.rules.order == "prefill-first" and not plan.rules.chunked_prefill
        beside = 0 if alone else len(self.decoding)
        tokens = sum(chunk[1] for chunk in chunks)
        pairs = sum(size * done + size * (size + 1) // 2 for _, size, done in chunks)
        self.before = self.time
        self.since_look = self.load.receive_steps
        beams, context = self.load.beams, self.context + beside if beside else 0
        self.time += plan.cost.mixed_s(beams * beside, beams * context, tokens, pairs, len(chunks))
        if beside:
            self.iteration += 1
            self.context += beside
            self._end()
        for index, size, done in chunks:
            if done + size == self.load.prompts[index]:
                self.first[index] = self.time + self.load.client_s / 2.0
                heapq.heappush(self.decoding, (self.iteration + self.load.outputs[index] - 1, index))
                self.context += self.load.prompts[index]
        self._end()

    def _decode(self) -> None:
        """Run decode iterations up to the next finish, or to the one after which a request can start."""
        size, beams = len(self.decoding), self.load.beams
        steps = self.decoding[0][0] - self.iteration
        contexts = self.context + size * np.arange(1, steps + 1, dtype=np.int64)
        ends = self.time + np.cumsum(self.plan.cost.decode_s(beams * size, beams * contexts))
        if self.coming:
            reached = int(np.searchsorted(ends, self.coming[0][0], side="left"))
            every, since = self.load.receive_steps, self.since_look
            steps = min(steps, -(-(since + reached + 1) // every) * every - since)
        self.since_look += steps
        self.before = float(ends[steps - 2]) if steps > 1 else self.time
        self.time = float(ends[steps - 1])
        self.iteration += steps
        self.context += size * steps
        self._end()

    def _end(self) -> None:
        """Let go of the requests whose last token is out, and send those that follow them."""
        while self.decoding and self.decoding[0][0] <= self.iteration:
            _, index = heapq.heappop(self.decoding)
            self.finish[index] = self.time + self.load.client_s / 2.0
            self.context -= self.load.prompts[index] + self.load.outputs[index] - 1
            self.free += self.blocks[index]
            if self.load.arrivals_s is None and self.sent < self.count:
                self._send(self.time + self.load.client_s / 2.0)
