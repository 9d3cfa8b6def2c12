"""Fabrics of the catalogue and of scenarios as links."""

import numpy as np
import pytest

from sim.errors import ScenarioError, UsageError
from sim.plan.placement import ClusterMap, pool_of_cluster
from sim.plan.resolve import ResolvedCluster, resolve_cluster
from sim.plan.topology import Dragonfly, Topology, Torus, Tree
from sim.plan.topology_build import topology_of
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.hardware import Fabric

FABRIC = {"name": "own", "link_bandwidth_bytes_per_s": "400 Gbit/s"}


def built(count: int = 64, **spec: object) -> Topology:
    resolved = resolve_cluster(ClusterSpec.model_validate({"accelerator": "h100-sxm", "count": count} | spec))
    return links_of(resolved)


def links_of(resolved: ResolvedCluster) -> Topology:
    pool = pool_of_cluster(resolved)
    return topology_of(resolved, ClusterMap([pool]), pool.name)


def test_metas_pods_let_a_seventh_of_the_line_rate_out() -> None:
    topology = built(24_576, fabric="meta-24k-roce")
    assert isinstance(topology, Tree)
    assert [(tier.name, tier.count) for tier in topology.tiers] == [
        ("node up", 3072),
        ("node down", 3072),
        ("pod up", 8),
        ("pod down", 8),
    ]
    assert topology.capacity_bytes_per_s[:3072] == pytest.approx(8 * 50e9 * 0.95)
    assert topology.capacity_bytes_per_s[-8:] == pytest.approx(3072 * 50e9 * 0.95 / 7)


def test_a_dragonfly_and_a_torus_of_a_scenario() -> None:
    groups = {"levels": [{"name": "group", "devices": 16, "oversubscription": 2}, {"name": "all"}]}
    fly = built(fabric=FABRIC | groups | {"shape": "dragonfly"})
    assert isinstance(fly, Dragonfly)
    assert fly.capacity_bytes_per_s[-16:] == pytest.approx(np.full(16, 16 * 50e9 / 2 / 3))
    grid = built(fabric=FABRIC | {"shape": "torus", "dimensions": [2, 4]})
    assert isinstance(grid, Torus)
    assert (grid.sizes, grid.wraps) == ((2, 4), (True, True))
    with pytest.raises(UsageError, match="as many places"):
        built(fabric=FABRIC | {"shape": "torus", "dimensions": [3, 3]})


@pytest.mark.parametrize("shape", [{"shape": "torus"}, {"dimensions": [2, 4]}, {"shape": "dragonfly"}])
def test_a_shape_is_complete(shape: dict[str, object]) -> None:
    with pytest.raises((ScenarioError, ValueError), match=r"torus|dragonfly"):
        Fabric.model_validate(FABRIC | shape)


def test_nodes_need_something_that_joins_them() -> None:
    lone = built(8)
    assert len(lone.capacity_bytes_per_s) == 0
    with pytest.raises(UsageError, match="joins the nodes"):
        built(16, accelerator="rtx-3090")


@pytest.mark.parametrize("name", sorted(set(catalog.names("clusters")) - {"humanity"}))
def test_every_cluster_of_the_catalogue_has_links(name: str) -> None:
    resolved = resolve_cluster(name)
    topology = links_of(resolved)
    assert (topology.capacity_bytes_per_s > 0).all()
