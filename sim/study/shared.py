"""Play services beside jobs: the replicas of services are gangs in the queue that jobs wait in too.

One clock, one policy, one placement and one ledger hold for all of them. A replica runs until its service gives its
devices back: when fewer replicas suffice, or when nothing can come to the service any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.engine.cluster.replicas import QueuedDevices, Standing, Together
from sim.engine.world import World
from sim.errors import InfeasibleError, ScenarioError
from sim.plan.resolve import resolve_cluster
from sim.plan.services import lie_together, place_services
from sim.results.queued_services import notes, section, values
from sim.study import cluster as jobs_of
from sim.study.cluster import ClusterQueue, prepare_cluster
from sim.study.cluster_jobs import priority_of
from sim.study.cluster_pools import ANYWHERE
from sim.study.provenance import provenance
from sim.study.serving import Services, plan_services

if TYPE_CHECKING:
    from sim.engine.cluster.recording import ClusterRecording
    from sim.plan.resolve import ResolvedCluster
    from sim.plan.services import PlannedService
    from sim.results.run_report import RunReport
    from sim.spec.scenario import Scenario
    from sim.study.cluster import Prepared


def play_shared(scenario: Scenario, *, allow_code: bool = False) -> RunReport:
    """Play services with their requests and tasks, and jobs and training runs, on one cluster, once.

    Raises:
        InfeasibleError: the services can never have the replicas that they begin with.
        SimError: what services or jobs raise.

    """
    cluster = resolve_cluster(scenario.one_cluster)
    prepared = prepare_cluster(scenario, allow_code=allow_code)
    planned = services_in_queue(scenario, prepared)
    world = World(sum(pool.devices for pool in prepared.pools), scenario.seed)
    queue = ClusterQueue(world, prepared)
    devices = {
        name: QueuedDevices(queue.scheduler, _standing(scenario, prepared, each), _together(each, cluster))
        for name, each in planned.items()
    }
    services = Services(world, scenario, cluster, planned, devices)
    queue.scheduler.begin()
    services.send()
    world.run_until(lambda: queue.scheduler.has_finished() and services.are_over())
    services.close()
    recording = queue.record()
    served = services.report(recording.accounts)
    done = jobs_of.report(scenario, prepared, recording)
    return _as_one(scenario, served, done, recording, list(planned), cluster.spec.carbon)


def services_in_queue(scenario: Scenario, prepared: Prepared) -> dict[str, PlannedService]:
    """Plan services that will wait for their devices; what can never be had is refused.

    Raises:
        InfeasibleError: the replicas at the beginning do not fit the empty cluster, or one of them not a quota.
        SimError: a name is unknown, a model does not fit, or the scenario contradicts itself.

    """
    cluster = resolve_cluster(scenario.one_cluster)
    planned = plan_services(scenario, cluster)
    if prepared.rules.place != ANYWHERE:
        place_services(planned, cluster, least=True)
    for name, each in planned.items():
        plans = [each.plan] if each.prefill is None else [each.plan, each.prefill]
        quota = prepared.rules.quotas.get(each.spec.tenant or "")
        if quota is not None and max(plan.devices for plan in plans) > quota:
            raise InfeasibleError(
                "a replica fits the quota of its tenant",
                value=f"{max(plan.devices for plan in plans)} devices, quota {quota}",
                where=f"services.{name}.tenant",
                mend=f"tenants.{each.spec.tenant}.quota: {max(plan.devices for plan in plans)} or more",
            )
    return planned


def _standing(scenario: Scenario, prepared: Prepared, planned: PlannedService) -> Standing:
    """Say how a service stands among the jobs; it runs on the accelerator that it was planned for."""
    spec, kinds = planned.spec, prepared.machine.kinds
    own = prepared.machine.said.accelerator.name
    if len(kinds) > 1 and own not in kinds:
        raise ScenarioError(
            "a service runs on the accelerator of the cluster",
            value=f"{own}; the nodes are of {', '.join(kinds)}",
            where=f"services.{planned.name}",
            mend=f"cluster.accelerator: one of {', '.join(kinds)}",
        )
    tenant = spec.tenant or ""
    own_priority = spec.priority if "priority" in spec.model_fields_set else None
    return Standing(
        name=planned.name,
        tenant=tenant,
        priority=priority_of(tenant, own_priority, None, scenario.tenants),
        preemptible=spec.preemptible,
        kinds=(own,) if len(kinds) > 1 else (),
    )


def _together(planned: PlannedService, cluster: ResolvedCluster) -> dict[str, Together]:
    found = {}
    for name, plan in ((planned.name, planned.plan), (f"{planned.name} prefill", planned.prefill)):
        if plan is not None:
            chunk, within = lie_together(plan, cluster)
            found[name] = Together(chunk, within or "")
    return found


def _as_one(
    scenario: Scenario,
    served: RunReport,
    done: RunReport,
    recording: ClusterRecording,
    names: list[str],
    carbon: float,
) -> RunReport:
    """Tell services and jobs together; accounts, cost and time are those of the whole cluster in both."""
    has_jobs = len(recording.workload.jobs) > len(recording.replicas)
    # No energy is left for the jobs where services hold all devices all the time.
    energy_j = None if served.energy_j is None else served.energy_j + (done.energy_j or 0.0)
    of_jobs = [line for line in done.missing if energy_j is None or not line.startswith("energy:")]
    cost_usd = done.cost_usd
    if cost_usd is not None and served.cost_usd is not None:
        # What tasks pay for tools comes on top of the devices.
        cost_usd += served.cost_usd - sum(served.values[f"{name}.cost_usd"].value for name in names)
    return replace(
        served,
        sentence=f"{served.sentence} Beside the services {done.sentence}" if has_jobs else served.sentence,
        devices=done.devices,
        wall_clock_s=done.wall_clock_s,
        parts=done.parts,
        flop=served.flop | done.flop,
        energy_j=energy_j,
        cost_usd=cost_usd,
        co2_kg=None if energy_j is None else energy_j * carbon,
        values=served.values | done.values | values(recording, names),
        unmeasured={**served.unmeasured, **done.unmeasured},
        sections=(*served.sections, section(recording, names), *(done.sections if has_jobs else ())),
        tables=served.tables | done.tables,
        assumptions=(*served.assumptions, *done.assumptions),
        missing=tuple(dict.fromkeys((*notes(recording, names), *served.missing, *of_jobs))),
        provenance=provenance(scenario),
    )
