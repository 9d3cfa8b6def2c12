"""Names become things: the cluster, the model and the amounts that a scenario means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.cost.scaling import LAWS
from sim.errors import UsageError
from sim.plan import shape
from sim.plan.work import work_of
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.model import ModelShape

if TYPE_CHECKING:
    from sim.spec.hardware import Accelerator, Fabric, Node
    from sim.spec.workload import TrainingSpec

CONTRADICTION = 0.1
"""FLOP and tokens that a user gives both may differ this much: published totals are rounded and count 6ND."""


@dataclass(frozen=True, slots=True)
class ResolvedCluster:
    """A cluster with everything that its names stand for."""

    spec: ClusterSpec
    accelerator: Accelerator
    node: Node | None
    fabric: Fabric | None
    entry: str | None
    """Name in the catalogue, where the scenario names a real cluster."""

    @property
    def devices_per_node(self) -> int:
        """Devices that share a host; 1 where no node is known."""
        return self.node.devices if self.node is not None else 1


@dataclass(frozen=True, slots=True)
class ResolvedTraining:
    """The model and the amounts of a training run."""

    spec: TrainingSpec
    model: ModelShape
    tokens: float
    """Training tokens of the whole run."""
    model_flop: float
    """Model FLOP of the whole run, in operations."""
    global_batch: int
    """Sequences of one optimizer step."""
    sized_by: str
    """What decided the model: catalogue, parameters, scaling law or scenario."""


def resolve_cluster(cluster: str | ClusterSpec) -> ResolvedCluster:
    """Look up what a cluster is made of.

    Raises:
        CatalogError: a name is not in the catalogue.
        UsageError: more spares than nodes.

    """
    entry = None
    if isinstance(cluster, str):
        entry = cluster
        known = catalog.load("clusters", cluster)
        cluster = ClusterSpec(accelerator=known.accelerator, count=known.count, node=known.node, fabric=known.fabric)
    given = cluster.accelerator
    accelerator = catalog.load("accelerators", given) if isinstance(given, str) else given
    named_node, named_fabric = cluster.node or accelerator.node, cluster.fabric or accelerator.fabric
    node = catalog.load("nodes", named_node) if isinstance(named_node, str) else named_node
    fabric = catalog.load("fabrics", named_fabric) if isinstance(named_fabric, str) else named_fabric
    resolved = ResolvedCluster(cluster, accelerator, node, fabric, entry)
    if cluster.spares * resolved.devices_per_node >= cluster.count:
        raise UsageError(
            "spare nodes are part of the count, and some must be left to work",
            value=f"{cluster.spares} spare nodes of {resolved.devices_per_node} devices in {cluster.count}",
            where="cluster.spares",
            mend="fewer spares or a larger count",
        )
    return resolved


def resolve_training(spec: TrainingSpec) -> ResolvedTraining:
    """Decide the model, the tokens and the FLOP of a run.

    A compute-optimal model takes its size from the scaling law; the budget then decides the tokens by the exact
    count of operators, so that model FLOP equal the budget. Tokens given by the user decide the FLOP instead.

    Raises:
        CatalogError: the model is not in the catalogue.
        UsageError: no budget, or FLOP that contradict model and tokens.

    """
    tokens = spec.tokens if spec.tokens is not None else spec.budget.tokens if spec.budget is not None else None
    flop = spec.budget.flop if spec.budget is not None else None
    if tokens is None and flop is None:
        raise UsageError(
            "a run needs a budget: FLOP, or tokens",
            where="training.budget",
            mend="budget: 1e26 FLOP, or tokens: 15e12 tokens with a model",
        )
    model, sized_by = _model(spec, flop, tokens)
    global_batch = max(round(spec.batch / spec.sequence), 1)
    per_token = work_of(spec, model, global_batch).flop_per_token.training
    if tokens is None:
        assert flop is not None
        tokens = flop / per_token
    elif flop is not None and abs(tokens * per_token / flop - 1) > CONTRADICTION:
        raise UsageError(
            "the FLOP of the budget contradict the model and its tokens",
            value=f"{flop:.4g} FLOP against {tokens:.4g} tokens x {per_token:.4g} FLOP = {tokens * per_token:.4g}",
            where="training.budget",
            mend="leave out the budget or the tokens",
        )
    return ResolvedTraining(spec, model, tokens, tokens * per_token, global_batch, sized_by)


def _model(spec: TrainingSpec, flop: float | None, tokens: float | None) -> tuple[ModelShape, str]:
    if isinstance(spec.model, ModelShape):
        return spec.model, "scenario"
    if spec.params is not None:
        return shape.of_size(spec.params, "dense"), "parameters"
    if spec.model != "compute-optimal":
        return catalog.load("models", spec.model), "catalogue"
    if flop is None:
        raise UsageError(
            "tokens alone do not size a model",
            value="" if tokens is None else f"{tokens:.4g} tokens",
            where="training.budget",
            mend="name a model (--model llama-3.1-405b) or its parameters (--params 405e9), or give FLOP",
        )
    return shape.of_size(LAWS[spec.law].parameters(flop)), "scaling law"
