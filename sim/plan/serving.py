"""What one replica of a served model is: its devices, its memory, its engine and what an iteration costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sim.cost.inference_memory import PREFILL_TOKENS, Split, cache_bytes, workspace_bytes
from sim.cost.parameters import count
from sim.cost.serving import HostTimes, IterationCost
from sim.cost.serving_curves import CurveParts, ServingLayout
from sim.cost.serving_tables import TableParts
from sim.cost.transformer import require_cached
from sim.errors import InfeasibleError, UsageError
from sim.plan.resolve import ResolvedCluster, resolve_cluster
from sim.plan.serving_machine import CACHE_BYTES, engine_traits, serving_machine, weight_format
from sim.spec import catalog
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.cost.serving_tables import LayerTables
    from sim.spec.cluster import ClusterSpec
    from sim.spec.engine_profile import EngineProfile
    from sim.spec.model import ModelShape

WIDE_BYTES = 2.0
"""Embedding and head stay in 16 bit."""
TYPICAL_CONTEXT = 8192
"""Tokens of the sequence whose mean cache per token stands for all: windows make it smaller, the longer it is."""
LEAST_SEQUENCES = 4
"""Sequences of the typical context that a searched layout must hold."""


@dataclass(frozen=True, slots=True)
class SchedulerRules:
    """How an engine chooses what runs in the next iteration; from its profile."""

    batching: Literal["continuous", "static"] = "continuous"
    order: Literal["decode-first", "prefill-first"] = "decode-first"
    """Whether decoding sequences take the token budget before waiting prompts, or prompts run in iterations of
    their own as soon as there is one."""
    chunked_prefill: bool = True
    """Whether a prompt may be cut at the token budget."""
    prefix_caching: bool = True
    admission: Literal["first-chunk", "prompt", "whole"] = "prompt"
    """Blocks that must be free before a sequence starts: of its first chunk, its prompt, or prompt and whole output."""
    preemption: Literal["recompute", "swap"] = "recompute"
    watermark: float = 0.0
    """Share of the blocks kept free when a sequence is admitted."""


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One replica, ready to be run."""

    name: str
    model: ModelShape
    accelerator: str
    engine: str
    layout: ServingLayout
    weights: str
    """Format of the weights, a name of sim.plan.serving_machine.FORMATS."""
    cache: str
    """Format of the cache."""
    rules: SchedulerRules
    cost: IterationCost
    kv_blocks: int
    """Blocks of cache of the whole replica."""
    block_size: int
    """Tokens of one block."""
    token_budget: int
    """Tokens of one iteration at most."""
    max_sequences: int
    """Sequences that run at the same time at most."""
    weights_bytes: float
    """Of the whole replica: what a start has to load."""
    kv_bytes_per_token: float
    """Of the whole replica, all layers: what a transfer of the cache moves."""
    peak_flop_per_s: float
    """Dense peak of the replica in its compute precision: useful compute seconds are flop / peak."""
    power_w: float
    """Of the boards at work, whole replica."""

    @property
    def devices(self) -> int:
        """Devices of the replica."""
        return self.layout.devices

    @property
    def kv_tokens(self) -> int:
        """Tokens that the cache holds."""
        return self.kv_blocks * self.block_size


@dataclass(frozen=True, slots=True)
class Changes:
    """What a user states in place of an engine's defaults; none keeps the default."""

    kv_blocks: int | None = None
    block_size: int | None = None
    token_budget: int | None = None
    max_sequences: int | None = None
    memory_fraction: float | None = None
    prefix_caching: bool | None = None
    layers: LayerTables | None = None
    """Measured layers in place of curves, which stay for what was not measured (sim.plan.layer_profile)."""
    draft: ModelShape | None = None
    """Draft model on the same devices: its weights and its cache take their memory too."""


