"""The machine and the software of a run, from catalogue entries to the numbers that cost functions take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cost.attention import AttentionCurve
from sim.cost.collectives import DomainLevel, Fabric, NetworkLevel
from sim.cost.grouped import GroupedCurve
from sim.cost.machine import Machine, Software
from sim.cost.memory import LOSS_BYTES, MemoryRules
from sim.cost.recipe import recipe
from sim.cost.recurrent import ScanCurve, ScanCurves
from sim.cost.roofline import RooflineCurve
from sim.errors import CatalogError, UsageError
from sim.spec import catalog

if TYPE_CHECKING:
    from sim.cost.recipe import Recipe
    from sim.plan.resolve import ResolvedCluster
    from sim.spec.calibration import Calibration
    from sim.spec.hardware import Accelerator
    from sim.spec.profile import KernelSlowdown
    from sim.spec.quantity import Sourced

GENERIC = "generic"
UNBOUNDED = 1e12
"""Devices of a pod that never ends: a thousand times the largest cluster that a scenario may name."""


def peak(accelerator: Accelerator, precision: str) -> float:
    """Give the dense peak of a chip in one precision, in FLOP/s.

    Raises:
        UsageError: the chip has no peak for it; none is made up from another.

    """
    known = accelerator.peak_flop_per_s
    if precision not in known:
        trains = trained_in(accelerator)
        raise UsageError(
            f"{accelerator.name} has no dense peak for {precision}",
            value=precision,
            where="training.precision",
            mend=f"--precision {' or '.join(trains)}" if trains else "another accelerator: it trains in no recipe here",
        )
    return known[precision].value


def trained_in(accelerator: Accelerator) -> tuple[str, ...]:
    """List the recipes of the catalogue that a chip can multiply."""
    every = {name: recipe(name) for name in catalog.names("recipes")}
    return tuple(name for name, each in every.items() if _multiplies(accelerator, each))


def _multiplies(accelerator: Accelerator, recipe: Recipe) -> bool:
    """Tell whether a chip has the peaks of a recipe, and units that know its format."""
    formats = {recipe.gemm_precision, recipe.wide_precision}
    known = not recipe.generations or accelerator.generation in recipe.generations
    return known and formats <= set(accelerator.peak_flop_per_s)


def build(cluster: ResolvedCluster, recipe: Recipe) -> Machine:
    """Reduce a cluster to the numbers that the training step needs.

    Raises:
        UsageError: the chip lacks a peak, or it needs a node and a fabric that it does not name.

    """
    accelerator = cluster.accelerator
    if accelerator.memory_bytes is None or accelerator.memory_bandwidth_bytes_per_s is None:
        raise UsageError("an ideal machine has no operators to time", value=accelerator.name)
    if recipe.generations and accelerator.generation not in recipe.generations:
        raise UsageError(
            f"the matrix units of {accelerator.name} do not know the format of {recipe.name}",
            value=recipe.name,
            where="training.precision",
            mend=f"--precision {' or '.join(trained_in(accelerator))}",
        )
    gemm_peak, wide_peak = peak(accelerator, recipe.gemm_precision), peak(accelerator, recipe.wide_precision)
    calibration = catalog.load("calibration", accelerator.calibration)
    dtype = recipe.curve
    if dtype not in calibration.gemm:
        raise UsageError(
            f"the calibration of {accelerator.name} ({calibration.name}) has no curve for {dtype} products",
            value=recipe.name,
            where="training.precision",
            mend=f"one of {', '.join(calibration.gemm)}, or measure it: sim calibrate gemm",
        )
    domain = cluster.node.scale_up_domain_devices if cluster.node is not None else 1
    return Machine(
        name=accelerator.name,
        gemm_peak_flop_per_s=gemm_peak,
        wide_peak_flop_per_s=wide_peak,
        bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s.value,
        memory_bytes=accelerator.memory_bytes.value,
        gemm=RooflineCurve.of(calibration.gemm[dtype], quantised=True),
        wide_gemm=RooflineCurve.of(calibration.gemm["bf16"]),
        attention=AttentionCurve.of(calibration.attention["bf16"]),
        experts=GroupedCurve.of(calibration.experts.get(dtype, calibration.experts["bf16"])),
        wide_experts=GroupedCurve.of(calibration.experts["bf16"]),
        scans=_scans(accelerator.calibration),
        vector_efficiency=calibration.vector.memory_efficiency,
        vector_overhead_s=calibration.vector.overhead_s,
        fabric=_fabric(cluster, calibration),
        domain_devices=domain,
        pod_devices=_pod(cluster)[0],
    )


def _scans(family: str) -> ScanCurves:
    """Give the recurrences of a family of chips, or those of the generic one where none were measured on it."""
    known = catalog.load("scans", family if family in catalog.names("scans") else GENERIC)
    return ScanCurves(
        gated_delta=ScanCurve.of(known.gated_delta),
        channel_delta=ScanCurve.of(known.channel_delta),
        state_space=ScanCurve.of(known.state_space),
    )


def slowdown(profile: str, accelerator: Accelerator, recipe: Recipe) -> KernelSlowdown:
    """Give the kernel slowdown of a software profile on a chip.

    Raises:
        CatalogError: the profile has no entry for this chip and precision.

    """
    entry = catalog.load("profiles", profile).slowdown(accelerator.generation, recipe.kind)
    if entry is None:
        raise CatalogError(
            f"software profile {profile} has no kernel_slowdown for {accelerator.generation} chips in {recipe.name}",
            where=f"hardware_specs/profiles/{profile}.yaml",
            mend="add an entry without generations and precisions: it holds for all",
        )
    return entry


def software(profile: str, accelerator: Accelerator, recipe: Recipe) -> Software:
    """Reduce a software profile to the numbers that the training step needs."""
    entry = catalog.load("profiles", profile)
    of_experts = entry.slowdown_of_experts(accelerator.generation, recipe.kind)
    return Software(
        name=profile,
        kernel_slowdown=slowdown(profile, accelerator, recipe).factor,
        attention_slowdown=entry.slowdown_of_attention(accelerator.generation, recipe.kind),
        scale_slowdown=entry.scale_slowdown.value,
        tensor_parallel_overlap=entry.tensor_parallel_overlap.value,
        data_parallel_overlap=entry.data_parallel_overlap.value,
        pipeline_overlap=entry.pipeline_overlap.value,
        expert_parallel_overlap=_stated(entry.expert_parallel_overlap, 0.0),
        expert_parallel_overlap_across=_stated(entry.expert_parallel_overlap_across, 0.0),
        expert_imbalance=1.0 + _stated(entry.expert_imbalance, 0.0),
        expert_slowdown=1.0 if of_experts is None else of_experts.factor,
        launch_s=entry.launch_s.value,
        step_host_s=entry.step_host_s.value,
        memory=MemoryRules(
            reserve_bytes=entry.reserve_bytes.value,
            fragmentation=entry.fragmentation.value,
            flash_attention=entry.attention_kernel == "flash",
            loss_bytes=_stated(entry.loss_bytes, LOSS_BYTES),
            products_again=entry.selective_recompute == "products",
            whole_gradients=entry.pipeline_gradients == "whole",
            checkpoints_on_host=entry.checkpoints == "host",
            step_gradient_bytes=_stated(entry.step_gradient_bytes, 0.0),
            stage_outputs_kept=entry.stage_outputs == "kept",
        ),
        context_exchange=entry.context_exchange,
    )


def _stated(number: Sourced | None, otherwise: float) -> float:
    """Give a number of a profile; those of stacks that never trained experts say nothing of them."""
    return otherwise if number is None else number.value


def _fabric(cluster: ResolvedCluster, calibration: Calibration) -> Fabric:
    """Join the scale-up domain and the network; without a network, one domain is all there is."""
    node, network = cluster.node, calibration.network
    scale_up = node.scale_up_bandwidth_bytes_per_s.value if node is not None else 1.0
    pair = cluster.accelerator.point_to_point_bandwidth_bytes_per_s
    domain = DomainLevel.of(calibration, scale_up, pair.value if pair is not None else scale_up)
    line_rate, fabric = _line_rate(cluster), cluster.fabric
    own = fabric.efficiency.value if fabric is not None and fabric.efficiency is not None else None
    latency_s = fabric.latency_s.value if fabric is not None and fabric.latency_s is not None else 0.0
    pod = NetworkLevel.of(network, line_rate, latency_s, own)
    spine = NetworkLevel.of(network, line_rate, latency_s, own, _pod(cluster)[1])
    return Fabric(domain, pod, spine)


def _line_rate(cluster: ResolvedCluster) -> float:
    """Give the slower of the node's network cards and the fabric's links, in B/s per device.

    Raises:
        UsageError: the cluster is larger than a scale-up domain, and nothing says what joins the domains.

    """
    node, fabric = cluster.node, cluster.fabric
    rates = [fabric.link_bandwidth_bytes_per_s.value] if fabric is not None else []
    if node is not None and node.scale_out_bandwidth_bytes_per_s is not None:
        rates.append(node.scale_out_bandwidth_bytes_per_s.value)
    domain = node.scale_up_domain_devices if node is not None else 1
    if not rates:
        if cluster.spec.count > domain:
            raise UsageError(
                f"{cluster.accelerator.name} has no usual fabric, and {cluster.spec.count} of them do not share one "
                "scale-up domain",
                where="cluster.fabric",
                mend="name a fabric (sim list fabrics), for instance --fabric infiniband-ndr400",
            )
        return 1.0
    return min(rates)


def _pod(cluster: ResolvedCluster) -> tuple[float, float]:
    """Give the devices of a non-blocking pod, and the oversubscription above it."""
    if cluster.fabric is None:
        return UNBOUNDED, 1.0
    for level in cluster.fabric.levels:
        if level.oversubscription > 1 and level.devices is not None:
            return float(level.devices), level.oversubscription
    return UNBOUNDED, 1.0
