"""How long routed experts take on one device: their grouped products, and the exchange of tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.experts import expert_gemms, expert_share
from sim.cost.roofline import gemm_s

if TYPE_CHECKING:
    from sim.cost.layout import Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.roofline import Numbers, RooflineCurve
    from sim.cost.work import Work

GROUPED_FLOOR_S = 11.5e-6
"""A grouped product with nothing to do: half of the 23 us that the fastest feed-forward of experts takes on an H100
(aiconfigurator kernel tables, bf16, TensorRT-LLM)."""


@dataclass(frozen=True, slots=True)
class Routed:
    """Seconds of the routed experts of the mean layer for one micro-batch; kernels without the software's slowdown."""

    forward_s: Numbers
    backward_s: Numbers
    communication_s: Floats
    """Dispatch and combination of one direction."""


def routed_s(work: Work, machine: Machine, software: Software, layouts: Layouts, tokens: Floats) -> Routed:
    """Time the routed experts of the mean layer: grouped products on the fullest device, and two all-to-alls, in s.

    An expert takes the roofline of a product with as many rows as tokens come to it; all of a device's run in one
    kernel, and its launch is paid once.

    Args:
        work: model and precision recipe.
        machine: peaks, curves and links.
        software: imbalance of the experts and overlap of the exchange.
        layouts: the layouts.
        tokens: tokens of one device before they are routed.

    Source: operator curves of hardware_specs/calibration; Lepikhin et al. 2020 (arXiv:2006.16668) for the exchange;
    Liu et al. 2025 (arXiv:2504.14960) for experts over tensor, context and data parallel; DeepSeek-V3
    (arXiv:2412.19437), section 3.2.2, for one copy to each domain, of which D (1 - (1 - 1/D)^k) are visited on average.
    Valid for: no dropped tokens, experts chosen evenly; inside one domain each visit sends a copy of its own.
    """
    experts, share = work.model.experts, expert_share(work.model)
    if experts is None:
        return Routed(0.0, 0.0, np.zeros(len(layouts)))
    local = experts.count / layouts.expert_devices
    routed = tokens * experts.top_k * software.expert_imbalance
    rows = routed / local
    curve = replace(machine.gemm, overhead_s=0.0)
    forward_s: Numbers = 0.0
    backward_s: Numbers = 0.0
    for gemm in expert_gemms(work.model):
        columns, inner = gemm.columns, gemm.inner
        forward_s = forward_s + GROUPED_FLOOR_S + local * _product_s(work, machine, curve, (rows, columns, inner))
        backward_s = backward_s + GROUPED_FLOOR_S + local * _product_s(work, machine, curve, (rows, inner, columns))
        # The gradient of the weights is read and written in the accumulation precision.
        weights_s = _product_s(work, machine, curve, (columns, inner, rows), 2 * work.recipe.gradient_bytes)
        backward_s = backward_s + GROUPED_FLOOR_S + local * weights_s
    group = place_group(layouts.expert_devices, 1, machine.domain_devices, machine.pod_devices)
    # Across domains a token goes once to each of those that hold some of its experts, and is handed on inside.
    domains = np.asarray(group.domains * group.pods)
    visited = domains * (1 - (1 - 1 / domains) ** experts.top_k)
    copies = np.where(domains > 1, visited / experts.top_k, 1.0)
    sent = routed * copies * work.model.hidden * work.recipe.activation_bytes
    exchange_s = hierarchical_s("all_to_all", sent, group, machine.fabric)
    # As for tensor parallelism: an overlap inside a scale-up domain says nothing about a group that leaves it.
    inside = layouts.expert_devices <= machine.domain_devices
    exposed = 1 - np.where(inside, software.expert_parallel_overlap, software.expert_parallel_overlap_across)
    return Routed(share * forward_s, share * backward_s, np.asarray(share * 2 * exchange_s * exposed))


def _product_s(
    work: Work,
    machine: Machine,
    curve: RooflineCurve,
    size: tuple[Numbers, Numbers, Numbers],
    output_bytes: float = 2.0,
) -> Numbers:
    element = 1.0 if work.recipe.gemm_precision == "fp8" else 2.0
    peak, bandwidth = machine.gemm_peak_flop_per_s, machine.bandwidth_bytes_per_s
    return gemm_s(*size, element, peak, bandwidth, curve, output_bytes)
