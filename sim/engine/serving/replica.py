"""One replica in time: iterations that are alike are one jump, planned ahead and cut where something happens.

Between two changes of the batch, decode iterations differ in the length of their contexts alone. They are planned up to
the next finish or the last block of the cache, and cut where a request arrives that could be admitted: nothing is
carried out before its time. An iteration that prefills is planned alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from sim.engine.serving.jump import Jump
from sim.engine.serving.meter import STRETCH_BYTES, pack_stretch
from sim.engine.world import Alarm, Arrival

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sim.engine.serving.meter import Meter
    from sim.engine.serving.scheduler import Scheduler
    from sim.engine.serving.sequence import Sequence
    from sim.engine.world import World

LONGEST_LISTED = 128
"""Iterations that are planned at once where their ends have no closed form; most of them may be cut off again."""


class IterationCost(Protocol):
    """What an iteration costs (sim.cost.serving.IterationCost is one)."""

    def mixed_s(
        self, decoding: int, context: int, prefill_tokens: int, prefill_pairs: int, prefill_sequences: int
    ) -> float:
        """Give the time of one iteration, in s."""

    def decode_s(self, decoding: int, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the time of iterations that only decode, in s."""

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float] | None:
        """Give (a, b, end): an iteration with this or a longer context below ``end`` takes a + b context; or None."""


