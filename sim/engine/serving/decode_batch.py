"""The sequences of a replica that decode, as a few numbers: an iteration costs the same however many they are."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.engine.serving.sequence import Sequence


class DecodeBatch:
    """Sequences that get one token in each iteration, in the order in which they were admitted.

    All that iterations need is kept as sums: how many they are, the tokens that they attend to, the heap of their last
    iterations, and for each remainder by the block size how many of them need a new block then. A sequence's own
    numbers are worked out from the iteration at which it joined, when it leaves.
    """

    __slots__ = ("block_size", "context", "count", "finishing", "iteration", "phases", "reserved", "running")

    def __init__(self, block_size: int, *, reserved: bool) -> None:
        """Begin empty; ``reserved``: sequences hold all the blocks that they will ever need from the beginning."""
        self.block_size = block_size
        self.reserved = reserved
        self.iteration = 0
        """Decode iterations so far."""
        self.count = 0
        self.context = 0
        """Tokens that the next iteration attends to, its new ones included, summed over sequences."""
        self.phases = [0] * block_size
        """Sequences that need a block, by iteration modulo block size."""
        self.finishing: list[tuple[int, int, Sequence]] = []
        self.running: dict[Sequence, None] = {}

    def join(self, sequence: Sequence) -> None:
        """Let a sequence decode from the next iteration on."""
        iteration = sequence.start = self.iteration
        computed = sequence.computed
        finish_at = sequence.finish_at = iteration + sequence.request.output_tokens - sequence.generated
        heappush(self.finishing, (finish_at, sequence.order, sequence))
        self.running[sequence] = None
        self.count += 1
        self.context += computed + 1
        if not self.reserved:
            phase = sequence.phase = (iteration - computed) % self.block_size
            self.phases[phase] += 1

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence out, and bring its numbers up to date."""
        done = self.iteration - sequence.start
        computed = sequence.computed = sequence.computed + done
        sequence.generated += done
        sequence.finish_at = -1
        del self.running[sequence]
        self.count -= 1
        self.context -= computed + 1
        if not self.reserved:
            self.phases[sequence.phase] -= 1
            sequence.blocks = -(-computed // self.block_size)

    def until_finish(self) -> int:
        """Give the iterations until the next sequence is finished; one decodes."""
        finishing, running = self.finishing, self.running
        finish_at, _, sequence = finishing[0]
        # It may have been preempted since, and run elsewhere now.
        while sequence.finish_at != finish_at or sequence not in running:
            heappop(finishing)
            finish_at, _, sequence = finishing[0]
        return finish_at - self.iteration

    def finished(self) -> list[Sequence]:
        """Take out those that are finished, in the order of arrival."""
        found: list[Sequence] = []
        finishing, iteration, running = self.finishing, self.iteration, self.running
        while finishing and finishing[0][0] <= iteration:
            finish_at, _, sequence = heappop(finishing)
            if sequence.finish_at == finish_at and sequence in running:
                self.leave(sequence)
                found.append(sequence)
        return found

    def needed(self, iterations: int) -> int:
        """Give the blocks that the next iterations take."""
        if self.reserved:
            return 0
        size, phases = self.block_size, self.phases
        first = self.iteration % size
        end = first + iterations % size
        blocks = sum(phases[first:end]) if end <= size else sum(phases[first:]) + sum(phases[: end - size])
        return blocks + iterations // size * self.count

    def affordable(self, iterations: int, free: int) -> int:
        """Give how many of the next iterations these free blocks are enough for."""
        size, count = self.block_size, self.count
        if self.reserved or (iterations // size + 1) * count <= free:
            return iterations
        first = self.iteration % size
        after, free = free // count * size, free % count
        for need in self.phases[first:] + self.phases[:first]:
            free -= need
            if free < 0:
                break
            after += 1
        return min(iterations, after)

    def contexts(self, iterations: int) -> list[int]:
        """Give the context of each of the next iterations."""
        return list(range(self.context, self.context + self.count * iterations, self.count))

    def pairs(self) -> int:
        """Give the (query, key) pairs of the next iteration."""
        return self.context

    def pairs_of(self, context: int) -> int:
        """Give the (query, key) pairs of an iteration with this context."""
        return context

    def advance(self, iterations: int) -> None:
        """Give every sequence a token in each of so many iterations."""
        self.iteration += iterations
        self.context += self.count * iterations

    def need(self) -> int:
        """Give the blocks that the next iteration takes."""
        return self.phases[self.iteration % self.block_size]

    def need_of(self, sequence: Sequence) -> int:
        """Give the blocks that one sequence takes in the next iteration."""
        return int(not self.reserved and sequence.phase == self.iteration % self.block_size)
