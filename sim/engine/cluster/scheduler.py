"""Play jobs on a shared cluster: what arrives, what a policy decides, what ends, and where every device-second went."""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sim.engine.cluster.books import RUNNING, Books
from sim.engine.cluster.contract import PolicyError, told
from sim.engine.cluster.faults import FaultProcess
from sim.engine.cluster.policies.per_kind import PerKind
from sim.engine.cluster.policy import Preempt, Resize, Start, Wake
from sim.engine.cluster.recording import FINISHED, REJECTED, RELEASED, ClusterRecording
from sim.engine.cluster.rules import Gate, Rules
from sim.engine.cluster.run import Run
from sim.engine.cluster.state import State
from sim.engine.cluster.view import View
from sim.engine.ledger import FREE
from sim.engine.world import Alarm
from sim.errors import InfeasibleError, SimError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sim.engine.cluster.contention import JobNetwork
    from sim.engine.cluster.job import Devices, Job, Workload
    from sim.engine.cluster.owner import Owner
    from sim.engine.cluster.places import Places
    from sim.engine.cluster.policy import Policy
    from sim.engine.cluster.rules import Pool
    from sim.engine.world import World

MAX_ROUNDS = 10_000
"""Times that a policy may be asked at one instant while jobs that take no time come and go."""


