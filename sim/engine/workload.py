"""Play a workload of requests: those of a process or a trace come at their times, users come back when answered."""

from __future__ import annotations

import math
from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.arrivals import Lengths, durations
from sim.engine.serving.contents import chain, first
from sim.engine.serving.request import Request
from sim.engine.world import Arrival
from sim.spec.traces_rows import HASHED_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from sim.engine.serving.contents import Blocks
    from sim.engine.world import World
    from sim.spec.requests import RequestsSpec
    from sim.spec.traces_rows import Rows

    Submit = Callable[[Request, Callable[[Request], None]], None]

ID_BITS = 40
"""The number of a request is that of its workload, shifted by so much, plus its place in the workload."""
_AT_ONCE = 256
"""Lengths of users' requests that are drawn at once."""


class Player:
    """One workload while it is played: who sends requests, and how many are not answered yet."""

    def __init__(self, world: World, submit: Submit, spec: RequestsSpec, index: int, contents: Contents) -> None:
        """Take the world, where requests go, what the scenario says, and the place of the workload in it."""
        self.world = world
        self.spec = spec
        self.contents = contents
        self.submitted = 0
        self.ended = 0
        """Requests that are done with."""
        self.coming = True
        """Whether requests may still come."""
        self.window = math.inf
        """Tokens that the model takes at most, prompt and answer together."""
        self.beyond_window = 0
        """Requests that are longer; they are served as if the window were wider."""
        self.on_over: Callable[[], None] = _nobody_cares
        """Called when the last request is answered; perhaps more than once."""
        self._clock = world.clock
        self._submit = submit
        self._told = self.answered
        self._next_id = index << ID_BITS
        self._tenant, self._priority, self._time_out_s = spec.tenant or "", spec.priority, spec.time_out

    @property
    def outstanding(self) -> int:
        """Give how many requests are not answered yet."""
        return self.submitted - self.ended

    @property
    def over(self) -> bool:
        """Whether no request is outstanding and none comes any more."""
        return not self.coming and not self.outstanding

    def send(
        self, prompt_tokens: int, output_tokens: int, blocks: Blocks, session: Hashable = None, place: int = -1
    ) -> None:
        """Submit a request now; ``place`` is its row in a trace whose requests wait for one another."""
        number = self.submitted
        self.submitted = number + 1
        if prompt_tokens + output_tokens > self.window:
            self.beyond_window += 1
        request = Request(
            self._next_id + (number if place < 0 else place),
            self._clock._now,  # noqa: SLF001 - as World.now_s
            prompt_tokens,
            output_tokens,
            blocks,
            session,
            self._tenant,
            self._priority,
            self._time_out_s,
        )
        self._submit(request, self._told)

    def answered(self, request: Request) -> None:  # noqa: ARG002 - who waits for an answer looks at it
        """Count a request that is done with."""
        self.ended += 1
        if not self.coming and self.ended == self.submitted:
            self.on_over()

    def stop(self) -> None:
        """Let no more requests come."""
        self.coming = False
        if not self.outstanding:
            self.on_over()


def _nobody_cares() -> None:
    pass


class OpenLoop(Player):
    """Requests that come at times of their own, from a process or a trace."""

    def start(self, chunks: Iterable[Rows]) -> None:
        """Begin to play requests that stand in the order of their arrival."""
        self._requests = self._in_time(chunks)
        self._arrival = Arrival(self.world, self._arrive)
        self._next = next(self._requests, None)
        if self._next is None:
            self.world.after(0.0, self.stop)
        else:
            self._arrival.set(self._next[0] - self.world.now_s)

    def _arrive(self) -> None:
        """Submit the requests of this instant, and wake up for the next."""
        now_s, coming, requests = self._clock._now, self._next, self._requests  # noqa: SLF001 - as World.now_s
        while coming is not None:
            _, prompt_tokens, output_tokens, blocks = coming
            coming = next(requests, None)
            if coming is None:
                self.coming = False
            self.send(prompt_tokens, output_tokens, blocks)
            if coming is not None and coming[0] > now_s:
                self._next = coming
                self._arrival.set(coming[0] - now_s)
                return

    def _in_time(self, chunks: Iterable[Rows]) -> Iterator[tuple[float, int, int, Blocks]]:
        """Give the requests that come before the workload ends, one by one."""
        left = self.spec.count
        end_s = None if self.spec.window_s is None else self.spec.at + self.spec.window_s
        for rows in chunks:
            count = len(rows) if left is None else min(left, len(rows))
            if end_s is not None:
                count = int(np.searchsorted(rows.arrival_s[:count], end_s))
            yield from zip(
                rows.arrival_s[:count].tolist(),
                rows.input_tokens[:count].tolist(),
                rows.output_tokens[:count].tolist(),
                self.contents.of(rows),
                strict=False,
            )
            left = None if left is None else left - count
            if count < len(rows) or left == 0:
                return


