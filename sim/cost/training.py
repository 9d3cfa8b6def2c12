"""How long one training step takes, by part, for many layouts at once.

step = micro-batches and the pipeline's empty slots on the slowest stage + exposed communication + optimizer + host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.checkpointing import products_again
from sim.cost.data_parallel import data_parallel
from sim.cost.layer import layer_times
from sim.cost.layout import RECOMPUTE, Layouts
from sim.cost.pipeline import exposed_share, pipeline_communication_s, pipeline_times
from sim.cost.recurrent import require_measured_scan
from sim.cost.transformer import square_attention_flop

if TYPE_CHECKING:
    from sim.cost.layout import Counts
    from sim.cost.machine import Machine, Software
    from sim.cost.memory import Floats
    from sim.cost.work import Work

PARTS = (
    "useful compute",
    "kernel inefficiency",
    "recompute",
    "exposed tensor-parallel communication",
    "exposed context-parallel communication",
    "exposed expert-parallel communication",
    "exposed pipeline communication",
    "exposed data-parallel communication",
    "pipeline bubble",
    "optimizer",
    "host",
)
"""Accounts of a step, in the order in which people read them."""
EXPERT_PART = PARTS.index("exposed expert-parallel communication")
DENSE_PARTS = PARTS[:EXPERT_PART] + PARTS[EXPERT_PART + 1 :]
"""Those of a model without experts."""

FEWEST_RANKS, REFERENCE_RANKS = 8, 256
"""Below one node nothing more is gained; kernel slowdowns of profiles were measured around 256 devices."""

_SELECTIVE, _FULL = RECOMPUTE.index("selective"), RECOMPUTE.index("full")


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one step and where they go, one entry per layout."""

    step_s: Floats
    parts_s: tuple[Floats, ...]
    """Averages over the active devices in the order of ``names``; they sum to ``step_s``."""
    hardware_flop: Floats
    """Operations of one step over all devices, recompute included."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name the parts: ``PARTS``, without that of experts where the model has none."""
        return PARTS if len(self.parts_s) == len(PARTS) else DENSE_PARTS

    def take(self, index: Counts) -> StepTimes:
        """Give the layouts at these positions."""
        return StepTimes(self.step_s[index], tuple(part[index] for part in self.parts_s), self.hardware_flop[index])

    def row(self, index: int) -> tuple[tuple[str, float], ...]:
        """Give the parts of one layout by name, in seconds."""
        return tuple((name, float(part[index])) for name, part in zip(self.names, self.parts_s, strict=True))


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
        NotYetError: the model has layers for which there is no measured curve.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) for pipeline and data parallelism, Korthikanti et al. 2022
    (arXiv:2205.05198) for sequence parallelism and recompute, Rajbhandari et al. 2020 (arXiv:1910.02054) and Zhao
    et al. 2023 (arXiv:2304.11277) for ZeRO, Liu et al. 2025 (arXiv:2504.14960) for experts spread over tensor,
    context and data parallel; operators and collectives from hardware_specs/calibration.
    Valid for: softmax attention, delta rules and Mamba-2; the schedules of ``SCHEDULE``; ZeRO 0 to 3; every layer takes
    as long as the mean one.
    """
    require_measured_scan(work.model)
    pace = slowest_rank_pace(software.scale_slowdown, layouts.devices)
    layer = layer_times(work, machine, software, layouts, pace)
    stages = layouts.pipeline_parallel
    micro_batches = work.global_batch / (layouts.data_parallel * layouts.micro_batch)

    recompute_s = np.where(
        layouts.recompute == _FULL,
        layer.forward_s,
        np.where(layouts.recompute == _SELECTIVE, layer.cheap_forward_s, 0.0),
    )
    passes = np.where(layouts.recompute == _FULL, 3.0, 2.0)
    context_s = (passes - 1) * layer.context_forward_s + layer.context_backward_s
    expert_s = exposed_share(layouts, micro_batches) * layer.expert_communication_s
    head_s = layer.head_s + layer.head_communication_s
    layer_s = layer.forward_s + layer.backward_s + recompute_s + passes * layer.communication_s
    gap_s = (passes - 1) * layer.launch_forward_gap_s + layer.launch_backward_gap_s
    layer_s = layer_s + context_s + gap_s
    if work.model.experts is not None:
        layer_s = layer_s + passes * expert_s
    ahead_s = layer.forward_s + layer.communication_s + layer.context_forward_s + expert_s
    pipe = pipeline_times(work, layouts, layer_s, ahead_s, layer.weight_gradient_s, head_s, micro_batches)

    layers_per_stage = work.model.layers / stages
    compute_s = micro_batches * (layers_per_stage * (layer.forward_s + layer.backward_s) + layer.head_s / stages)
    useful_s = work.model_flop / (layouts.devices * machine.gemm_peak_flop_per_s)
    hop_s = pipeline_communication_s(work, machine, software, layouts, micro_batches)
    forward_share = (layer.forward_s + layer.communication_s + expert_s) / layer_s
    data_s, optimizer_s = data_parallel(work, machine, software, layouts, pipe.slowest_s, forward_share)
    parts = [
        useful_s,
        compute_s - useful_s,
        micro_batches * layers_per_stage * recompute_s,
        micro_batches * (layers_per_stage * passes * layer.communication_s + layer.head_communication_s / stages),
        micro_batches * layers_per_stage * context_s,
        hop_s,
        data_s,
        pipe.whole_s - micro_batches * pipe.mean_s,
        optimizer_s,
        micro_batches * layers_per_stage * gap_s + software.step_host_s,
    ]
    if work.model.experts is not None:
        parts.insert(EXPERT_PART, micro_batches * layers_per_stage * passes * expert_s)
    return StepTimes(sum(parts[1:], parts[0]), tuple(parts), _hardware_flop(work, layouts, software))


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


def _hardware_flop(work: Work, layouts: Layouts, software: Software) -> Floats:
    """Count model FLOP plus what is computed again: whole layers, or the scores inside attention."""
    count = work.flop_per_token
    if software.memory.flash_attention:
        kernel, selective, forward = count.attention_recompute, 0.0, count.attention
        if software.memory.products_again:
            selective = products_again(work.model) * count.layers
    else:
        # An unfused kernel computes the masked scores too, forward and backward.
        forward = selective = square_attention_flop(work.model, work.sequence)
        kernel = 3 * (forward - count.attention)
    again = np.array([0.0, selective, count.layers + forward + count.chunked_scan])
    executed = count.training + kernel + count.scan_surplus + count.weight_passes * work.padded_flop
    return np.asarray(work.tokens * (executed + again[layouts.recompute]))
