"""Play a scenario in which jobs share a cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.precision import weigh
from sim.engine.cluster.fabric import Exchanging, SharedFabric
from sim.engine.cluster.job import Pace, Workload
from sim.engine.cluster.places import Places
from sim.engine.cluster.registry import find, find_python, make
from sim.engine.cluster.rules import Faults, Pool, Reservation, Rules
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.random import Streams
from sim.engine.world import World
from sim.errors import InfeasibleError, ScenarioError, UsageError
from sim.plan.placement import ClusterMap, pool_of_cluster
from sim.plan.placement import Pool as PlacedPool
from sim.plan.placement_held import HeldOverTime
from sim.plan.placement_measure import FragmentationOverTime
from sim.plan.resolve import ResolvedCluster, resolve_cluster
from sim.plan.routes import nested_of, traffic_of
from sim.plan.topology_build import topology_of
from sim.plan.training import power_model
from sim.plan.training_speed import TrainingSteps
from sim.results import jobs_report
from sim.results.run_report import RunReport
from sim.spec.job_traces import read_nodes
from sim.spec.policy import PolicySpec
from sim.study.cluster_jobs import Asked, Gathered, gather, priority_of
from sim.study.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.engine.cluster.policy import Policy
    from sim.engine.cluster.recording import ClusterRecording
    from sim.plan.placement import Allocation
    from sim.plan.routes import Traffic
    from sim.spec.scenario import Scenario
    from sim.spec.workload import TrainingSpec

ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario as the engine takes it."""

    resolved: ResolvedCluster
    pools: tuple[Pool, ...]
    workload: Workload
    policy: Policy
    rules: Rules
    cluster_map: ClusterMap | None
    left_out: int


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
    places = None if prepared.cluster_map is None else Places(prepared.cluster_map, prepared.rules.place)
    network = _network(prepared)
    scheduler = Scheduler(world, prepared.pools, prepared.workload, prepared.policy, prepared.rules, places, network)
    meter = None if places is None else _meter(places, scheduler)
    held = None if places is None else HeldOverTime(places.state, lambda: scheduler.now_s)
    scheduler.begin()
    world.run_until(scheduler.has_finished)
    if meter is not None:
        meter.settle()
    if held is not None:
        held.settle()
    share, samples = None if meter is None else meter.share, None if held is None else held.samples
    return replace(scheduler.record(), fragmentation=share, held=samples)


def prepare_cluster(scenario: Scenario, *, allow_code: bool = False) -> Prepared:
    """Resolve names, read traces and draw what is drawn."""
    resolved = resolve_cluster(scenario.cluster)
    peaks = resolved.accelerator.peak_flop_per_s
    peak = peaks["bf16"].value if "bf16" in peaks else max((each.value for each in peaks.values()), default=0.0)
    policy = scenario.policy or PolicySpec()
    pools, cluster_map = _machine(scenario, resolved, policy)
    streams, gathered = Streams(scenario.seed), Gathered()
    for workload in scenario.workloads:
        if workload.jobs is not None:
            found = gather(workload.jobs, scenario.tenants, streams, peak)
            gathered.asked += found.asked
            gathered.left_out += found.left_out
        elif workload.training is not None:
            gathered.asked.append(training_job(scenario, resolved, workload.training, cluster_map))
    _known_tenants(scenario, gathered)
    return Prepared(
        resolved=resolved,
        pools=pools,
        workload=gathered.workload(),
        policy=_policy(policy, allow_code=allow_code),
        rules=_rules(scenario, resolved, policy),
        cluster_map=cluster_map,
        left_out=gathered.left_out,
    )


class TrainingSpeed:
    """The pace of a training run on the devices that it gets."""

    def __init__(self, steps: TrainingSteps, asked: int) -> None:
        """Measure against the devices that it asks for, whole nodes of them."""
        self.steps, self._reference = steps, steps.on(asked)
        self._paces: dict[int, Pace] = {}

    def at(self, devices: int, kind: str, place: object = None) -> Pace:  # noqa: ARG002 - one kind of device here
        """Give the pace; 0 where the model does not fit so few devices."""
        step = self.steps.on(devices, place)  # type: ignore[arg-type]  # places are allocations
        prepared = self.steps.prepared(devices)
        if step is None or prepared is None or self._reference is None:
            return Pace(0.0)
        if id(step) not in self._paces:
            run = prepared.run
            overhead = run.hardware_flop_per_step / run.model_flop_per_step - 1.0
            self._paces[id(step)] = Pace(step.steps_per_s / self._reference.steps_per_s, step.parts, overhead)
        return self._paces[id(step)]

    def exchange(self, devices: int, place: Allocation) -> tuple[Sequence[Traffic], float]:
        """Give what a step exchanges where the run sits, and the seconds from step to step, checkpoints included."""
        step = self.steps.on(devices, place)
        return ((), 1.0) if step is None else (self.steps.placed(devices).at(place).traffic, 1.0 / step.steps_per_s)

    def nested(self, devices: int) -> Sequence[tuple[int, float]]:
        """Give the spans of its groups of collectives, each with the seconds that a step waits for it."""
        prepared = self.steps.prepared(devices)
        if prepared is None or prepared.layout is None:
            return ()
        return nested_of(traffic_of(prepared.layout, prepared.run.step_parts))


