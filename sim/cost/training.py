"""How long one training step takes, by part, for many layouts at once.

step = micro-batches and the pipeline's empty slots on the slowest stage + exposed communication + optimizer + host.
Layer times depend on few of a layout's numbers (tensor, context and sequence parallel, micro-batch), so they are
computed once for each combination and gathered; everything after that is arithmetic on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.attention import BACKWARD_OVER_FORWARD, attention_forward_s
from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.layout import RECOMPUTE, Layouts
from sim.cost.memory import GRADIENTS_SPLIT, OPTIMIZER_SPLIT, WEIGHTS_SPLIT, stage_parameters
from sim.cost.roofline import gemm_s, memory_bound_s
from sim.cost.schedules import bubble_slots
from sim.cost.stages import last_stage_layers, most_layers
from sim.cost.transformer import (
    LOSS_BYTES_PER_LOGIT,
    SCORE_PASSES,
    VECTOR_KERNELS_PER_LAYER,
    flop_per_token,
    layer_gemms,
    layer_weights,
    require_dense,
    vector_bytes_per_token,
)

if TYPE_CHECKING:
    from sim.cost.collectives import Collective, Group
    from sim.cost.layout import Counts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.recipe import Recipe
    from sim.cost.roofline import Numbers
    from sim.spec.model import ModelShape

PARTS = (
    "useful compute",
    "kernel inefficiency",
    "recompute",
    "exposed tensor-parallel communication",
    "exposed context-parallel communication",
    "exposed pipeline communication",
    "exposed data-parallel communication",
    "pipeline bubble",
    "optimizer",
    "host",
)
"""Accounts of a step, in the order in which people read them."""

RADIX = 2**20
"""Above any degree, so that several degrees make one key."""
FEWEST_RANKS, REFERENCE_RANKS = 8, 256
"""Below one node nothing more is gained; kernel slowdowns of profiles were measured around 256 devices."""

_SELECTIVE, _FULL = RECOMPUTE.index("selective"), RECOMPUTE.index("full")


@dataclass(frozen=True, slots=True)
class Work:
    """What a step is made of, whatever the layout."""

    model: ModelShape
    recipe: Recipe
    sequence: int
    global_batch: int
    """Sequences of one optimizer step, over all replicas."""

    @property
    def tokens(self) -> float:
        """Tokens of one optimizer step."""
        return float(self.sequence) * self.global_batch

    @property
    def model_flop(self) -> float:
        """Model FLOP of one optimizer step, in operations."""
        return self.tokens * flop_per_token(self.model, self.sequence).training


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one step and where they go, one entry per layout."""

    step_s: Floats
    parts_s: tuple[Floats, ...]
    """Averages over the active devices in the order of ``PARTS``; they sum to ``step_s``."""
    hardware_flop: Floats
    """Operations of one step over all devices, recompute included."""

    def take(self, index: Counts) -> StepTimes:
        """Give the layouts at these positions."""
        return StepTimes(self.step_s[index], tuple(part[index] for part in self.parts_s), self.hardware_flop[index])

    def row(self, index: int) -> tuple[tuple[str, float], ...]:
        """Give the parts of one layout by name, in seconds."""
        return tuple((name, float(part[index])) for name, part in zip(PARTS, self.parts_s, strict=True))


@dataclass(frozen=True, slots=True)
class _Layer:
    """Seconds of one layer and of the head for one micro-batch, one entry per layout."""

    forward_s: Floats
    backward_s: Floats
    cheap_forward_s: Floats
    """What selective recompute repeats: vector operators, and unfused attention."""
    communication_s: Floats
    """Exposed tensor-parallel communication of one direction."""
    context_forward_s: Floats
    """Context-parallel exchange of keys and values beyond what attention hides."""
    context_backward_s: Floats
    head_s: Floats
    head_communication_s: Floats
    launch_gap_s: Floats
    """Host time that kernels of a layer do not cover, forward and backward."""


