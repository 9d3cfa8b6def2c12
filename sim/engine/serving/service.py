"""A service: replicas of one model behind a router; requests go in, and each comes back with what became of it."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.serving.accounts import Accounts
from sim.engine.serving.closing import close_books
from sim.engine.serving.devices import FreeDevices
from sim.engine.serving.drafting import DraftedCost
from sim.engine.serving.group import Group
from sim.engine.serving.options import ServiceOptions, check_plan
from sim.engine.serving.recording import RequestRows, ServiceRecording, join_columns
from sim.engine.serving.request import STATUSES
from sim.engine.serving.sequence import Sequence
from sim.engine.serving.speculative_batch import draw_gains
from sim.engine.serving.upkeep import Autoscaler, Breaker
from sim.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sim.engine.serving.devices import Devices
    from sim.engine.serving.recording import RequestColumns
    from sim.engine.serving.request import Request, Status
    from sim.engine.world import World
    from sim.plan.serving import ReplicaPlan

DEFAULT = ServiceOptions()


class Service:
    """Takes requests at the world's present time, and calls `done` with each when it is done with."""

    def __init__(
        self,
        world: World,
        plan: ReplicaPlan,
        options: ServiceOptions = DEFAULT,
        *,
        name: str = "service",
        consume: Callable[[RequestColumns], None] | None = None,
        devices: Devices | None = None,
    ) -> None:
        """Ask for devices and begin.

        Args:
            world: whose clock, random streams and ledger it uses.
            plan: one replica.
            options: what stands around it.
            name: of the service, in ledger and messages.
            consume: takes the finished requests in chunks, so that memory stays flat; the recording then has none.
            devices: where replicas get theirs; from what is free in the world where nothing is given.

        Raises:
            ScenarioError: the options or the plan contradict themselves.
        """
        options.check(name)
        check_plan(plan, options, name)
        self.name = name
        self.plan = plan
        self.options = options
        self.world = world
        self._clock = world.clock
        self.accounts = Accounts()
        self.submitted = self.retries = self.too_long = 0
        self.statuses = np.zeros(len(STATUSES), np.int64)
        self.start_s = world.now_s
        self._chunks: list[RequestColumns] = []
        self._consume = consume or self._chunks.append
        self._rows = RequestRows(self._count_rows)
        self._consumed = consume is not None
        self._live: dict[Request, Sequence] = {}
        self._moving: dict[Sequence, None] = {}
        """Sequences whose cache is on its way from one replica to another."""
        self._tenants: dict[str, int] = dict.fromkeys(options.tenant_limits, 0)
        self._held_back: dict[str, deque[Sequence]] = {tenant: deque() for tenant in options.tenant_limits}
        self._generators: dict[int, np.random.Generator] = {}
        speculation, apart = options.speculation, options.disaggregation
        cost = DraftedCost(plan.cost, speculation) if speculation else plan.cost
        self._devices = devices or FreeDevices(world)
        losses = (self._send_again, self._devices)
        self.main = Group(world, plan, cost, options, name, self._end, *losses, draw=self._draw)
        self.groups = [self.main]
        if apart:
            of, named = apart.prefill_plan, f"{name} prefill"
            prefill = Group(world, of, of.cost, options, named, self._take_prompts, *losses, prefill_only=True)
            self.groups.append(prefill)
        self._entry = self.groups[-1]
        entry = self._entry.plan
        self._most_tokens = plan.kv_blocks * plan.block_size
        self._most_prompt = entry.kv_blocks * entry.block_size
        self.upkeep = self._begin_upkeep()
        self.end_s: float | None = None
        """When it gave its devices back; none while it goes on."""
        if options.at_s > world.now_s:
            world.after(options.at_s - world.now_s, self._start)
        else:
            self._start()

    @property
    def outstanding(self) -> int:
        """Give the requests that are not done with."""
        return len(self._live)

    def submit(self, request: Request, done: Callable[[Request], None]) -> None:
        """Take a request at the world's present time; ``done`` is called when it is done with, never before this ends.

        Raises:
            ScenarioError: the request asks for nothing.
        """
        if request.prompt_tokens < 1 or request.output_tokens < 1:
            raise ScenarioError(
                "a request has at least 1 token of prompt and 1 of output",
                value=f"{request.prompt_tokens} and {request.output_tokens}",
                where=f"request {request.id} to {self.name}",
            )
        request.arrival_s = self._clock._now  # noqa: SLF001 - as World.now_s
        self.submitted = order = self.submitted + 1
        self._live[request] = sequence = Sequence(request, done, order)
        limit = None
        if self._tenants:
            limit = self.options.tenant_limits.get(request.tenant)
            if limit is not None:
                self._tenants[request.tenant] += 1
        prompt = request.prompt_tokens
        if prompt > self._most_prompt or prompt + request.output_tokens > self._most_tokens + 1:
            # Replicas cannot hold it when they hold nothing else.
            self.too_long += 1
            self._turn_away(sequence)
            return
        if request.time_out_s is not None:
            self.world.after(request.time_out_s, partial(self._give_up, request, "timed out"))
        if limit is not None and self._tenants[request.tenant] > limit:
            self._held_back[request.tenant].append(sequence)
        elif not self._entry.put(sequence):
            self._turn_away(sequence)

    def cancel(self, request: Request) -> None:
        """Give a request up; its tokens so far are wasted.

        It leaves a queue at once and a batch at the end of the running iteration; then ``done`` is called. A request
        that is done with already stays as it is.
        """
        self._give_up(request, "cancelled")

    def end(self) -> None:
        """Give all devices back; requests must be done with, and none come any more."""
        if self.end_s is not None:
            return
        self.end_s = self.world.now_s
        for each in self.upkeep:
            each.stop()
        for group in self.groups:
            group.end()
        self._devices.end()

    def close(self) -> ServiceRecording:
        """End the service, unless it has ended, and assert that nothing was lost.

        Raises:
            ConservationError: the service contradicts itself.
        """
        self.end()
        self._rows.flush()
        requests = None if self._consumed else join_columns(self._chunks)
        return close_books(self, requests, tuple(self._rows.tenants))

    def _start(self) -> None:
        """Ask for the devices of the first replicas."""
        options = self.options
        apart, scaling = options.disaggregation, options.scaling
        counts = [scaling.least if scaling else options.replicas] + ([apart.prefill_replicas] if apart else [])
        if self.end_s is None:
            for group, count in zip(self.groups, counts, strict=True):
                group.start(count)

    def _begin_upkeep(self) -> list[Autoscaler | Breaker]:
        """Let load and failures change the replicas."""
        options, upkeep = self.options, list[Autoscaler | Breaker]()
        if options.scaling:
            begin_s = max(options.at_s - self.world.now_s, 0.0)
            upkeep.append(Autoscaler(self.world, self.main, options.scaling, begin_s, lambda: self.outstanding))
        if options.failures:
            for group in self.groups:
                upkeep.append(Breaker(self.world, group, options.failures, self._most(group)))
        return upkeep

    def _most(self, group: Group) -> int:
        """Give the replicas that a group has at most."""
        options = self.options
        if options.disaggregation and group is not self.main:
            return options.disaggregation.prefill_replicas
        return options.scaling.most if options.scaling else options.replicas

    def _turn_away(self, sequence: Sequence) -> None:
        sequence.request.status = "rejected"
        sequence.request.finish_s = self.world.now_s
        self._end_soon(sequence)

    def _give_up(self, request: Request, status: Status) -> None:
        sequence = self._live.get(request)
        if sequence is None or request.status != "waiting":
            return
        request.status = status
        request.finish_s = self.world.now_s
        if sequence in self._moving:
            return
        queue = self._held_back.get(request.tenant)
        if queue and sequence in queue:
            queue.remove(sequence)
        elif not self._group_of(sequence).remove(sequence):
            return
        self._end_soon(sequence)

    def _group_of(self, sequence: Sequence) -> Group:
        """Give the group that has a sequence."""
        return self.main if sequence.moved else self._entry

    def _end_soon(self, sequence: Sequence) -> None:
        """Tell of a request as soon as whoever is at work now has returned."""
        self.world.after(0.0, lambda: self._end([sequence]))

    def _take_prompts(self, sequences: list[Sequence]) -> None:
        """Take sequences whose prompt is computed, or that were finished with it or dropped."""
        ended: list[Sequence] = []
        for sequence in sequences:
            if self._is_under_way(sequence):
                self._move(self._entry, sequence)
                continue
            if 0 < sequence.generated < sequence.request.output_tokens:
                # It was given up during the last iteration of its prompt: its cache goes nowhere.
                self._entry.replicas[sequence.request.replica].scheduler.release(sequence)
            ended.append(sequence)
        self._end(ended)

    def _is_under_way(self, sequence: Sequence) -> bool:
        request = sequence.request
        return 0 < sequence.generated < request.output_tokens and request.status == "waiting"

    def _move(self, group: Group, sequence: Sequence) -> None:
        """Send the cache of a computed prompt to the replicas that decode; its blocks are free when it is there."""
        apart = self.options.disaggregation
        assert apart is not None
        self._moving[sequence] = None
        sequence.last_token_s = sequence.joined_s
        place = sequence.request.replica
        amount = sequence.computed * group.plan.kv_bytes_per_token
        epoch = group.replicas[place].scheduler.epoch
        self.world.after(
            apart.latency_s + amount / apart.bandwidth_bytes_per_s,
            lambda: self._arrive(group, sequence, place, epoch),
        )

    def _arrive(self, group: Group, sequence: Sequence, place: int, epoch: int) -> None:
        """Let a sequence decode whose cache has come over, unless it was given up or its memory lost on the way."""
        del self._moving[sequence]
        replica = group.replicas[place]
        if replica.scheduler.epoch != epoch:
            self._send_again(group, [sequence])
            return
        replica.scheduler.release(sequence)
        if replica.scheduler.waiting:
            replica.notify(replica.scheduler.waiting[0])
        if sequence.request.status != "waiting":
            self._end([sequence])
            return
        sequence.ready = sequence.moved = True
        if not self.main.put(sequence):
            self._turn_away(sequence)

    def _send_again(self, _: Group, sequences: list[Sequence]) -> None:
        """Begin requests again whose replica failed; what they had is wasted, and those given up meanwhile end."""
        ended = [sequence for sequence in sequences if sequence.request.status != "waiting"]
        for old in sequences:
            request = old.request
            if request.status != "waiting":
                continue
            if old.began >= 0:
                request.retries += 1
                self.retries += 1
            self.accounts.count_wasted(old)
            request.first_token_s = None
            request.cached_tokens = 0
            sequence = Sequence(request, old.done, old.order)
            self._live[request] = sequence
            if not self._entry.put(sequence):
                self._turn_away(sequence)
        if ended:
            self._end(ended)

    def _end(self, sequences: list[Sequence]) -> None:
        """Record what became of requests, then tell those who wait for them."""
        now_s, live, rows = self.world.now_s, self._live, self._rows
        for sequence in sequences:
            request = sequence.request
            request.generated_tokens = sequence.generated
            if request.status == "waiting":
                request.status = "finished"
                request.finish_s = now_s
                if sequence.work is not None:
                    self.accounts.count_interrupted(sequence)
            else:
                self.accounts.count_wasted(sequence)
            rows.add(request)
            del live[request]
            if self._generators:
                self._generators.pop(sequence.order, None)
            if self._tenants and request.tenant in self._tenants:
                self._next_of(request.tenant)
        for sequence in sequences:
            sequence.done(sequence.request)

    def _count_rows(self, rows: RequestColumns) -> None:
        """Count requests that are done with, and hand them on."""
        self.statuses += np.bincount(rows.status, minlength=len(STATUSES))
        self.accounts.count_rows(rows)
        self._consume(rows)

    def _next_of(self, tenant: str) -> None:
        """Let the next request of a tenant through, where one that was itself let through has gone."""
        self._tenants[tenant] -= 1
        held_back = self._held_back[tenant]
        if held_back and self._tenants[tenant] - len(held_back) < self.options.tenant_limits[tenant]:
            sequence = held_back.popleft()
            if not self._entry.put(sequence):
                self._turn_away(sequence)

    def _draw(self, sequence: Sequence, count: int) -> NDArray[np.int64]:
        """Draw the next tokens per iteration of a sequence, from the request's own stream."""
        speculation = self.options.speculation
        assert speculation is not None
        generator = self._generators.get(sequence.order)
        if generator is None:
            generator = self.world.streams.generator(f"speculation {self.name} {sequence.order}")
            self._generators[sequence.order] = generator
        return draw_gains(generator, speculation.tokens, speculation.acceptance, count)
