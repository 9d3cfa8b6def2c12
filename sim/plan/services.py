"""Services become things: what a scenario says of one, resolved to replicas that fit on the cluster and sit on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cost.serving_curves import ServingLayout
from sim.errors import InfeasibleError, UsageError
from sim.plan import layer_profile
from sim.plan.placement import ClusterMap, ClusterState, pool_of_cluster
from sim.plan.placement_rules import place
from sim.plan.serving import Changes, ReplicaPlan, replica_plan
from sim.plan.serving_machine import FORMATS
from sim.spec import catalog
from sim.spec.model import ModelShape
from sim.spec.quantity import Sourced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.plan.placement import Allocation
    from sim.plan.resolve import ResolvedCluster
    from sim.spec.engine_profile import EngineProfile
    from sim.spec.service import EngineSettings, ServiceSpec
    from sim.spec.service import ServingLayout as LayoutSpec


@dataclass(frozen=True, slots=True)
class PlannedService:
    """A service with its replicas planned; those that only prefill apart."""

    name: str
    spec: ServiceSpec
    model: ModelShape
    profile: EngineProfile
    plan: ReplicaPlan
    prefill: ReplicaPlan | None = None
    draft: ReplicaPlan | None = None
    """Draft model of speculative decoding, on the devices of the replica."""

    @property
    def devices(self) -> int:
        """Count the devices that the service holds at most."""
        apart = self.spec.disaggregation
        if apart is not None and self.prefill is not None:
            return apart.prefill * self.prefill.devices + apart.decode * self.plan.devices
        return self.spec.most_replicas * self.plan.devices

    @property
    def compute(self) -> str:
        """Name the precision of the products."""
        return FORMATS[self.plan.weights].peak

    @property
    def replicas_told(self) -> str:
        """Say how many replicas there are, and how one is laid out."""
        layout, apart = self.plan.layout, self.spec.disaggregation
        degrees = [("tp", layout.tensor_parallel), ("pp", layout.pipeline_parallel)]
        degrees += [("ep", layout.expert_parallel), ("dp", layout.attention_data_parallel)]
        told = "".join(f" {name}{degree}" for name, degree in degrees if degree > 1)
        if apart is not None:
            return f"{apart.prefill} prefill, {apart.decode} decode{told}"
        count = self.spec.replicas
        many = f"{count}" if isinstance(count, int) else f"{count.min} to {count.max}"
        return f"{many}{f' x{told}' if told else ''}"


def plan_service(name: str, spec: ServiceSpec, cluster: ResolvedCluster) -> PlannedService:
    """Plan the replicas of a service.

    Raises:
        CatalogError: a name is unknown.
        UsageError: a precision or a layout that this chip or model does not have.
        InfeasibleError: the model does not fit.
        NotYetError: the model cannot be served yet.

    """
    model = _model(spec.model)
    profile = engine_profile(spec.engine)
    precision, form = spec.precision, FORMATS[spec.precision.weights]
    if precision.compute is not None and precision.compute != form.peak:
        raise UsageError(
            f"weights in {precision.weights} are multiplied in {form.peak}",
            precision.compute,
            f"services.{name}.precision.compute",
            "leave out compute, or choose other weights",
        )
    drafts = spec.speculative.model if spec.speculative is not None else None
    drafter = None if drafts is None else _model(drafts)
    changes = replace(_changes(spec.engine), draft=drafter)

    def plan(of: ModelShape, layout: LayoutSpec | None) -> ReplicaPlan:
        return replica_plan(
            of,
            cluster,
            profile,
            layout=None if layout is None else _layout(of, layout),
            weights=precision.weights,
            cache=precision.kv,
            changes=changes,
        )

    usual = None if spec.plan == "auto" else spec.plan
    main, prefill, draft = plan(model, usual), None, None
    if spec.disaggregation is not None:
        prefill = plan(model, spec.disaggregation.prefill_plan or usual)
    if drafter is not None:
        draft = replica_plan(drafter, cluster, profile, layout=main.layout, weights=precision.weights)
    return PlannedService(name, spec, model, profile, main, prefill, draft)


def place_services(
    services: Mapping[str, PlannedService], cluster: ResolvedCluster, *, least: bool = False
) -> ClusterState:
    """Put every replica on the cluster: packed, and the devices of one stage on one node where a node holds them.

    Args:
        services: what is to be placed.
        cluster: where.
        least: as many replicas as there are at the beginning, not as many as there may be.

    Raises:
        InfeasibleError: the cluster has too few devices, or none that lie together.

    """
    held = {
        name: sum(plan.devices * count for plan, count in _replicas(service, least=least))
        for name, service in services.items()
    }
    wanted = sum(held.values())
    if wanted > cluster.spec.count:
        parts = ", ".join(f"{name} {devices:,}" for name, devices in held.items())
        raise InfeasibleError(
            "the services need more devices than the cluster has",
            value=f"{parts}: {wanted:,} of {cluster.spec.count:,}",
            where="services",
            mend=f"cluster.count={wanted}, fewer replicas, or smaller ones (narrower weights need fewer devices)",
        )
    state = ClusterState(ClusterMap([pool_of_cluster(cluster)]))
    for service in services.values():
        for plan, count in _replicas(service, least=least):
            for number in range(count):
                if _place_one(state, plan, cluster) is None:
                    raise InfeasibleError(
                        "the devices of a replica have to lie together, and the free ones do not",
                        value=f"{service.name}: replica {number + 1} of {count}, {plan.layout.tensor_parallel} devices "
                        "on one node",
                        where=f"services.{service.name}",
                        mend=f"degrees that divide the {cluster.devices_per_node} devices of a node, or more nodes",
                    )
    return state


def _replicas(service: PlannedService, *, least: bool) -> list[tuple[ReplicaPlan, int]]:
    apart, replicas = service.spec.disaggregation, service.spec.replicas
    if apart is not None and service.prefill is not None:
        return [(service.prefill, apart.prefill), (service.plan, apart.decode)]
    return [(service.plan, service.spec.most_replicas if isinstance(replicas, int) or not least else replicas.min)]


def lie_together(plan: ReplicaPlan, cluster: ResolvedCluster) -> tuple[int, str | None]:
    """Give the devices of a replica that share a node, and the level that holds the replica where one must.

    A group wider than a node spans whole nodes of its scale-up domain.
    """
    node, group = max(cluster.devices_per_node, 1), plan.layout.tensor_parallel
    return min(group, node), "domain" if group > node else None


def _place_one(state: ClusterState, plan: ReplicaPlan, cluster: ResolvedCluster) -> Allocation | None:
    chunk, within = lie_together(plan, cluster)
    return place(state, plan.devices, "packed", chunk=chunk, within=within)


def engine_profile(settings: EngineSettings) -> EngineProfile:
    """Give the profile of an engine with what the scenario sets otherwise.

    Raises:
        CatalogError: there is no such profile.

    """
    profile = catalog.load("engines", settings.profile)
    names = ("chunked_prefill", "batching", "preemption")
    changed: dict[str, object] = {
        name: getattr(settings, name) for name in names if getattr(settings, name) is not None
    }
    if settings.host is not None:
        changed["iteration_host_s"] = Sourced(
            value=settings.host, dimension="second", source="given in the scenario", status="given"
        )
    return profile.model_copy(update=changed) if changed else profile


def _changes(settings: EngineSettings) -> Changes:
    return Changes(
        kv_blocks=settings.kv_blocks,
        block_size=settings.block_size,
        token_budget=settings.token_budget,
        max_sequences=settings.max_sequences,
        memory_fraction=settings.memory_fraction,
        prefix_caching=settings.prefix_caching,
        layers=None if settings.layers is None else layer_profile.read(Path(settings.layers)),
    )


def _layout(model: ModelShape, given: LayoutSpec) -> ServingLayout:
    """Fill in the degrees that are not given: experts are spread over all devices of a stage."""
    tensor, data = given.tp or 1, given.dp_attention or 1
    experts = given.ep or (tensor * data if model.experts is not None else 1)
    return ServingLayout(tensor, given.pp or 1, experts, data)


def _model(reference: str | ModelShape) -> ModelShape:
    return reference if isinstance(reference, ModelShape) else catalog.load("models", reference)
