"""One device as an inference engine uses it: from catalogue entries to the numbers that cost functions take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.attention import AttentionCurve
from sim.cost.collectives import DomainLevel, Fabric, NetworkLevel, RankedCurve
from sim.cost.decode_attention import DecodeCurve, LatentCurve
from sim.cost.grouped import GroupedCurve
from sim.cost.roofline import RooflineCurve
from sim.cost.serving_curves import EngineTraits, ServingMachine
from sim.errors import CatalogError, UsageError
from sim.plan.machine import _fabric as fabric_of
from sim.plan.machine import _pod as pod_of
from sim.spec import catalog

if TYPE_CHECKING:
    from collections.abc import Collection

    from sim.cost.collectives import Collective
    from sim.plan.resolve import ResolvedCluster
    from sim.spec.calibration import Calibration, Experts
    from sim.spec.engine_profile import EngineProfile
    from sim.spec.hardware import Accelerator
    from sim.spec.kernels import CacheFormat, Kernels

GENERIC = "generic"
LENT = {"mi355x": "b200-sxm"}
"""Families without kernels of their own, and the one that lends them."""
ON_PCIE, CARDS_OF_A_HOST = "l40s", 8
"""Family whose collectives were measured over the links to the processor; cards of one host."""


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How weights are kept, and what multiplies them."""

    products: str
    """Curve of the products of the layers; 'int4' and 'int8' are narrow weights with 16-bit activations."""
    experts: str
    """Curve of the routed experts."""
    peak: str
    """Precision of the arithmetic in the products."""
    expert_peak: str
    """The same in the routed experts."""
    moved_bytes: float
    """Of a weight in a product, as its curve was fitted."""
    expert_bytes: float
    """Of a weight of a routed expert, its scales included."""
    kept_bytes: float
    """Of a weight in memory, its scales included; of experts, expert_bytes."""


FORMATS: dict[str, WeightFormat] = {
    "bf16": WeightFormat("bf16", "bf16", "bf16", "bf16", 2.0, 2.0, 2.0),
    "fp16": WeightFormat("bf16", "bf16", "fp16", "fp16", 2.0, 2.0, 2.0),
    "fp8": WeightFormat("fp8", "fp8", "fp8", "fp8", 1.0, 1.0, 1.0),
    "fp8_block": WeightFormat("fp8_block", "fp8_block", "fp8", "fp8", 1.0, 1.0, 1.0),
    "fp4": WeightFormat("fp4", "fp4", "fp4", "fp4", 0.5, 0.5625, 0.5625),
    "mxfp4": WeightFormat("bf16", "mxfp4", "bf16", "bf16", 2.0, 0.53125, 2.0),
    "int8": WeightFormat("int8", "fp8", "bf16", "bf16", 1.0, 1.0, 1.0),
    "int4": WeightFormat("int4", "mxfp4", "bf16", "bf16", 0.5, 0.53125, 0.53125),
    "q4_k_m": WeightFormat("int4", "mxfp4", "bf16", "bf16", 0.604, 0.604, 0.604),
}
"""By name. mxfp4 keeps all but the experts in 16 bit (gpt-oss); q4_k_m has 4.83 bits a weight (llama.cpp)."""
CACHE_BYTES = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0}
"""Of one cached number."""


