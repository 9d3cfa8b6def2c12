"""How long one layer takes on one device, forward and backward, with what it has to exchange.

Layer times depend on few of a layout's numbers (tensor, context, sequence and expert parallel, micro-batch), so they
are computed once for each combination and gathered. The layer is the mean one of the model: an operator that only some
layers have counts by their share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.attention import BACKWARD_OVER_FORWARD, attention_forward_s
from sim.cost.attention_shape import key_value_heads, score_width, spans
from sim.cost.checkpointing import products_again
from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.expert_layer import routed_s
from sim.cost.recurrent import BACKWARD_OVER_FORWARD as SCAN_BACKWARD_OVER_FORWARD
from sim.cost.recurrent import (
    dense_share,
    exchanged_elements,
    feed_forward_share,
    scan_s,
    softmax_share,
    state_share,
)
from sim.cost.roofline import gemm_s, memory_bound_s
from sim.cost.transformer import (
    LOSS_BYTES_PER_LOGIT,
    SCORE_PASSES,
    adapter_bytes_per_token,
    cast_elements_per_token,
    kernels_per_layer,
    layer_gemms,
    vector_bytes_per_token,
    vector_kernels_per_layer,
)

if TYPE_CHECKING:
    from sim.cost.layout import Counts, Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.roofline import Numbers
    from sim.cost.work import Work

RADIX = 2**20
"""Above any degree, so that several degrees make one key."""


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """Seconds of the mean layer and of the head for one micro-batch, one entry per layout."""

    forward_s: Floats
    backward_s: Floats
    weight_gradient_s: Floats
    """The part of the backward pass that only the optimizer waits for."""
    cheap_forward_s: Floats
    """What selective recompute repeats: vector operators and unfused attention, or every other product as well."""
    communication_s: Floats
    """Exposed tensor-parallel communication of one direction."""
    context_forward_s: Floats
    """Context-parallel exchange of keys and values beyond what attention hides."""
    context_backward_s: Floats
    head_s: Floats
    head_communication_s: Floats
    launch_forward_gap_s: Floats
    """Host time that the kernels of a layer do not cover; what is computed again is launched again."""
    launch_backward_gap_s: Floats
    expert_communication_s: Floats
    """Exposed dispatch and combination of one direction; 0 without experts."""


KERNELS = ("forward_s", "backward_s", "weight_gradient_s", "cheap_forward_s", "head_s")
"""Times that grow with the slowest rank."""


def layer_times(work: Work, machine: Machine, software: Software, layouts: Layouts, pace: Floats) -> LayerTimes:
    """Compute layer times once for each combination of what they depend on; give each layout its own, in s.

    ``pace`` is how much longer kernels take on the slowest rank.

    Source: sums of operators and collectives, each with its own.
    Valid for: layouts that are legal.
    """
    key = (layouts.tensor_parallel * RADIX + layouts.context_parallel) * RADIX + layouts.micro_batch
    key = 2 * key + layouts.sequence_parallel
    if work.model.experts is not None:
        # A key of its own would not fit into 64 bits beside the others: number those first.
        _, key = np.unique(key, return_inverse=True)
        key = key * RADIX + layouts.expert_devices
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    layer = _layer_times(work, machine, software, layouts.take(first))
    if share := work.recipe.wide_layers:
        wide = replace(work, recipe=work.recipe.in_wide())
        other = _layer_times(wide, machine.in_wide(), software, layouts.take(first))
        names = LayerTimes.__slots__
        layer = LayerTimes(*((1 - share) * getattr(layer, name) + share * getattr(other, name) for name in names))
    return LayerTimes(
        *(getattr(layer, name)[inverse] * (pace if name in KERNELS else 1.0) for name in LayerTimes.__slots__)
    )


def _layer_times(work: Work, machine: Machine, software: Software, layouts: Layouts) -> LayerTimes:
    model, slowdown = work.model, software.kernel_slowdown
    if model.experts is not None:
        slowdown *= software.expert_slowdown
    tensor, context, micro_batch = layouts.tensor_parallel, layouts.context_parallel, layouts.micro_batch
    sequence_parallel = layouts.sequence_parallel
    tokens = micro_batch * float(work.sequence) / context
    forward_s, backward_s, weight_gradient_s = _products_s(work, machine, tensor, tokens)
    experts = routed_s(work, machine, software, layouts, tokens / tensor)
    gathers = (layouts.common.context_exchange or software.context_exchange) == "all-gather"
    attention_s = software.attention_slowdown * _attention_s(
        work, machine, software, tensor, context, micro_batch, gathers=gathers
    )
    vector_s = memory_bound_s(
        tokens * vector_bytes_per_token(model, tensor, sequence_parallel),
        machine.bandwidth_bytes_per_s,
        machine.vector_efficiency,
        vector_kernels_per_layer(model) * machine.vector_overhead_s,
    )
    vector_backward_s = 2 * vector_s
    if work.recipe.cast_bytes or work.recipe.adapter_rank:
        extra_s = _extra_traffic_s(work, machine, tensor, tokens)
        vector_s, vector_backward_s = vector_s + extra_s[0], vector_backward_s + extra_s[1]
    head_s = _head_s(work, machine, tensor, tokens)
    pair_s = _tensor_pair_s(work, machine, tensor, tokens, sequence_parallel)
    # An overlap measured on the links of a scale-up domain says nothing about a group that leaves it.
    overlap = np.where(tensor <= machine.domain_devices, software.tensor_parallel_overlap, 0.0)
    # A kernel that keeps its scores has two products to do for each one forward; a fused one repeats the scores.
    ratio = BACKWARD_OVER_FORWARD if software.memory.flash_attention else 2.0
    mixing_s, mixing_backward_s = attention_s, ratio * attention_s
    if state_share(model):
        recurrent_s = scan_s(
            model, micro_batch, tokens * context, tensor * context, machine.wide_peak_flop_per_s, machine.scans
        )
        mixing_s = mixing_s + recurrent_s
        mixing_backward_s = mixing_backward_s + SCAN_BACKWARD_OVER_FORWARD * recurrent_s
    cheap_s = vector_s if software.memory.flash_attention else vector_s + attention_s
    if software.memory.products_again:
        cheap_s = cheap_s + products_again(model) * forward_s
    forward_s = slowdown * (forward_s + mixing_s + vector_s + experts.forward_s)
    backward_s = slowdown * (backward_s + mixing_backward_s + vector_backward_s + experts.backward_s)
    weight_gradient_s = slowdown * (weight_gradient_s + experts.weight_gradient_s)
    context_forward_s, context_backward_s = _context_s(
        work, machine, tensor, context, tokens, slowdown * attention_s, ratio, gathers=gathers
    )
    launch_s = kernels_per_layer(model, fused=software.memory.flash_attention) * software.launch_s
    # The block that mixes tokens is joined over the group, and so is a feed-forward that the group shares.
    shared = feed_forward_share(model) if model.experts and model.experts.shared else dense_share(model)
    joined = softmax_share(model) + state_share(model) + shared
    exposed_s = joined * pair_s * (1 - overlap) + experts.communication_s
    return LayerTimes(
        forward_s=np.asarray(forward_s),
        backward_s=np.asarray(backward_s),
        weight_gradient_s=np.asarray(weight_gradient_s),
        cheap_forward_s=np.asarray(slowdown * cheap_s),
        communication_s=joined * pair_s * (1 - overlap),
        context_forward_s=context_forward_s,
        context_backward_s=context_backward_s,
        head_s=np.asarray(slowdown * head_s),
        head_communication_s=pair_s * (1 - overlap),
        launch_forward_gap_s=np.maximum(launch_s - forward_s - exposed_s, 0.0),
        launch_backward_gap_s=np.maximum(2 * launch_s - backward_s - exposed_s, 0.0),
        expert_communication_s=experts.communication_s,
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


def _products_s(work: Work, machine: Machine, tensor: Counts, tokens: Floats) -> tuple[Numbers, Numbers, Numbers]:
    """Time the weight products of one layer: forward, backward, and of the latter the gradients of the weights."""
    peak, bandwidth = machine.gemm_peak_flop_per_s, machine.bandwidth_bytes_per_s
    element, frozen = work.recipe.operand_bytes, work.recipe.adapter_rank > 0
    forward_s: Numbers = 0.0
    inputs_s: Numbers = 0.0
    weights_s: Numbers = np.zeros(len(tensor))
    for gemm in layer_gemms(work.model, tensor):
        columns, inner, share = gemm.columns, gemm.inner, gemm.share
        forward_s = forward_s + share * gemm_s(tokens, columns, inner, element, peak, bandwidth, machine.gemm)
        inputs_s = inputs_s + share * gemm_s(tokens, inner, columns, element, peak, bandwidth, machine.gemm)
        if frozen:
            continue
        # The gradient of the weights is read and written in the accumulation precision.
        accumulated = 2 * work.recipe.gradient_bytes
        weights_s = weights_s + share * gemm_s(
            columns, inner, tokens, element, peak, bandwidth, machine.gemm, accumulated
        )
    return forward_s, inputs_s + weights_s, weights_s


def _extra_traffic_s(work: Work, machine: Machine, tensor: Counts, tokens: Floats) -> tuple[Numbers, Numbers]:
    """Time casts to narrow operands, and what adapters read and write; forward and backward."""
    recipe = work.recipe
    forward, backward = (recipe.cast_bytes * each for each in cast_elements_per_token(work.model, tensor))
    if recipe.adapter_rank:
        added = adapter_bytes_per_token(work.model, tensor, recipe.activation_bytes)
        forward, backward = forward + added, backward + 2 * added
    bandwidth, efficiency = machine.bandwidth_bytes_per_s, machine.vector_efficiency
    return memory_bound_s(tokens * forward, bandwidth, efficiency), memory_bound_s(
        tokens * backward, bandwidth, efficiency
    )


def _attention_s(
    work: Work,
    machine: Machine,
    software: Software,
    tensor: Counts,
    context: Counts,
    micro_batch: Counts,
    *,
    gathers: bool,
) -> Numbers:
    """Time attention forward on one device; an unfused kernel also moves the score matrix several times.

    Context parallelism makes one call for each step of its ring, on 1/cp of the queries and of the keys; over the
    steps half of the scores are masked, as in a single causal call (Liu et al. 2023, arXiv:2310.01889). Where keys and
    values are gathered first, it is one call: 1/cp of the rows of a whole sequence (Llama 3, section 3.3.2).
    """
    model, width = work.model, score_width(work.model)
    heads, shared = model.heads / tensor, key_value_heads(model, tensor)
    if not software.memory.flash_attention:
        scores = micro_batch * heads * float(work.sequence) ** 2 / context
        products_s = 4.0 * scores * width / (machine.gemm.compute_efficiency * machine.wide_peak_flop_per_s)
        moved = 2.0 * SCORE_PASSES * scores
        return products_s + memory_bound_s(moved, machine.bandwidth_bytes_per_s, machine.vector_efficiency)
    peak, bandwidth = machine.wide_peak_flop_per_s, machine.bandwidth_bytes_per_s
    attention_s: Numbers = 0.0
    for share, span in spans(model, work.span):
        block, calls, batch = work.sequence / context, context, micro_batch
        if gathers:
            block, calls, batch = work.sequence * np.ones_like(block), np.ones_like(context), micro_batch / context
        if span < work.sequence:
            # A band is as much work as these causal sequences, with rows of tiles as long as those of the band.
            block, calls = np.minimum(span, block), np.ones_like(context)
            batch = micro_batch * work.sequence * span / (context * block**2)
        attention_s = attention_s + share * calls * attention_forward_s(
            batch,
            heads,
            shared,
            width,
            block,
            True,  # noqa: FBT003 - causal, as every model here
            peak,
            bandwidth,
            machine.attention,
        )
    return attention_s


def _context_s(
    work: Work,
    machine: Machine,
    tensor: Counts,
    context: Counts,
    tokens: Floats,
    attention_s: Numbers,
    ratio: float,
    *,
    gathers: bool,
) -> tuple[Floats, Floats]:
    """Time the ring of keys and values (forward), and of them and their gradients (backward), beyond attention.

    Each step of the ring runs beside the attention of the block before it (Liu et al. 2023, arXiv:2310.01889), so
    only what is longer than attention is exposed. An all-gather comes before attention, and none of it hides.
    """
    if (context == 1).all():
        return np.zeros(len(context)), np.zeros(len(context))
    width = 2 * key_value_heads(work.model, tensor) * score_width(work.model)
    gathered = tokens * context * width * work.recipe.activation_bytes
    group = place_group(context, tensor, machine.domain_devices, machine.pod_devices)
    gather_s = hierarchical_s("all_gather", gathered, group, machine.fabric)
    scatter_s = hierarchical_s("reduce_scatter", gathered, group, machine.fabric)
    share = softmax_share(work.model)
    hidden_s = 0.0 if gathers else attention_s * (1 - 1 / context)
    forward_s = np.maximum(share * gather_s - hidden_s, 0.0)
    backward_s = np.maximum(share * (gather_s + scatter_s) - ratio * hidden_s, 0.0)
    if state_share(work.model):
        # Each device gets all tokens of some heads, and gives them back.
        sent = tokens / tensor * exchanged_elements(work.model) * work.recipe.activation_bytes
        exchange_s = hierarchical_s("all_to_all", sent, group, machine.fabric)
        forward_s, backward_s = forward_s + exchange_s, backward_s + exchange_s
    return np.where(context > 1, forward_s, 0.0), np.where(context > 1, backward_s, 0.0)


def _head_s(work: Work, machine: Machine, tensor: Counts, tokens: Floats) -> Numbers:
    """Time the vocabulary-parallel LM head, forward and backward, with its loss."""
    peak, bandwidth, curve = machine.wide_peak_flop_per_s, machine.bandwidth_bytes_per_s, machine.wide_gemm
    columns, inner = work.model.vocab / tensor, float(work.model.hidden)
    products_s = gemm_s(tokens, columns, inner, 2.0, peak, bandwidth, curve) + gemm_s(
        tokens, inner, columns, 2.0, peak, bandwidth, curve
    )
    if not work.recipe.adapter_rank:
        products_s = products_s + gemm_s(columns, inner, tokens, 2.0, peak, bandwidth, curve)
    return products_s + memory_bound_s(tokens * columns * LOSS_BYTES_PER_LOGIT, bandwidth, machine.vector_efficiency)
