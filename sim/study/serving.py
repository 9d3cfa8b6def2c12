"""Play a scenario of services and requests: put the services on the cluster, send the requests, and tell what came."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

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

    from sim.engine.ledger import Accounts
    from sim.engine.serving.devices import Devices
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
    planned = plan_services(scenario, cluster)
    place_services(planned, cluster)
    world = World(cluster.spec.count, scenario.seed)
    services = Services(world, scenario, cluster, planned)
    services.send()
    world.run_until(services.are_over)
    services.close()
    return services.report(world.ledger.close(world.now_s))


def plan_services(scenario: Scenario, cluster: ResolvedCluster) -> dict[str, PlannedService]:
    """Plan the services of a scenario, whose workloads make sense.

    Raises:
        SimError: a name is unknown, a model does not fit, or the scenario contradicts itself.

    """
    _check(scenario, requests_of(scenario))
    return {name: plan_service(name, spec, cluster) for name, spec in scenario.services.items()}


def requests_of(scenario: Scenario) -> dict[int, RequestsSpec]:
    """Give the workloads of requests, by their place in the scenario."""
    return {index: workload.requests for index, workload in enumerate(scenario.workloads) if workload.requests}


class Services:
    """The services of a scenario in a world, and what is sent to them."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        cluster: ResolvedCluster,
        planned: Mapping[str, PlannedService],
        devices: Mapping[str, Devices] | None = None,
    ) -> None:
        """Begin the services; they ask for devices where the scenario says so, or take what is free in the world."""
        self._world, self._scenario, self._cluster, self._planned = world, scenario, cluster, planned
        self._workloads = requests_of(scenario)
        own = devices or {}
        self._running = {
            name: start_service(world, each, cluster, self._workloads, own.get(name)) for name, each in planned.items()
        }
        self._traces: dict[int, Trace] = {}
        self._players: list[Player] = []
        self._left: set[int] = set()
        self._tasks: Any = None
        self._ends = devices is not None
        """Whether a service that nobody needs any more gives its devices back to others."""

    def send(self) -> None:
        """Begin to send requests and tasks."""
        world, scenario, workloads = self._world, self._scenario, self._workloads
        for index, spec in workloads.items():
            if spec.trace:
                self._traces[index] = open_trace(spec.trace.file, spec.trace.format)
        for index, spec in workloads.items():
            player = start_workload(world, spec, index, self._running[spec.service], self._traces.get(index))
            player.on_over = partial(self._over, index)
            player.window = self._planned[spec.service].model.max_positions or math.inf
            self._players.append(player)
        self._left = set(workloads)
        if any(workload.tasks is not None for workload in scenario.workloads):
            # Requests alone do not wait for what graphs need.
            graphs = importlib.import_module("sim.study.graphs")
            services = {name: (each.service, each.planned) for name, each in self._running.items()}
            self._tasks = graphs.Tasks(world, scenario, services, self._over)
            self._left |= set(self._tasks.workloads)
        if self._ends:
            self._end_idle()

    def are_over(self) -> bool:
        """Tell whether all that was sent is answered, and nothing comes any more."""
        return not self._left

    def close(self) -> None:
        """End the services and settle what they did with the ledger."""
        self._served = [close_service(each, self._cluster) for each in self._running.values()]

    def report(self, accounts: Accounts) -> RunReport:
        """Tell what was played."""
        notes = [
            f"{spec.label}: {trace.left_out:,} requests of the trace failed when it was recorded and are left out"
            for index, spec in self._workloads.items()
            if (trace := self._traces.get(index)) is not None and trace.left_out
        ]
        notes += [
            f"{player.spec.label}: {player.beyond_window:,} requests are longer than the {player.window:,} tokens that "
            "the model takes; they are served as if it took them"
            for player in self._players
            if player.beyond_window
        ]
        served = self._served
        told = report(self._scenario, self._cluster, served, accounts, list(self._planned.values()), notes)
        if self._tasks is None:
            return told
        together: RunReport = self._tasks.told_with(told, served)
        return together

    def _over(self, index: int) -> None:
        """Note that all of a workload is answered, and end the services that nobody needs any more."""
        self._left.discard(index)
        if self._ends:
            # Whoever tells of the last answer still has the replica in its hands.
            self._world.after(0.0, self._end_idle)

    def _end_idle(self) -> None:
        """End the services that no request and no task may still come to; any task may call any service."""
        tasks = self._left - set(self._workloads)
        needed = {self._workloads[index].service for index in self._left & set(self._workloads)}
        for name, running in self._running.items():
            if not tasks and name not in needed:
                running.service.end()


def start_service(
    world: World,
    planned: PlannedService,
    cluster: ResolvedCluster,
    workloads: Mapping[int, RequestsSpec],
    devices: Devices | None = None,
) -> Running:
    """Begin a service in a world; its finished requests are folded as they come."""
    own = {index: spec for index, spec in workloads.items() if spec.service == planned.name}
    measured = {index: Measured(spec.label, spec.at + spec.warm_up, spec.slo) for index, spec in own.items()}
    fold = ServiceFold(measured)
    by_priority = len({spec.priority for spec in own.values()}) > 1
    options = service_options(planned, cluster, by_priority=by_priority)
    service = Service(world, planned.plan, options, name=planned.name, consume=fold, devices=devices)
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


def close_service(running: Running, cluster: ResolvedCluster) -> Served:
    """End a service and gather what is told of it."""
    planned, chip = running.planned, cluster.accelerator
    recording = running.service.close()
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
        at_s=spec.at,
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