def step_times(work: Work, machine: Machine, software: Software, layouts: Layouts) -> StepTimes:
    """Estimate the time of one optimizer step for every layout, in s.

    Args:
        work: model, precision recipe, sequence length and global batch.
        machine: peaks, calibrated curves and links of the device.
        software: overlaps, launch cost and slowdown of the training framework.
        layouts: the layouts; each is assumed to be legal.

    Returns:
        Step time in seconds with its parts; the parts sum to it.

    Raises:
        NotYetError: the model is not a dense transformer.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) for pipeline and data parallelism, Korthikanti et al. 2022
    (arXiv:2205.05198) for sequence parallelism and recompute, Rajbhandari et al. 2020 (arXiv:1910.02054) and Zhao
    et al. 2023 (arXiv:2304.11277) for ZeRO; operators and collectives from hardware_specs/calibration.
    Valid for: dense transformers, 1F1B and interleaved 1F1B, ZeRO 0 to 3.
    """
    require_dense(work.model)
    layer = _gather(work, machine, software, layouts)
    stages, virtual = layouts.pipeline_parallel, layouts.virtual_stages
    micro_batches = work.global_batch / (layouts.data_parallel * layouts.micro_batch)

    recompute_s = np.where(
        layouts.recompute == _FULL,
        layer.forward_s,
        np.where(layouts.recompute == _SELECTIVE, layer.cheap_forward_s, 0.0),
    )
    passes = np.where(layouts.recompute == _FULL, 3.0, 2.0)
    layer_s = layer.forward_s + layer.backward_s + recompute_s + passes * layer.communication_s
    context_s = (passes - 1) * layer.context_forward_s + layer.context_backward_s
    layer_s = layer_s + context_s + layer.launch_gap_s
    head_s = layer.head_s + layer.head_communication_s
    fullest_s = most_layers(work.model.layers, stages, virtual) * layer_s
    last_s = last_stage_layers(work.model.layers, stages, virtual) * layer_s + head_s
    slowest_s = np.maximum(np.where(stages == 1, last_s, fullest_s), last_s)
    mean_s = (work.model.layers * layer_s + head_s) / stages
    pipe_s = micro_batches * slowest_s + bubble_slots(stages, virtual) * mean_s

    layers_per_stage = work.model.layers / stages
    compute_s = micro_batches * (layers_per_stage * (layer.forward_s + layer.backward_s) + layer.head_s / stages)
    useful_s = work.model_flop / (layouts.devices * machine.gemm_peak_flop_per_s)
    hop_s = _pipeline_communication(work, machine, software, layouts, micro_batches)
    forward_share = (layer.forward_s + layer.communication_s) / layer_s
    data_s, optimizer_s = _data_parallel(work, machine, software, layouts, slowest_s, forward_share)
    parts = (
        useful_s,
        compute_s - useful_s,
        micro_batches * layers_per_stage * recompute_s,
        micro_batches * (layers_per_stage * passes * layer.communication_s + layer.head_communication_s / stages),
        micro_batches * layers_per_stage * context_s,
        hop_s,
        data_s,
        pipe_s - micro_batches * mean_s,
        optimizer_s,
        micro_batches * layers_per_stage * layer.launch_gap_s + software.step_host_s,
    )
    return StepTimes(sum(parts[1:], parts[0]), parts, _hardware_flop(work, layouts, software))


def _gather(work: Work, machine: Machine, software: Software, layouts: Layouts) -> _Layer:
    """Compute layer times once for each (tensor parallel, context parallel, micro-batch); give each layout its own."""
    key = (layouts.tensor_parallel * RADIX + layouts.context_parallel) * RADIX + layouts.micro_batch
    key = 2 * key + layouts.sequence_parallel
    keys, inverse = np.unique(key, return_inverse=True) if len(key) > 1 else (key, np.zeros(1, dtype=np.intp))
    split, rest = keys % 2, keys // 2
    tensor, context, micro = rest // RADIX**2, rest // RADIX % RADIX, rest % RADIX
    layer = _layer_times(work, machine, software, tensor, context, micro, split)
    pace = slowest_rank_pace(software.scale_slowdown, layouts.devices)
    kernels = ("forward_s", "backward_s", "cheap_forward_s", "head_s")
    return _Layer(*(getattr(layer, name)[inverse] * (pace if name in kernels else 1.0) for name in _Layer.__slots__))


def slowest_rank_pace(per_doubling: float, devices: Counts) -> Floats:
    """Give how much longer kernels take because a step waits for its slowest rank, relative to 256 devices.

    Source: linear in the logarithm of the devices, as the expected maximum of many ranks nearly is; the slope is the
    software profile's, fitted to weak-scaling series.
    Valid for: the 8 to 2,048 devices that were measured; beyond them an extrapolation.

    >>> slowest_rank_pace(0.005, np.array([256, 1024])).tolist()
    [1.0, 1.01]
    """
    doublings = np.log2(np.maximum(devices, FEWEST_RANKS) / REFERENCE_RANKS)
    return np.asarray(1.0 + per_doubling * doublings)