def replica_plan(
    model: ModelShape,
    cluster: str | ClusterSpec | ResolvedCluster,
    engine: str | EngineProfile = "vllm-v1",
    *,
    layout: ServingLayout | None = None,
    weights: str = "bf16",
    cache: str | None = None,
    changes: Changes | None = None,
) -> ReplicaPlan:
    """Plan one replica: what an iteration costs, and how many blocks of cache are left beside weights and workspace.

    Args:
        model: any model of the catalogue without linear attention.
        cluster: the devices; the replica takes some of them.
        engine: profile of hardware_specs/engines.
        layout: how the replica is laid out; none: the smallest that fits (see ``smallest_layout``).
        weights: format of the weights, a name of sim.plan.serving_machine.FORMATS.
        cache: format of the cache; none: 16 bit.
        changes: what replaces the engine's defaults.

    Raises:
        CatalogError: a name is unknown.
        UsageError: a format is unknown or the chip cannot compute in it.
        InfeasibleError: the weights leave no block of cache.
        NotYetError: the model has layers that keep a state.

    """
    require_cached(model)
    resolved = cluster if isinstance(cluster, ResolvedCluster) else resolve_cluster(cluster)
    profile = catalog.load("engines", engine) if isinstance(engine, str) else engine
    changes = changes or Changes()
    cache = cache or "bf16"
    machine = serving_machine(resolved, profile, weights, cache)
    layout = layout or smallest_layout(model, resolved, profile, weights, cache, changes)
    _check(model, layout)
    block_size = changes.block_size or int(profile.block_size.value)
    blocks = changes.kv_blocks
    if blocks is None:
        blocks = _blocks(model, resolved, profile, layout, weights, cache, changes)
    if blocks < 1:
        raise _no_room(model, resolved, layout, weights)
    curves = CurveParts(model, layout, machine, engine_traits(profile, resolved.accelerator))
    parts = curves if changes.layers is None else TableParts(model, layout, changes.layers, curves)
    board = resolved.accelerator.power_w
    prefix = profile.prefix_caching if changes.prefix_caching is None else changes.prefix_caching
    return ReplicaPlan(
        name=f"{model.name} on {layout.devices} x {resolved.accelerator.name}, {profile.name}",
        model=model,
        accelerator=resolved.accelerator.name,
        engine=profile.name,
        layout=layout,
        weights=weights,
        cache=cache,
        rules=replace(_rules(profile), prefix_caching=prefix),
        cost=IterationCost(
            parts, _host(profile, model, layout), layout.pipeline_parallel, layout.attention_data_parallel
        ),
        kv_blocks=blocks,
        block_size=block_size,
        token_budget=_token_budget(profile, layout, changes),
        max_sequences=_max_sequences(profile, layout, changes),
        weights_bytes=weight_bytes_per_device(model, layout, weights) * layout.devices,
        kv_bytes_per_token=_cache_bytes_per_token(model, 1, cache),
        peak_flop_per_s=machine.gemm_peak_flop_per_s * layout.devices,
        power_w=(board.value if board is not None else 0.0) * layout.devices,
    )


def smallest_layout(
    model: ModelShape,
    cluster: ResolvedCluster,
    engine: EngineProfile,
    weights: str,
    cache: str,
    changes: Changes | None = None,
) -> ServingLayout:
    """Find the fewest devices that hold weights and a few typical sequences: tensor-parallel inside a domain first.

    Raises:
        InfeasibleError: no layout on these devices holds them.

    """
    changes = changes or Changes()
    wanted = LEAST_SEQUENCES * min(TYPICAL_CONTEXT, model.max_positions or TYPICAL_CONTEXT)
    size = changes.block_size or int(engine.block_size.value)
    last = ServingLayout()
    for layout in _layouts(model, cluster):
        last = layout
        if _blocks(model, cluster, engine, layout, weights, cache, changes) * size >= wanted:
            return layout
    raise _no_room(model, cluster, last, weights)


