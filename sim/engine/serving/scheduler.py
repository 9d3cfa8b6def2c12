"""What runs in the next iteration of a replica, and what an iteration changes; no clock.

As in vLLM's V1 scheduler: sequences that decode go first, then the prompt that is partly computed, then waiting ones
in their order, within a budget of tokens; where blocks run out, the last one admitted gives its own up and waits at the
head of the queue. Rules vary as data (SchedulerRules): prompts first in iterations of their own (vLLM 0.6), room for
whole answers before a sequence starts (TensorRT-LLM's guaranteed no evict), batches that begin together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.serving.blocks import BlockPool
from sim.engine.serving.decode_batch import DecodeBatch
from sim.engine.serving.prefix_cache import PrefixCache
from sim.engine.serving.speculative_batch import SpeculativeBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.serving.options import Offload
    from sim.engine.serving.sequence import Sequence
    from sim.engine.serving.waiting import Waiting
    from sim.plan.serving import ReplicaPlan


_OWN = object()
"""Marks the content of blocks that no other request can have."""


class Scheduler:
    """Sequences of one replica: waiting, prefilling, decoding."""

    __slots__ = (
        "_open", "_taken", "admission", "alone", "batch", "block_move_s", "block_size", "by_priority", "cache",
        "chunked", "chunks", "decodes", "drafted", "epoch", "gaps", "host_blocks", "late", "max_sequences",
        "moved_s", "partial", "place", "pool", "preemptions", "prefill_first", "prefill_only", "prefill_pairs",
        "prefill_tokens", "static", "swaps", "token_budget", "waiting", "watermark", "width",
    )  # fmt: skip

    def __init__(
        self,
        plan: ReplicaPlan,
        waiting: Waiting,
        place: int = 0,
        *,
        by_priority: bool = False,
        prefill_only: bool = False,
        offload: Offload | None = None,
        drafted: int = 0,
        draw: Callable[[Sequence, int], NDArray[np.int64]] | None = None,
    ) -> None:
        """Begin empty.

        Args:
            plan: the replica.
            waiting: its queue; replicas of a shared queue are given the same.
            place: of the replica among those of its group.
            by_priority: the last in the order of priorities is preempted first.
            prefill_only: sequences are handed back, blocks and all, when their prompt is computed.
            offload: host memory for what the devices give up.
            drafted: tokens of each sequence that an iteration drafts.
            draw: gives the next tokens per iteration of a sequence, where they are drafted.
        """
        rules = plan.rules
        self.place = place
        self.block_size = plan.block_size
        self.token_budget = plan.token_budget
        self.max_sequences = plan.max_sequences
        self.waiting = waiting
        block_bytes = plan.block_size * plan.kv_bytes_per_token
        self.host_blocks = int(offload.bytes / block_bytes) if offload else 0
        """Blocks that fit into host memory: of preempted sequences where they are swapped, else of evicted contents."""
        self.block_move_s = block_bytes / offload.bandwidth_bytes_per_s if offload else 0.0
        self.swaps = rules.preemption == "swap" and self.host_blocks > 0
        cached = rules.prefix_caching
        self.cache = PrefixCache(plan.kv_blocks, 0 if self.swaps else self.host_blocks) if cached else None
        self.pool = self.cache or BlockPool(plan.kv_blocks)
        self.drafted = drafted
        self.width = drafted + 1
        """Tokens of each decoding sequence that an iteration computes."""
        self.batch = _make_batch(plan, drafted, draw)
        self.prefill_only = prefill_only
        self.static = rules.batching == "static"
        self.prefill_first = self.static or rules.order == "prefill-first"
        self.chunked = rules.chunked_prefill
        self.admission = rules.admission
        self.watermark = int(rules.watermark * plan.kv_blocks)
        self.by_priority = by_priority

        self.partial: Sequence | None = None
        """The one whose prompt is partly computed: always the last one admitted."""
        self.chunks: list[tuple[Sequence, int, int]] = []
        """Prefill of the composed iteration: tokens and (query, key) pairs of each sequence."""
        self.prefill_tokens = self.prefill_pairs = 0
        self.moved_s = 0.0
        """Seconds that the composed iteration waits for blocks from or to host memory."""
        self.decodes = 0
        """Sequences that decode in the composed iteration: all or none."""
        self.alone = False
        """The composed iteration may be followed by a different one even if nothing happens."""
        self.late: list[tuple[float, int]] = []
        """Decoding sequences that had their last token before the iteration begins: (when, how many)."""
        self.gaps: list[tuple[float, int]] = []
        """Times between tokens of a sequence that are no iteration of their own: (seconds, how many)."""
        self.preemptions = 0
        self.epoch = 0
        """Times that its memory was lost."""
        self._taken = 0
        """Blocks that the composed iteration took for its decoding sequences."""
        self._open = 0
        """Sequences that a static batch still takes: those that waited when it was begun."""

    @property
    def on_time(self) -> int:
        """Give how many of the decoding sequences had their last token when the iteration begins."""
        return self.decodes - sum(count for _, count in self.late) if self.late else self.decodes

    @property
    def running(self) -> int:
        """Give the sequences that were admitted."""
        return self.batch.count + len(self.chunks) + (self.partial is not None)

    def may_admit(self, sequence: Sequence) -> bool:
        """Tell whether the next iteration might admit a sequence that has just come to the queue."""
        return self.waiting.head() is sequence and self.batch.count < self.max_sequences and not self.static

    def compose(self, now_s: float) -> None:
        """Decide what runs in the iteration that begins now."""
        batch = self.batch
        self.prefill_tokens = self.prefill_pairs = 0
        self.moved_s = 0.0
        self.alone = False
        if self.prefill_first:
            self._compose_apart(now_s)
            return
        self._taken = 0
        decodes = batch.count
        if decodes:
            need = batch.need() if self.drafted else batch.phases[batch.iteration % self.block_size]
            if need > self.pool.free:
                self._take_for_decode(now_s)
                decodes = batch.count
            elif need:
                self._taken = need
                self.pool.free -= need
        budget = self.token_budget - decodes * self.width
        if self.partial is not None:
            self._go_on(self.partial, budget, now_s)
            budget = self.token_budget - batch.count * self.width - self.prefill_tokens
        if budget > 0 and self.waiting and not self.alone:
            self._admit(budget)
        self.decodes = batch.count

    def advance(self, iterations: int, now_s: float) -> list[Sequence]:
        """Carry the composed iteration out, so many times; give those that are finished, their blocks free again."""
        batch, chunks = self.batch, self.chunks
        finished: list[Sequence] = []
        if self.decodes:
            if iterations > 1:
                self.pool.free -= batch.needed(iterations) - self._taken
            if self.drafted:
                batch.advance(iterations)
            else:
                batch.iteration += iterations
                batch.context += batch.count * iterations
            if self.late:
                self.gaps += [(now_s - when_s, count) for when_s, count in self.late]
                self.late = []
            if batch.finishing[0][0] <= batch.iteration:
                finished = batch.finished()
                for sequence in finished:
                    self.release(sequence)
        if chunks:
            self.chunks = []
            for sequence, tokens, pairs in chunks:
                sequence.prefilled += tokens
                sequence.prefill_pairs += pairs
                sequence.computed = computed = sequence.computed + tokens
                if computed < sequence.target:
                    self.partial = sequence
                else:
                    self._end_prefill(sequence, now_s, finished)
        return finished

    def release(self, sequence: Sequence) -> None:
        """Free the blocks of a sequence that does not decode."""
        if sequence.contents and self.cache is not None:
            held, full = sequence.held, min(sequence.computed // self.block_size, sequence.known)
            if full > sequence.named:
                held += self.cache.keep(sequence.contents, sequence.named, full)
            self.cache.leave(held, sequence.blocks)
            sequence.held = []
            sequence.named = 0
        else:
            self.pool.give_back(sequence.blocks)
        sequence.blocks = 0
        sequence.running = False

    def take_out(self, sequence: Sequence) -> None:
        """Let a running sequence go, at the boundary between two iterations."""
        if sequence.decoding:
            self.batch.leave(sequence)
            self._forget_late(sequence, 0.0)
        else:
            self.partial = None
        self.release(sequence)

    def _end_prefill(self, sequence: Sequence, now_s: float, finished: list[Sequence]) -> None:
        """Give a token to a sequence whose prompt is computed."""
        sequence.generated += 1
        sequence.joined_s = now_s
        if sequence.last_token_s >= 0:
            self.gaps.append((now_s - sequence.last_token_s, 1))
            sequence.last_token_s = -1.0
        request = sequence.request
        if request.first_token_s is None:
            request.first_token_s = now_s
        if sequence.generated == request.output_tokens:
            self.release(sequence)
            finished.append(sequence)
        elif self.prefill_only:
            sequence.running = False
            finished.append(sequence)
        else:
            self.batch.join(sequence)

    def _compose_apart(self, now_s: float) -> None:
        """Compose an iteration of prompts alone where there are any, and else one that decodes."""
        batch = self.batch
        self.decodes = self._taken = 0
        if self.static and not batch.count and self.partial is None:
            self._open = len(self.waiting)
        if self.partial is not None:
            self._go_on(self.partial, self.token_budget, now_s)
        if self.waiting and not self.alone:
            self._admit(self.token_budget - self.prefill_tokens)
        if self.chunks:
            on_time = batch.count - sum(count for _, count in self.late)
            if on_time:
                self.late.append((now_s, on_time))
            return
        if batch.count:
            self._take_for_decode(now_s)
            self.decodes = batch.count
            self._open = 0

    def affordable(self) -> int:
        """Give how many iterations like the composed one can follow it: to the next finish, or the last block."""
        if self.alone or self.late:
            return 1
        batch = self.batch
        return batch.affordable(batch.until_finish(), self.pool.free + self._taken)

    def _take_for_decode(self, now_s: float) -> None:
        """Take the blocks that the next tokens need; where they are not there, preempt from the end until they are."""
        batch, pool = self.batch, self.pool
        while batch.need() > pool.free:
            self.preempt(self._victim(), now_s)
            self.alone = True
        self._taken = need = batch.need()
        pool.free -= need

    def _go_on(self, sequence: Sequence, budget: int, now_s: float) -> None:
        """Compute the next chunk of the prompt in hand; without blocks for it, the last one is preempted: mostly it."""
        computed = sequence.computed
        tokens = min(sequence.target - computed, budget)
        blocks = -(-(computed + tokens) // self.block_size) - sequence.blocks
        if blocks > 0:
            while blocks > self.pool.free:
                self.alone = True
                victim = sequence if self.prefill_first else self._victim()
                if victim is not sequence and self._taken:
                    given = self.batch.need_of(victim)
                    self.pool.give_back(given)
                    self._taken -= given
                self.preempt(victim, now_s)
                if victim is sequence:
                    return
            self.pool.free -= blocks
            sequence.blocks += blocks
        self._add_chunk(sequence, tokens)
        self.partial = None

    def _admit(self, budget: int) -> None:
        """Admit waiting sequences in their order, as long as tokens, blocks and places last."""
        waiting, size, pool = self.waiting, self.block_size, self.pool
        places = self.max_sequences - self.batch.count - len(self.chunks)
        if self.static:
            places = min(places, self._open)
        while waiting and budget > 0 and places > 0:
            sequence = waiting.head()
            if sequence.ready:
                if budget < self.width or not self._rejoin(sequence):
                    break
                budget -= self.width
                places -= 1
                continue
            found, hosted = self._look_up(sequence) if sequence.contents else (0, 0)
            cached = (found + hosted) * size
            tokens = sequence.target - cached
            if tokens > budget:
                if self.chunked:
                    tokens = budget
                elif self.chunks or (not self.prefill_first and self.batch.count):
                    break
            blocks = self._blocks_to_start(sequence, cached + tokens) - found
            wanted = blocks
            if self.admission == "prompt":
                wanted = -(-sequence.target // size) - found
            if found and self.cache is not None:
                wanted += self.cache.idle_among(sequence.contents, found)
            if self.watermark and (self.batch.count or self.chunks):
                wanted += self.watermark
            if wanted > pool.free:
                break
            waiting.pop()
            self._start(sequence, found, hosted, blocks)
            self._add_chunk(sequence, tokens)
            budget -= tokens
            places -= 1
            self._open -= 1

    def _look_up(self, sequence: Sequence) -> tuple[int, int]:
        """Give how many leading blocks are cached, and how many after them are in host memory; never the last token."""
        if self.cache is None:
            return 0, 0
        most = (sequence.target - 1) // self.block_size
        found = self.cache.find(sequence.contents, most)
        return found, self.cache.find_in_host(sequence.contents, found, most)

    def _rejoin(self, sequence: Sequence) -> bool:
        """Let a sequence whose cache is computed decode on, if there are blocks for it; tell whether there are."""
        batch, pool, size = self.batch, self.pool, self.block_size
        request, computed = sequence.request, sequence.computed
        blocks = -(-computed // size)
        if batch.reserved:
            blocks = -(-(request.prompt_tokens + request.output_tokens - 1) // size)
        slots = min(computed + self.width, request.prompt_tokens + request.output_tokens - 1)
        wanted = max(blocks, -(-slots // size))
        if self.watermark and (batch.count or self.chunks):
            wanted += self.watermark
        if wanted > pool.free:
            return False
        self.waiting.pop()
        sequence.ready = False
        sequence.running = True
        request.replica = self.place
        before = batch.need()
        batch.join(sequence)
        sequence.blocks = blocks
        pool.free -= blocks
        if not self.prefill_first:
            # The others have their blocks for this iteration already.
            now = batch.need() - before
            pool.free -= now
            self._taken += now
        if sequence.swapped:
            self.moved_s += sequence.swapped * self.block_move_s
            self.host_blocks += sequence.swapped
            sequence.swapped = 0
        self.late.append((sequence.last_token_s, 1))
        sequence.last_token_s = -1.0
        return True

    def _blocks_to_start(self, sequence: Sequence, tokens: int) -> int:
        """Give the blocks that a sequence takes when it is admitted."""
        if self.admission == "whole":
            request = sequence.request
            tokens = request.prompt_tokens + request.output_tokens - 1
        return -(-tokens // self.block_size)

    def _start(self, sequence: Sequence, found: int, hosted: int, blocks: int) -> None:
        """Give an admitted sequence its blocks: those in the cache, those loaded from the host, and others."""
        if found and self.cache is not None:
            sequence.held = self.cache.hold(sequence.contents, found)
            sequence.named = found
        self.pool.free -= blocks
        if hosted and self.cache is not None:
            self.moved_s += hosted * self.block_move_s
            sequence.held += self.cache.keep(sequence.contents, found, found + hosted)
            sequence.named = found + hosted
        sequence.blocks = found + blocks
        sequence.computed = (found + hosted) * self.block_size
        sequence.running = True
        sequence.request.replica = self.place
        if sequence.cached < 0:
            sequence.cached = sequence.computed

    def _add_chunk(self, sequence: Sequence, tokens: int) -> None:
        """Put a chunk into the iteration; blocks that it fills are found by whoever is admitted after it."""
        computed = sequence.computed
        pairs = tokens * computed + tokens * (tokens + 1) // 2
        self.chunks.append((sequence, tokens, pairs))
        self.prefill_tokens += tokens
        self.prefill_pairs += pairs
        if self.cache is not None and sequence.contents:
            full = min((computed + tokens) // self.block_size, sequence.known)
            if full > sequence.named:
                sequence.held += self.cache.keep(sequence.contents, sequence.named, full)
                sequence.named = full

    def _victim(self) -> Sequence:
        """Give the one that is preempted first: the last admitted, or the last in the order of priorities."""
        if not self.by_priority:
            return self.partial or next(reversed(self.batch.running))
        running: list[Sequence] = [*self.batch.running, *((self.partial,) if self.partial else ())]
        return max(running, key=lambda sequence: (-sequence.request.priority, sequence.order))

    def preempt(self, sequence: Sequence, now_s: float) -> None:
        """Take everything from a sequence; it waits to compute again what it had, or to get it back from the host."""
        if sequence.decoding:
            self.batch.leave(sequence)
            sequence.last_token_s = self._forget_late(sequence, now_s)
            if self.swaps and sequence.blocks <= self.host_blocks:
                sequence.ready = True
                sequence.swapped = sequence.blocks
                self.host_blocks -= sequence.blocks
                self.moved_s += sequence.blocks * self.block_move_s
        else:
            self.partial = None
        if self.cache is not None:
            self._name_blocks(sequence)
        self.release(sequence)
        request = sequence.request
        if not sequence.ready:
            sequence.target = request.prompt_tokens + sequence.generated
            sequence.computed = 0
        request.preemptions += 1
        self.preemptions += 1
        self.waiting.push_back(sequence)

    def forget(self, sequence: Sequence) -> None:
        """Drop what a sequence that was waiting left in host memory."""
        self.host_blocks += sequence.swapped
        sequence.swapped = 0

    def lose_all(self) -> list[Sequence]:
        """Lose all sequences, those of a queue of its own as well, and all memory."""
        lost = [*self.batch.running, *([self.partial] if self.partial else []), *(one for one, _, _ in self.chunks)]
        for sequence in list(self.batch.running):
            self.batch.leave(sequence)
        self.partial, self.chunks, self.late, self.gaps = None, [], [], []
        for sequence in lost:
            sequence.running = False
        self.pool.clear()
        self.epoch += 1
        return lost

    def _forget_late(self, sequence: Sequence, now_s: float) -> float:
        """Give when a decoding sequence that leaves had its last token."""
        for place, (when_s, count) in enumerate(self.late):
            if when_s >= sequence.joined_s:
                self.late[place] = (when_s, count - 1)
                return when_s
        return now_s

    def _name_blocks(self, sequence: Sequence) -> None:
        """Name all full blocks of a sequence, so that it finds again what nobody has overwritten."""
        full = sequence.computed // self.block_size
        more = full - sequence.known
        if more > 0:
            contents, own = sequence.contents, (_OWN, sequence.order)
            if contents and contents[-1][0] == own:
                more += contents[-1][1]
                contents = contents[:-1]
            sequence.contents = (*contents, (own, more))
            sequence.known = full


def _make_batch(
    plan: ReplicaPlan, drafted: int, draw: Callable[[Sequence, int], NDArray[np.int64]] | None
) -> DecodeBatch:
    reserved = plan.rules.admission == "whole"
    if not drafted:
        return DecodeBatch(plan.block_size, reserved=reserved)
    assert draw is not None, "drafted tokens are drawn"
    return SpeculativeBatch(plan.block_size, drafted, draw, reserved=reserved)
