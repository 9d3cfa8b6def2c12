"""The kinds of device of a scenario: one cluster, several that jobs share, or those of a list of nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from sim.engine.cluster.rules import Faults, Pool
from sim.errors import ScenarioError
from sim.plan.placement import ClusterMap, pool_of_cluster
from sim.plan.placement import Pool as PlacedPool
from sim.plan.resolve import ResolvedCluster, resolve_cluster
from sim.plan.training import power_model
from sim.results.jobs_kinds import Bill
from sim.spec.job_traces import read_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.engine.cluster.recording import KindAccounts
    from sim.spec.scenario import Scenario

ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices of a scenario by kind, as the engine takes them, and what each kind is made of."""

    pools: tuple[Pool, ...]
    cluster_map: ClusterMap | None
    """Nodes of all kinds; none where devices are counts without a place."""
    clusters: Mapping[str, ResolvedCluster]
    """By kind; empty for a list of nodes, which names kinds and says nothing of them."""
    said: ResolvedCluster
    """The cluster that the scenario names, or the first; a list of nodes takes only its ways to fail."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Give the names of the kinds, in the order of the scenario."""
        return tuple(pool.kind for pool in self.pools)

    @property
    def needs_speeds(self) -> bool:
        """Tell whether a run time means nothing unless it says for which kind of device it holds."""
        return len(self.clusters) > 1

    def price_usd_per_s(self, kind: str) -> float | None:
        """Give the price of a device of a kind: the scenario's own, or that of the catalogue, where one is known."""
        cluster = self.clusters.get(kind)
        if cluster is None or cluster.spec.price is not None:
            return None if cluster is None else cluster.spec.price
        price = cluster.accelerator.price_usd_per_s
        return None if price is None else price.value

    def bill(self, held: KindAccounts, wall_clock_s: float) -> Bill:
        """Say what the devices of a kind drew and cost until the last end."""
        cluster, price = self.clusters.get(held.kind), self.price_usd_per_s(held.kind)
        energy_j = held.energy_j or None
        return Bill(
            kind=held.kind,
            accelerator=held.kind if cluster is None else cluster.accelerator.name,
            energy_j=energy_j,
            cost_usd=None if price is None else price * held.devices * wall_clock_s,
            co2_kg=None if energy_j is None else energy_j * (cluster or self.said).spec.carbon,
        )

    def peak_flop_per_s(self, kinds: Sequence[str]) -> float:
        """Give the dense 16-bit peak of a device of the first of some kinds, or of the first kind of all."""
        cluster = self.clusters.get(kinds[0] if kinds else self.kinds[0]) or self.said
        peaks = cluster.accelerator.peak_flop_per_s
        return peaks["bf16"].value if "bf16" in peaks else max((each.value for each in peaks.values()), default=0.0)

    def refuse_unknown(self, kinds: Iterable[str], where: str) -> None:
        """Refuse kinds of device that a user names and the scenario does not have.

        Raises:
            ScenarioError: there is no such kind.

        """
        for kind in kinds:
            if kind not in self.kinds:
                near = get_close_matches(kind, self.kinds, n=1)
                mend = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(self.kinds)}"
                raise ScenarioError("the scenario has no such kind of device", kind, where, mend)


def machine_of(scenario: Scenario, place: str) -> Machine:
    """Resolve the clusters of a scenario; ``place`` is the rule of placement.

    Raises:
        ScenarioError: a list of nodes beside several clusters.
        SimError: a name is not in the catalogue, or the levels of two fabrics contradict each other.

    """
    listed = _list_of_nodes(scenario)
    if listed is not None:
        return _listed(scenario, listed, place)
    if scenario.clusters:
        clusters = {name: resolve_cluster(each) for name, each in scenario.clusters.items()}
    else:
        only = resolve_cluster(scenario.one_cluster)
        clusters = {only.accelerator.name: only}
    pools = tuple(_pool(kind, cluster) for kind, cluster in clusters.items())
    placed = [replace(pool_of_cluster(cluster), name=kind) for kind, cluster in clusters.items()]
    return Machine(pools, None if place == ANYWHERE else ClusterMap(placed), clusters, next(iter(clusters.values())))


def _pool(kind: str, cluster: ResolvedCluster) -> Pool:
    power = power_model(cluster)
    return Pool(
        kind=kind,
        devices=cluster.spec.count,
        node_devices=cluster.devices_per_node,
        power_w=0.0 if power is None else power.wall_w_per_device,
        faults=_faults(cluster),
    )


def _faults(cluster: ResolvedCluster) -> Faults:
    return Faults(cluster.spec.failure_rate, cluster.spec.repair, cluster.spec.node_loss_share)


def _list_of_nodes(scenario: Scenario) -> str | None:
    lists = [each.jobs.trace.nodes for each in scenario.workloads if each.jobs and each.jobs.trace]
    return next((each for each in lists if each is not None), None)


def _listed(scenario: Scenario, nodes: str, place: str) -> Machine:
    """Take kinds and nodes from a list; the cluster of the scenario says how they fail."""
    if scenario.clusters:
        raise ScenarioError(
            "a list of nodes takes the place of the cluster", nodes, "trace.nodes", "leave out trace.nodes"
        )
    found, said = read_nodes(nodes), resolve_cluster(scenario.one_cluster)
    pools = tuple(Pool(kind, devices, node, faults=_faults(said)) for kind, (devices, node) in found.items())
    placed = [PlacedPool(kind, devices, node, node) for kind, (devices, node) in found.items()]
    return Machine(pools, None if place == ANYWHERE else ClusterMap(placed), {}, said)
