"""Curves of the kernels that only inference has, for one family of chips: hardware_specs/kernels.

Products with weights, experts, prefill attention and large collectives stand in hardware_specs/calibration; here is
what a serving engine adds: attention of one new token over a cache, small all-reduces, and weights narrower than the
arithmetic.
"""

from typing import Annotated, Literal

from pydantic import Field

from sim.spec.calibration import Collective, Experts, Fit, Gemm, Share
from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel, Seconds

CacheFormat = Literal["bf16", "fp8"]
NarrowFormat = Literal["int4", "int8"]
Positive = Annotated[float, Field(ge=0)]


class DecodeAttention(FrozenModel):
    """t = t0 + sqrt((b (q H / 32 + k G / 8))^2 + (x + u x / (x + v))^2), x = bytes (1 + g H / G / 32) / (em W).

    b sequences of H query and G key heads on one device; bytes are those of their keys and values.
    """

    memory_efficiency: Share
    """em: share of memory bandwidth that a large cache is read with."""
    overhead_s: Seconds
    """t0: a call with nothing to do."""
    query_s: Seconds
    """q: of a sequence with 32 query heads, however short."""
    key_s: Seconds
    """k: of a sequence with 8 key heads, however short."""
    ramp_s: Seconds
    """u: time lost before the final rate is reached."""
    ramp_half_s: Seconds
    """v: transfer at which half of it is lost."""
    group_slowdown: Positive
    """g: by how much 32 query heads to a key head slow the transfer down."""
    single_slowdown: Annotated[float, Field(gt=-1)] = 0.0
    """In place of g H / G / 32 where every query head has a key head of its own, which is another kernel."""
    fit: Fit


class LatentDecode(FrozenModel):
    """t = t0 + b s + ((B / (em W))^p + (F / (ec P))^p)^(1/p): absorbed latent attention, one key for all heads."""

    memory_efficiency: Share
    """em: share of memory bandwidth."""
    compute_efficiency: Share
    """ec: share of the dense 16-bit peak."""
    power: Annotated[float, Field(ge=1, le=20)]
    """p: how sharply one regime passes into the other."""
    overhead_s: Seconds
    """t0: a call with nothing to do."""
    sequence_s: Seconds
    """s: of each sequence, however short."""
    fit: Fit


class Kernels(FrozenModel):
    """Kernels of inference on one family of chips."""

    name: Slug
    """Name in the catalogue: that of the calibration family."""
    title: str
    """Chips and software that the measurements stand for."""
    notes: tuple[str, ...] = ()
    """What a reader has to know about these numbers."""
    decode_attention: dict[CacheFormat, DecodeAttention]
    """Attention of one new token over a cache, by format of the cache."""
    latent_decode: dict[CacheFormat, LatentDecode]
    """The same for latent attention, absorbed."""
    narrow: dict[NarrowFormat, Gemm] = Field(default_factory=dict)
    """Products of 16-bit activations with narrower weights."""
    experts: dict[Literal["fp4", "mxfp4"], Experts] = Field(default_factory=dict)
    """Routed experts with 4-bit weights, where inference has kernels of its own: fp4 times fp4; mxfp4 times 16-bit
    activations, or 8-bit ones on chips that multiply 4 bit."""
    all_reduce: dict[Slug, Collective]
    """All-reduce of an engine inside the scale-up domain, small messages included, by library."""
