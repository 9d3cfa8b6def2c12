"""Play a scenario of services and requests: put the services on the cluster, send the requests, and tell what came."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sim.cost.energy import node_factor
from sim.engine.arrivals import drawn_requests, recorded_requests
from sim.engine.serving.options import Disaggregation, Failures, Offload, Scaling, ServiceOptions, Speculation
from sim.engine.serving.service import Service
from sim.engine.workload import ClosedLoop, Contents, Linked, OpenLoop
from sim.engine.world import World
from sim.errors import ScenarioError, UsageError
from sim.plan.resolve import resolve_cluster
from sim.plan.services import PlannedService, place_services, plan_service
from sim.results.serving import Served
from sim.results.serving_fold import Measured, ServiceFold
from sim.spec.service import Scaling as ScalingSpec
from sim.spec.traces import open_trace
from sim.spec.traces_links import parents_of
from sim.spec.traces_rows import Rows
from sim.study.serving_report import report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.engine.workload import Player
    from sim.plan.resolve import ResolvedCluster
    from sim.results.run_report import RunReport
    from sim.spec.requests import RequestsSpec
    from sim.spec.scenario import Scenario
    from sim.spec.service import ServiceSpec
    from sim.spec.traces import Trace


@dataclass(slots=True)
class Running:
    """A service that is being played, and what is folded of it."""

    planned: PlannedService
    service: Service
    fold: ServiceFold
    workloads: dict[int, Measured]


def play_serving(scenario: Scenario) -> RunReport:
    """Play services and requests once, with the seed of the scenario.

    Raises:
        InfeasibleError: a model does not fit, or the cluster has too few devices.
        ScenarioError: the scenario contradicts itself, or a trace has a bad line.
        SimError: a name is unknown, or the run exceeds a limit.

    """
    cluster = resolve_cluster(scenario.one_cluster)
    workloads = {index: workload.requests for index, workload in enumerate(scenario.workloads) if workload.requests}
    _check(scenario, workloads)
    planned = {name: plan_service(name, spec, cluster) for name, spec in scenario.services.items()}
    place_services(planned, cluster)
    world = World(cluster.spec.count, scenario.seed)
    running = {name: start_service(world, each, cluster, workloads) for name, each in planned.items()}
    traces = {index: open_trace(spec.trace.file, spec.trace.format) for index, spec in workloads.items() if spec.trace}
    players = [
        start_workload(world, spec, index, running[spec.service], traces.get(index))
        for index, spec in workloads.items()
    ]
    left = set(workloads)
    for index, player in zip(workloads, players, strict=True):
        player.on_over = partial(left.discard, index)
        player.window = planned[workloads[index].service].model.max_positions or math.inf
    tasks = None
    if any(workload.tasks is not None for workload in scenario.workloads):
        # Requests alone do not wait for what graphs need.
        graphs = importlib.import_module("sim.study.graphs")
        services = {name: (each.service, each.planned) for name, each in running.items()}
        tasks = graphs.Tasks(world, scenario, services, left.discard)
        left |= set(tasks.workloads)
    world.run_until(lambda: not left)
    end_s = world.now_s
    served = [close_service(each, cluster, end_s) for each in running.values()]
    accounts = world.ledger.close(end_s)
    notes = [
        f"{spec.label}: {trace.left_out:,} requests of the trace failed when it was recorded and are left out"
        for index, spec in workloads.items()
        if (trace := traces.get(index)) is not None and trace.left_out
    ]
    notes += [
        f"{player.spec.label}: {player.beyond_window:,} requests are longer than the {player.window:,} tokens that the "
        "model takes; they are served as if it took them"
        for player in players
        if player.beyond_window
    ]
    told = report(scenario, cluster, served, accounts, list(planned.values()), notes)
    if tasks is None:
        return told
    together: RunReport = tasks.told_with(told, served)
    return together


def start_service(
    world: World, planned: PlannedService, cluster: ResolvedCluster, workloads: Mapping[int, RequestsSpec]
) -> Running:
    """Begin a service in a world; its finished requests are folded as they come."""
    own = {index: spec for index, spec in workloads.items() if spec.service == planned.name}
    measured = {index: Measured(spec.label, spec.at + spec.warm_up, spec.slo) for index, spec in own.items()}
    fold = ServiceFold(measured)
    by_priority = len({spec.priority for spec in own.values()}) > 1
    options = service_options(planned, cluster, by_priority=by_priority)
    service = Service(world, planned.plan, options, name=planned.name, consume=fold)
    return Running(planned, service, fold, measured)


def start_workload(world: World, spec: RequestsSpec, index: int, running: Running, trace: Trace | None) -> Player:
    """Begin to play a workload against its service."""
    usual: ServiceSpec = running.planned.spec
    spec = spec.model_copy(
        update={
            "time_out": spec.time_out if spec.time_out is not None else usual.time_out,
            "tenant": spec.tenant or usual.tenant,
        }
    )
    name = spec.label if spec.trace is None else spec.trace.file
    head = 0 if spec.prefix is None else spec.prefix.tokens
    contents = Contents(name, running.planned.plan.block_size, head)
    submit = running.service.submit
    if spec.arrivals is not None and spec.arrivals.closed is not None:
        users = ClosedLoop(world, submit, spec, index, contents)
        users.start()
        return users
    if trace is not None and trace.format == "agentic":
        linked = Linked(world, submit, spec, index, contents)
        rows = Rows.join(list(recorded_requests(trace.chunks(), spec)))
        linked.start(rows, parents_of(rows, str(trace.path)))
        return linked
    player = OpenLoop(world, submit, spec, index, contents)
    player.start(drawn_requests(world.streams, spec) if trace is None else recorded_requests(trace.chunks(), spec))
    return player


def close_service(running: Running, cluster: ResolvedCluster, end_s: float) -> Served:
    """End a service and gather what is told of it."""
    planned, chip = running.planned, cluster.accelerator
    recording = running.service.close(end_s)
    assert chip.memory_bandwidth_bytes_per_s is not None, "an ideal machine serves nobody"
    price = cluster.spec.price
    if price is None and chip.price_usd_per_s is not None:
        price = chip.price_usd_per_s.value
    return Served(
        name=planned.name,
        plan=planned.plan,
        replicas=planned.replicas_told,
        devices=planned.devices,
        recording=recording,
        fold=running.fold,
        workloads=running.workloads,
        compute=planned.compute,
        peaks_flop_per_s={name: peak.value for name, peak in chip.peak_flop_per_s.items()},
        bandwidth_bytes_per_s=chip.memory_bandwidth_bytes_per_s.value,
        wall_factor=wall_factor(cluster),
        price_usd_per_s=price,
    )


def wall_factor(cluster: ResolvedCluster) -> float | None:
    """Give the power at the meter over that of the boards; None where that of a board is not known."""
    board, node = cluster.accelerator.power_w, cluster.node
    if board is None:
        return None
    power_w = node.power_w.value if node is not None and node.power_w is not None else None
    return node_factor(power_w, cluster.devices_per_node, board.value) * cluster.spec.power_usage_effectiveness


def service_options(planned: PlannedService, cluster: ResolvedCluster, *, by_priority: bool) -> ServiceOptions:
    """Turn what the scenario says of a service into what the engine takes."""
    spec, plan = planned.spec, planned.plan
    cold_start_s = spec.cold_start
    if cold_start_s is None:
        cold_start_s = plan.weights_bytes / (spec.storage * plan.devices)
    scaling = spec.replicas if isinstance(spec.replicas, ScalingSpec) else None
    replicas = spec.replicas if isinstance(spec.replicas, int) else spec.replicas.min
    speculation = disaggregation = offload = None
    if spec.speculative is not None:
        # A head that drafts (MTP, EAGLE) is about one more layer of the model.
        share = 0.0 if planned.draft is not None else 1 / planned.model.layers
        speculation = Speculation(spec.speculative.tokens, spec.speculative.acceptance, planned.draft, share)
    if spec.disaggregation is not None and planned.prefill is not None:
        replicas = spec.disaggregation.decode
        bandwidth, latency_s = _between_replicas(planned, cluster)
        disaggregation = Disaggregation(spec.disaggregation.prefill, planned.prefill, bandwidth, latency_s)
    if spec.kv_offload is not None:
        link = cluster.accelerator.host_bandwidth_bytes_per_s
        if link is None:
            rule = f"the catalogue does not know the link between {cluster.accelerator.name} and its host"
            where, mend = f"services.{planned.name}.kv_offload", "leave out kv_offload, or describe the chip yourself"
            raise UsageError(rule, "", where, mend)
        offload = Offload(spec.kv_offload, link.value * plan.devices)
    return ServiceOptions(
        replicas=replicas,
        router=spec.router,
        max_queue=spec.max_queue,
        tenant_limits=spec.tenant_limits,
        by_priority=by_priority,
        scaling=None
        if scaling is None
        else Scaling(scaling.min, scaling.max, scaling.target, scaling.every, scaling.keep),
        failures=Failures(spec.failure_rate, spec.repair) if spec.failure_rate else None,
        speculation=speculation,
        disaggregation=disaggregation,
        offload=offload,
        cold_start_s=cold_start_s,
    )


def _between_replicas(planned: PlannedService, cluster: ResolvedCluster) -> tuple[float, float]:
    """Give the bandwidth between a prefill and a decode replica, and its latency: inside the domain, or the fabric."""
    node, fabric = cluster.node, cluster.fabric
    assert planned.prefill is not None
    lanes = min(planned.plan.devices, planned.prefill.devices)
    if node is not None and planned.devices <= node.scale_up_domain_devices:
        return node.scale_up_bandwidth_bytes_per_s.value * lanes, 0.0
    if fabric is None:
        rule = "the cache goes over the fabric between the replicas, and this cluster has none"
        raise UsageError(rule, cluster.accelerator.name, f"services.{planned.name}.disaggregation", "name a fabric")
    efficiency = 1.0 if fabric.efficiency is None else fabric.efficiency.value
    latency_s = 0.0 if fabric.latency_s is None else fabric.latency_s.value
    return fabric.link_bandwidth_bytes_per_s.value * lanes * efficiency, latency_s


def _check(scenario: Scenario, workloads: Mapping[int, RequestsSpec]) -> None:
    """Refuse workloads that name what is not there, or share a name."""
    labels: dict[str, int] = {}
    for index, spec in workloads.items():
        if spec.service not in scenario.services:
            known = ", ".join(scenario.services) or "none"
            rule, where = "requests name a service of the scenario", f"workloads.{index}.requests.service"
            raise ScenarioError(rule, spec.service, where, f"one of {known}")
        if spec.label in labels:
            rule, where = "two workloads of requests have different names", f"workloads.{index}.requests.name"
            raise ScenarioError(rule, spec.label, where, "give each a name of its own")
        labels[spec.label] = index
        for tenant in filter(None, (spec.tenant, scenario.services[spec.service].tenant)):
            if scenario.tenants and tenant not in scenario.tenants:
                rule, where = "a tenant is one of the scenario's", f"workloads.{index}.requests.tenant"
                raise ScenarioError(rule, tenant, where, f"one of {', '.join(scenario.tenants)}")
