"""A parallel layout as a user writes it under ``plan:``."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sim.spec.quantity import FrozenModel, refuse_truth

Degree = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(refuse_truth)]


class LayoutSpec(FrozenModel):
    """Degrees of parallelism; what is left out is searched."""

    tp: Degree | None = None
    """Tensor parallel: devices that share each matrix product (with sequence parallelism)."""
    pp: Degree | None = None
    """Pipeline parallel: stages that the layers are cut into."""
    virtual_stages: Degree | None = None
    """Model chunks per stage under interleaved 1F1B; 1 is plain 1F1B."""
    cp: Degree | None = None
    """Context parallel: devices that share each sequence."""
    dp: Degree | None = None
    """Data parallel: replicas that share a batch."""
    micro_batch: Degree | None = None
    """Sequences that go through a stage together."""
    recompute: Literal["none", "selective", "full"] | None = None
    """What the backward pass computes again instead of keeping it."""
    zero_stage: Literal[0, 1, 2, 3] | None = None
    """What replicas share instead of each keeping it: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too."""
    sequence_parallel: bool | None = None
    """Whether norms and residuals are split over the tensor-parallel group as well."""
    # Left out of records where nobody gives it: those of dense runs stay as they were.
    ep: Degree | None = Field(default=None, exclude_if=lambda degree: degree is None)
    """Expert parallel: devices that share the experts of a layer, out of tensor x context x data parallel."""
    schedule: Literal["1f1b", "gpipe", "zb-h1", "zb-v", "dualpipe", "any"] | None = Field(
        default=None, exclude_if=lambda schedule: schedule is None
    )
    """Order of a pipeline's work: 1f1b (interleaved with virtual stages) where none is named; any searches all."""
    etp: Degree | None = Field(default=None, exclude_if=lambda degree: degree is None)
    """Expert tensor parallel: devices that share each expert; ep x etp hold the experts of a layer. 1 if none."""
    shard: Degree | None = Field(default=None, exclude_if=lambda degree: degree is None)
    """Hybrid sharding: replicas that ZeRO splits over, the rest being copies of such groups; all if none."""
    cp_exchange: Literal["ring", "all-gather"] | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """How context parallelism passes keys and values on; as the software profile does where none is given."""
    stages: Literal["mean", "even", "balanced"] | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """How layers of unequal cost spread over stages: mean takes each layer for the mean one, even gives each stage as
    many layers as they come, balanced cuts so that the slowest stage is fastest."""
    first_stage_layers: Degree | None = Field(default=None, exclude_if=lambda count: count is None)
    """Layers of the first stage."""
    last_stage_layers: Degree | None = Field(default=None, exclude_if=lambda count: count is None)
    """Layers of the last stage."""
