"""Play a scenario in which jobs share a cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.precision import weigh
from sim.engine.cluster.books import PURPOSES
from sim.engine.cluster.fabric import Exchanging, SharedFabric
from sim.engine.cluster.places import Places
from sim.engine.cluster.registry import find, find_python, make
from sim.engine.cluster.rules import Reservation, Rules
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.random import Streams
from sim.engine.world import World
from sim.errors import ScenarioError, UsageError
from sim.plan.placement_held import HeldOverTime
from sim.plan.placement_measure import FragmentationOverTime
from sim.plan.topology_build import topology_of
from sim.results import jobs_kinds, jobs_report
from sim.results.run_report import RunReport
from sim.spec.policy import PolicySpec
from sim.study.cluster_jobs import Gathered, gather
from sim.study.cluster_pools import machine_of
from sim.study.cluster_training import training_job
from sim.study.provenance import provenance

if TYPE_CHECKING:
    from sim.engine.cluster.job import Workload
    from sim.engine.cluster.policy import Policy
    from sim.engine.cluster.recording import ClusterRecording
    from sim.engine.cluster.rules import Pool
    from sim.plan.placement import ClusterMap
    from sim.spec.scenario import Scenario
    from sim.study.cluster_pools import Machine


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario as the engine takes it."""

    machine: Machine
    workload: Workload
    policy: Policy
    rules: Rules
    notes: tuple[str, ...]
    """What was left out of the workload, and why."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Give the devices by kind."""
        return self.machine.pools

    @property
    def cluster_map(self) -> ClusterMap | None:
        """Give the nodes of all kinds; None where devices are counts without a place."""
        return self.machine.cluster_map


def play_cluster(scenario: Scenario, *, allow_code: bool = False) -> RunReport:
    """Play the jobs and training runs of a scenario on its cluster, once.

    Raises:
        SimError: the scenario contradicts itself, a trace cannot be read, or a policy breaks its contract.
    """
    prepared = prepare_cluster(scenario, allow_code=allow_code)
    recording = play(prepared, scenario.seed)
    return report(scenario, prepared, recording)


def play(prepared: Prepared, seed: int) -> ClusterRecording:
    """Play to the end of the last job."""
    world = World(sum(pool.devices for pool in prepared.pools), seed)
    queue = ClusterQueue(world, prepared)
    queue.scheduler.begin()
    world.run_until(queue.scheduler.has_finished)
    return queue.record()


class ClusterQueue:
    """The cluster of a scenario in a world, and what waits for it."""

    def __init__(self, world: World, prepared: Prepared) -> None:
        """Begin with all devices free."""
        places = None if prepared.cluster_map is None else Places(prepared.cluster_map, prepared.rules.place)
        network, pools = _network(prepared), prepared.pools
        self.scheduler = Scheduler(world, pools, prepared.workload, prepared.policy, prepared.rules, places, network)
        self._meter = None if places is None else _meter(places, self.scheduler)
        self._held = None if places is None else HeldOverTime(places.state, lambda: self.scheduler.now_s)

    def record(self) -> ClusterRecording:
        """Give what happened, at the end."""
        recording = self.scheduler.record()
        if self._meter is None or self._held is None:
            return recording
        self._meter.settle()
        self._held.settle()
        return replace(recording, fragmentation=self._meter.share, held=self._held.samples)


def prepare_cluster(scenario: Scenario, *, allow_code: bool = False) -> Prepared:
    """Resolve names, read traces and draw what is drawn."""
    policy = scenario.policy or PolicySpec()
    machine = machine_of(scenario, policy.place)
    streams, gathered = Streams(scenario.seed), Gathered()
    for workload in scenario.workloads:
        if workload.jobs is not None:
            gathered.add(gather(workload.jobs, scenario.tenants, streams, machine))
        elif workload.training is not None:
            gathered.add(training_job(scenario, machine, workload.training))
    _known_tenants(scenario, gathered)
    return Prepared(
        machine=machine,
        workload=gathered.workload(),
        policy=_policy(policy, allow_code=allow_code),
        rules=_rules(scenario, policy),
        notes=tuple(gathered.notes),
    )


def _meter(places: Places, scheduler: Scheduler) -> FragmentationOverTime:
    """Watch how much of what is free the jobs of this workload could not use, each job as often as it comes."""
    mix = Counter(job.chunk or job.devices for job in scheduler.workload.jobs) or Counter([1])
    weights = sorted((float(devices), float(count)) for devices, count in mix.items())
    return FragmentationOverTime(places.state, weights, lambda: scheduler.now_s, places.shared)


