"""What every policy owes, whatever it claims: devices, gangs, jobs, checkpoints and the books.

Each check reads what was watched while the scenario was played, and trusts nothing that the engine says of itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.cluster.contract import PolicyError
from sim.engine.cluster.places import Places
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.ledger import ConservationError
from sim.errors import LimitError
from sim.testing.log import Hold, Log, Watcher, log_of
from sim.testing.promises import PROMISES, Trial
from sim.testing.relabelled import Relabelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sim.engine.cluster.job import Workload
    from sim.engine.cluster.policy import Policy
    from sim.engine.cluster.recording import ClusterRecording
    from sim.testing.case import Case

TOLERANCE = 1e-9
BY_LABEL = ("", "first")
"""Rules of placement that know no nodes, or choose among unlike ones by their numbers."""
DETERMINISM, SAME_DEVICES = "determinism", "relabelling of devices"


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and how."""

    name: str
    text: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.name}: {self.text}"


def judge(
    case: Case,
    policy: Callable[[], Policy],
    claims: Iterable[str] | None = None,
    scheduler: type[Scheduler] = Scheduler,
) -> list[Violation]:
    """Play a policy on a case and list what it broke: the contract, what every policy owes, and what it claims.

    Args:
        case: the small scenario.
        policy: the class, or whatever makes a fresh policy.
        claims: keys of `sim.engine.cluster.policy.CLAIMS`; those that the policy declares where none are given.
        scheduler: the engine, where it is the engine that is on trial.
    """
    try:
        log = _play(case, policy, scheduler)
    except PolicyError as error:
        return [Violation(f"contract: {error.name}", f"{error.rule}; given: {error.value} ({error.where})")]
    except ConservationError as error:
        return [Violation("conservation", str(error))]
    except LimitError as error:
        return [Violation("liveness", f"the scenario does not come to an end: {error.value}")]
    found = [Violation(name, text) for name, check in OWED.items() for text in check(case, log)]
    if found:
        return found
    again = _play(case, policy, scheduler)
    if again.holds != log.holds or again.ends != log.ends:
        return [Violation(DETERMINISM, "two plays of the same scenario differ")]
    if case.place not in BY_LABEL and not case.failures_per_device_s:
        # Which device fails is said by its label.
        other = _play(case, policy, scheduler, nodes=Relabelled)
        if (other.starts, other.ends) != (log.starts, log.ends):
            return [Violation(SAME_DEVICES, _first_difference(log, other))]
    chosen = policy().claims if claims is None else frozenset(claims)
    trial = Trial(case, log, policy, lambda other, workload=None: _play(other, policy, scheduler, workload))
    return [Violation(name, text) for name in sorted(chosen) for text in PROMISES[name](trial)]


def _play(
    case: Case,
    policy: Callable[[], Policy],
    scheduler: type[Scheduler],
    workload: Workload | None = None,
    nodes: type[Places] = Places,
) -> Log:
    watcher = Watcher()
    return log_of(case.play(policy(), scheduler, workload, watcher.note, nodes), watcher)


def _first_difference(log: Log, other: Log) -> str:
    """Say of the first job that differs when it starts and ends, where equal nodes have changed places."""
    number = next(
        number
        for number in log.jobs
        if (log.starts.get(number), log.ends.get(number)) != (other.starts.get(number), other.ends.get(number))
    )
    before, after = (f"{each.starts.get(number)} s to {each.ends.get(number)} s" for each in (log, other))
    return f"job {number} runs from {before}; where equal nodes have changed places, from {after}"


def _capacity(case: Case, log: Log) -> Iterator[str]:
    """No more devices are held than there are, and none that is down."""
    for time_s in log.instants:
        held = sum(hold.devices for hold in log.held_at(time_s))
        down = _down_at(log.recording, time_s)
        if held + down > case.devices:
            yield f"{held} devices are held at {time_s:g} s and {down} are down, of {case.devices}"
            return


def _down_at(recording: ClusterRecording, time_s: float) -> int:
    down = 0
    for at_s, kind, detail in recording.events:
        if at_s <= time_s and kind in ("node lost", "node repaired"):
            devices = int(detail.split(" ", 1)[0])
            down += devices if kind == "node lost" else -devices
    return down


