"""From a fabric of the catalogue to the links between the nodes of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import UsageError
from sim.plan.topology import Topology, dragonfly, torus, tree

if TYPE_CHECKING:
    from sim.plan.placement import ClusterMap
    from sim.plan.resolve import ResolvedCluster


def topology_of(cluster: ResolvedCluster, nodes: ClusterMap, pool: str) -> Topology:
    """Build the network of a pool from its fabric: line rate, levels and their oversubscription, shape.

    Args:
        cluster: the cluster that the pool is made of.
        nodes: its nodes and groups; a level that is as large as the whole pool is none of its levels.
        pool: name of the pool.

    Raises:
        UsageError: several scale-up domains and nothing that joins them, or a torus of another size.

    """
    fabric, node = cluster.fabric, cluster.node
    rates = [fabric.link_bandwidth_bytes_per_s.value] if fabric is not None else []
    if node is not None and node.scale_out_bandwidth_bytes_per_s is not None:
        rates.append(node.scale_out_bandwidth_bytes_per_s.value)
    if fabric is None or not rates:
        if rates or nodes.nodes == 1:
            return tree(nodes, pool, min(rates, default=1.0))
        raise UsageError(
            f"nothing says what joins the nodes of {pool}",
            where="cluster.fabric",
            mend="name a fabric (sim list fabrics)",
        )
    efficiency = fabric.efficiency.value if fabric.efficiency is not None else 1.0
    if fabric.shape == "torus":
        assert fabric.dimensions is not None
        wraps = (fabric.wraps,) * len(fabric.dimensions)
        return torus(nodes, pool, fabric.link_bandwidth_bytes_per_s.value, fabric.dimensions, wraps, efficiency)
    first = fabric.levels[0]
    if fabric.shape == "dragonfly" and first.name in nodes.levels:
        return dragonfly(nodes, pool, min(rates), first.name, first.oversubscription, efficiency=efficiency)
    ratios = {level.name: level.oversubscription for level in fabric.levels if level.name in nodes.levels}
    return tree(nodes, pool, min(rates), ratios, efficiency)
