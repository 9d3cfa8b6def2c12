"""Efficiency curves of one family of chips, as the files in hardware_specs/calibration state them.

An efficiency is a share of the peak named beside it. Every curve says what it was fitted to and how well, or
from which chip it is borrowed.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.spec.hardware import Slug
from sim.spec.quantity import BytesPerSecond, FlopPerSecond, FrozenModel, Seconds

Share = Annotated[float, Field(gt=0, le=2)]
"""Share of a peak; more than one only for reductions inside the switch, whose bus bandwidth exceeds the link."""
Kind = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point"]
Dtype = Literal["bf16", "fp8", "fp8_block", "fp4", "int8"]


class Fit(FrozenModel):
    """Where the constants of a curve come from."""

    status: Literal["fitted", "stand-in", "derived", "memory"]
    """Fitted to measurements of this chip; borrowed from another; worked out from published figures; remembered."""
    source: str
    """File and rows that were fitted, or the calibration that lends the constants."""
    commit: str | None = None
    """Commit of the repository that holds the file."""
    licence: str | None = None
    """Licence of the data."""
    points: Annotated[int, Field(ge=0)] = 0
    """Measurements that were fitted."""
    held_out_points: Annotated[int, Field(ge=0)] = 0
    """Measurements kept apart, for the errors below."""
    held_out_median: Annotated[float, Field(ge=0)] | None = None
    """Median of |predicted / measured - 1| on the points kept apart."""
    held_out_p90: Annotated[float, Field(ge=0)] | None = None
    """Its 90th percentile."""
    large_median: Annotated[float, Field(ge=0)] | None = None
    """Its median where training works: m >= 2048, n and k >= 1024; sequences >= 2048."""
    large_p90: Annotated[float, Field(ge=0)] | None = None
    """Its 90th percentile there."""
    large_bias: float | None = None
    """Median of predicted / measured - 1 there."""
    note: str | None = None
    """What a reader has to know about these numbers."""

    @model_validator(mode="after")
    def _fitted_has_errors(self) -> Self:
        if self.status == "fitted" and (self.held_out_median is None or not self.points):
            raise ValueError("a fitted curve states its points and its held-out error")
        return self


class Gemm(FrozenModel):
    """t = ((F / (ec P))^p + (B / (em W))^p)^(1/p) + q m k / (em W) + t0."""

    compute_efficiency: Share
    """ec: share of the dense peak that a large product reaches."""
    memory_efficiency: Share
    """em: share of memory bandwidth that a thin product reaches."""
    power: Annotated[float, Field(ge=1, le=20)]
    """p: how sharply one regime passes into the other."""
    overhead_s: Seconds
    """t0: time of a product with nothing to do."""
    quantisation_bytes: Annotated[float, Field(ge=0)] = 0.0
    """q: bytes moved per activation element to quantise it before each call; 0 where it is quantised already."""
    static_overhead_s: Seconds | None = None
    """t0 where the activation is quantised already, by the operator before it."""
    peak_flop_per_s: FlopPerSecond | None = None
    """Dense peak at the fit, that ec is a share of; none for a borrowed share."""
    bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Memory bandwidth at the fit, that em is a share of; none for a borrowed share."""
    fit: Fit