def _no_device_twice(case: Case, log: Log) -> Iterator[str]:
    """No node gives more devices than it has, and none while it is out of order."""
    if not case.place:
        return
    for time_s in log.instants:
        used: dict[int, int] = defaultdict(int)
        for hold in log.held_at(time_s):
            for node, count in zip(hold.nodes, hold.counts, strict=True):
                used[node] += count
        lost = _lost_nodes(log.recording, time_s)
        for node, count in used.items():
            size = min(case.node_devices, case.devices - node * case.node_devices)
            if count > size:
                yield f"{count} devices of node {node}, which has {size}, are held at {time_s:g} s"
                return
            if node in lost:
                yield f"node {node} is out of order and in use at {time_s:g} s"
                return


def _lost_nodes(recording: ClusterRecording, time_s: float) -> set[int]:
    lost: set[int] = set()
    for at_s, kind, detail in recording.events:
        if at_s <= time_s and kind in ("node lost", "node repaired") and "node " in detail:
            node = int(detail.rsplit("node ", 1)[1])
            (lost.add if kind == "node lost" else lost.discard)(node)
    return lost


def _gang(case: Case, log: Log) -> Iterator[str]:
    """A job holds what it asks for, or a number in its range, in its places."""
    for hold in log.holds:
        job = log.jobs[hold.number]
        if not job.takes(hold.devices):
            yield f"job {hold.number} asks for {job.devices} devices and holds {hold.devices} at {hold.begin_s:g} s"
            return
        if case.place and sum(hold.counts) != hold.devices:
            yield f"job {hold.number} holds {hold.devices} devices in {sum(hold.counts)} places at {hold.begin_s:g} s"
            return


def _every_job_ends(case: Case, log: Log) -> Iterator[str]:
    """No job is lost, runs before it arrives, after its end, or beside itself."""
    del case
    for number, job in log.jobs.items():
        if number not in log.ends:
            yield f"job {number} never ends"
            return
        own = sorted((hold for hold in log.holds if hold.number == number), key=lambda hold: (hold.begin_s, hold.end_s))
        if job.is_open:
            yield from _given_up(log, number, own)
            if not own:
                continue
        if own[0].begin_s < job.arrival_s:
            yield f"job {number} starts at {own[0].begin_s:g} s and arrives at {job.arrival_s:g} s"
        if max(hold.end_s for hold in own) != log.ends[number] and not job.is_open:
            yield f"job {number} ends at {log.ends[number]:g} s and holds devices until {own[-1].end_s:g} s"
        for before, after in pairwise(own):
            if after.begin_s < before.end_s:
                yield f"job {number} runs twice at {after.begin_s:g} s"
        if len(own) != len(
            {(hold.begin_s, hold.end_s, hold.devices) for hold in own if hold.end_s > hold.begin_s}
        ) + sum(hold.end_s == hold.begin_s for hold in own):
            yield f"job {number} is in the log twice"


def _given_up(log: Log, number: int, own: list[Hold]) -> Iterator[str]:
    """Work of unknown length ends when its owner says so, and holds nothing after that."""
    workload = log.recording.workload
    row = next(row for row, job in enumerate(workload.jobs) if job.number == number)
    until_s = max(workload.until_s[row], workload.jobs[row].arrival_s)
    if log.ends[number] != until_s:
        yield f"job {number} is given up at {until_s:g} s and ends at {log.ends[number]:g} s"
    if own and max(hold.end_s for hold in own) > until_s:
        yield f"job {number} is given up at {until_s:g} s and holds devices until {own[-1].end_s:g} s"


def _work_is_done(case: Case, log: Log) -> Iterator[str]:
    """Each job gets its work, goes on from its last checkpoint, and loses what came after it."""
    del case
    stretches = log.recording.stretches
    rows: dict[int, list[int]] = defaultdict(list)
    for row, position in enumerate(stretches.position.tolist()):
        rows[position].append(row)
    for position, job in enumerate(log.recording.workload.jobs):
        if job.number not in log.ends or job.is_open:
            continue
        kept, lost_here, total = 0.0, 0.0, log.recording.workload.run_s[position]
        safe = {0.0}
        for row in rows[position]:
            lost_here = float(stretches.lost_s[row])
            done = kept + float(stretches.work_s[row])
            kept = done - lost_here
            # What was written when the job was stopped with grace is a checkpoint too.
            is_known = any(abs(kept - each) <= TOLERANCE for each in safe)
            safe.add(kept)
            if lost_here > TOLERANCE and job.checkpoint_s and not is_known:
                steps = kept / job.checkpoint_s
                if abs(steps - round(steps)) > TOLERANCE or lost_here > job.checkpoint_s + TOLERANCE:
                    yield f"job {job.number} loses {lost_here:g} s; its checkpoints come every {job.checkpoint_s:g} s"
            if lost_here > TOLERANCE and job.checkpoint_s == 0:
                yield f"job {job.number} saves all the time and loses {lost_here:g} s of work"
        if abs(kept - total) > TOLERANCE * max(total, 1.0):
            yield f"job {job.number} takes {total:g} s of work and got {kept:g} s"