def weight_bytes_per_device(model: ModelShape, layout: ServingLayout, weights: str) -> float:
    """Give the bytes of weights on the fullest device: matrices split over its tensor group, experts over the stage."""
    form, counted = weight_format(weights), count(model)
    tables = counted.embedding + counted.positions + counted.head
    routed = model.expert_layers * model.experts.count * counted.expert if model.experts is not None else 0
    stages = layout.pipeline_parallel
    share = -(-model.layers // stages) / model.layers
    on_first = tables if stages == 1 else counted.embedding + counted.positions
    dense = (counted.total - tables - routed) * form.kept_bytes / layout.tensor_parallel
    return (
        share * (dense + routed * form.expert_bytes / layout.stage_devices)
        + on_first * WIDE_BYTES / layout.tensor_parallel
    )


def _blocks(
    model: ModelShape,
    cluster: ResolvedCluster,
    engine: EngineProfile,
    layout: ServingLayout,
    weights: str,
    cache: str,
    changes: Changes,
) -> int:
    """Give the blocks that the memory of the replica holds beside weights, workspace and reserve."""
    assert cluster.accelerator.memory_bytes is not None
    memory = cluster.accelerator.memory_bytes.value
    fraction = changes.memory_fraction or engine.memory_fraction.value
    ranks = layout.attention_data_parallel
    budget = _token_budget(engine, layout, changes) / ranks
    split = Split(layout.tensor_parallel, layout.pipeline_parallel, 1)
    sequences = _max_sequences(engine, layout, changes) / ranks
    activations = workspace_bytes(model, split, 0.0) * budget / PREFILL_TOKENS
    logits = workspace_bytes(model, split, sequences) - workspace_bytes(model, split, 0.0)
    taken = weight_bytes_per_device(model, layout, weights) + activations + logits + engine.reserve_bytes.value
    if changes.draft is not None:
        taken += weight_bytes_per_device(changes.draft, layout, weights)
    free = memory * fraction - taken if engine.memory_fraction_of == "total" else (memory - taken) * fraction
    if not engine.windows:
        model = model.model_copy(update={"layer_types": None, "sliding_window": None})
    each = _cache_bytes_per_token(model, layout.tensor_parallel, cache) / layout.pipeline_parallel
    if changes.draft is not None:
        each += _cache_bytes_per_token(changes.draft, layout.tensor_parallel, cache) / layout.pipeline_parallel
    tokens = max(free, 0.0) / each * layout.attention_data_parallel
    return int(tokens // (changes.block_size or int(engine.block_size.value)))


def _token_budget(engine: EngineProfile, layout: ServingLayout, changes: Changes) -> int:
    """Give the tokens of one iteration of the whole replica."""
    return changes.token_budget or int(engine.token_budget.value) * ranks_of(engine, layout)


def _max_sequences(engine: EngineProfile, layout: ServingLayout, changes: Changes) -> int:
    return changes.max_sequences or int(engine.max_sequences.value) * ranks_of(engine, layout)


def ranks_of(engine: EngineProfile, layout: ServingLayout) -> int:
    """Give the ranks of data-parallel attention that have budgets of their own: all, or one where they share."""
    return layout.attention_data_parallel if engine.budgets_of == "rank" else 1


def _cache_bytes_per_token(model: ModelShape, tensor_parallel: int, cache: str) -> float:
    return cache_bytes(model, TYPICAL_CONTEXT, CACHE_BYTES[cache], tensor_parallel) / TYPICAL_CONTEXT


def _layouts(model: ModelShape, cluster: ResolvedCluster) -> Iterator[ServingLayout]:
    """List layouts by their devices: powers of two inside a domain, then stages of whole domains."""
    domain = int(cluster.node.scale_up_domain_devices) if cluster.node is not None else 1
    most, tensor = min(domain, cluster.spec.count), 1
    while tensor <= most:
        if model.heads % tensor == 0:
            yield ServingLayout(tensor, 1, tensor if model.experts is not None else 1)
        tensor *= 2
    tensor //= 2
    stages = 2
    while tensor * stages <= cluster.spec.count and stages <= model.layers:
        if model.heads % tensor == 0:
            yield ServingLayout(tensor, stages, tensor if model.experts is not None else 1)
        stages *= 2


def _host(engine: EngineProfile, model: ModelShape, layout: ServingLayout) -> HostTimes:
    ranks_s = engine.rank_host_s.value if layout.attention_data_parallel > 1 else 0.0
    return HostTimes(
        engine.iteration_host_s.value + ranks_s,
        engine.sequence_host_s.value,
        engine.prefill_host_s.value + engine.prefill_launch_s.value * model.layers,
    )


def _rules(engine: EngineProfile) -> SchedulerRules:
    return SchedulerRules(
        batching=engine.batching,
        order=engine.order,
        chunked_prefill=engine.chunked_prefill,
        prefix_caching=engine.prefix_caching,
        admission=engine.admission,
        preemption=engine.preemption,
        watermark=engine.watermark.value,
    )


def _check(model: ModelShape, layout: ServingLayout) -> None:
    degrees = (
        layout.tensor_parallel,
        layout.pipeline_parallel,
        layout.expert_parallel,
        layout.attention_data_parallel,
    )
    if min(degrees) < 1:
        raise UsageError("a degree of a layout is at least 1", str(degrees), "layout")
    if model.heads % layout.tensor_parallel:
        raise UsageError(
            f"{model.name} has {model.heads} heads, which tensor parallelism splits evenly",
            str(layout.tensor_parallel),
            "layout.tensor_parallel",
            "a divisor of the heads",
        )
    if layout.pipeline_parallel > model.layers:
        raise UsageError("a stage has at least one layer", str(layout.pipeline_parallel), "layout.pipeline_parallel")
    if layout.stage_devices % layout.expert_parallel:
        raise UsageError(
            "experts are spread over the devices of a stage",
            f"{layout.expert_parallel} of {layout.stage_devices}",
            "layout.expert_parallel",
            "a divisor of tensor x attention-data-parallel devices",
        )


def _no_room(model: ModelShape, cluster: ResolvedCluster, layout: ServingLayout, weights: str) -> InfeasibleError:
    assert cluster.accelerator.memory_bytes is not None
    need = weight_bytes_per_device(model, layout, weights)
    return InfeasibleError(
        f"{model.name} leaves no room for its cache on {layout.devices} x {cluster.accelerator.name}",
        value=f"{show(need, 'byte')} of weights on a device of {show(cluster.accelerator.memory_bytes.value, 'byte')}",
        where="layout",
        mend="more devices to a replica, or narrower weights (fp8, int4)",
    )