class Attention(FrozenModel):
    """t = F (1 + s'/s)(1 + d'/d)(1 + r'/r) / (ec P) + B / (em W) + t0, forward, fused."""

    compute_efficiency: Share
    """ec: share of the dense peak, without the three limits below."""
    half_sequence: Annotated[float, Field(ge=0)]
    """s': tokens at which the sequence length alone halves the rate."""
    half_head_dim: Annotated[float, Field(ge=0)]
    """d': head dimension at which the exponentials alone halve the rate."""
    half_rows: Annotated[float, Field(ge=0)]
    """r': query rows (batch x heads x sequence) at which filling the chip alone halves the rate."""
    memory_efficiency: Share
    """em: share of memory bandwidth."""
    overhead_s: Seconds
    """t0: time of a call with nothing to do."""
    peak_flop_per_s: FlopPerSecond | None = None
    """Dense peak at the fit, that ec is a share of; none for a borrowed share."""
    bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Memory bandwidth at the fit, that em is a share of; none for a borrowed share."""
    fit: Fit


class Experts(FrozenModel):
    """t = both grouped products + (v (h + i) visits + u h tokens) / (em W) + t0, forward, gated.

    A grouped product is the roofline of gemm over all experts of a device, each with r' rows more than it has.
    """

    compute_efficiency: Share
    """ec: share of the dense peak that large experts reach."""
    memory_efficiency: Share
    """em: share of memory bandwidth."""
    power: Annotated[float, Field(ge=1, le=20)]
    """p: how sharply one regime passes into the other."""
    overhead_s: Seconds
    """t0: time of the whole feed-forward with nothing to do."""
    half_rows: Annotated[float, Field(ge=0)]
    """r': rows of an expert at which its partly empty tiles halve the rate."""
    visit_bytes: Annotated[float, Field(ge=0)]
    """v: bytes moved for each visit of a token and element of both widths: permutation, activation, casts."""
    token_bytes: Annotated[float, Field(ge=0)]
    """u: bytes moved for each token of the whole group and element of its width."""
    peak_flop_per_s: FlopPerSecond | None = None
    """Dense peak at the fit, that ec is a share of; none for a borrowed share."""
    bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Memory bandwidth at the fit, that em is a share of; none for a borrowed share."""
    fit: Fit


class Collective(FrozenModel):
    """t = latency + x + sqrt(ramp x), x = size factor / (fraction bandwidth), by number of ranks."""

    ranks: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=1)
    """Numbers of ranks, growing; the lists below follow it."""
    latency_s: tuple[Seconds, ...]
    """Start-up."""
    bandwidth_fraction: tuple[Share, ...]
    """Final bus bandwidth over the link's line rate."""
    ramp_s: tuple[Seconds, ...]
    """How slowly the final rate is reached."""
    bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Line rate of one device at the fit, per direction, that the fraction is a share of; none for a borrowed share."""
    fit: Fit

    @model_validator(mode="after")
    def _lists_agree(self) -> Self:
        if list(self.ranks) != sorted(set(self.ranks)):
            raise ValueError("ranks must grow")
        if {len(self.latency_s), len(self.bandwidth_fraction), len(self.ramp_s)} != {len(self.ranks)}:
            raise ValueError("latency_s, bandwidth_fraction and ramp_s need one value for each of ranks")
        return self


class Network(FrozenModel):
    """What collectives reach across nodes, for a network that states nothing better."""

    bandwidth_fraction: Share
    """Share of (ranks per domain x line rate) that a large ring reaches."""
    pair_fraction: Share
    """Share of line rate that one sender and one receiver reach."""
    hop_latency_s: Seconds
    """Time of one hop, library and network; a fabric may add its own."""
    ramp_s: Seconds
    """How slowly the final rate is reached."""
    fit: Fit


class Vector(FrozenModel):
    """Operators that only move bytes: t = B / (em W) + t0."""

    memory_efficiency: Share
    """em: share of memory bandwidth."""
    overhead_s: Seconds
    """t0: time of a call with nothing to do."""
    fit: Fit


class Calibration(FrozenModel):
    """Everything measured of one family of chips."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str
    """Chips and software that the measurements stand for."""
    notes: tuple[str, ...] = ()
    """What a reader has to know about these numbers."""
    gemm: dict[Dtype, Gemm]
    """Matrix products by operand format; bf16 stands for fp16 too."""
    attention: dict[Literal["bf16", "fp8"], Attention]
    """Fused attention forward by operand format."""
    experts: dict[Dtype, Experts]
    """Feed-forward of experts, forward, by operand format; bf16 stands for fp16 too."""
    collectives: dict[Kind, Collective]
    """Collectives inside the scale-up domain."""
    network: Network
    """Collectives across domains."""
    vector: Vector
    """Memory-bound operators."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if any("bf16" not in kind for kind in (self.gemm, self.attention, self.experts)):
            raise ValueError("gemm, attention and experts need an entry for bf16")
        missing = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point"} - set(self.collectives)
        if missing:
            raise ValueError(f"collectives lack {', '.join(sorted(missing))}")
        return self
