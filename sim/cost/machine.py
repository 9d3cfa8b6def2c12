"""The machine as the cost functions see it: peaks, curves and links, reduced to numbers for one recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.cost.attention import AttentionCurve
    from sim.cost.collectives import Fabric
    from sim.cost.grouped import GroupedCurve
    from sim.cost.memory import MemoryRules
    from sim.cost.recurrent import ScanCurves
    from sim.cost.roofline import RooflineCurve


@dataclass(frozen=True, slots=True)
class Machine:
    """One device and its links, under one precision recipe."""

    name: str
    gemm_peak_flop_per_s: float
    """Dense peak of the recipe's GEMM precision: what MFU is measured against."""
    wide_peak_flop_per_s: float
    """Dense 16-bit peak: attention and LM head."""
    bandwidth_bytes_per_s: float
    memory_bytes: float
    gemm: RooflineCurve
    wide_gemm: RooflineCurve
    attention: AttentionCurve
    experts: GroupedCurve
    """Feed-forward of routed experts, in the format of the products."""
    wide_experts: GroupedCurve
    """The same in 16 bit."""
    scans: ScanCurves
    """Recurrences of layers that keep a state."""
    vector_efficiency: float
    """Share of memory bandwidth that norms, activations and optimizer reach."""
    vector_overhead_s: float
    """Time of a memory-bound kernel with nothing to do."""
    fabric: Fabric
    domain_devices: float
    """Devices of one scale-up domain."""
    pod_devices: float
    """Devices of one non-blocking pod of the network."""

    def in_wide(self) -> Machine:
        """Give the machine as layers see it whose products stay in 16 bit."""
        return replace(
            self, gemm_peak_flop_per_s=self.wide_peak_flop_per_s, gemm=self.wide_gemm, experts=self.wide_experts
        )


@dataclass(frozen=True, slots=True)
class Software:
    """What differs by framework and vintage: a handful of numbers with meaning (hardware_specs/profiles)."""

    name: str
    kernel_slowdown: float
    """Time of a kernel in training over its time alone (sustained clocks under power)."""
    attention_slowdown: float
    """Time of attention over that of the measured kernel, beside the slowdown of all kernels."""
    scale_slowdown: float
    """Growth of kernel times for each doubling of the devices: a step waits for its slowest rank."""
    tensor_parallel_overlap: float
    """Share of tensor-parallel communication hidden behind compute, inside a scale-up domain only."""
    data_parallel_overlap: float
    """Share of gradient and parameter communication that may hide behind compute."""
    pipeline_overlap: float
    """Share of stage-to-stage transfers hidden under interleaved 1F1B; plain 1F1B hides none."""
    expert_parallel_overlap: float
    """Share of the exchange of tokens between experts hidden behind compute, inside a scale-up domain only."""
    expert_parallel_overlap_across: float
    """The same where the experts' group leaves its scale-up domain."""
    expert_imbalance: float
    """Tokens of the fullest device of an expert-parallel group over their mean."""
    expert_slowdown: float
    """Time of kernels in a model with experts over their time in a dense one."""
    launch_s: float
    """Host time to launch one kernel."""
    step_host_s: float
    """Host time once a step: data loading, logging, gradient norm, learning rate."""
    memory: MemoryRules
    context_exchange: str = "ring"
    """How context-parallel devices come by the keys and values of the others: ring or all-gather."""
