"""How long routed experts take on one device: their grouped products, and the exchange of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.capacity import fullest_load
from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.experts import expert_gemms, expert_share, routed_width
from sim.cost.grouped import grouped_s
from sim.cost.roofline import memory_bound_s

if TYPE_CHECKING:
    from sim.cost.layout import Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.roofline import Numbers
    from sim.cost.work import Work


@dataclass(frozen=True, slots=True)
class Routed:
    """Seconds of the routed experts of the mean layer for one micro-batch; kernels without the software's slowdown."""

    forward_s: Numbers
    backward_s: Numbers
    weight_gradient_s: Numbers
    """The part of the backward pass that only the optimizer waits for."""
    communication_s: Floats
    """Dispatch and combination of one direction."""


def routed_s(work: Work, machine: Machine, software: Software, layouts: Layouts, tokens: Floats) -> Routed:
    """Time the routed experts of the mean layer: grouped products on the fullest device, and two all-to-alls, in s.

    The feed-forward of a device is one call of the measured kind forward; backward has the products for its inputs and
    those for its weights, and moves what the forward pass moves twice.

    Args:
        work: model and precision recipe.
        machine: peaks, curves and links.
        software: imbalance of the experts and overlap of the exchange.
        layouts: the layouts.
        tokens: tokens of one device before they are routed.

    Source: operator curves of hardware_specs/calibration; Lepikhin et al. 2020 (arXiv:2006.16668) for the exchange;
    Liu et al. 2025 (arXiv:2504.14960) for experts over tensor, context and data parallel; DeepSeek-V3
    (arXiv:2412.19437), section 3.2.2, for one copy to each domain, of which D (1 - (1 - 1/D)^k) are visited on average.
    Valid for: experts chosen as evenly as the software says; inside one domain each visit sends a copy of its own.
    """
    experts, share = work.model.experts, expert_share(work.model)
    if experts is None:
        return Routed(0.0, 0.0, 0.0, np.zeros(len(layouts)))
    local, width = experts.count / layouts.expert_groups, layouts.common.expert_tensor
    routed = tokens * experts.top_k * fullest_load(work.capacity, software.expert_imbalance)
    # Devices that share an expert gather one another's tokens: all of their rows, on a part of its inner width.
    rows = width * routed / local
    curve, gradient_bytes = machine.experts, 2 * work.recipe.gradient_bytes
    moved = curve.visit_bytes * routed * width * (routed_width(work.model) + experts.ffn_hidden / width)
    around_s = memory_bound_s(moved, machine.bandwidth_bytes_per_s, curve.memory_efficiency)
    forward_s: Numbers = curve.overhead_s + around_s
    # What surrounds the products is as much again for each of the two gradients; tokens move with that of the inputs.
    inputs_s: Numbers = curve.overhead_s + 2 * around_s
    weights_s: Numbers = curve.overhead_s
    for gemm in expert_gemms(work.model, width):
        columns, inner = gemm.columns, gemm.inner
        forward_s = forward_s + _product_s(work, machine, local, (rows, columns, inner))
        inputs_s = inputs_s + _product_s(work, machine, local, (rows, inner, columns))
        if work.recipe.adapter_rank:
            continue
        # The gradient of the weights is read and written in the accumulation precision.
        weights_s = weights_s + _product_s(work, machine, local, (rows, columns, inner), gradient_bytes)
    exchange_s = _exchange_s(work, machine, software, layouts, routed)
    return Routed(share * forward_s, share * (inputs_s + weights_s), share * weights_s, exchange_s)


def _exchange_s(work: Work, machine: Machine, software: Software, layouts: Layouts, routed: Floats) -> Floats:
    """Time dispatch and combination of one direction, exposed: all-to-alls, and what devices of one expert exchange."""
    experts, width = work.model.experts, layouts.common.expert_tensor
    assert experts is not None
    group = place_group(layouts.expert_groups, width, machine.domain_devices, machine.pod_devices)
    # Across domains a token goes once to each of those that hold some of its experts, and is handed on inside.
    domains = np.asarray(group.domains * group.pods)
    visited = domains * (1 - (1 - 1 / domains) ** experts.top_k)
    copies = np.where(domains > 1, visited / experts.top_k, 1.0)
    # There in the format of dispatch, back as activations, and the other way round backward: the mean of both.
    element = (work.recipe.dispatched_bytes + work.recipe.activation_bytes) / 2
    sent = routed * copies * routed_width(work.model) * element
    exchange_s = 2 * hierarchical_s("all_to_all", sent, group, machine.fabric)
    if width > 1:
        # Each device gathers the visits of all that share its experts, and sums what they make of them.
        shared = place_group(np.full(len(layouts), width), 1, machine.domain_devices, machine.pod_devices)
        gathered = width * routed * routed_width(work.model) * element
        exchange_s = exchange_s + hierarchical_s("all_gather", gathered, shared, machine.fabric)
        exchange_s = exchange_s + hierarchical_s("reduce_scatter", gathered, shared, machine.fabric)
    # As for tensor parallelism: an overlap inside a scale-up domain says nothing about a group that leaves it.
    inside = layouts.expert_devices <= machine.domain_devices
    exposed = 1 - np.where(inside, software.expert_parallel_overlap, software.expert_parallel_overlap_across)
    return np.asarray(expert_share(work.model) * exchange_s * exposed)


def _product_s(
    work: Work,
    machine: Machine,
    experts: Numbers,
    size: tuple[Numbers, Numbers, Numbers],
    gradient_bytes: float = 0.0,
) -> Numbers:
    """Time a grouped product of (rows, columns, inner); one for gradients reads two activations and adds to weights."""
    element = work.recipe.operand_bytes
    peak, bandwidth = machine.gemm_peak_flop_per_s, machine.bandwidth_bytes_per_s
    product_s = grouped_s(experts, *size, element, peak, bandwidth, machine.experts)
    if not gradient_bytes:
        return product_s
    _, columns, inner = size
    added = experts * columns * inner * (gradient_bytes - element)
    return product_s + memory_bound_s(added, bandwidth, machine.experts.memory_efficiency)
