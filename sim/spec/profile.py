"""A software profile: what differs by training framework and vintage, as named numbers with their source."""

from typing import Annotated, Literal

from pydantic import Field

from sim.spec.hardware import Generation, Slug
from sim.spec.quantity import FrozenModel, SourcedBytes, SourcedFraction, SourcedSeconds

Slowdown = Annotated[float, Field(gt=0, le=20)]


class KernelSlowdown(FrozenModel):
    """Time of kernels inside a training run over their time alone, for some chips and precisions."""

    generations: tuple[Generation, ...] = ()
    """Generations of chips that it holds for; none means all."""
    precisions: tuple[Slug, ...] = ()
    """Precision recipes that it holds for, and those like them with the same operands; none means all."""
    factor: Slowdown
    """Measured over predicted."""
    source: str
    """Where it was measured."""
    status: Literal["read", "derived", "memory", "preliminary"]
    """How far it can be trusted."""


class Profile(FrozenModel):
    """A training framework of one vintage."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str
    """Name as people write it."""
    kernel_slowdown: tuple[KernelSlowdown, ...] = Field(min_length=1)
    """The first entry that matches chip and precision holds."""
    scale_slowdown: SourcedFraction
    """Growth of kernel times for each doubling of the devices, relative to 256: a step waits for its slowest rank."""
    tensor_parallel_overlap: SourcedFraction
    """Share of tensor-parallel communication hidden behind compute, inside a scale-up domain."""
    data_parallel_overlap: SourcedFraction
    """Share of gradient reduction and parameter gathering that may hide behind compute."""
    pipeline_overlap: SourcedFraction
    """Share of stage-to-stage transfers hidden under interleaved 1F1B."""
    expert_parallel_overlap: SourcedFraction | None = None
    """Share of the tokens' way to experts and back hidden behind compute, inside a scale-up domain; none: nothing."""
    expert_parallel_overlap_across: SourcedFraction | None = None
    """The same for a group of experts that leaves its scale-up domain; none: nothing."""
    expert_imbalance: SourcedFraction | None = None
    """Tokens of the fullest device of an expert-parallel group above their mean, as a share; none: balanced."""
    expert_slowdown: tuple[KernelSlowdown, ...] = ()
    """Kernel times in models with experts over those in dense ones; the first entry that matches, or 1."""
    attention_slowdown: tuple[KernelSlowdown, ...] = ()
    """Time of attention over that of the measured kernel, beside the slowdown above; the first that matches, or 1."""
    attention_kernel: Literal["flash", "unfused"]
    """Whether attention runs in one fused kernel or writes its score matrix to memory."""
    context_exchange: Literal["ring", "all-gather"] = "ring"
    """How context parallelism passes keys and values on: round a ring, or gathered before attention."""
    launch_s: SourcedSeconds
    """Host time to launch one kernel."""
    step_host_s: SourcedSeconds
    """Host time once a step."""
    reserve_bytes: SourcedBytes
    """Memory kept by the driver, collective buffers and workspaces on each device."""
    gradient_bytes: SourcedBytes | None = None
    """Of one gradient, as it is added up and reduced; none: the recipe's (32 bit)."""
    loss_bytes: SourcedBytes | None = None
    """Of one logit at the peak of the loss, all copies together; none: 6, itself and its softmax in 32 bit."""
    selective_recompute: Literal["cheap", "products"] = "cheap"
    """What selective recompute does again: what is cheap (norms, activations, scores), or every other product too."""
    pipeline_gradients: Literal["shared", "whole"] = "shared"
    """What is kept of gradients that replicas share (ZeRO 2, FSDP) until the last micro-batch of a pipeline."""
    checkpoints: Literal["device", "host"] = "device"
    """Where the inputs of layers wait that the backward pass computes again."""
    step_gradient_bytes: SourcedBytes | None = None
    """Of one gradient of a replica's own share, in a copy that the optimizer step makes; none: no copy."""
    stage_outputs: Literal["freed", "kept"] = "freed"
    """Whether a pipeline stage keeps what it has sent on until the backward pass of that micro-batch."""
    fragmentation: SourcedFraction
    """Share of the activations that the allocator loses."""
    notes: str | None = None
    """What a reader has to know about these numbers."""

    def slowdown(self, generation: str, precision: str) -> KernelSlowdown | None:
        """Give the slowdown for a generation of chips and a precision recipe; none where no entry matches."""
        return _matching(self.kernel_slowdown, generation, precision)

    def slowdown_of_experts(self, generation: str, precision: str) -> KernelSlowdown | None:
        """Give the further slowdown of models with experts; none where no entry matches."""
        return _matching(self.expert_slowdown, generation, precision)

    def slowdown_of_attention(self, generation: str, precision: str) -> float:
        """Give the further slowdown of attention; 1 where no entry matches."""
        entry = _matching(self.attention_slowdown, generation, precision)
        return 1.0 if entry is None else entry.factor


def _matching(entries: tuple[KernelSlowdown, ...], generation: str, precision: str) -> KernelSlowdown | None:
    for entry in entries:
        fits_chip = not entry.generations or generation in entry.generations
        if fits_chip and (not entry.precisions or precision in entry.precisions):
            return entry
    return None
