"""Replicas that are alike behind one router: they start, fail, leave, and take sequences."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from sim.engine.serving.meter import Meter
from sim.engine.serving.replica import Replica
from sim.engine.serving.router import AWAY, make_router
from sim.engine.serving.scheduler import Scheduler
from sim.engine.serving.waiting import ByPriority, FirstCome
from sim.engine.world import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.serving.devices import Devices
    from sim.engine.serving.options import ServiceOptions
    from sim.engine.serving.replica import IterationCost
    from sim.engine.serving.sequence import Sequence
    from sim.engine.serving.waiting import Waiting
    from sim.engine.world import World
    from sim.plan.serving import ReplicaPlan

State = Literal["up", "starting", "down", "leaving", "waiting", "gone"]
"""A replica that is waiting has asked for devices; one that is gone wants none."""
HOLDING: tuple[State, ...] = ("up", "starting", "down", "leaving")


class Group:
    """Some replicas of a service: all of them, or those that prefill, or those that decode."""

    def __init__(
        self,
        world: World,
        plan: ReplicaPlan,
        cost: IterationCost,
        options: ServiceOptions,
        name: str,
        hand_back: Callable[[list[Sequence]], None],
        send_again: Callable[[Group, list[Sequence]], None],
        devices: Devices,
        *,
        prefill_only: bool = False,
        draw: Callable[[Sequence, int], NDArray[np.int64]] | None = None,
    ) -> None:
        """Begin without replicas; ``cost`` is the plan's, or what drafting makes of it."""
        self.world = world
        self.plan = plan
        self.name = name
        self.meter = Meter(plan.cost.communication_s, plan.kv_blocks)
        self.router = make_router(options.router, world.streams, name)
        self.replicas: list[Replica] = []
        self.loads: list[int] = []
        """Outstanding requests of each replica; AWAY and more where it takes none."""
        self.parked: deque[Sequence] = deque()
        """Sequences that came while no replica was up."""
        self.seconds: dict[State, float] = dict.fromkeys((*HOLDING, "waiting", "gone"), 0.0)
        """Replica-seconds by state."""
        self.lost_s = 0.0
        """Seconds of iterations that a failure broke off."""
        self.account = f"service {name}"
        self._options = options
        self._most_waiting = options.max_queue
        self._cost = cost
        self._hand_back = hand_back
        self.send_again = send_again
        """Takes the sequences of a replica that is lost."""
        self._devices = devices
        self._begun_s = world.now_s
        self._prefill_only = prefill_only
        self._draw = draw
        self._shared = self._queue() if self.router is None else None
        self._open = 0
        """Replicas that take requests."""
        self._states: list[State] = []
        self._since_s: list[float] = []
        self._alarms: list[Alarm] = []

    def start(self, count: int = 1) -> None:
        """Ask for the devices of more replicas."""
        for _ in range(count):
            place = self._states.index("gone") if "gone" in self._states else self._add()
            self._change(place, "waiting")
            self._devices.ask(self, place)

    def got(self, place: int) -> None:
        """Let a replica start that has its devices now; where that is the beginning of time it is up at once."""
        if self._states[place] == "waiting":
            self._bring_up(place, 0.0 if self.world.now_s == self._begun_s else self._options.cold_start_s)

    def lose(self, place: int) -> None:
        """Take the devices of a replica away: what it had is lost, and it waits for devices again.

        One that was leaving is gone.
        """
        state = self._states[place]
        lost = self.fail(place) if state in ("up", "leaving") else []
        self._alarms[place].clear()
        if self._states[place] != "gone":
            self._change(place, "waiting")
        if lost:
            self.send_again(self, lost)

    def count(self, *states: State) -> int:
        """Count the replicas in any of these states."""
        return sum(state in states for state in self._states)

    def put(self, sequence: Sequence) -> bool:
        """Give a sequence to a replica or the queue that they share; tell whether there was room in it."""
        if self.router is None:
            return self._put_shared(sequence)
        if not self._open:
            self.parked.append(sequence)
            return True
        loads, request = self.loads, sequence.request
        place = self.router.choose(request, loads) if len(loads) > 1 else 0
        replica = self.replicas[place]
        waiting = replica.scheduler.waiting
        if self._most_waiting is not None and len(waiting) - self._room(replica) >= self._most_waiting:
            return False
        loads[place] += 1
        request.replica = place
        waiting.push(sequence)
        replica.notify(sequence)
        return True

    def _put_shared(self, sequence: Sequence) -> bool:
        """Let a sequence wait in the queue of all replicas."""
        limit = self._most_waiting
        if limit is not None and len(self.shared) - sum(self._room(each) for each in self.replicas) >= limit:
            return False
        self.shared.push(sequence)
        self.notify_all(sequence)
        return True

    @property
    def shared(self) -> Waiting:
        """Give the queue that all replicas share."""
        assert self._shared is not None
        return self._shared

    def _tell(self) -> None:
        """Let every replica look at the head of the shared queue: it is another."""
        if self.shared:
            self.notify_all(self.shared[0])

    def notify_all(self, sequence: Sequence) -> None:
        """Let every replica look at a sequence that has come to the shared queue."""
        for replica, state in zip(self.replicas, self._states, strict=True):
            if state == "up":
                replica.notify(sequence)

    def remove(self, sequence: Sequence) -> bool:
        """Take a sequence out of wherever it is; tell whether it has gone, or comes back after its iteration."""
        place = sequence.request.replica
        if sequence.running:
            gone = self.replicas[place].drop(sequence)
            if gone and self.router is not None:
                self.loads[place] -= 1
            return gone
        if sequence in self.parked:
            self.parked.remove(sequence)
            return True
        waiting = self.shared if self.router is None else self.replicas[place].scheduler.waiting
        waiting.remove(sequence)
        if place >= 0:
            self.replicas[place].scheduler.forget(sequence)
        if self.router is not None:
            self.loads[place] -= 1
        if waiting:
            # Who stood behind it may now fit.
            if self.router is None:
                self.notify_all(waiting[0])
            else:
                self.replicas[place].notify(waiting[0])
        return True

    def leave(self, count: int) -> None:
        """Let some replicas go: first those that wait for devices, the last to ask first, then the least loaded.

        These take no more requests and end what they have.
        """
        waiting = [place for place, state in enumerate(self._states) if state == "waiting"][::-1][:count]
        for place in waiting:
            self._go(place)
        for _ in range(count - len(waiting)):
            up = [place for place, state in enumerate(self._states) if state == "up"]
            place = min(up, key=lambda each: (self.loads[each], -each))
            self._away(place, "leaving")
            self._release_if_empty(place)

    def fail(self, place: int) -> list[Sequence]:
        """Break a replica off and give all that it had; one that was leaving has left."""
        replica = self.replicas[place]
        lost = replica.fail()
        self.lost_s += replica.broken_s
        if self.router is not None or self._states[place] == "leaving":
            waiting = replica.scheduler.waiting
            while waiting:
                lost.append(waiting.pop())
                replica.scheduler.forget(lost[-1])
        if self.router is not None:
            self.loads[place] -= len(lost)
        if self._states[place] == "leaving":
            self._release_if_empty(place)
        else:
            self._away(place, "down")
        return lost

    def repair(self, place: int) -> None:
        """Let a failed replica start again, on the devices that it kept."""
        if self._states[place] == "down":
            self._bring_up(place, self._options.cold_start_s)

    def end(self) -> None:
        """Give everything back; nothing runs any more."""
        for place, state in enumerate(self._states):
            self._alarms[place].clear()
            if state != "gone":
                self._go(place)

    def is_up(self, place: int) -> bool:
        """Tell whether a replica is there that can fail."""
        return place < len(self._states) and self._states[place] in {"up", "leaving"}

    def close(self, now_s: float) -> float:
        """End all states; give the replica-seconds for which devices were held."""
        for place, state in enumerate(self._states):
            self.seconds[state] += now_s - self._since_s[place]
            self._since_s[place] = now_s
        return sum(self.seconds[state] for state in HOLDING)

    def _add(self) -> int:
        place = len(self.replicas)
        waiting = self._queue() if self._shared is None else self._shared
        options = self._options
        scheduler = Scheduler(
            self.plan,
            waiting,
            place,
            by_priority=options.by_priority,
            prefill_only=self._prefill_only,
            offload=options.offload,
            drafted=options.speculation.tokens if options.speculation else 0,
            draw=self._draw,
            tell=None if self._shared is None else self._tell,
        )
        replica = Replica(self.world, self._cost, scheduler, self.meter, self._take_back, place)
        self.replicas.append(replica)
        self.loads.append(AWAY)
        self._states.append("gone")
        self._since_s.append(self.world.now_s)
        self._alarms.append(Alarm(self.world, lambda: self._up(place)))
        return place

    def _queue(self) -> Waiting:
        return ByPriority() if self._options.by_priority else FirstCome()

    def _room(self, replica: Replica) -> int:
        scheduler = replica.scheduler
        return scheduler.max_sequences - scheduler.running

    def _bring_up(self, place: int, after_s: float) -> None:
        self._change(place, "starting")
        if after_s:
            self._alarms[place].set(after_s)
        else:
            self._up(place)

    def _up(self, place: int) -> None:
        """Let a replica take requests, those first that found none."""
        self._change(place, "up")
        self.loads[place] -= AWAY
        self._open += 1
        scheduler = self.replicas[place].scheduler
        if self._shared is not None:
            scheduler.waiting = self._shared
            if self._shared:
                self.replicas[place].notify(self._shared[0])
        if self.parked:
            # Others may come up at this instant: they share what has waited.
            self.world.after(0.0, self._unpark)

    def _unpark(self) -> None:
        """Give what came while no replica was up to the least loaded ones."""
        loads = self.loads
        while self.parked and self._open:
            sequence = self.parked.popleft()
            place = loads.index(min(loads))
            loads[place] += 1
            sequence.request.replica = place
            self.replicas[place].scheduler.waiting.push(sequence)
            self.replicas[place].notify(sequence)

    def _away(self, place: int, state: State) -> None:
        self._change(place, state)
        self.loads[place] += AWAY
        self._open -= 1
        if self._shared is not None:
            self.replicas[place].scheduler.waiting = self._queue()

    def _change(self, place: int, state: State) -> None:
        now_s = self.world.now_s
        self.seconds[self._states[place]] += now_s - self._since_s[place]
        self._states[place] = state
        self._since_s[place] = now_s

    def _take_back(self, replica: Replica, sequences: list[Sequence]) -> None:
        if self.router is not None:
            self.loads[replica.index] -= len(sequences)
        self._hand_back(sequences)
        if self._states[replica.index] == "leaving":
            self._release_if_empty(replica.index)

    def _release_if_empty(self, place: int) -> None:
        """Give the devices of a leaving replica back once it has nothing more to do."""
        replica = self.replicas[place]
        if replica.scheduler.running or replica.scheduler.waiting:
            return
        replica.scheduler.pool.clear()
        self._go(place)

    def _go(self, place: int) -> None:
        self._change(place, "gone")
        self._devices.give_back(self, place)
