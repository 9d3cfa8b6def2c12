"""What replicas exchange once a step or with every micro-batch, and how long the optimizer takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.experts import routed_weights
from sim.cost.memory import GRADIENTS_SPLIT, OPTIMIZER_SPLIT, WEIGHTS_SPLIT, stage_parameters
from sim.cost.roofline import memory_bound_s
from sim.cost.stages import stage_layers
from sim.cost.transformer import adapter_weights, layer_weights

if TYPE_CHECKING:
    from sim.cost.collectives import Collective, Group
    from sim.cost.layout import Counts, Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.roofline import Numbers
    from sim.cost.work import Work


@dataclass(frozen=True, slots=True)
class _Held:
    """Parameters of the fullest stage that have the same replicas."""

    parameters: Floats
    layer: Numbers
    """Those of one layer."""
    replicas: Counts
    shards: Counts
    """Devices of them that ZeRO splits over."""
    group: Group
    """Where those are."""
    copies: Group | None
    """Where the copies of a shard are, under hybrid sharding."""


def data_parallel(
    work: Work, machine: Machine, software: Software, layouts: Layouts, slowest_s: Floats, forward_share: Floats
) -> tuple[Floats, Floats]:
    """Expose gradient reduction and parameter gathering beyond what hides; time the optimizer; both in s.

    ZeRO 0 and 1 reduce once a step; ZeRO 2, which keeps no whole gradients, with every micro-batch; ZeRO 3 also
    gathers the weights layer by layer in both passes of every micro-batch. Experts have fewer replicas than the rest,
    and are exchanged after it. Under hybrid sharding all of this stays within a group of replicas, and what each has
    reduced is summed over the copies of the group, once a step.

    Args:
        work: model, precision recipe, sequence length and global batch.
        machine: links and memory of the device.
        software: the overlap.
        layouts: the layouts.
        slowest_s: time of a micro-batch on the slowest stage: what transfers may hide behind.
        forward_share: share of the forward pass in it.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054), section 7; Zhao et al. 2023 (arXiv:2304.11277), section 3.
    Valid for: ZeRO 0 to 3 over all replicas, or over groups of them; replicas near one another form a group.
    """
    recipe, zero = work.recipe, layouts.zero_stage
    layers = np.asarray(stage_layers(work.model, layouts, work.sequence).most)
    whole = _held(work, machine, layouts, layers)
    held = whole if not recipe.adapter_rank else [_adapters(work, layouts, layers, whole[0])]
    second = np.where(zero >= OPTIMIZER_SPLIT, recipe.gathered_bytes, recipe.gradient_bytes)
    scatter_s = _at_once_s("reduce_scatter", held, recipe.gradient_bytes, machine)
    copies_s = _among_copies_s(held, recipe.gradient_bytes, machine) if layouts.common.shard else 0.0
    gather_s = _at_once_s("all_gather", held, second, machine)
    share = software.data_parallel_overlap
    # Only the last micro-batch's backward and the first one's forward run beside these transfers.
    moved_s = scatter_s + gather_s + copies_s
    exposed_s = moved_s - np.minimum(share * moved_s, slowest_s)
    if (zero >= GRADIENTS_SPLIT).any():
        micro_batches = work.global_batch / (layouts.data_parallel * layouts.micro_batch)
        forward_s = slowest_s * forward_share
        backward_s = slowest_s - forward_s
        once_s = _beyond(copies_s, share, backward_s)
        gathered_once_s = _beyond(gather_s, share, forward_s) + once_s
        stage2_s = micro_batches * _beyond(scatter_s, share, backward_s) + gathered_once_s
        exposed_s = np.where(zero == GRADIENTS_SPLIT, stage2_s, exposed_s)
    if (zero == WEIGHTS_SPLIT).any():
        scatter_s = _by_layer_s("reduce_scatter", held, layers, recipe.gradient_bytes, machine)
        gather_s = _by_layer_s("all_gather", whole, layers, recipe.sent_weight_bytes, machine)
        stage3_s = _beyond(gather_s, share, forward_s) + _beyond(gather_s + scatter_s, share, backward_s)
        exposed_s = np.where(zero == WEIGHTS_SPLIT, micro_batches * stage3_s + once_s, exposed_s)
    moved = 2 * recipe.optimizer_bytes + 3 * recipe.gradient_bytes + recipe.weight_bytes
    updated = sum(part.parameters / np.where(zero >= OPTIMIZER_SPLIT, part.shards, 1) for part in held)
    # Narrow operands of the new weights are made once a step.
    cast = 0.0 if recipe.adapter_rank else recipe.cast_bytes * sum(part.parameters for part in held)
    optimizer_s = memory_bound_s(updated * moved + cast, machine.bandwidth_bytes_per_s, machine.vector_efficiency)
    replicated = np.logical_or.reduce([part.replicas > 1 for part in held])
    return np.where(replicated, exposed_s, 0.0), np.asarray(optimizer_s)


def _held(work: Work, machine: Machine, layouts: Layouts, layers: Floats) -> list[_Held]:
    """Give what all layers share out over the replicas, and apart from it the experts."""
    model, tensor = work.model, layouts.tensor_parallel
    parameters = stage_parameters(model, layouts, layers, layers)[0]
    held = [_shared_out(machine, layouts, parameters, layer_weights(model, tensor), layouts.replicas, tensor)]
    if model.experts is not None:
        experts, replicas = routed_weights(model, layouts.expert_devices), layouts.expert_replicas
        of_experts = np.asarray(layers * experts)
        held.append(_shared_out(machine, layouts, of_experts, experts, replicas, layouts.expert_devices))
    return held


def _shared_out(
    machine: Machine, layouts: Layouts, parameters: Floats, layer: Numbers, replicas: Counts, apart: Counts
) -> _Held:
    """Place replicas that are so many devices apart: the nearest share a copy, the copies lie beyond one another."""
    domain, pod = machine.domain_devices, machine.pod_devices
    if not layouts.common.shard:
        return _Held(parameters, layer, replicas, replicas, place_group(replicas, apart, domain, pod), None)
    shards = replicas / layouts.copies
    copies = place_group(layouts.copies, apart * shards, domain, pod)
    return _Held(parameters, layer, replicas, shards, place_group(shards, apart, domain, pod), copies)


def _adapters(work: Work, layouts: Layouts, layers: Floats, whole: _Held) -> _Held:
    """Give the adapters of a stage, which alone are trained."""
    layer = adapter_weights(work.model, work.recipe.adapter_rank, layouts.tensor_parallel)
    return replace(whole, parameters=np.asarray(layers * layer), layer=layer)


def _among_copies_s(held: list[_Held], element_bytes: float, machine: Machine) -> Numbers:
    """Time the sum of each shard's gradients over its copies (Zhao et al. 2023, section 3.2.2)."""
    return sum(
        hierarchical_s("all_reduce", part.parameters / part.shards * element_bytes, part.copies, machine.fabric)
        for part in held
        if part.copies is not None
    )


def _beyond(transfer_s: Numbers, share: float, compute_s: Floats) -> Floats:
    """Give what is left of a transfer of which a share may hide, at most behind so much compute."""
    return np.asarray(transfer_s - np.minimum(share * transfer_s, compute_s))


def _at_once_s(kind: Collective, held: list[_Held], element_bytes: Numbers, machine: Machine) -> Numbers:
    """Time a stage's weights or gradients moved in one piece."""
    return sum(hierarchical_s(kind, part.parameters * element_bytes, part.group, machine.fabric) for part in held)


def _by_layer_s(kind: Collective, held: list[_Held], layers: Floats, element_bytes: float, machine: Machine) -> Floats:
    """Time a stage's weights or gradients moved layer by layer, and what is not a layer in one piece."""
    moved_s: Numbers = 0.0
    for part in held:
        each_s = hierarchical_s(kind, part.layer * element_bytes, part.group, machine.fabric)
        rest = part.parameters - layers * part.layer
        moved_s = moved_s + layers * each_s + hierarchical_s(kind, rest * element_bytes, part.group, machine.fabric)
    return np.asarray(moved_s)