def _layer_times(
    work: Work,
    machine: Machine,
    software: Software,
    tensor: Counts,
    context: Counts,
    micro_batch: Counts,
    sequence_parallel: Counts,
) -> _Layer:
    model, slowdown = work.model, software.kernel_slowdown
    tokens = micro_batch * float(work.sequence) / context
    forward_s, backward_s = _products_s(work, machine, tensor, tokens)
    attention_s = _attention_s(work, machine, software, tensor, context, micro_batch)
    vector_s = memory_bound_s(
        tokens * vector_bytes_per_token(model, tensor, sequence_parallel),
        machine.bandwidth_bytes_per_s,
        machine.vector_efficiency,
        VECTOR_KERNELS_PER_LAYER * machine.vector_overhead_s,
    )
    head_s = _head_s(work, machine, tensor, tokens)
    pair_s = _tensor_pair_s(work, machine, tensor, tokens, sequence_parallel)
    # An overlap measured on the links of a scale-up domain says nothing about a group that leaves it.
    overlap = np.where(tensor <= machine.domain_devices, software.tensor_parallel_overlap, 0.0)
    # A kernel that keeps its scores has two products to do for each one forward; a fused one repeats the scores.
    ratio = BACKWARD_OVER_FORWARD if software.memory.flash_attention else 2.0
    forward_s = slowdown * (forward_s + attention_s + vector_s)
    backward_s = slowdown * (backward_s + ratio * attention_s + 2 * vector_s)
    context_forward_s, context_backward_s = _context_s(
        work, machine, tensor, context, tokens, slowdown * attention_s, ratio
    )
    kernels = len(layer_gemms(model, 1)) + 1 + VECTOR_KERNELS_PER_LAYER
    return _Layer(
        forward_s=np.asarray(forward_s),
        backward_s=np.asarray(backward_s),
        cheap_forward_s=np.asarray(
            slowdown * (vector_s if software.memory.flash_attention else vector_s + attention_s)
        ),
        communication_s=2 * pair_s * (1 - overlap),
        context_forward_s=context_forward_s,
        context_backward_s=context_backward_s,
        head_s=np.asarray(slowdown * head_s),
        head_communication_s=pair_s * (1 - overlap),
        launch_gap_s=np.maximum(kernels * software.launch_s - forward_s, 0.0)
        + np.maximum(2 * kernels * software.launch_s - backward_s, 0.0),
    )


def _tensor_pair_s(work: Work, machine: Machine, tensor: Counts, tokens: Floats, sequence_parallel: Counts) -> Floats:
    """Time what surrounds one block of a layer: gather and reduce-scatter, or one all-reduce without sequence split."""
    size = tokens * work.model.hidden * work.recipe.activation_bytes
    group = place_group(tensor, 1, machine.domain_devices, machine.pod_devices)
    splits = sequence_parallel == 1
    pair_s, whole_s = np.zeros(len(tensor)), np.zeros(len(tensor))
    if splits.any():
        pair_s = pair_s + hierarchical_s("all_gather", size, group, machine.fabric)
        pair_s = pair_s + hierarchical_s("reduce_scatter", size, group, machine.fabric)
    if not splits.all():
        whole_s = whole_s + hierarchical_s("all_reduce", size, group, machine.fabric)
    return np.where(splits, pair_s, whole_s)


def _products_s(work: Work, machine: Machine, tensor: Counts, tokens: Floats) -> tuple[Numbers, Numbers]:
    """Time the weight products of one layer: forward; backward with respect to inputs and to weights."""
    peak, bandwidth = machine.gemm_peak_flop_per_s, machine.bandwidth_bytes_per_s
    element = 1.0 if work.recipe.gemm_precision == "fp8" else 2.0
    forward_s: Numbers = 0.0
    backward_s: Numbers = 0.0
    for gemm in layer_gemms(work.model, tensor):
        forward_s = forward_s + gemm_s(tokens, gemm.columns, gemm.inner, element, peak, bandwidth, machine.gemm)
        backward_s = backward_s + gemm_s(tokens, gemm.inner, gemm.columns, element, peak, bandwidth, machine.gemm)
        # The gradient of the weights is read and written in the accumulation precision.
        accumulated = 2 * work.recipe.gradient_bytes
        backward_s = backward_s + gemm_s(
            gemm.columns, gemm.inner, tokens, element, peak, bandwidth, machine.gemm, accumulated
        )
    return forward_s, backward_s