class Scheduler(State):
    """The jobs of one cluster, from arrival to end.

    Everything that happens at one instant happens in this order: ends, then what was asked for (checkpoints written,
    repairs, failures), what owners ask for and give back, then arrivals; then the policy decides. Owners (services)
    join the queue that the jobs of the workload wait in; their work is of unknown length.
    """

    def __init__(
        self,
        world: World,
        pools: Sequence[Pool],
        workload: Workload,
        policy: Policy,
        rules: Rules | None = None,
        places: Places | None = None,
        network: JobNetwork | None = None,
    ) -> None:
        """Begin with all devices free; jobs come in the order of arrival, and of number where they arrive together."""
        super().__init__(pools, rules or Rules(), places)
        self.world, self.workload, self.policy, self.network = world, workload, policy, network
        self.books = Books(workload, self.pools)
        self.events: list[tuple[float, str, str]] = []
        self._view = View(self)
        self._deciding = policy
        """The policy, or one for each kind of device side by side."""
        self._jobs, self._run_s = workload.jobs, workload.run_s
        self._next = 0
        self._unfinished = len(workload.jobs)
        self._position: dict[int, int] = {}
        self._ends: list[tuple[float, int, int]] = []
        self._versions = 0
        self._timed: list[tuple[float, int, Callable[[], None]]] = []
        self._timed_count = 0
        self._gates = {tenant: Gate(quota) for tenant, quota in self.rules.quotas.items()}
        self._alarm = Alarm(world, self._wake)
        self._alarm_s = 0.0
        self._is_over = not workload.jobs
        self._asking = False
        """Whether the policy is at work, so that an exception is its own."""
        self._watchers: list[Callable[[str, float, Run], None]] = []
        self._owners: dict[int, Owner] = {}
        self._inbox: list[Callable[[], None]] = []
        """What owners want, until the scheduler lives through this instant."""
        self._numbers = -1
        """The last number that was given; none are given where the workload has all jobs."""
        self._owned: list[tuple[Job, str]] = []
        """What owners submitted, with their names; its rows stand behind those of the workload."""
        self._until_s = workload.until_s
        self._is_awake = False

    def begin(self) -> None:
        """Tell the policy that time starts, and wait for the first arrival."""
        if self.policy.needs_one_kind and len(self.kinds) > 1:
            self._deciding = PerKind(self.policy, self)
        self._deciding.begin(self._view)
        for reservation in self.rules.reservations:
            self.at(reservation.from_s, _nothing)
            self.at(reservation.until_s, _nothing)
        self._faults = FaultProcess(self, self.rules.faults)
        if not self._is_over:
            self._set_alarm(self._next_s())

    def has_finished(self) -> bool:
        """Tell whether every job has ended, and every owner has parted."""
        return self._is_over

    def join(self) -> None:
        """Let an owner ask for devices: jobs are now numbered as they come, whoever submits them."""
        if self._numbers < 0:
            self._numbers, self._jobs = 0, list(self._jobs)
        self._unfinished += 1
        self._is_over = False

    def part(self) -> None:
        """Let an owner go that has given everything back."""
        self._post(self._part)

    def submit(self, job: Job, owner: Owner) -> Job:
        """Ask for devices now, for as long as the owner wants; gives the job with its number.

        Raises:
            InfeasibleError: the cluster or a quota never has so many devices.
        """
        self._numbers += 1
        job = replace(job, number=self._numbers, arrival_s=self.world.now_s)
        reason = self._never(job)
        if reason:
            raise InfeasibleError(f"{job.name} {reason}", where=f"policy {self.policy.name}", mend="more devices")
        self._owners[job.number] = owner
        self._post(partial(self._admit, job, owner.name))
        return job

    def release(self, job: Job) -> None:
        """Give the devices of work of unknown length back, or want them no more; at the end of this instant."""
        self._post(partial(self._let_go, job))

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Call the action at this time, between the ends and the arrivals of that instant."""
        self._timed_count += 1
        heapq.heappush(self._timed, (time_s, self._timed_count, action))

    def watch(self, watcher: Callable[[str, float, Run], None]) -> None:
        """Tell somebody of each "start", "resize" and "stop" of a run, with the time, when it has happened."""
        self._watchers.append(watcher)

    def record(self) -> ClusterRecording:
        """Close the ledger, which asserts conservation, and give what happened."""
        end_s = self.now_s = max(self.now_s, self.world.now_s) if self._numbers >= 0 else self.now_s
        self._faults.still_down()
        self.books.settle(self.world.ledger, end_s)
        played = self.workload
        if self._numbers >= 0:
            owned = len(self._owned)
            played = replace(
                played,
                jobs=[*self._jobs, *(job for job, _ in self._owned)],
                run_s=[*played.run_s, *[math.inf] * owned],
                flop=[*played.flop, *[0.0] * owned] if played.flop else (),
            )
        return ClusterRecording(
            policy=self.policy.name,
            seed=self.world.streams.seed,
            workload=played,
            capacity=self.capacity,
            kinds=self.kinds,
            wall_clock_s=end_s,
            accounts=self.world.ledger.close(end_s),
            by_kind=self.books.by_kind(end_s),
            events=tuple(self.events),
            world_events=self.world.events,
            replicas=tuple(name for _, name in self._owned),
            **self.books.columns(),
        )

    # The clock.

    def _wake(self) -> None:
        """Live through one instant, and through those after it that come before anything else in the world."""
        if not self._unfinished:
            self._is_over = True
            return
        self._is_awake = True
        try:
            while True:
                now_s = self.now_s = self._alarm_s
                next_s = self._live(now_s)
                if not self._unfinished:
                    break
                if next_s == math.inf:
                    self._refuse_stall()
                    break
                if self._watchers or not self.world.skip_to(next_s):
                    break
                self.world.events += 1
                self.world.show()
                self._alarm_s = next_s
        except SimError:
            raise
        except Exception as error:
            if self._asking:
                raise self._broken("own errors", f"{type(error).__name__}: {error}") from error
            raise
        finally:
            self._is_awake = False
        self._set_alarm(next_s if self._unfinished else now_s)

    def _live(self, now_s: float) -> float:
        """Do all that happens at one instant, and give the time of the next."""
        for _ in range(MAX_ROUNDS):
            self._take_ends(now_s)
            while self._timed and self._timed[0][0] <= now_s:
                heapq.heappop(self._timed)[2]()
            while self._inbox:
                self._inbox.pop(0)()
            self._take_arrivals(now_s)
            self._asking = True
            for decision in self._deciding.decide(self._view):
                self._asking = False
                self._carry_out(decision)
                self._asking = True
            self._asking = False
            next_s = self._next_s()
            if next_s > now_s:
                return next_s
        raise PolicyError("progress", value=f"{MAX_ROUNDS} rounds of decisions at {now_s!r} s")

    def _next_s(self) -> float:
        """Give the time of the next thing to happen."""
        if self._inbox:
            return self.now_s
        ends, runs = self._ends, self.runs
        while ends:
            _, number, version = ends[0]
            run = runs.get(number)
            if run is not None and run.version == version:
                break
            heapq.heappop(ends)
        next_s = ends[0][0] if ends else math.inf
        if self._timed and self._timed[0][0] < next_s:
            next_s = self._timed[0][0]
        if self._next < len(self._jobs) and self._jobs[self._next].arrival_s < next_s:
            next_s = self._jobs[self._next].arrival_s
        return next_s

    def _set_alarm(self, next_s: float) -> None:
        """Wake at this time; after the last end, the clock of the world still comes to it."""
        if next_s < math.inf:
            self._alarm_s = max(next_s, self.world.now_s)
            self._alarm.set_at(self._alarm_s)

    def _post(self, wish: Callable[[], None]) -> None:
        """Take what an owner wants, and see to it at the end of this instant."""
        self._inbox.append(wish)
        if not self._is_awake:
            self._set_alarm(self.world.now_s)

    def _refuse_stall(self) -> None:
        """Stop a policy that lets jobs wait though nothing will ever happen again; owners may give devices back."""
        if self._numbers >= 0 and (not self.jobs_waiting or any(number in self._owners for number in self.runs)):
            return
        job = next(iter(self.jobs_waiting.values()))
        raise PolicyError(
            "liveness",
            value=f"{len(self.jobs_waiting)} jobs wait, the first is {told(job)}; {self.free} devices are free",
            where=f"policy {self.policy.name} at {self.now_s:.6g} s",
            mend="start a job, or ask for a wake-up",
        )

    # What happens.

    def _take_ends(self, now_s: float) -> None:
        ends, runs = self._ends, self.runs
        while ends and ends[0][0] <= now_s:
            _, number, version = heapq.heappop(ends)
            run = runs.get(number)
            if run is not None and run.version == version:
                self._finish(run)

    def _finish(self, run: Run) -> None:
        job, position = run.job, run.position
        self.books.close_run(run, self.now_s, run.total_s, run.total_s)
        self._release(run)
        self.books.outcome[position] = FINISHED
        self.books.finish_s[position] = self.now_s
        self.books.finished_flop(position)
        self._unfinished -= 1
        del self._position[job.number]
        self.kept.pop(job.number, None)
        self._tell_finished(job)
        if job.tenant in self._gates:
            self._submit(self._gates[job.tenant].leave(job))

    def _take_arrivals(self, now_s: float) -> None:
        jobs, position = self._jobs, self._next
        while position < len(jobs) and jobs[position].arrival_s <= now_s:
            job = jobs[position] if self._numbers < 0 else self._numbered(position)
            self._position[job.number] = position
            if self._until_s and position in self._until_s:
                self.at(max(self._until_s[position], now_s), partial(self._let_go, job))
            position += 1
            reason = self._never(job)
            if reason:
                self._reject(job, reason)
            elif job.tenant in self._gates:
                self._submit(self._gates[job.tenant].arrive(job))
            else:
                self.jobs_waiting[job.number] = job
                self._tell_submitted(job)
        self._next = position

    def _numbered(self, position: int) -> Job:
        """Give a job of the workload its number, among those that owners submit."""
        self._numbers += 1
        job = self._jobs[position] = replace(self._jobs[position], number=self._numbers)  # type: ignore[index]
        return job

    def _admit(self, job: Job, name: str) -> None:
        """Let what an owner asks for wait."""
        self._position[job.number] = self.books.add_job()
        self._owned.append((job, name))
        self._submit((job,) if job.tenant not in self._gates else self._gates[job.tenant].arrive(job))

    def _let_go(self, job: Job) -> None:
        """End work of unknown length, whether it runs, waits, or was turned away."""
        number = job.number
        position = self._position.pop(number, None)
        if position is None:
            return
        run = self.runs.get(number)
        if run is not None:
            done_s = run.done_s if run.is_stopping else run.done_at(self.now_s)
            self.books.close_run(run, self.now_s, done_s, done_s)
            self._release(run)
            self._tell(self._deciding.finished, job)
        elif self.jobs_waiting.pop(number, None) is not None:
            self._tell(self._deciding.withdrawn, job)
        self.books.outcome[position] = RELEASED
        self.books.finish_s[position] = self.now_s
        self.kept.pop(number, None)
        if self._owners.pop(number, None) is None:
            self._unfinished -= 1
        if job.tenant in self._gates:
            self._submit(self._gates[job.tenant].withdraw(job))

    def _part(self) -> None:
        self._unfinished -= 1

    def _submit(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self.jobs_waiting[job.number] = job
            self._tell_submitted(job)

    def _never(self, job: Job) -> str:
        """Say why a job can never run; empty where it can."""
        if self.is_plain and not job.kinds:
            fits = job.devices <= self.capacity
        else:
            fits = any(self.could_run(job, kind) for kind in self.kinds)
        if not fits:
            return (
                f"asks for {job.devices} devices of {', '.join(job.kinds) or 'one kind'}, which the cluster never has"
            )
        quota = self.rules.quotas.get(job.tenant)
        if quota is not None and job.devices > quota:
            return f"asks for {job.devices} devices, and the quota of {job.tenant} is {quota}"
        return ""

    def _reject(self, job: Job, reason: str) -> None:
        self.books.outcome[self._position.pop(job.number)] = REJECTED
        self.events.append((self.now_s, "rejected", f"{told(job)} {reason}"))
        self._unfinished -= 1

    # What a policy decides.

    def _carry_out(self, decision: Any) -> None:  # noqa: ANN401 - a policy may give anything
        kind = type(decision)  # comparing types takes half the time of isinstance
        if kind is Start:
            self._start(decision)
        elif kind is Preempt:
            self._preempt(decision.job)
        elif kind is Resize:
            self._resize(decision.job, decision.devices)
        elif kind is Wake:
            if not decision.at_s > self.now_s:
                raise self._broken("future", f"{decision.at_s!r} s")
            self.at(decision.at_s, _nothing)
        else:
            raise self._broken("decision", repr(decision)[:200])

    def _start(self, decision: Start) -> None:
        job = decision.job
        number = getattr(job, "number", None)
        if number is None or self.jobs_waiting.get(number) is not job:
            raise self._broken("waiting", told(job) if number is not None else repr(job)[:200])
        devices = job.devices if decision.devices is None else decision.devices
        if devices != job.devices and not (type(devices) is int and job.takes(devices)):
            raise self._broken("gang", f"{told(job)} asks for {job.devices}, {devices} were given")
        kind = self.kind_that_fits(job, devices, decision.kind)
        if kind is None:
            raise self._start_refused(job, devices, decision.kind)
        self._hold(job, kind, devices)
        del self.jobs_waiting[number]
        self.free -= devices
        self.free_by_kind[kind] -= devices
        now_s = self.now_s
        owner = self._owners.get(number) if self._owners else None
        self.world.ledger.move(now_s, FREE, RUNNING if owner is None else owner.account, devices)
        position = self._position[number]
        books = self.books
        if number in self.kept:
            saved_s, ready_s = self.kept[number][0], now_s + job.restart_s
        else:
            saved_s, ready_s = 0.0, now_s
            books.start_s[position] = now_s
        place = None if self.places is None else self.places.take(job, devices, kind)
        pace, total_s = job.speed.at(devices, kind, place), math.inf if owner is not None else self._run_s[position]
        run = Run(job, position, devices, kind, place, pace, 1.0, now_s, ready_s, now_s, saved_s, saved_s, total_s)
        run.owner = owner
        run.version = self._versions = self._versions + 1
        self.runs[number] = run
        heapq.heappush(self._ends, (run.end_s(), number, run.version))
        for watcher in self._watchers:
            watcher("start", now_s, run)
        if self.network is not None:
            self._re_rate(self.network.started(run))
        if owner is not None:
            owner.got()

    def _hold(self, job: Job, kind: str, more: Devices) -> None:
        """Count the devices of a tenant."""
        used = self.used_by_tenant.setdefault(job.tenant, {})
        if self._gates and job.tenant in self._gates:
            held, quota = sum(used.values()) + more, self.rules.quotas[job.tenant]
            if held > quota:
                raise self._broken("quota", f"{told(job)}: {held} devices of {job.tenant}, whose quota is {quota}")
        used[kind] = used.get(kind, 0) + more

    def _preempt(self, job: Job) -> None:
        run = self._run_of(job)
        if not job.preemptible:
            raise self._broken("preemptible", told(job))
        if run.start_s == self.now_s:
            raise self._broken("progress", f"{told(job)} started at {self.now_s!r} s")
        self.books.preemptions[run.position] += 1
        done_s = run.done_at(self.now_s)
        if not self.rules.grace_s or job.checkpoint_s is None:
            self._stop(run, done_s, run.safe_s(done_s))
            return
        run.close_piece(self.now_s, done_s)
        run.is_stopping = True
        run.version = self._version()
        version = run.version
        self.at(self.now_s + self.rules.grace_s, lambda: self._grace_over(run, version))

    def _grace_over(self, run: Run, version: int) -> None:
        if self.runs.get(run.job.number) is run and run.version == version:
            self._stop(run, run.done_s, run.done_s)

    def interrupt(self, run: Run) -> None:
        """Stop a job whose device failed; it waits again."""
        self.books.failures[run.position] += 1
        done_s = run.done_s if run.is_stopping else run.done_at(self.now_s)
        self._stop(run, done_s, run.safe_s(done_s))

    def _stop(self, run: Run, done_s: float, safe_s: float) -> None:
        job = run.job
        attained = self.attained_device_s(job)
        self.books.close_run(run, self.now_s, done_s, safe_s)
        self._release(run)
        self.kept[job.number] = (safe_s, attained)
        self._tell(self._deciding.stopped, job)
        self.jobs_waiting[job.number] = job
        self._tell_submitted(job)
        if run.owner is not None:
            run.owner.lost()

    def _release(self, run: Run) -> None:
        devices = run.devices
        del self.runs[run.job.number]
        if run.place is not None and self.places is not None:
            self.places.give_back(run.place)
        self.free += devices
        self.free_by_kind[run.kind] += devices
        self.used_by_tenant[run.job.tenant][run.kind] -= devices
        self.world.ledger.move(self.now_s, RUNNING if run.owner is None else run.owner.account, FREE, devices)
        for watcher in self._watchers:
            watcher("stop", self.now_s, run)
        if self.network is not None:
            self._re_rate(self.network.stopped(run.job.number))

    def _re_rate(self, slowdowns: Mapping[int, float]) -> None:
        """Change the pace of jobs whose share of the network changed."""
        for number, slowdown in slowdowns.items():
            run = self.runs.get(number)
            if run is None or run.is_stopping or run.slowdown == slowdown:
                continue
            run.close_piece(self.now_s, run.done_at(self.now_s))
            run.slowdown = slowdown
            run.version = self._version()
            heapq.heappush(self._ends, (run.end_s(), number, run.version))

    def _resize(self, job: Job, devices: Devices) -> None:
        run = self._run_of(job)
        if not (type(devices) is int and job.is_elastic and job.takes(devices)):
            raise self._broken("gang", f"{told(job)} takes {job.least} to {job.most} devices, {devices} were given")
        more = devices - run.devices
        if more > self.free_by_kind[run.kind] or self.is_reserved(job, more):
            raise self._broken("capacity", f"{told(job)}: {more} more devices, {self.free_by_kind[run.kind]} are free")
        if not more:
            return
        if not self.can_move(run, devices):
            raise self._broken("placement", f"{told(job)} on {devices} devices")
        self._hold(job, run.kind, more)
        run.close_piece(self.now_s, run.done_at(self.now_s))
        if self.places is not None and run.place is not None:
            run.place = self.places.move(job, run.place, devices, run.kind)
        run.devices, run.pace = devices, job.speed.at(devices, run.kind, run.place)
        run.ready_s = self.now_s + job.restart_s
        self.free -= more
        self.free_by_kind[run.kind] -= more
        if more > 0:
            self.world.ledger.move(self.now_s, FREE, RUNNING, more)
        else:
            self.world.ledger.move(self.now_s, RUNNING, FREE, -more)
        run.version = self._version()
        heapq.heappush(self._ends, (run.end_s(), job.number, run.version))
        for watcher in self._watchers:
            watcher("resize", self.now_s, run)
        if self.network is not None:
            slowdowns = dict(self.network.stopped(job.number))
            self._re_rate(slowdowns | dict(self.network.started(run)))

    def _version(self) -> int:
        """Give a version that no end has had, so that ends of earlier stretches mean nothing."""
        self._versions += 1
        return self._versions

    def _run_of(self, job: Job) -> Run:
        run = self.runs.get(getattr(job, "number", -1))
        if run is None or run.job is not job or run.is_stopping:
            raise self._broken("running", told(job) if hasattr(job, "number") else repr(job)[:200])
        return run

    # What the policy is told.

    def _tell_submitted(self, job: Job) -> None:
        self._asking = True
        self._deciding.submitted(job, self._view)
        self._asking = False

    def _tell_finished(self, job: Job) -> None:
        self._asking = True
        self._deciding.finished(job, self._view)
        self._asking = False

    def _tell(self, method: Callable[[Job, View], None], job: Job) -> None:
        self._asking = True
        method(job, self._view)
        self._asking = False

    # What a policy did wrong.

    def _broken(self, rule: str, value: str) -> PolicyError:
        return PolicyError(rule, value, where=f"policy {self.policy.name} at {self.now_s:.6g} s")

    def _start_refused(self, job: Job, devices: Devices, kind: str | None) -> PolicyError:
        """Find the rule that a start breaks."""
        if kind is not None and kind not in self.kinds:
            return self._broken("kind", f"{told(job)} on {kind!r}; the cluster has {', '.join(self.kinds)}")
        kinds = self.kinds if kind is None else (kind,)
        possible = [each for each in kinds if self.runs_on(job, devices, each)]
        if not possible:
            return self._broken("kind", f"{told(job)} does not run on {', '.join(kinds)}")
        if all(devices > self.free_by_kind[each] for each in possible):
            free = ", ".join(f"{self.free_by_kind[each]} of {each}" for each in possible)
            return self._broken("capacity", f"{told(job)} on {devices} devices; free: {free}")
        rule = "placement" if not self.is_reserved(job, devices) else "reservation"
        return self._broken(rule, f"{told(job)} on {devices} devices")


def _nothing() -> None:
    """Happen, so that the policy is asked again."""
