"""How long a step's micro-batches take to go through the pipeline, and what its stages send each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.layout import SCHEDULE
from sim.cost.schedules import DUAL_PIPE, ZERO_BUBBLE_V, bubble_s
from sim.cost.stages import stage_idle, stage_layers

if TYPE_CHECKING:
    from sim.cost.layout import Layouts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.work import Work

HEAD_PRODUCTS = 3
"""Of the head's products one goes forward, and one gives the gradient of its weights."""
_IN_ORDER = (SCHEDULE.index("1f1b"), SCHEDULE.index("gpipe"))


@dataclass(frozen=True, slots=True)
class PipelineTimes:
    """Seconds of a step inside the pipeline; one entry per layout."""

    whole_s: Floats
    """From the first forward to the last gradient."""
    slowest_s: Floats
    """One micro-batch on the slowest stage."""
    mean_s: Floats
    """One micro-batch on the mean stage."""


def pipeline_times(
    work: Work,
    layouts: Layouts,
    layer_s: Floats,
    ahead_s: Floats,
    weight_gradient_s: Floats,
    head_s: Floats,
    micro_batches: Floats,
) -> PipelineTimes:
    """Time the micro-batches of a step on the slowest stage, and the schedule's bubble at the mean one, in s.

    Args:
        work: the model, for its layers.
        layouts: stages, virtual stages and schedule.
        layer_s: one micro-batch through one layer, forward and backward, in s.
        ahead_s: the forward part of it.
        weight_gradient_s: the part of it that makes gradients of weights.
        head_s: one micro-batch through the LM head, forward and backward.
        micro_batches: micro-batches of a step.

    Source: Narayanan et al. 2021 (arXiv:2104.04473), section 2.2, and the formulae of `sim.cost.schedules`.
    Valid for: stages of mean layers, or as ``stage_layers`` cuts them; the head stands on the last stage, under ZB-V
    on the first, and under DualPipe every device holds a part from each end.
    """
    layers, stages = work.model.layers, layouts.pipeline_parallel
    held = stage_layers(work.model, layouts, work.sequence)
    fullest_s = held.heaviest * layer_s
    last_s = held.last_weight * layer_s + head_s
    slowest_s = np.maximum(np.where(stages == 1, last_s, fullest_s), last_s)
    mean_s = (layers * layer_s + head_s) / stages
    forward_s = (layers * ahead_s + head_s / HEAD_PRODUCTS) / stages
    weight_s = (layers * weight_gradient_s + head_s / HEAD_PRODUCTS) / stages
    if (layouts.schedule == DUAL_PIPE).any():
        # A device works for both ends in turn: half of its micro-batches meet the fuller stage, half the other.
        slowest_s = np.where((layouts.schedule == DUAL_PIPE) & (stages > 1), (fullest_s + last_s) / 2, slowest_s)
    idle_s = bubble_s(layouts, forward_s, mean_s - forward_s - weight_s, weight_s)
    if layouts.common.stages != "mean":
        idle_s = stage_idle(work.model, layouts, work.sequence, micro_batches) * layer_s
    return PipelineTimes(micro_batches * slowest_s + idle_s, slowest_s, mean_s)


def exposed_share(layouts: Layouts, micro_batches: Floats) -> Floats:
    """Give the share of the experts' exchange that no other micro-batch hides: under DualPipe only its two ends.

    Source: DeepSeek-V3 (arXiv:2412.19437), section 3.2.1: a forward mixed with a backward hides both exchanges; some
    p of the m micro-batches run unmixed while the pipeline fills and drains.
    Valid for: exchanges shorter than the computation beside them.

    >>> from sim.cost.layout import single
    >>> exposed_share(single(pp=8, schedule="dualpipe"), np.array([64.0])).tolist()
    [0.125]
    """
    unmixed = np.minimum(layouts.pipeline_parallel / micro_batches, 1.0)
    return np.asarray(np.where((layouts.schedule == DUAL_PIPE) & (layouts.pipeline_parallel > 1), unmixed, 1.0))


def pipeline_communication_s(
    work: Work, machine: Machine, software: Software, layouts: Layouts, micro_batches: Floats
) -> Floats:
    """Expose transfers from stage to stage, in s: all of them in plain order, a share of them in any other.

    Filling and draining wait for every hop.

    Source: Narayanan et al. 2021, section 4.1, for what is sent and how tensor-parallel ranks share it.
    Valid for: transfers between neighbours; the share is the profile's for interleaved 1F1B.
    """
    tokens = layouts.micro_batch * float(work.sequence) / layouts.context_parallel
    sent = tokens * work.model.hidden * work.recipe.activation_bytes
    distance = layouts.tensor_parallel * layouts.context_parallel * layouts.data_parallel
    group = place_group(2, distance, machine.domain_devices, machine.pod_devices)
    hop_s = hierarchical_s("point_to_point", sent / layouts.tensor_parallel, group, machine.fabric)
    in_order = (layouts.virtual_stages == 1) & np.isin(layouts.schedule, _IN_ORDER)
    exposed = np.where(in_order, 1.0, 1 - software.pipeline_overlap) * exposed_share(layouts, micro_batches)
    ends = np.where(layouts.schedule == ZERO_BUBBLE_V, 2, 1) * 2 * (layouts.pipeline_parallel - 1)
    hops = 2 * micro_batches * layouts.virtual_stages * exposed + ends
    return np.where(layouts.pipeline_parallel > 1, hops * hop_s, 0.0)