def _attention_s(
    work: Work, machine: Machine, software: Software, tensor: Counts, context: Counts, micro_batch: Counts
) -> Numbers:
    """Time attention forward on one device; an unfused kernel also moves the score matrix several times.

    Context parallelism makes one call for each step of its ring, on 1/cp of the queries and of the keys; over the
    steps half of the scores are masked, as in a single causal call (Liu et al. 2023, arXiv:2310.01889).
    """
    model = work.model
    heads = model.heads / tensor
    key_value_heads = np.maximum(model.kv_heads / tensor, 1.0)
    if software.memory.flash_attention:
        return context * attention_forward_s(
            micro_batch,
            heads,
            key_value_heads,
            model.head_dim,
            work.sequence / context,
            True,  # noqa: FBT003 - causal, as every model here
            machine.wide_peak_flop_per_s,
            machine.bandwidth_bytes_per_s,
            machine.attention,
        )
    scores = micro_batch * heads * float(work.sequence) ** 2 / context
    products_s = 4.0 * scores * model.head_dim / (machine.gemm.compute_efficiency * machine.wide_peak_flop_per_s)
    return products_s + memory_bound_s(
        2.0 * SCORE_PASSES * scores, machine.bandwidth_bytes_per_s, machine.vector_efficiency
    )


def _context_s(
    work: Work, machine: Machine, tensor: Counts, context: Counts, tokens: Floats, attention_s: Numbers, ratio: float
) -> tuple[Floats, Floats]:
    """Time the ring of keys and values (forward), and of them and their gradients (backward), beyond attention.

    Each step of the ring runs beside the attention of the block before it (Liu et al. 2023, arXiv:2310.01889), so
    only what is longer than attention is exposed.
    """
    if (context == 1).all():
        return np.zeros(len(context)), np.zeros(len(context))
    width = 2 * np.maximum(work.model.kv_heads / tensor, 1.0) * work.model.head_dim
    gathered = tokens * context * width * work.recipe.activation_bytes
    group = place_group(context, tensor, machine.domain_devices, machine.pod_devices)
    gather_s = hierarchical_s("all_gather", gathered, group, machine.fabric)
    scatter_s = hierarchical_s("reduce_scatter", gathered, group, machine.fabric)
    hidden_s = attention_s * (1 - 1 / context)
    forward_s = np.maximum(gather_s - hidden_s, 0.0)
    backward_s = np.maximum(gather_s + scatter_s - ratio * hidden_s, 0.0)
    return np.where(context > 1, forward_s, 0.0), np.where(context > 1, backward_s, 0.0)


def _head_s(work: Work, machine: Machine, tensor: Counts, tokens: Floats) -> Numbers:
    """Time the vocabulary-parallel LM head, forward and backward, with its loss."""
    peak, bandwidth, curve = machine.wide_peak_flop_per_s, machine.bandwidth_bytes_per_s, machine.wide_gemm
    columns, inner = work.model.vocab / tensor, float(work.model.hidden)
    products_s = (
        gemm_s(tokens, columns, inner, 2.0, peak, bandwidth, curve)
        + gemm_s(tokens, inner, columns, 2.0, peak, bandwidth, curve)
        + gemm_s(columns, inner, tokens, 2.0, peak, bandwidth, curve)
    )
    return products_s + memory_bound_s(tokens * columns * LOSS_BYTES_PER_LOGIT, bandwidth, machine.vector_efficiency)


def _pipeline_communication(
    work: Work, machine: Machine, software: Software, layouts: Layouts, micro_batches: Floats
) -> Floats:
    """Expose stage-to-stage transfers: all of them under 1F1B, a share under interleaving, and filling and draining."""
    tokens = layouts.micro_batch * float(work.sequence) / layouts.context_parallel
    sent = tokens * work.model.hidden * work.recipe.activation_bytes
    distance = layouts.tensor_parallel * layouts.context_parallel * layouts.data_parallel
    group = place_group(2, distance, machine.domain_devices, machine.pod_devices)
    hop_s = hierarchical_s("point_to_point", sent / layouts.tensor_parallel, group, machine.fabric)
    exposed = np.where(layouts.virtual_stages > 1, 1 - software.pipeline_overlap, 1.0)
    hops = 2 * micro_batches * layouts.virtual_stages * exposed + 2 * (layouts.pipeline_parallel - 1)
    return np.where(layouts.pipeline_parallel > 1, hops * hop_s, 0.0)