class ClosedLoop(Player):
    """Users who think, ask, wait for the answer, and think again."""

    def start(self) -> None:
        """Let every user think for the first time when the workload begins."""
        spec = self.spec
        assert spec.arrivals is not None
        assert spec.arrivals.closed is not None
        users = spec.arrivals.closed.users
        self._think = durations(self.world.streams, f"{spec.label}/think", spec.arrivals.closed.think)
        self._requests = self._drawn()
        self._asking = Arrival(self.world, self._ask)
        self.world.after(spec.at - self.world.now_s, lambda: self._begin(users))
        if spec.window_s is not None:
            self.world.after(spec.at + spec.window_s - self.world.now_s, self.stop)

    def answered(self, request: Request) -> None:
        """Let the user think."""
        super().answered(request)
        if self.coming:
            self._asking.set(next(self._think))

    def _begin(self, users: int) -> None:
        for _ in range(users):
            self._asking.set(next(self._think))

    def _ask(self) -> None:
        """Let a user ask, unless the workload has ended."""
        if self.coming:
            self.coming = self.submitted + 1 != self.spec.count
            self.send(*next(self._requests))

    def _drawn(self) -> Iterator[tuple[int, int, Blocks]]:
        lengths = Lengths(self.world.streams, self.spec)
        while True:
            rows = lengths.draw(np.zeros(_AT_ONCE))
            yield from zip(
                rows.input_tokens.tolist(), rows.output_tokens.tolist(), self.contents.of(rows), strict=False
            )


class Linked(Player):
    """Requests of a trace of which some wait for others, and then for a tool."""

    def start(self, rows: Rows, parents: list[tuple[int, ...]]) -> None:
        """Begin; ``parents`` are the rows that each row waits for."""
        assert rows.tool_wait_s is not None
        self._asked, self._answered = rows.input_tokens.tolist(), rows.output_tokens.tolist()
        self._tool_s, self._sessions = rows.tool_wait_s.tolist(), rows.sessions
        self._blocks = list(self.contents.of(rows))
        self._missing = [len(found) for found in parents]
        self._children: dict[int, list[int]] = {}
        for place, found in enumerate(parents):
            for parent in found:
                self._children.setdefault(parent, []).append(place)
        self._left = len(rows)
        for place in np.argsort(rows.arrival_s, kind="stable").tolist():
            if not parents[place]:
                self._sender(place).set(rows.arrival_s[place] - self.world.now_s)
        if not self._left:
            self.world.after(0.0, self.stop)

    def answered(self, request: Request) -> None:
        """Let those come that waited for this one alone; whoever gets no answer lets nobody come."""
        place = request.id - self._next_id
        if request.status == "finished":
            for child in self._children.get(place, ()):
                self._missing[child] -= 1
                if not self._missing[child]:
                    self._sender(child).set(self._tool_s[child])
        else:
            self._drop(place)
        super().answered(request)

    def _sender(self, place: int) -> Arrival:
        def send() -> None:
            self._left -= 1
            self.coming = self._left > 0
            session = None if self._sessions is None else self._sessions[place]
            self.send(self._asked[place], self._answered[place], self._blocks[place], session, place)

        return Arrival(self.world, send)

    def _drop(self, place: int) -> None:
        """Count the requests that will never come."""
        waiting = list(self._children.get(place, ()))
        while waiting:
            child = waiting.pop()
            if self._missing[child] > 0:
                self._missing[child] = -1
                self._left -= 1
                waiting.extend(self._children.get(child, ()))
        self.coming = self._left > 0


class Contents:
    """Turns what requests share into content ids of cache blocks."""

    def __init__(self, name: str, block_size: int, prefix_tokens: int = 0) -> None:
        """Keep whose contents they are, the tokens of a block, and those of a shared head."""
        self._name = name
        self._block_size = block_size
        self._prefix_tokens = prefix_tokens
        self._heads: dict[int, Blocks] = {}
        # Numbers of one trace are far from those of another.
        self._base = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") << ID_BITS

    def of(self, rows: Rows) -> Iterable[Blocks]:
        """Give the content ids of the full blocks of each prompt."""
        if rows.hash_ids is None:
            return repeat((), len(rows))
        if self._prefix_tokens:
            return (
                self._head(ids[0], prompt)
                for ids, prompt in zip(rows.hash_ids, rows.input_tokens.tolist(), strict=True)
            )
        return (
            self._of_hashes(ids, prompt) for ids, prompt in zip(rows.hash_ids, rows.input_tokens.tolist(), strict=True)
        )

    def _head(self, group: int, prompt_tokens: int) -> Blocks:
        found = self._heads.get(group)
        if found is None:
            segments = [(f"{self._name}/head/{group}", self._prefix_tokens)]
            found = self._heads[group] = chain(segments, self._block_size)
        full = prompt_tokens // self._block_size
        return first(found, full)

    def _of_hashes(self, ids: tuple[int, ...], prompt_tokens: int) -> Blocks:
        """An id of a trace stands for its tokens and all before them, so its blocks may be numbered."""
        full = prompt_tokens // self._block_size
        each, rest = divmod(HASHED_TOKENS, self._block_size)
        if rest:
            return first(chain([(f"{self._name}/{found}", HASHED_TOKENS) for found in ids], self._block_size), full)
        whole, part = divmod(full, each)
        blocks = [(self._base + found * each, each) for found in ids[:whole]]
        if part and whole < len(ids):
            blocks.append((self._base + ids[whole] * each, part))
        return tuple(blocks)
