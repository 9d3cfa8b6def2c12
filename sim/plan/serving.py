"""What one replica of a served model is: its devices, its memory, its engine and what an iteration costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sim.cost.serving import IterationCost
    from sim.spec.model import ModelShape


@dataclass(frozen=True, slots=True)
class ServingLayout:
    """How one replica is laid out: tensor x attention-data-parallel devices in each of the pipeline's stages.

    Routed experts are spread over all devices of a stage: ``expert_parallel`` groups, each expert split over the rest.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    attention_data_parallel: int = 1

    @property
    def stage_devices(self) -> int:
        """Devices of one stage."""
        return self.tensor_parallel * self.attention_data_parallel

    @property
    def devices(self) -> int:
        """Devices of the replica."""
        return self.stage_devices * self.pipeline_parallel


@dataclass(frozen=True, slots=True)
class ServingPrecision:
    """Number formats of a served model (ELEMENT_BYTES of sim.cost.inference_memory)."""

    weights: str = "bf16"
    compute: str = "bf16"
    cache: str = "bf16"


@dataclass(frozen=True, slots=True)
class SchedulerRules:
    """How an engine chooses what runs in the next iteration; from its profile."""

    batching: Literal["continuous", "static"] = "continuous"
    order: Literal["decode-first", "prefill-first"] = "decode-first"
    """Whether decoding sequences take the token budget before waiting prompts, or prompts run in iterations of
    their own as soon as there is one."""
    chunked_prefill: bool = True
    """Whether a prompt may be cut at the token budget."""
    prefix_caching: bool = True
    admission: Literal["first-chunk", "prompt", "whole"] = "prompt"
    """Blocks that must be free before a sequence starts: of its first chunk, its prompt, or prompt and whole output."""
    preemption: Literal["recompute", "swap"] = "recompute"
    watermark: float = 0.0
    """Share of the blocks kept free when a sequence is admitted."""


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One replica, ready to be run."""

    name: str
    model: ModelShape
    accelerator: str
    engine: str
    layout: ServingLayout
    precision: ServingPrecision
    rules: SchedulerRules
    cost: IterationCost
    kv_blocks: int
    """Blocks of cache of the whole replica."""
    block_size: int
    """Tokens of one block."""
    token_budget: int
    """Tokens of one iteration at most."""
    max_sequences: int
    """Sequences that run at the same time at most."""
    weights_bytes: float
    """Of the whole replica: what a start has to load."""
    kv_bytes_per_token: float
    """Of the whole replica, all layers: what a transfer of the cache moves."""
    peak_flop_per_s: float
    """Dense peak of the replica in its compute precision: useful compute seconds are flop / peak."""
    power_w: float
    """Of the boards at work, whole replica."""

    @property
    def devices(self) -> int:
        """Devices of the replica."""
        return self.layout.devices

    @property
    def kv_tokens(self) -> int:
        """Tokens that the cache holds."""
        return self.kv_blocks * self.block_size
