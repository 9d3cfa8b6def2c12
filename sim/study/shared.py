"""Play services beside jobs: each service keeps the devices of its most replicas, and the jobs share the rest.

Neither waits for the other after the devices are divided, so each part is played by its own engine, and both are told
together. A service that takes devices from running jobs as it grows is not modelled: its most replicas are its own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from sim.engine.ledger import FREE, ConservationError
from sim.errors import InfeasibleError
from sim.plan.resolve import resolve_cluster
from sim.plan.services import plan_service
from sim.plan.training import power_model
from sim.study.cluster import play_cluster
from sim.study.provenance import provenance
from sim.study.serving import play_serving

if TYPE_CHECKING:
    from sim.plan.resolve import ResolvedCluster
    from sim.results.run_report import RunReport
    from sim.spec.scenario import Scenario

ON_SERVICES = ("requests", "tasks")
TOLERANCE = 1e-9
"""Relative rounding of the sum of accounts."""


def play_shared(scenario: Scenario, *, allow_code: bool = False) -> RunReport:
    """Play services with their requests and tasks, and jobs and training runs on the other nodes, once.

    Raises:
        InfeasibleError: the services leave no node for the jobs.
        SimError: what either part raises.

    """
    cluster = resolve_cluster(scenario.one_cluster)
    of_jobs = jobs_part(scenario)
    served = play_serving(_part(scenario, cluster, _held_devices(scenario, cluster), of_services=True))
    done = play_cluster(of_jobs, allow_code=allow_code)
    return _together(scenario, cluster, served, done)


def jobs_part(scenario: Scenario) -> Scenario:
    """Give the jobs and training runs of a scenario on the nodes that its services leave.

    Raises:
        InfeasibleError: the services leave no node.

    """
    cluster = resolve_cluster(scenario.one_cluster)
    held = _held_devices(scenario, cluster)
    left = cluster.spec.count - held
    if left <= 0:
        raise InfeasibleError(
            "the services leave no node for the jobs",
            value=f"{held:,} of {cluster.spec.count:,} devices at their most replicas",
            where="services",
            mend=f"cluster.count={held + cluster.devices_per_node} or more, or fewer replicas",
        )
    return _part(scenario, cluster, left, of_services=False)


def _held_devices(scenario: Scenario, cluster: ResolvedCluster) -> int:
    """Count the devices of the nodes that the services keep, at their most replicas."""
    planned = [plan_service(name, spec, cluster) for name, spec in scenario.services.items()]
    nodes = math.ceil(sum(service.devices for service in planned) / cluster.devices_per_node)
    return nodes * cluster.devices_per_node


def _part(scenario: Scenario, cluster: ResolvedCluster, devices: int, *, of_services: bool) -> Scenario:
    """Give one half of the scenario on so many devices; spare nodes are for the jobs."""
    spec = cluster.spec.model_copy(update={"count": devices} | ({"spares": 0} if of_services else {}))
    workloads = tuple(each for each in scenario.workloads if (each.kind in ON_SERVICES) is of_services)
    update: dict[str, object] = {"cluster": spec, "workloads": workloads}
    if of_services:
        update |= {"policy": None}
    else:
        update |= {"services": {}, "tools": {}, "graphs": {}}
    return scenario.model_copy(update=update)


def _together(scenario: Scenario, cluster: ResolvedCluster, served: RunReport, done: RunReport) -> RunReport:
    """Tell both parts as one; the devices of the part that ends first are free from then on."""
    end_s = max(served.wall_clock_s, done.wall_clock_s)
    free_device_s = sum(each.devices * (end_s - each.wall_clock_s) for each in (served, done))
    accounts: dict[str, float] = {}
    for each in (served, done):
        for name, seconds in each.parts:
            accounts[name] = accounts.get(name, 0.0) + seconds * each.devices
    if free_device_s:
        accounts[FREE] = accounts.get(FREE, 0.0) + free_device_s
    capacity = cluster.spec.count * end_s
    if not math.isclose(math.fsum(accounts.values()), capacity, rel_tol=TOLERANCE):
        raise ConservationError(f"accounts of both parts sum to {math.fsum(accounts.values())!r}, not {capacity!r}")
    power, price = power_model(cluster), cluster.spec.price
    if price is None and cluster.accelerator.price_usd_per_s is not None:
        price = cluster.accelerator.price_usd_per_s.value
    energy_j = _sum(served.energy_j, done.energy_j, 0.0 if power is None else free_device_s * power.wall_w_per_device)
    return replace(
        served,
        name=scenario.name,
        sentence=f"{served.sentence} On the other {done.devices:,} devices {done.sentence}",
        devices=cluster.spec.count,
        wall_clock_s=end_s,
        parts=tuple((name, seconds / cluster.spec.count) for name, seconds in accounts.items()),
        flop=served.flop | done.flop,
        energy_j=energy_j,
        cost_usd=None if price is None else price * capacity,
        co2_kg=None if energy_j is None else energy_j * cluster.spec.carbon,
        values=served.values | done.values,
        unmeasured={**served.unmeasured, **done.unmeasured},
        sections=(*served.sections, *done.sections),
        tables=served.tables | done.tables,
        assumptions=(*served.assumptions, *done.assumptions),
        missing=tuple(dict.fromkeys((*served.missing, *done.missing))),
        provenance=provenance(scenario),
    )


def _sum(first: float | None, second: float | None, more: float) -> float | None:
    return None if first is None or second is None else first + second + more
