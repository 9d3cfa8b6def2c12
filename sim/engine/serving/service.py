"""A service: replicas of one model behind a router; requests go in, and each comes back with what became of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sim.engine.serving.accounts import Accounts
from sim.engine.serving.closing import close_books
from sim.engine.serving.meter import Meter
from sim.engine.serving.options import ServiceOptions
from sim.engine.serving.recording import RequestRows, ServiceRecording, join_columns
from sim.engine.serving.replica import Replica
from sim.engine.serving.request import STATUSES
from sim.engine.serving.router import make_router
from sim.engine.serving.scheduler import Scheduler
from sim.engine.serving.sequence import Sequence
from sim.engine.serving.waiting import ByPriority, FirstCome
from sim.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.serving.recording import RequestColumns
    from sim.engine.serving.request import Request, Status
    from sim.engine.serving.waiting import Waiting
    from sim.engine.world import World
    from sim.plan.serving import ReplicaPlan

DEFAULT = ServiceOptions()
_CODES = {status: code for code, status in enumerate(STATUSES)}


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
    ) -> None:
        """Take devices from the world and begin.

        Args:
            world: whose clock, random streams and ledger it uses.
            plan: one replica.
            options: what stands around it.
            name: of the service, in ledger and messages.
            consume: takes the finished requests in chunks, so that memory stays flat; the recording then has none.

        Raises:
            ScenarioError: the options or the plan contradict themselves.
        """
        options.check(name)
        _check(plan, name)
        self.name = name
        self.plan = plan
        self.options = options
        self.world = world
        self.accounts = Accounts()
        self.meter = Meter(plan.cost.communication_s)
        self.counts = {"submitted": 0, "preemptions": 0, "retries": 0, "too long": 0}
        self.statuses = [0] * len(STATUSES)
        self.start_s = world.now_s
        self.chunks: list[RequestColumns] = []
        self._rows = RequestRows(consume or self.chunks.append)
        self._consumed = consume is not None
        self._router = make_router(options.router, world.streams, name)
        self._shared = self._queue() if self._router is None else None
        self._live: dict[Request, Sequence] = {}
        self._tenants: dict[str, int] = dict.fromkeys(options.tenant_limits, 0)
        self._held_back: dict[str, deque[Sequence]] = {tenant: deque() for tenant in options.tenant_limits}
        self.loads: list[int] = []
        """Outstanding requests of each replica."""
        self.replicas: list[Replica] = []
        for _ in range(options.replicas):
            self._add_replica()
        world.ledger.move(world.now_s, "free", f"service {name}", plan.devices * options.replicas)

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
        request.arrival_s = self.world.now_s
        self.counts["submitted"] += 1
        sequence = Sequence(request, done, self.counts["submitted"])
        self._live[request] = sequence
        limit = self.options.tenant_limits.get(request.tenant)
        if limit is not None:
            self._tenants[request.tenant] += 1
        if -(-(request.prompt_tokens + request.output_tokens - 1) // self.plan.block_size) > self.plan.kv_blocks:
            self.counts["too long"] += 1
            self._turn_away(sequence)
            return
        if request.time_out_s is not None:
            self.world.after(request.time_out_s, lambda: self._give_up(request, "timed out"))
        if limit is not None and self._tenants[request.tenant] > limit:
            self._held_back[request.tenant].append(sequence)
            return
        self._route(sequence)

    def cancel(self, request: Request) -> None:
        """Give a request up; its tokens so far are wasted.

        It leaves a queue at once and a batch at the end of the running iteration; then ``done`` is called. A request
        that is done with already stays as it is.
        """
        self._give_up(request, "cancelled")

    def close(self, now_s: float) -> ServiceRecording:
        """End the service, give its devices back and assert that nothing was lost; requests must be done with.

        Raises:
            ConservationError: the service contradicts itself.
        """
        self._rows.flush()
        self.meter.flush()
        requests = None if self._consumed else join_columns(self.chunks)
        return close_books(self, now_s, requests, tuple(self._rows.tenants))

    def _queue(self) -> Waiting:
        return ByPriority() if self.options.by_priority else FirstCome()

    def _add_replica(self) -> None:
        waiting = self._shared if self._shared is not None else self._queue()
        place = len(self.replicas)
        scheduler = Scheduler(self.plan, waiting, place, by_priority=self.options.by_priority)
        replica = Replica(self.world, self.plan.cost, scheduler, self.meter, self._take_back, place)
        self.replicas.append(replica)
        self.loads.append(0)

    def _route(self, sequence: Sequence) -> None:
        """Send a sequence to a replica, or to the queue that they share."""
        if self._router is None:
            self._share(sequence)
            return
        place = self._router.choose(sequence.request, self.loads)
        replica = self.replicas[place]
        scheduler = replica.scheduler
        limit = self.options.max_queue
        if limit is not None:
            free = scheduler.max_sequences - scheduler.running
            if len(scheduler.waiting) - free >= limit:
                self._turn_away(sequence)
                return
        self.loads[place] += 1
        sequence.request.replica = place
        scheduler.waiting.push(sequence)
        replica.notify(sequence)

    def _share(self, sequence: Sequence) -> None:
        """Put a sequence into the shared queue and tell a replica that can take it."""
        limit = self.options.max_queue
        shared = self.replicas[0].scheduler.waiting
        if limit is not None:
            free = sum(replica.scheduler.max_sequences - replica.scheduler.running for replica in self.replicas)
            if len(shared) - free >= limit:
                self._turn_away(sequence)
                return
        shared.push(sequence)
        for replica in self.replicas:
            replica.notify(sequence)

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
        if sequence.running:
            if self.replicas[request.replica].drop(sequence):
                self._leave_replica(sequence)
                self._end_soon(sequence)
            return
        queue = self._held_back.get(request.tenant)
        if queue and sequence in queue:
            queue.remove(sequence)
        else:
            self._leave_queue(sequence)
        self._end_soon(sequence)

    def _leave_queue(self, sequence: Sequence) -> None:
        """Take a sequence out of its replica's queue; who stood behind it may now fit."""
        sharing = self.replicas if self._router is None else [self.replicas[sequence.request.replica]]
        waiting = sharing[0].scheduler.waiting
        waiting.remove(sequence)
        self._leave_replica(sequence)
        if waiting:
            for replica in sharing:
                replica.notify(waiting.head())

    def _leave_replica(self, sequence: Sequence) -> None:
        if self._router is not None:
            self.loads[sequence.request.replica] -= 1

    def _end_soon(self, sequence: Sequence) -> None:
        """Tell of a request as soon as whoever is at work now has returned."""
        self.world.after(0.0, lambda: self._end([sequence]))

    def _take_back(self, replica: Replica, sequences: list[Sequence]) -> None:
        """Take sequences from a replica that has finished or dropped them."""
        self.loads[replica.index] -= len(sequences)
        self._end(sequences)

    def _end(self, sequences: list[Sequence]) -> None:
        """Record what became of requests, then tell those who wait for them."""
        now_s = self.world.now_s
        for sequence in sequences:
            request = sequence.request
            finished = request.status == "waiting"
            if finished:
                request.status = "finished"
                request.finish_s = now_s
            request.generated_tokens = sequence.generated
            request.cached_tokens = max(sequence.cached, 0)
            self.accounts.count(sequence, finished=finished)
            self.statuses[_CODES[request.status]] += 1
            self._rows.add(request, _CODES[request.status])
            del self._live[request]
            if self._tenants and request.tenant in self._tenants:
                self._next_of(request.tenant)
        for sequence in sequences:
            sequence.done(sequence.request)

    def _next_of(self, tenant: str) -> None:
        """Let the next request of a tenant through, now that one of its own has gone."""
        self._tenants[tenant] -= 1
        held_back = self._held_back[tenant]
        if held_back:
            self._route(held_back.popleft())


def _check(plan: ReplicaPlan, name: str) -> None:
    """Refuse a replica that no engine would start."""
    rules = (
        (plan.kv_blocks >= 1, "a replica has at least 1 block of KV cache", plan.kv_blocks),
        (plan.block_size >= 1, "a block has at least 1 token", plan.block_size),
        (plan.max_sequences >= 1, "a replica runs at least 1 sequence", plan.max_sequences),
        (
            plan.token_budget >= plan.max_sequences,
            f"the token budget of an iteration is at least the {plan.max_sequences} sequences that it may hold",
            plan.token_budget,
        ),
    )
    for holds, rule, value in rules:
        if not holds:
            raise ScenarioError(rule, value=str(value), where=f"service {name}", mend="see engine: in the service")