def serving_machine(
    cluster: ResolvedCluster, engine: EngineProfile, weights: str = "bf16", cache: str = "bf16"
) -> ServingMachine:
    """Reduce a cluster to the numbers that an iteration needs.

    Raises:
        UsageError: an ideal machine, an unknown format, or one that the chip has no peak or curve for.

    """
    accelerator = cluster.accelerator
    if accelerator.memory_bytes is None or accelerator.memory_bandwidth_bytes_per_s is None:
        raise UsageError("an ideal machine has no operators to time", value=accelerator.name)
    form = weight_format(weights)
    if cache not in CACHE_BYTES:
        raise UsageError("no such format of the cache", cache, "cache", f"one of {', '.join(CACHE_BYTES)}")
    measured, kernels = _curves(accelerator)
    eight_bit = engine.eight_bit_attention and CACHE_BYTES[cache] == 1.0 and "fp8" in measured.attention
    eight_bit = eight_bit and "fp8" in accelerator.peak_flop_per_s
    wide = _peak(accelerator, "bf16", "weights")
    experts, faster = _expert_curve(form, accelerator, measured, kernels)
    all_reduce = _all_reduce(engine, measured, kernels if cluster.node else catalog.load("kernels", ON_PCIE))
    fabric, domain_devices = _links(cluster, measured)
    fabric = replace(fabric, domain=_no_faster(fabric.domain, all_reduce))
    return ServingMachine(
        name=accelerator.name,
        gemm_peak_flop_per_s=_peak(accelerator, form.peak, "weights"),
        wide_peak_flop_per_s=wide,
        expert_peak_flop_per_s=_peak(accelerator, faster, "weights"),
        attention_peak_flop_per_s=_peak(accelerator, "fp8", "cache") if eight_bit else wide,
        bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s.value,
        gemm=_product_curve(form, measured, kernels, static=engine.activation_quantisation == "static"),
        wide_gemm=RooflineCurve.of(measured.gemm["bf16"]),
        attention=AttentionCurve.of(measured.attention["fp8" if eight_bit else "bf16"]),
        decode=DecodeCurve.of(kernels.decode_attention[_cache_key(cache, kernels.decode_attention)]),
        latent=LatentCurve.of(kernels.latent_decode[_cache_key(cache, kernels.latent_decode)]),
        grouped=GroupedCurve.of(experts),
        all_reduce=all_reduce,
        fabric=fabric,
        domain_devices=domain_devices,
        pod_devices=pod_of(cluster)[0],
        vector_efficiency=measured.vector.memory_efficiency,
        weight_bytes=form.moved_bytes,
        expert_bytes=form.expert_bytes,
        cache_bytes=CACHE_BYTES[cache],
        attention_bytes=1.0 if eight_bit else 2.0,
    )


def engine_traits(engine: EngineProfile, accelerator: Accelerator) -> EngineTraits:
    """Reduce an engine's profile to the numbers that an iteration needs.

    Raises:
        CatalogError: the profile has no slowdown for this chip.

    """
    slowdown = engine.slowdown(accelerator.generation, accelerator.name)
    if slowdown is None:
        raise CatalogError(
            f"engine profile {engine.name} has no kernel_slowdown for {accelerator.generation} chips",
            where=f"hardware_specs/engines/{engine.name}.yaml",
            mend="add an entry without generations: it holds for all",
        )
    return EngineTraits(
        vector_kernel_s=engine.vector_kernel_s.value,
        vector_kernels=engine.vector_kernels.value,
        key_head_sharing=engine.key_head_sharing.value,
        grouped_kernels=tuple(kernel.query_heads for kernel in engine.grouped_kernels),
        expert_imbalance=engine.expert_imbalance.value,
        kernel_slowdown=slowdown.factor,
        windows=engine.windows,
        beside_prompt=engine.slowdown_beside_prompt(accelerator.generation, accelerator.name),
    )


def weight_format(weights: str) -> WeightFormat:
    """Give a format of weights by name. Raises UsageError for an unknown one."""
    if weights not in FORMATS:
        raise UsageError("no such format of weights", weights, "weights", f"one of {', '.join(FORMATS)}")
    return FORMATS[weights]


def _curves(accelerator: Accelerator) -> tuple[Calibration, Kernels]:
    family = accelerator.calibration
    known = LENT.get(family, family)
    known = known if known in catalog.names("kernels") else GENERIC
    return catalog.load("calibration", family), catalog.load("kernels", known)


def _peak(accelerator: Accelerator, precision: str, where: str) -> float:
    known = accelerator.peak_flop_per_s
    names = (precision, "fp16") if precision == "bf16" else (precision, "bf16") if precision == "fp16" else (precision,)
    for name in names:
        if name in known:
            return known[name].value
    raise UsageError(
        f"{accelerator.name} has no dense peak for {precision}",
        value=precision,
        where=where,
        mend=f"it has {', '.join(known)}",
    )