def _meter(places: Places, scheduler: Scheduler) -> FragmentationOverTime:
    """Watch how much of what is free the jobs of this workload could not use, each job as often as it comes."""
    mix = Counter(job.chunk or job.devices for job in scheduler.workload.jobs)
    return FragmentationOverTime(places.state, sorted(mix.items()), lambda: scheduler.now_s)


def _network(prepared: Prepared) -> SharedFabric | None:
    """Give the links that training runs share; none where no job is known to be on them."""
    cluster, nodes = prepared.resolved, prepared.cluster_map
    if nodes is None or not any(isinstance(job.speed, Exchanging) for job in prepared.workload.jobs):
        return None
    kind = cluster.accelerator.name
    return SharedFabric({kind: topology_of(cluster, nodes, kind)}) if kind in nodes.pool_index else None


def training_job(
    scenario: Scenario, resolved: ResolvedCluster, training: TrainingSpec, places: ClusterMap | None
) -> Asked:
    """Make a job of a training run.

    Raises:
        InfeasibleError: the model does not fit the devices that it asks for.
        ScenarioError: it asks for more devices than there are.
    """
    devices = training.devices or resolved.spec.count
    if devices > resolved.spec.count:
        given = f"{devices} of {resolved.spec.count}"
        raise ScenarioError("a training run asks for devices of its cluster", given, f"training {training.name}")
    steps = TrainingSteps(resolved, training, places)
    speed = TrainingSpeed(steps, devices)
    prepared, step = steps.prepared(devices), steps.on(devices)
    if prepared is None or step is None:
        raise InfeasibleError(
            f"the training run {training.name} does not fit {devices} devices",
            where=f"training {training.name}",
            mend="more devices: sim plan shows what fits",
        )
    run = prepared.run
    run_s = run.steps / step.steps_per_s
    tenant = training.tenant or ""
    return Asked(
        arrival_s=training.at,
        devices=devices,
        run_s=run_s,
        estimate_s=run_s,
        workload=training.name,
        priority=priority_of(tenant, training.priority, None, scenario.tenants),
        tenant=tenant,
        name=training.name,
        checkpoint_s=run.interval_s,
        restart_s=resolved.spec.restart,
        speed=speed,
        flop=run.steps * run.model_flop_per_step,
    )


def _machine(
    scenario: Scenario, resolved: ResolvedCluster, policy: PolicySpec
) -> tuple[tuple[Pool, ...], ClusterMap | None]:
    """Give the devices by kind, and the map of their nodes where places matter."""
    power = power_model(resolved)
    wall_w = power.wall_w_per_device if power is not None else 0.0
    lists = [each.jobs.trace.nodes for each in scenario.workloads if each.jobs and each.jobs.trace]
    nodes = next((each for each in lists if each is not None), None)
    if nodes is not None:
        found = read_nodes(nodes)
        pools = tuple(Pool(kind, devices, node) for kind, (devices, node) in found.items())
        placed = [PlacedPool(kind, devices, node, node) for kind, (devices, node) in found.items()]
    else:
        pools = (Pool(resolved.accelerator.name, resolved.spec.count, resolved.devices_per_node, wall_w),)
        placed = [pool_of_cluster(resolved)]
    return pools, None if policy.place == ANYWHERE else ClusterMap(placed)


def _rules(scenario: Scenario, resolved: ResolvedCluster, policy: PolicySpec) -> Rules:
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
        faults=Faults(resolved.spec.failure_rate, resolved.spec.repair, resolved.spec.node_loss_share),
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
    resolved = prepared.resolved
    spec, accelerator = resolved.spec, resolved.accelerator
    price = spec.price
    if price is None and accelerator.price_usd_per_s is not None:
        price = accelerator.price_usd_per_s.value
    peaks = {name: each.value for name, each in accelerator.peak_flop_per_s.items()}
    precision = next((name for name in ("bf16", "fp16") if name in peaks), None)
    flop = {}
    if precision is not None:
        amounts = recording.accounts.amounts.get("flop", {})
        flop = {name: weigh({precision: amount}, peaks) for name, amount in amounts.items() if amount}
    joules = sum(recording.accounts.amounts.get("joules", {}).values()) or None
    missing = [] if price is not None else [f"cost: the catalogue has no price for {accelerator.name}"]
    missing += [] if joules is not None else [f"energy: the catalogue has no power for {accelerator.name}"]
    if prepared.left_out:
        missing.append(f"{prepared.left_out} lines of the trace: jobs that never ran, or asked for no device")
    return RunReport(
        name=scenario.name,
        sentence=jobs_report.sentence(recording),
        seed=scenario.seed,
        devices=recording.capacity,
        wall_clock_s=recording.wall_clock_s,
        parts=jobs_report.parts(recording),
        flop=flop,
        tokens={},
        energy_j=joules,
        cost_usd=None if price is None else price * recording.capacity * recording.wall_clock_s,
        co2_kg=None if joules is None else joules * spec.carbon,
        values=jobs_report.values(recording),
        sections=jobs_report.sections(recording, recording.fragmentation),
        tables=jobs_report.tables(recording),
        missing=tuple(missing),
        provenance=provenance(scenario),
    )
