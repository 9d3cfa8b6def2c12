"""The machine and the software of a row, built once for all rows that share them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sim.errors import NotYetError
from sim.plan import machine as machines
from sim.plan.resolve import resolve_cluster
from sim.plan.work import recipe_of
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.quantity import Sourced
from sim.validate.names import names, plain_name
from sim.validate.rows import MissingError

if TYPE_CHECKING:
    from sim.cost.machine import Machine, Software
    from sim.cost.recipe import Recipe
    from sim.plan.resolve import ResolvedCluster
    from sim.spec.hardware import Accelerator, Fabric, Node
    from sim.validate.names import ProfileRule
    from sim.validate.rows import Configuration

NO_PROFILE = "none"
"""`--profile none`: kernels as fast as alone, no slowdown with scale; operators and overlaps only."""

PLAIN: dict[str, Any] = {"attention_slowdown": 1.0, "expert_slowdown": 1.0}
GBIT_BYTES = 1e9 / 8


@dataclass(frozen=True, slots=True)
class Setting:
    """On what a row ran, in the numbers of the cost model."""

    cluster: ResolvedCluster
    recipe: Recipe
    machine: Machine
    software: Software
    rule: ProfileRule


def setting_of(row: Configuration, profile: str | None = None) -> Setting:
    """Give machine, recipe and software of a row.

    Args:
        row: the row.
        profile: software profile for all rows, ``NO_PROFILE``, or None for that of the source group.

    Raises:
        MissingError: the chip is not in the table of names, or the row has no number of devices.
        SimError: the chip cannot run the precision, or has no curves for it.

    """
    devices = row.needs("gpus")
    return _setting(
        row.gpu,
        devices,
        row.gpus_per_node or 0,
        row.internode_gbps_per_gpu or 0.0,
        row.precision,
        origin_of(row),
        profile,
        alone=row.pp == 1,
    )


def origin_of(row: Configuration) -> str:
    """Give source group, publication, model and release of a row; the publication is its id up to its first number."""
    return f"{row.source_group}/{publication(row.id)}/{plain_name(row.model)}/{row.release}"


def publication(identity: str) -> str:
    """Give the part of an id before its first hyphen that a digit follows.

    >>> publication("mlperf-v5.1-187"), publication("megascale-Megatron-LM-256")
    ('mlperf-v5.1', 'megascale-Megatron-LM')
    """
    return re.split(r"-(?=\d)", identity)[0]


def accelerator_of(gpu: str) -> Accelerator:
    """Give the accelerator that a name of a table stands for.

    Raises:
        MissingError: the table of names does not have it.

    """
    chip = names().chip(gpu)
    if chip is None:
        raise MissingError(f"no accelerator of the catalogue is known for '{gpu}'")
    entry = catalog.load("accelerators", chip.accelerator)
    changes: dict[str, object] = {
        "memory_bytes": None if chip.memory is None else _stated(chip.memory, "byte"),
        "memory_bandwidth_bytes_per_s": None if chip.bandwidth is None else _stated(chip.bandwidth, "byte_per_s"),
    }
    if chip.sustained < 1.0:
        changes["peak_flop_per_s"] = {
            name: peak.model_copy(update={"value": peak.value * chip.sustained})
            for name, peak in entry.peak_flop_per_s.items()
        }
    return entry.model_copy(update={name: value for name, value in changes.items() if value is not None})


@lru_cache(maxsize=4096)
def _setting(
    gpu: str,
    devices: int,
    per_node: int,
    rate_gbps: float,
    precision: str,
    origin: str,
    profile: str | None,
    *,
    alone: bool,
) -> Setting:
    accelerator = accelerator_of(gpu)
    written = _recipe(precision or names().precision(origin, accelerator.generation).precision)
    rule = names().software(origin, accelerator.generation, alone=alone)
    cluster = resolve_cluster(cluster_of(accelerator, devices, per_node, rate_gbps))
    named = rule.profile if profile in (None, NO_PROFILE) else profile
    chosen = recipe_of(written, named)
    software = machines.software(named, accelerator, chosen)
    if profile == NO_PROFILE:
        software = replace(software, name=NO_PROFILE, kernel_slowdown=1.0, scale_slowdown=0.0, **PLAIN)
    return Setting(cluster, chosen, machines.build(cluster, chosen), software, rule)


def _recipe(precision: str) -> str:
    """Give the recipe that a row names."""
    if precision not in catalog.names("recipes"):
        raise NotYetError(f"the precision recipe {precision} is not built")
    return precision


def cluster_of(
    accelerator: Accelerator, devices: int, per_node: int, rate_gbps: float, network: str | None = None
) -> ClusterSpec:
    """Give the accelerator's usual node and fabric, with the row's devices in a node and its line rate in Gbit/s."""
    named = network or accelerator.fabric
    node = catalog.load("nodes", accelerator.node) if accelerator.node is not None else None
    fabric = catalog.load("fabrics", named) if isinstance(named, str) else None
    return ClusterSpec(
        accelerator=accelerator,
        count=devices,
        node=None if node is None else _node(node, per_node, rate_gbps),
        fabric=None if fabric is None else _fabric(fabric, rate_gbps),
    )


def _node(node: Node, per_node: int, rate_gbps: float) -> Node:
    changes: dict[str, object] = {}
    if per_node and per_node != node.devices:
        if node.scale_up_domain_devices <= node.devices:
            changes["scale_up_domain_devices"] = min(per_node, node.scale_up_domain_devices)
        changes["devices"] = per_node
    if rate_gbps:
        changes["scale_out_bandwidth_bytes_per_s"] = _stated(rate_gbps * GBIT_BYTES, "byte_per_s")
    return node.model_copy(update=changes)


def _fabric(fabric: Fabric, rate_gbps: float) -> Fabric:
    rate = {"link_bandwidth_bytes_per_s": _stated(rate_gbps * GBIT_BYTES, "byte_per_s")} if rate_gbps else {}
    return fabric.model_copy(update=rate)


def _stated(value: float, dimension: str) -> Sourced:
    return Sourced(value=value, dimension=dimension, source="the row of the table", status="given")