def _network(prepared: Prepared) -> SharedFabric | None:
    """Give the links that training runs share, kind by kind; none where no job is known to be on them."""
    machine, nodes = prepared.machine, prepared.cluster_map
    if nodes is None or not any(isinstance(job.speed, Exchanging) for job in prepared.workload.jobs):
        return None
    return SharedFabric({kind: topology_of(cluster, nodes, kind) for kind, cluster in machine.clusters.items()})


def _rules(scenario: Scenario, policy: PolicySpec) -> Rules:
    tenants = scenario.tenants
    return Rules(
        grace_s=policy.preempt.grace,
        quotas={name: tenant.quota for name, tenant in tenants.items() if tenant.quota is not None},
        weights={name: tenant.weight for name, tenant in tenants.items()},
        reservations=tuple(
            Reservation(name, each.devices, each.at, each.at + each.duration)
            for name, tenant in tenants.items()
            for each in tenant.reservations
        ),
        place=policy.place,
    )


def _policy(spec: PolicySpec, *, allow_code: bool) -> Policy:
    if spec.python is None:
        return make(find(spec.schedule), spec.options)
    if not allow_code:
        raise UsageError(
            "a scenario runs code of its own only where that is allowed",
            value=spec.python,
            where="policy.python",
            mend="sim run --allow-code, if you trust the file",
        )
    return make(find_python(spec.python), spec.options)


def _known_tenants(scenario: Scenario, gathered: Gathered) -> None:
    """Refuse tenants that the scenario names in its workloads and does not describe, where it describes any."""
    if not scenario.tenants:
        return
    named = {workload.jobs.tenant for workload in scenario.workloads if workload.jobs is not None}
    named |= {workload.training.tenant for workload in scenario.workloads if workload.training is not None}
    unknown = sorted(name for name in named if name and name not in scenario.tenants)
    if unknown and gathered.asked:
        mend = f"one of {', '.join(scenario.tenants)}, or describe it under tenants"
        raise ScenarioError("the scenario describes no such tenant", unknown[0], "workloads", mend)


def report(scenario: Scenario, prepared: Prepared, recording: ClusterRecording) -> RunReport:
    """Fold a play into what is said about it."""
    machine = prepared.machine
    accelerators = [each.accelerator for each in (machine.clusters or {"": machine.said}).values()]
    peaks = {name: each.value for name, each in accelerators[0].peak_flop_per_s.items()}
    precision = next((name for name in ("bf16", "fp16") if name in peaks), None)
    flop = {}
    if precision is not None:
        amounts = recording.accounts.amounts.get("flop", {})
        ours = {name: amounts.get(name, 0.0) for name in PURPOSES}  # services say of themselves what theirs were for
        flop = {name: weigh({precision: amount}, peaks) for name, amount in ours.items() if amount}
    bills = [machine.bill(each, recording.wall_clock_s) for each in recording.by_kind]
    unpriced = ", ".join(each.accelerator for each in bills if each.cost_usd is None)
    unpowered = ", ".join(each.accelerator for each in bills if each.energy_j is None)
    missing = [f"cost: the catalogue has no price for {unpriced}"] if unpriced else []
    missing += [f"energy: the catalogue has no power for {unpowered}"] if unpowered else []
    missing += prepared.notes
    sections = jobs_report.sections(recording, recording.fragmentation)
    values = jobs_report.values(recording)
    if len(bills) > 1:
        sections = (*sections, jobs_kinds.section(recording, bills))
        values |= jobs_kinds.values(recording, bills)
    return RunReport(
        name=scenario.name,
        sentence=jobs_report.sentence(recording),
        seed=scenario.seed,
        devices=recording.capacity,
        wall_clock_s=recording.wall_clock_s,
        parts=jobs_report.parts(recording),
        flop=flop,
        tokens={},
        energy_j=jobs_kinds.total(bills, "energy_j"),
        cost_usd=jobs_kinds.total(bills, "cost_usd"),
        co2_kg=jobs_kinds.total(bills, "co2_kg"),
        values=values,
        sections=sections,
        tables=jobs_report.tables(recording),
        missing=tuple(missing),
        provenance=provenance(scenario),
    )