def _data_parallel(
    work: Work, machine: Machine, software: Software, layouts: Layouts, slowest_s: Floats, forward_share: Floats
) -> tuple[Floats, Floats]:
    """Expose gradient reduction and parameter gathering beyond what hides; time the optimizer.

    ZeRO 0 and 1 reduce once a step; ZeRO 2, which keeps no whole gradients, with every micro-batch; ZeRO 3 also
    gathers the weights layer by layer in both passes of every micro-batch.
    """
    model, recipe, zero = work.model, work.recipe, layouts.zero_stage
    data = layouts.replicas
    layers = most_layers(model.layers, layouts.pipeline_parallel, layouts.virtual_stages)
    parameters = stage_parameters(model, layouts, layers, layers)[0]
    group = place_group(data, layouts.tensor_parallel, machine.domain_devices, machine.pod_devices)
    scatter_s = hierarchical_s("reduce_scatter", parameters * recipe.gradient_bytes, group, machine.fabric)
    second = np.where(zero >= OPTIMIZER_SPLIT, recipe.weight_bytes, recipe.gradient_bytes)
    gather_s = hierarchical_s("all_gather", parameters * second, group, machine.fabric)
    share = software.data_parallel_overlap
    # Only the last micro-batch's backward and the first one's forward run beside these transfers.
    exposed_s = (scatter_s + gather_s) - np.minimum(share * (scatter_s + gather_s), slowest_s)
    if (zero >= GRADIENTS_SPLIT).any():
        micro_batches = work.global_batch / (layouts.data_parallel * layouts.micro_batch)
        forward_s = slowest_s * forward_share
        backward_s = slowest_s - forward_s
        gathered_once_s = _beyond(gather_s, share, forward_s)
        stage2_s = micro_batches * _beyond(scatter_s, share, backward_s) + gathered_once_s
        exposed_s = np.where(zero == GRADIENTS_SPLIT, stage2_s, exposed_s)
    if (zero == WEIGHTS_SPLIT).any():
        unit = layer_weights(model, layouts.tensor_parallel)
        rest = parameters - layers * unit
        scatter_s = _by_layer_s("reduce_scatter", unit, rest, layers, recipe.gradient_bytes, group, machine)
        gather_s = _by_layer_s("all_gather", unit, rest, layers, recipe.weight_bytes, group, machine)
        stage3_s = _beyond(gather_s, share, forward_s) + _beyond(gather_s + scatter_s, share, backward_s)
        exposed_s = np.where(zero == WEIGHTS_SPLIT, micro_batches * stage3_s, exposed_s)
    shards = np.where(zero >= OPTIMIZER_SPLIT, data, 1)
    moved = 2 * recipe.optimizer_bytes + 3 * recipe.gradient_bytes + recipe.weight_bytes
    optimizer_s = memory_bound_s(parameters / shards * moved, machine.bandwidth_bytes_per_s, machine.vector_efficiency)
    return np.where(data > 1, exposed_s, 0.0), np.asarray(optimizer_s)


def _beyond(transfer_s: Numbers, share: float, compute_s: Floats) -> Floats:
    """Give what is left of a transfer of which a share may hide, at most behind so much compute."""
    return np.asarray(transfer_s - np.minimum(share * transfer_s, compute_s))


def _by_layer_s(
    kind: Collective, unit: Numbers, rest: Floats, layers: Floats, element_bytes: float, group: Group, machine: Machine
) -> Floats:
    """Time a stage's weights or gradients moved layer by layer, and what is not a layer in one piece."""
    each_s = hierarchical_s(kind, unit * element_bytes, group, machine.fabric)
    return np.asarray(layers * each_s + hierarchical_s(kind, rest * element_bytes, group, machine.fabric))


def _hardware_flop(work: Work, layouts: Layouts, software: Software) -> Floats:
    """Count model FLOP plus what is computed again: whole layers, or the scores inside attention."""
    count = flop_per_token(work.model, work.sequence)
    if software.memory.flash_attention:
        kernel, selective, forward = count.attention_recompute, 0.0, count.attention
    else:
        # An unfused kernel computes the masked half of the scores too, forward and backward.
        kernel, selective, forward = 3 * count.attention, 2 * count.attention, 2 * count.attention
    again = np.array([0.0, selective, count.layers + forward])
    return np.asarray(work.tokens * (count.training + kernel + again[layouts.recompute]))
