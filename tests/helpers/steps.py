"""Models, machines and software for tests of the training step: real ones, and ones whose times can be done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sim.cost.attention import AttentionCurve
from sim.cost.collectives import Collective, CollectiveCurve, DomainLevel, Fabric, NetworkLevel, RankedCurve
from sim.cost.grouped import GroupedCurve
from sim.cost.machine import Machine, Software
from sim.cost.memory import MemoryRules
from sim.cost.recipe import recipe
from sim.cost.recurrent import ScanCurve, ScanCurves
from sim.cost.roofline import IDEAL
from sim.cost.work import Work
from sim.plan import machine as machines
from sim.plan.resolve import resolve_cluster
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.model import ModelShape

INFINITE = float("inf")
PEAK = 1e15
COLLECTIVES: tuple[Collective, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point")
DENSE = ("llama-3.1-8b", "llama-3.1-405b", "gpt3-175b", "nemotron-4-340b")


def small_model(**changes: object) -> ModelShape:
    """A transformer small enough to count by hand: 4 layers of width 256, 4 heads of 64, plain feed-forward."""
    shape: dict[str, object] = {
        "name": "small",
        "title": "small",
        "family": "test",
        "layers": 4,
        "hidden": 256,
        "heads": 4,
        "kv_heads": 4,
        "head_dim": 64,
        "ffn_hidden": 1024,
        "gated": False,
        "vocab": 1000,
        "tied_embeddings": False,
    }
    return ModelShape.model_validate(shape | changes)


def mixture(**changes: object) -> ModelShape:
    """A small model with 8 experts of width 128 in each layer, two of which a token visits."""
    experts = {"count": 8, "top_k": 2, "ffn_hidden": 128}
    own = {name: changes.pop(name) for name in ("count", "top_k", "shared", "dense_layers", "every") if name in changes}
    return small_model(experts=experts | own, **changes)


def hybrid(**changes: object) -> ModelShape:
    """A small model of four layers: Mamba-2, experts, attention and a plain feed-forward, each a layer of its own."""
    own: dict[str, object] = {
        "layer_types": ["mamba", "none", "full", "none"],
        "feed_forward_types": ["none", "experts", "none", "dense"],
        "mamba": {"heads": 8, "head_dim": 64, "state": 32, "groups": 4, "chunk": 64},
        "experts": {"count": 8, "top_k": 2, "ffn_hidden": 128},
        "norms_per_layer": 1,
    }
    return small_model(**own | changes)


def delta_rules(**changes: object) -> ModelShape:
    """A small model of gated delta rules and attention, one of each."""
    sizes = {"key_heads": 4, "value_heads": 4, "key_dim": 32, "value_dim": 64}
    return small_model(layer_types=["linear", "full"], **{"linear": sizes} | changes)


def work(model: str | ModelShape, sequence: int = 2048, batch: int = 64, precision: str = "bf16") -> Work:
    """A step of so many sequences."""
    shape = catalog.load("models", model) if isinstance(model, str) else model
    return Work(shape, recipe(precision), sequence, batch)


def real_machine(accelerator: str, count: int = 1024, precision: str = "bf16") -> Machine:
    """A machine of the catalogue with its calibrated curves."""
    return machines.build(resolve_cluster(ClusterSpec(accelerator=accelerator, count=count)), recipe(precision))


def real_software(accelerator: str, profile: str = "megatron-core", **changes: Any) -> Software:
    """A software profile of the catalogue, with some of its numbers changed."""
    cluster = resolve_cluster(ClusterSpec(accelerator=accelerator, count=8))
    return replace(machines.software(profile, cluster.accelerator, recipe("bf16")), **changes)


def ideal_machine(bandwidth_bytes_per_s: float = INFINITE, link_bytes_per_s: float = INFINITE) -> Machine:
    """A machine that reaches its peaks and whose messages start at once."""
    at_once = CollectiveCurve(0.0, 1.0, 0.0)
    curves: dict[Collective, CollectiveCurve | RankedCurve] = dict.fromkeys(COLLECTIVES, at_once)
    level = NetworkLevel(link_bytes_per_s, 0.0)
    return Machine(
        name="ideal",
        gemm_peak_flop_per_s=PEAK,
        wide_peak_flop_per_s=PEAK,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        memory_bytes=INFINITE,
        gemm=IDEAL,
        wide_gemm=IDEAL,
        attention=AttentionCurve(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        experts=GroupedCurve(1.0, 1.0, INFINITE, 0.0, 0.0, 0.0, 0.0),
        wide_experts=GroupedCurve(1.0, 1.0, INFINITE, 0.0, 0.0, 0.0, 0.0),
        scans=ScanCurves(*(ScanCurve(1.0, 0.0, 0.0) for _ in range(3))),
        vector_efficiency=1.0,
        vector_overhead_s=0.0,
        fabric=Fabric(DomainLevel(link_bytes_per_s, link_bytes_per_s, curves), level, level),
        domain_devices=8,
        pod_devices=1e12,
    )


def ideal_software(*, flash: bool = True, **changes: Any) -> Software:
    """Software that adds nothing and hides nothing."""
    plain = Software(
        name="ideal",
        kernel_slowdown=1.0,
        attention_slowdown=1.0,
        scale_slowdown=0.0,
        tensor_parallel_overlap=0.0,
        data_parallel_overlap=0.0,
        pipeline_overlap=0.0,
        expert_parallel_overlap=0.0,
        expert_parallel_overlap_across=0.0,
        expert_imbalance=1.0,
        expert_slowdown=1.0,
        launch_s=0.0,
        step_host_s=0.0,
        memory=MemoryRules(reserve_bytes=0.0, fragmentation=0.0, flash_attention=flash),
    )
    return replace(plain, **changes)
