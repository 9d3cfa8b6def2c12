"""Sequences that decode speculatively: how many tokens an iteration gives each is drawn when it begins to decode."""

from __future__ import annotations

import math
from heapq import heappush
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.serving.decode_batch import DecodeBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sim.engine.serving.sequence import Sequence

FIRST_RING = 1024
"""Iterations ahead for which sums are kept at first."""
DRAWN_AT_ONCE = 64


def draw_gains(generator: np.random.Generator, tokens: int, acceptance: float, count: int) -> NDArray[np.int64]:
    """Give the tokens of some iterations: the accepted ones before the first refusal, and one of the model itself."""
    if acceptance >= 1:
        return np.full(count, tokens + 1)
    if acceptance <= 0:
        return np.ones(count, np.int64)
    accepted = np.floor(np.log(1 - generator.random(count)) / math.log(acceptance))
    return np.asarray(1 + np.minimum(accepted, tokens), np.int64)


class SpeculativeBatch(DecodeBatch):
    """A decode batch whose sequences grow by drawn amounts.

    What all sequences together gain and which blocks they need is kept for each iteration to come, so that an
    iteration is still a few sums; a sequence adds its path when it joins and takes the rest of it back when it leaves.
    """

    __slots__ = ("_draw", "_gains", "_needs", "drafted", "width")

    def __init__(
        self, block_size: int, drafted: int, draw: Callable[[Sequence, int], NDArray[np.int64]], *, reserved: bool
    ) -> None:
        """Begin empty; ``draw`` gives the next tokens per iteration from a sequence's own stream."""
        super().__init__(block_size, reserved=reserved)
        self.drafted = drafted
        self.width = drafted + 1
        """Tokens of each sequence that an iteration computes."""
        self._draw = draw
        self._gains = np.zeros(FIRST_RING, np.int64)
        self._needs = np.zeros(FIRST_RING, np.int64)

    def join(self, sequence: Sequence) -> None:
        """Let a sequence decode from the next iteration on."""
        left = sequence.request.output_tokens - sequence.generated
        path = sequence.path
        while path is None or int(path.sum()) < left:
            more = self._draw(sequence, DRAWN_AT_ONCE)
            path = more if path is None else np.concatenate((path, more))
        sequence.path = path
        count = int(np.searchsorted(np.cumsum(path), left)) + 1
        iteration = sequence.start = self.iteration
        sequence.finish_at = iteration + count
        heappush(self.finishing, (sequence.finish_at, sequence.order, sequence))
        self.running[sequence] = None
        self.count += 1
        self.context += sequence.computed + 1
        self._add(sequence, 0, 1)

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence out, and bring its numbers up to date."""
        done = self.iteration - sequence.start
        path, work = sequence.path, sequence.bank()
        assert path is not None
        self._add(sequence, done, -1)
        gains = self._gains_of(sequence)[:done]
        before = sequence.computed + np.concatenate(([0], np.cumsum(gains)[:-1])) if done else np.zeros(0, np.int64)
        gained = int(gains.sum())
        sequence.computed += gained
        sequence.generated += gained
        sequence.began = sequence.computed
        work.decoded += done * self.width
        work.decode_pairs += int((self.width * (before + 1)).sum()) + done * self.width * self.drafted // 2
        work.kept_pairs += int((gains * (before + 1) + gains * (gains - 1) // 2).sum())
        work.kept += gained
        sequence.finish_at = -1
        del self.running[sequence]
        self.count -= 1
        self.context -= sequence.computed + 1
        if not self.reserved:
            last = int(before[-1]) if done else None
            sequence.blocks = self._blocks(sequence, last, sequence.computed)
        sequence.path = path[done:]

    def needed(self, iterations: int) -> int:
        """Give the blocks that the next iterations take."""
        return int(self._ahead(self._needs, iterations).sum())

    def need(self) -> int:
        """Give the blocks that the next iteration takes."""
        return int(self._needs[self.iteration & (len(self._needs) - 1)])

    def need_of(self, sequence: Sequence) -> int:
        """Give the blocks that one sequence takes in the next iteration."""
        return 0 if self.reserved else int(self._needs_of(sequence)[self.iteration - sequence.start])

    def affordable(self, iterations: int, free: int) -> int:
        """Give how many of the next iterations these free blocks are enough for."""
        sums = np.cumsum(self._ahead(self._needs, iterations))
        return int(np.searchsorted(sums, free, side="right"))

    def advance(self, iterations: int) -> None:
        """Give every sequence the tokens of so many iterations."""
        self.context += int(self._ahead(self._gains, iterations).sum())
        place = np.arange(self.iteration, self.iteration + iterations) & (len(self._gains) - 1)
        self._gains[place] = 0
        self._needs[place] = 0
        self.iteration += iterations

    def contexts(self, iterations: int) -> list[int]:
        """Give the context of each of the next iterations."""
        grown = self.context + np.cumsum(self._ahead(self._gains, iterations))
        return [self.context, *grown[:-1].tolist()]

    def pairs(self) -> int:
        """Give the (query, key) pairs of the next iteration."""
        return self.pairs_of(self.context)

    def pairs_of(self, context: int) -> int:
        """Give the (query, key) pairs of an iteration with this context: each drafted token sees those before it."""
        return self.width * context + self.count * self.width * self.drafted // 2

    def _ahead(self, ring: NDArray[np.int64], iterations: int) -> NDArray[np.int64]:
        place = np.arange(self.iteration, self.iteration + iterations) & (len(ring) - 1)
        return np.asarray(ring[place], np.int64)

    def _gains_of(self, sequence: Sequence) -> NDArray[np.int64]:
        """Give the path to the end, its last iteration cut to the tokens that are asked for."""
        path = sequence.path
        assert path is not None
        left = sequence.request.output_tokens - sequence.generated
        sums = np.minimum(np.cumsum(path), left)
        count = int(np.searchsorted(sums, left)) + 1
        return np.asarray(np.diff(sums[:count], prepend=0), np.int64)

    def _blocks(self, sequence: Sequence, before_last: int | None, computed: int) -> int:
        """Give the blocks held after an iteration that began with ``before_last`` tokens, or before the first one."""
        if before_last is None:
            return -(-computed // self.block_size)
        return -(-self._slots(sequence, before_last) // self.block_size)

    def _slots(self, sequence: Sequence, computed: int) -> int:
        """Give the tokens that need a place in an iteration: all that are drafted, up to the end of the answer."""
        request = sequence.request
        return min(computed + self.width, request.prompt_tokens + request.output_tokens - 1)

    def _add(self, sequence: Sequence, done: int, sign: int) -> None:
        """Add what a sequence will gain and need from its ``done``-th iteration on, or take it back."""
        gains = self._gains_of(sequence)
        count = len(gains)
        if count > len(self._gains):
            self._grow(count)
        place = np.arange(sequence.start + done, sequence.start + count) & (len(self._gains) - 1)
        self._gains[place] += sign * gains[done:]
        if not self.reserved:
            self._needs[place] += sign * self._needs_of(sequence)[done:]

    def _needs_of(self, sequence: Sequence) -> NDArray[np.int64]:
        """Give the blocks that a sequence takes in each iteration since it joined."""
        before = sequence.computed + np.concatenate(([0], np.cumsum(self._gains_of(sequence))[:-1]))
        request = sequence.request
        slots = np.minimum(before + self.width, request.prompt_tokens + request.output_tokens - 1)
        blocks = -(-slots // self.block_size)
        return np.asarray(np.diff(blocks, prepend=-(-sequence.computed // self.block_size)), np.int64)

    def _grow(self, count: int) -> None:
        """Keep sums for more iterations to come."""
        size = 1 << (count - 1).bit_length()
        for name in ("_gains", "_needs"):
            old = getattr(self, name)
            ahead = self._ahead(old, len(old))
            new = np.zeros(size, np.int64)
            new[np.arange(self.iteration, self.iteration + len(old)) & (size - 1)] = ahead
            setattr(self, name, new)
