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
        "careful", "chunked", "chunks", "decodes", "drafted", "epoch", "gaps", "host_blocks", "late", "max_sequences",
        "moved_s", "partial", "place", "pool", "preemptions", "prefill_first", "prefill_only", "prefill_pairs",
        "prefill_tokens", "static", "swaps", "tell", "token_budget", "unusual", "waiting", "watermark", "width",
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
        tell: Callable[[], None] | None = None,
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
            tell: tells those who share the queue that another stands at its head.
        """
        rules = plan.rules
        self.place, self.waiting, self.tell = place, waiting, tell
        self.block_size, self.token_budget, self.max_sequences = plan.block_size, plan.token_budget, plan.max_sequences
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
        self.careful = self.admission != "first-chunk" or self.watermark > 0
        """More blocks have to be free than the first chunk of a sequence takes."""
        self.by_priority = by_priority

        self.partial: Sequence | None = None
        """The one whose prompt is partly computed: always the last one admitted. Its next chunk is the first of an
        iteration."""
        self.chunks: list[tuple[Sequence, int]] = []
        """Prefill of the composed iteration: tokens of each sequence."""
        self.prefill_tokens = self.prefill_pairs = 0
        """Of all its prompts: tokens, and (query, key) pairs."""
        self.moved_s = 0.0
        """Seconds that the composed iteration waits for blocks from or to host memory."""
        self.decodes = 0
        """Sequences that decode in the composed iteration: all or none."""
        self.alone = False
        """The composed iteration may be followed by a different one even if nothing happens."""
        self.unusual = False
        """`moved_s` or `alone` of the composed iteration are not as usual."""
        self.late: list[tuple[float, int]] = []
        """Decoding sequences that had their last token before the iteration begins: (when, how many)."""
        self.gaps: list[tuple[float, int]] = []
        """Times between tokens of a sequence that are no iteration of their own: (seconds, how many)."""
        self.preemptions = 0
        self.epoch = 0
        """Times that its memory was lost."""
        self._taken = self._open = 0
        """Blocks that the composed iteration took for its decoding sequences; sequences that a static batch still
        takes: those that waited when it was begun."""

    @property
    def on_time(self) -> int:
        """Give how many of the decoding sequences had their last token when the iteration begins."""
        return self.decodes - sum(count for _, count in self.late) if self.late else self.decodes

    @property
    def running(self) -> int:
        """Give the sequences that were admitted."""
        return self.batch.count + (len(self.chunks) or self.partial is not None)

    def may_admit(self, sequence: Sequence) -> bool:
        """Tell whether the next iteration might admit a sequence that has just come to the queue."""
        return self.waiting[0] is sequence and self.batch.count < self.max_sequences and not self.static

    def compose(self, now_s: float) -> None:  # noqa: C901, PLR0912 - runs for each jump: a call costs as much as it all
        """Decide what runs in the iteration that begins now."""
        if self.unusual:
            self.unusual = self.alone = False
            self.moved_s = 0.0
        batch, pool, size, budget = self.batch, self.pool, self.block_size, self.token_budget
        decodes = 0 if self.prefill_first else batch.count
        if decodes:
            need = batch.need() if self.drafted else batch.phases[batch.iteration % size]
            if need > pool.free:
                need = self._make_room_for_decode(now_s)
                decodes = batch.count
            self._taken = need
            pool.free -= need
            budget -= decodes * self.width
        else:
            self._taken = 0
        partial = self.partial
        if partial is not None:
            computed, tokens = partial.computed, partial.target - partial.computed
            if tokens > budget:  # noqa: PLR1730 - a call of min costs four times as much
                tokens = budget
            blocks = -(-(computed + tokens) // size) - partial.blocks
            if blocks > 0:
                if blocks > pool.free and not self._make_room(partial, blocks, now_s):
                    tokens = blocks = 0
                pool.free -= blocks
                partial.blocks += blocks
            if tokens:
                self.chunks.append((partial, tokens))
                if partial.contents:
                    self._name_chunk(partial, computed + tokens)
            if self.alone and not self.prefill_first:
                decodes = batch.count
            self.prefill_tokens = tokens
            self.prefill_pairs = tokens * computed + tokens * (tokens + 1) // 2
            budget -= tokens
        else:
            self.prefill_tokens = self.prefill_pairs = 0
        self.decodes = decodes
        if self.prefill_first:
            self._compose_apart(budget, now_s)
        elif budget > 0 and self.waiting and not self.alone:
            self._admit(budget)

    def advance(self, iterations: int, now_s: float) -> list[Sequence]:
        """Carry the composed iteration out, so many times; give those that are finished, their blocks free again."""
        finished: list[Sequence] = []
        if self.decodes:
            batch = self.batch
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
        chunks = self.chunks
        if chunks:
            self.chunks = []
            for sequence, tokens in chunks:
                computed = sequence.computed = sequence.computed + tokens
                if computed >= sequence.target:
                    self._end_prefill(sequence, now_s, finished)
                else:
                    self.partial = sequence
        return finished

    def release(self, sequence: Sequence) -> None:
        """Free the blocks of a sequence that does not decode."""
        if sequence.contents and self.cache is not None:
            held, full = sequence.held, min(sequence.computed // self.block_size, sequence.known)
            if full > sequence.named:
                held = [*held, *self.cache.keep(sequence.contents, sequence.named, full)]
            self.cache.leave(held, sequence.blocks)
            sequence.held = ()
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
        if sequence is self.partial:
            self.partial = None
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

    def _compose_apart(self, budget: int, now_s: float) -> None:
        """Go on with prompts alone where there are any, and else let those decode that can."""
        batch = self.batch
        if self.static and not batch.count and not self.chunks:
            self._open = len(self.waiting)
        if budget > 0 and self.waiting and not self.alone:
            self._admit(budget)
        if self.chunks:
            on_time = batch.count - sum(count for _, count in self.late)
            if on_time:
                self.late.append((now_s, on_time))
            return
        if batch.count:
            self._taken = need = self._make_room_for_decode(now_s)
            self.pool.free -= need
            self.decodes = batch.count
            self._open = 0

    def affordable(self) -> int:
        """Give how many iterations like the composed one can follow it: to the next finish, or the last block."""
        if self.alone or self.late:
            return 1
        batch = self.batch
        return batch.affordable(batch.until_finish(), self.pool.free + self._taken)

    def _make_room_for_decode(self, now_s: float) -> int:
        """Preempt from the end until there are blocks for the next tokens; give how many those are."""
        batch, pool = self.batch, self.pool
        while (need := batch.need()) > pool.free:
            self.preempt(self._victim(), now_s)
        return need

    def _make_room(self, sequence: Sequence, blocks: int, now_s: float) -> bool:
        """Preempt until there are so many blocks for a prompt in hand, mostly itself; tell whether it still runs."""
        while blocks > self.pool.free:
            victim = sequence if self.prefill_first else self._victim()
            if victim is not sequence and self._taken:
                given = self.batch.need_of(victim)
                self.pool.give_back(given)
                self._taken -= given
            self.preempt(victim, now_s)
            if victim is sequence:
                return False
        return True

    def _admit(self, budget: int) -> None:
        """Admit waiting sequences in their order, as long as tokens, blocks and places last."""
        waiting, size, pool, chunks, batch = self.waiting, self.block_size, self.pool, self.chunks, self.batch
        places = self.max_sequences - batch.count - len(chunks)
        if self.static:
            places = min(places, self._open)
        while places > 0:
            sequence = waiting[0]
            if sequence.ready:
                if budget < self.width or not self._rejoin(sequence):
                    break
                tokens = self.width
            else:
                found = hosted = 0
                if sequence.contents:
                    found, hosted = self._look_up(sequence)
                computed = (found + hosted) * size
                tokens = sequence.target - computed
                if tokens > budget:
                    if self.chunked:
                        tokens = budget
                    elif chunks or (not self.prefill_first and batch.count):
                        break
                blocks = -(-(computed + tokens) // size)
                wanted = blocks = blocks - found
                if found or self.careful:
                    blocks, wanted = self._careful(sequence, blocks, found)
                if wanted > pool.free:
                    break
                self._start(sequence, found, hosted, blocks, tokens)
                self._open -= 1
            budget -= tokens
            if budget <= 0 or not waiting:
                break
            places -= 1

    def _careful(self, sequence: Sequence, blocks: int, found: int) -> tuple[int, int]:
        """Give the blocks that a sequence takes to start with, and those that have to be free for it."""
        size = self.block_size
        if self.admission == "whole":
            request = sequence.request
            blocks = -(-(request.prompt_tokens + request.output_tokens - 1) // size) - found
        wanted = -(-sequence.target // size) - found if self.admission == "prompt" else blocks
        if found and self.cache is not None:
            wanted += self.cache.idle_among(sequence.contents, found)
        if self.watermark and (self.batch.count or self.chunks):
            wanted += self.watermark
        return blocks, wanted

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
            self.decodes = batch.count
        if sequence.swapped:
            self.moved_s += sequence.swapped * self.block_move_s
            self.unusual = True
            self.host_blocks += sequence.swapped
            sequence.swapped = 0
        self.late.append((sequence.last_token_s, 1))
        sequence.last_token_s = -1.0
        return True

    def _start(self, sequence: Sequence, found: int, hosted: int, blocks: int, tokens: int) -> None:
        """Give the next sequence its blocks, cached, from the host and new ones, and compute its first tokens."""
        self.waiting.pop()
        if self.tell is not None:
            self.tell()
        if found and self.cache is not None:
            sequence.held = self.cache.hold(sequence.contents, found)
            sequence.named = found
        self.pool.free -= blocks
        if hosted and self.cache is not None:
            self.moved_s += hosted * self.block_move_s
            self.unusual = True
            sequence.held = [*sequence.held, *self.cache.keep(sequence.contents, found, found + hosted)]
            sequence.named = found + hosted
        sequence.blocks = found + blocks
        computed = (found + hosted) * self.block_size
        request = sequence.request
        request.replica = self.place
        if sequence.began < 0:
            request.cached_tokens = computed
        sequence.computed = sequence.began = computed
        sequence.running = True
        self.chunks.append((sequence, tokens))
        self.prefill_tokens += tokens
        self.prefill_pairs += tokens * computed + tokens * (tokens + 1) // 2
        if sequence.contents:
            self._name_chunk(sequence, computed + tokens)

    def _name_chunk(self, sequence: Sequence, computed: int) -> None:
        """Name the blocks that a chunk fills: they are found by whoever is admitted after it."""
        if self.cache is None:
            return
        full = min(computed // self.block_size, sequence.known)
        if full > sequence.named:
            sequence.held = [*sequence.held, *self.cache.keep(sequence.contents, sequence.named, full)]
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
        sequence.bank()
        request = sequence.request
        if not sequence.ready:
            sequence.target = request.prompt_tokens + sequence.generated
            sequence.computed = 0
        request.preemptions += 1
        self.preemptions += 1
        self.alone = self.unusual = True
        self.waiting.push_back(sequence)
        if self.tell is not None:
            self.tell()

    def forget(self, sequence: Sequence) -> None:
        """Drop what a sequence that was waiting left in host memory."""
        self.host_blocks += sequence.swapped
        sequence.swapped = 0

    def lose_all(self) -> list[Sequence]:
        """Lose all sequences, those of a queue of its own as well, and all memory."""
        prompts = [one for one, _ in self.chunks] or ([self.partial] if self.partial else [])
        lost = [*self.batch.running, *prompts]
        for sequence in list(self.batch.running):
            self.batch.leave(sequence)
        # A request that is sent again has the order that it had: none of the old is left to be compared with it.
        self.batch.finishing.clear()
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