def _product_curve(form: WeightFormat, measured: Calibration, kernels: Kernels, *, static: bool) -> RooflineCurve:
    if form.products in ("int4", "int8"):
        lender = kernels if kernels.narrow else catalog.load("kernels", GENERIC)
        return RooflineCurve.of(lender.narrow[form.products])  # type: ignore[index]  # checked
    if form.products not in measured.gemm:
        raise UsageError(
            f"the calibration {measured.name} has no curve for {form.products} products",
            value=form.products,
            where="weights",
            mend=f"one of {', '.join(measured.gemm)}, or measure it: sim calibrate gemm",
        )
    return RooflineCurve.of(measured.gemm[form.products], quantised=static)  # checked


def _expert_curve(
    form: WeightFormat, accelerator: Accelerator, measured: Calibration, kernels: Kernels
) -> tuple[Experts, str]:
    """Give the curve of routed experts and the precision of their arithmetic; bytes come from the format itself.

    4-bit weights of chips that multiply 4 bit meet 8-bit activations (w4a8), those of others 16-bit ones (w4a16).
    """
    blackwell = "fp4" in accelerator.peak_flop_per_s
    if form.experts in kernels.experts:
        mixed = "fp8" if blackwell else "bf16"
        return kernels.experts[form.experts], mixed if form.experts == "mxfp4" else form.expert_peak
    if form.experts in measured.experts:
        return measured.experts[form.experts], form.expert_peak
    if blackwell and "fp8" in measured.experts:
        return measured.experts["fp8"], "fp8"
    return measured.experts["bf16"], "bf16"


def _cache_key(cache: str, known: Collection[str]) -> CacheFormat:
    """Give the curve of a cache; 8-bit caches without one of their own are read as fast as 16-bit ones."""
    return "fp8" if CACHE_BYTES[cache] == 1.0 and "fp8" in known else "bf16"


def _links(cluster: ResolvedCluster, measured: Calibration) -> tuple[Fabric, float]:
    """Give the links of a cluster, and the devices of one scale-up domain.

    A chip without a node of its own stands in a host of eight, on the link to its processor.
    """
    if cluster.node is not None:
        return fabric_of(cluster, measured), cluster.node.scale_up_domain_devices
    host = cluster.accelerator.host_bandwidth_bytes_per_s
    if host is None:
        return fabric_of(cluster, measured), 1
    domain = DomainLevel.of(catalog.load("calibration", ON_PCIE), host.value, host.value)
    across = fabric_of(cluster, measured) if cluster.fabric is not None else None
    level = across.pod if across is not None else NetworkLevel.of(measured.network, host.value)
    return Fabric(domain, level, level if across is None else across.spine), CARDS_OF_A_HOST


def _no_faster(domain: DomainLevel, all_reduce: RankedCurve) -> DomainLevel:
    """Hold the other collectives of a domain to the bus bandwidth of the engine's all-reduce: they share its links."""
    curves = dict(domain.curves)
    kinds: tuple[Collective, ...] = ("all_gather", "reduce_scatter", "all_to_all")
    for kind in kinds:
        curve = curves[kind]
        if isinstance(curve, RankedCurve):
            most = [float(all_reduce.at(ranks).bandwidth_fraction) for ranks in curve.ranks]
            held = tuple(min(pair) for pair in zip(curve.bandwidth_fraction, most, strict=True))
            curves[kind] = replace(curve, bandwidth_fraction=held)
    return replace(domain, curves=curves)


def _all_reduce(engine: EngineProfile, measured: Calibration, kernels: Kernels) -> RankedCurve:
    if kernels.name != GENERIC:
        for library in engine.all_reduce:
            if library in kernels.all_reduce:
                return RankedCurve.of(kernels.all_reduce[library])
    return RankedCurve.of(measured.collectives["all_reduce"])