class Replica:
    """Runs the sequences of a scheduler; hands each back when it is finished or dropped."""

    __slots__ = (
        "_alarm",
        "_awake",
        "_cost",
        "_decode_line",
        "_dropping",
        "_hand_back",
        "_jump",
        "_meter",
        "_mixed_s",
        "_world",
        "broken_s",
        "idle",
        "index",
        "scheduler",
    )

    def __init__(
        self,
        world: World,
        cost: IterationCost,
        scheduler: Scheduler,
        meter: Meter,
        hand_back: Callable[[Replica, list[Sequence]], None],
        index: int,
    ) -> None:
        """Begin idle, at the world's present time."""
        self.scheduler = scheduler
        self.index = index
        self.idle = True
        self._world = world
        self._cost = cost
        self._meter = meter
        self._hand_back = hand_back
        self._alarm = Alarm(world, self._ring)
        self._jump = Jump()
        self._mixed_s, self._decode_line = cost.mixed_s, cost.decode_line
        self._awake = False
        """It lets the time pass, and will itself see where its jump ends."""
        self._dropping: list[Sequence] = []
        self.broken_s = 0.0
        """Seconds of the iteration that the last failure broke off."""

    def notify(self, sequence: Sequence) -> None:
        """Look at a sequence that has come to the queue: at the end of this instant, or of the running iteration."""
        if self.idle:
            self.idle = False
            self._alarm.set_at(self._world.now_s)
        elif self._jump.count > 1 and self.scheduler.may_admit(sequence):
            self._cut()

    def drop(self, sequence: Sequence) -> bool:
        """Give a running sequence up; tell whether it has gone, or is handed back when the running iteration ends."""
        if self._jump.count == 0:
            self.scheduler.take_out(sequence)
            return True
        self._dropping.append(sequence)
        if self._jump.count > 1:
            self._cut()
        return False

    def fail(self) -> list[Sequence]:
        """Lose all sequences and all memory now; the iteration that is running is broken off."""
        jump, now_s = self._jump, self._world.now_s
        self._alarm.clear()
        self.broken_s = 0.0
        if jump.count:
            ended = jump.begun(now_s) - 1
            ended_s = jump.end_of(ended)
            self.broken_s = now_s - ended_s
            if ended:
                jump.count = ended
                self._measure()
                self.scheduler.advance(ended, ended_s)
            jump.count = 0
            jump.ends_s = None
        self._dropping = []
        self.idle = True
        return self.scheduler.lose_all()

    def _cut(self) -> None:
        if self._jump.cut(self._world.now_s) and not self._awake:
            self._alarm.set_at(self._jump.end_s)

    def _ring(self) -> None:
        """Carry out what was planned and plan on, without a wake-up as long as nothing else can happen before."""
        world, jump, scheduler = self._world, self._jump, self.scheduler
        clock, queue, batch = world.clock, world.queue, scheduler.batch
        compose, mixed_s = scheduler.compose, self._mixed_s
        self._awake = True
        while True:
            handed_back = False
            now_s: float = clock._now  # noqa: SLF001 - as World.now_s
            if jump.count:
                self._measure()
                done = scheduler.advance(jump.count, now_s)
                jump.count = 0
                if scheduler.gaps:
                    self._meter.add_gaps(scheduler.gaps)
                    scheduler.gaps = []
                if self._dropping:
                    self._drop_now(done)
                if done:
                    self._hand_back(self, done)
                    handed_back = True
            compose(now_s)
            decodes, prompts = scheduler.decodes, len(scheduler.chunks)
            if prompts or (decodes and scheduler.moved_s):
                context = batch.context if decodes else 0
                length_s = mixed_s(decodes, context, scheduler.prefill_tokens, scheduler.prefill_pairs, prompts)
                length_s += scheduler.moved_s
                jump.count = 1
                jump.start_s, jump.first_s, jump.step_s = now_s, length_s, 0.0
                end_s = jump.end_s = now_s + length_s
            elif decodes:
                self._plan_decode(now_s)
                end_s = jump.end_s
            else:
                self.idle = True
                self._awake = False
                return
            while queue and queue[0][0] <= end_s:
                if type(queue[0][3]) is not Arrival or world.finished():
                    break
                world.step()
                end_s = jump.end_s
            else:
                # Whoever was told of a finish may have waited for just that to end the simulation.
                if not (handed_back and world.finished()):
                    clock._now = end_s  # noqa: SLF001 - see World.skip_to
                    continue
            self._alarm.set_at(end_s)
            self._awake = False
            return

    def _plan_decode(self, now_s: float) -> None:
        """Plan iterations that only decode."""
        scheduler = self.scheduler
        batch, decodes, count = scheduler.batch, scheduler.decodes, scheduler.affordable()
        context = batch.context
        line = self._decode_line(decodes, context)
        if line is None:
            contexts = np.array(batch.contexts(min(count, LONGEST_LISTED)))
            lengths_s = self._cost.decode_s(decodes, contexts)
            ends_s = np.cumsum(np.concatenate(([now_s], lengths_s)))[1:]
            self._jump.listed(now_s, ends_s.tolist())
            return
        base_s, slope_s, end = line
        if context + (count - 1) * decodes >= end:
            count = max(1, -int(-(end - context) // decodes))
        self._jump.line(now_s, base_s + slope_s * context, slope_s * decodes, count)

    def _drop_now(self, done: list[Sequence]) -> None:
        """Take those out that were given up while the iteration ran that has just ended."""
        dropping, self._dropping = self._dropping, []
        for sequence in dropping:
            if sequence.running:  # else it was finished just now
                self.scheduler.take_out(sequence)
                done.append(sequence)

    def _measure(self) -> None:
        """Tell the meter what is about to be carried out."""
        jump, scheduler, meter = self._jump, self.scheduler, self._meter
        if jump.ends_s is not None:
            self._measure_listed(jump.ends_s[: jump.count])
            jump.ends_s = None
            return
        decodes, batch, used = scheduler.decodes, scheduler.batch, meter.used
        pack_stretch(
            meter.buffer,
            used,
            jump.start_s,
            jump.first_s,
            jump.step_s,
            jump.count,
            decodes * scheduler.width,
            batch.pairs() if scheduler.drafted else batch.context,
            scheduler.prefill_tokens,
            scheduler.prefill_pairs,
            len(scheduler.chunks),
            scheduler.on_time if scheduler.late else decodes,
            len(scheduler.waiting),
            scheduler.pool.free,
        )
        meter.used = used = used + STRETCH_BYTES
        if used == meter.size:
            meter.flush()

    def _measure_listed(self, ends_s: list[float]) -> None:
        """Tell the meter of decode iterations one by one."""
        jump, scheduler, meter = self._jump, self.scheduler, self._meter
        batch = scheduler.batch
        tokens = scheduler.decodes * scheduler.width
        waiting, free = len(scheduler.waiting), scheduler.pool.free
        start_s = jump.start_s
        for end_s, context in zip(ends_s, batch.contexts(len(ends_s)), strict=True):
            pack_stretch(
                meter.buffer,
                meter.used,
                start_s,
                end_s - start_s,
                0.0,
                1,
                tokens,
                batch.pairs_of(context),
                0,
                0,
                0,
                scheduler.on_time,
                waiting,
                free,
            )
            meter.used += STRETCH_BYTES
            if meter.used == meter.size:
                meter.flush()
            start_s = end_s