def _books(case: Case, log: Log) -> Iterator[str]:
    """Device-seconds and operations are those that were held and done."""
    recording = log.recording
    accounts = dict(recording.accounts.device_seconds)
    idle = accounts.pop("free", 0.0) + accounts.pop("down", 0.0)
    held = math.fsum(hold.devices * (hold.end_s - hold.begin_s) for hold in log.holds)
    whole = case.devices * recording.wall_clock_s
    if abs(math.fsum(accounts.values()) - held) > TOLERANCE * max(whole, 1.0):
        yield f"{held:g} device-seconds were held, and the books have {math.fsum(accounts.values()):g}"
    if abs(idle + held - whole) > TOLERANCE * max(whole, 1.0):
        yield f"{idle:g} idle and {held:g} held device-seconds are not {whole:g}"
    ended = recording.outcome == 1
    asked = float(np.sum(np.array(recording.workload.flop)[ended])) if len(ended) else 0.0
    done = recording.accounts.amounts.get("flop", {}).get("model", 0.0)
    if abs(asked - done) > TOLERANCE * max(asked, 1.0):
        yield f"{asked:g} operations were asked for and {done:g} done"


def _bounds(case: Case, log: Log) -> Iterator[str]:
    """The makespan is at least what the longest job and the work of all need."""
    if not log.ends:
        return
    end_s = max(log.ends.values())
    work = 0.0
    for position, job in enumerate(log.recording.workload.jobs):
        if job.number not in log.ends or job.is_open:
            continue
        run_s = log.recording.workload.run_s[position]
        fastest_s = run_s / job.speed.at(max(job.devices, job.most), "").rate
        if log.ends[job.number] < (job.arrival_s + fastest_s) * (1 - TOLERANCE):
            took_s = log.ends[job.number] - job.arrival_s
            yield f"job {job.number} ends {took_s:g} s after it came and takes {fastest_s:g} s"
        work += run_s * job.devices
    first_s = min(job.arrival_s for number, job in log.jobs.items() if number in log.ends)
    if end_s - first_s < work / case.devices * (1 - TOLERANCE):
        yield f"{work:g} device-seconds of work take {end_s - first_s:g} s on {case.devices} devices"


def _quotas(case: Case, log: Log) -> Iterator[str]:
    """No tenant holds more than its quota."""
    for tenant, quota in case.quotas:
        for time_s in log.instants:
            held = sum(hold.devices for hold in log.held_at(time_s) if log.jobs[hold.number].tenant == tenant)
            if held > quota:
                yield f"tenant {tenant} holds {held} devices at {time_s:g} s, and its quota is {quota}"
                return


def _reservations(case: Case, log: Log) -> Iterator[str]:
    """While devices are reserved for a tenant, the others together hold no more than the rest.

    A job that is resized, or writes a checkpoint because it was stopped, may run beyond what its estimate said.
    """
    if case.reservation is None or case.grace_s or any(job.most for job in case.jobs):
        return
    tenant, devices, begin_s, end_s = case.reservation
    for time_s in log.instants:
        if begin_s <= time_s < end_s:
            held = sum(hold.devices for hold in log.held_at(time_s) if log.jobs[hold.number].tenant != tenant)
            if held > case.devices - devices:
                yield f"{held} devices are held at {time_s:g} s beside {devices} reserved for {tenant}"
                return


OWED: dict[str, Callable[[Case, Log], Iterator[str]]] = {
    "capacity": _capacity,
    "no device twice": _no_device_twice,
    "gang or nothing": _gang,
    "every job ends once": _every_job_ends,
    "work and checkpoints": _work_is_done,
    "conserved books": _books,
    "lower bounds": _bounds,
    "quotas": _quotas,
    "reservations": _reservations,
}
"""What every policy owes, by name."""
ALWAYS = (*OWED, DETERMINISM, SAME_DEVICES)
"""Names of all that is held whatever a policy claims; the last two by playing again."""
