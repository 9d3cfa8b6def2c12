"""An inference engine of one vintage: scheduler rules, budgets, host times and what its kernels can do."""

from typing import Annotated, Literal

from pydantic import Field

from sim.spec.hardware import Generation, Slug
from sim.spec.quantity import (
    FrozenModel,
    PositiveCount,
    Sourced,
    SourcedBytes,
    SourcedCount,
    SourcedFraction,
    SourcedSeconds,
    sourced,
)

SourcedFactor = Annotated[Sourced, sourced("count")]


class EngineSlowdown(FrozenModel):
    """Time of kernels inside an engine over their time alone, for some chips."""

    generations: tuple[Generation, ...] = ()
    """Generations of chips that it holds for; none means all."""
    accelerators: tuple[Slug, ...] = ()
    """Chips that it holds for; none means all."""
    factor: Annotated[float, Field(gt=0, le=3)]
    """Inside over alone."""
    source: str
    """Where it was measured."""
    status: Literal["read", "derived", "memory", "preliminary"]
    """How far it can be trusted."""


class GroupedKernel(FrozenModel):
    """A decode kernel for one size of group."""

    query_heads: PositiveCount
    """Query heads to a key head."""
    source: str
    """Where that was read."""
    status: Literal["read", "derived", "memory", "preliminary"]
    """How far it can be trusted."""


class EngineProfile(FrozenModel):
    """An inference engine of one vintage."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str
    """Name as people write it."""
    released: str
    """Month of its release, such as 2025-01."""

    batching: Literal["continuous", "static"] = "continuous"
    """Whether sequences join and leave between iterations, or a batch runs until its last one ends."""
    order: Literal["decode-first", "prefill-first"]
    """Whether running sequences take the token budget first, or waiting prompts have iterations of their own."""
    chunked_prefill: bool
    """Whether a prompt may be cut at the token budget."""
    prefix_caching: bool
    """Whether blocks of equal beginnings are kept and shared."""
    admission: Literal["first-chunk", "prompt", "whole"]
    """Blocks that must be free before a sequence starts: of its first chunk, its prompt, or prompt and whole output."""
    preemption: Literal["recompute", "swap"]
    """What becomes of a sequence for which there are no blocks left."""
    watermark: SourcedFraction
    """Share of the blocks that is kept free when a sequence is admitted."""

    token_budget: SourcedCount
    """Tokens of one iteration at most."""
    max_sequences: SourcedCount
    """Sequences that run at the same time at most."""
    budgets_of: Literal["rank", "replica"] = "rank"
    """Whether each rank of data-parallel attention has budget and sequences of its own, or they share them out."""
    block_size: SourcedCount
    """Tokens of one block of cache."""
    memory_fraction: SourcedFraction
    """Share of memory for weights, activations and cache, or of what they leave for the cache."""
    memory_fraction_of: Literal["total", "free"]
    """Whether that is a share of the whole memory, or of what weights and activations leave free."""
    reserve_bytes: SourcedBytes
    """Memory that driver, collective buffers and captured graphs take on each device."""

    iteration_host_s: SourcedSeconds
    """Host time between two iterations that the device waits for."""
    sequence_host_s: SourcedSeconds
    """Host time for each running sequence that the device waits for."""
    prefill_host_s: SourcedSeconds
    """Host time that an iteration with a prompt adds: tokenised input, copies, a new graph."""
    rank_host_s: SourcedSeconds
    """Host time in which the ranks of data-parallel attention agree on an iteration."""
    lookahead: bool
    """Whether an iteration is planned while the one before still runs: a new request waits for one more."""
    client_s: SourcedSeconds
    """Time of a request outside the engine: network, tokens from text, and its first token back as text."""
    prefill_launch_s: SourcedSeconds
    """Gaps between the kernels of one layer that an iteration with a prompt has without a captured graph."""
    vector_kernel_s: SourcedSeconds
    """Least time of a memory-bound kernel in a captured graph."""
    vector_kernels: SourcedFactor
    """Memory-bound kernels of one layer: norms, rotary embedding, activation, after fusion."""
    activation_quantisation: Literal["static", "dynamic"]
    """Whether 8-bit activations come quantised from the operator before, or each product measures them first."""
    eight_bit_attention: bool
    """Whether attention of a prompt multiplies in 8 bit where the cache is 8 bit."""
    key_head_sharing: SourcedFraction
    """Share of the repeated reads of a key head that decode attention saves, where it has no kernel for its group."""
    grouped_kernels: tuple[GroupedKernel, ...] = ()
    """Kernels that read a key head once for its whole group of query heads; none means that all do."""
    expert_imbalance: SourcedFraction
    """Tokens of the fullest device of an expert-parallel group above their mean, for each doubling of the group."""
    windows: bool = True
    """Whether layers with a sliding window attend to their window alone, and keep no more of the cache."""
    all_reduce: tuple[Slug, ...] = Field(min_length=1)
    """Libraries of small all-reduces (hardware_specs/kernels), the first that was measured on the chip."""
    kernel_slowdown: tuple[EngineSlowdown, ...] = Field(min_length=1)
    """The first entry that matches the chip holds."""
    beside_prompt: tuple[EngineSlowdown, ...] = ()
    """Decode attention beside a prompt, in one kernel with it, over the same alone; where no entry matches, 1."""
    notes: str | None = None
    """What a reader has to know about these numbers."""

    def slowdown(self, generation: str, accelerator: str = "") -> EngineSlowdown | None:
        """Give the slowdown for a generation of chips; none where no entry matches."""
        return _first(self.kernel_slowdown, generation, accelerator)

    def slowdown_beside_prompt(self, generation: str, accelerator: str = "") -> float:
        """Give the factor of decode attention beside a prompt."""
        entry = _first(self.beside_prompt, generation, accelerator)
        return entry.factor if entry is not None else 1.0


def _first(entries: tuple[EngineSlowdown, ...], generation: str, accelerator: str) -> EngineSlowdown | None:
    for entry in entries:
        fits_generation = not entry.generations or generation in entry.generations
        if fits_generation and (not entry.accelerators or accelerator in entry.accelerators):
            return entry
    return None
