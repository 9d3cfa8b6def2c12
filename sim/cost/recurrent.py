"""Layers that keep a state of fixed size in place of keys and values: delta rules and state-space models.

Their mixing is a recurrence along the sequence, which kernels compute in chunks: products of matrices inside a chunk,
and the state handed from chunk to chunk. Exact counts of what they multiply, move and keep; and their time, from
measured kernels (hardware_specs/scans).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sim.cost.gemm import Gemm
from sim.errors import NotYetError

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec import scans
    from sim.spec.model import LinearAttention, ModelShape

DELTA_CHUNK = 64
"""Tokens that kernels of delta rules take at once (flash-linear-attention)."""
SCAN_KERNELS = 2
"""Kernels beside the products of such a layer: the short convolution and the gate with its norm."""
BACKWARD_OVER_FORWARD = 2.5
"""Two products for each one forward, and the states of the chunks, half of the work, once more."""


@dataclass(frozen=True, slots=True)
class ScanCurve:
    """What the chunked kernel of one recurrence reaches on one chip."""

    compute_efficiency: float
    """Share of the dense 16-bit peak."""
    half_heads: float
    """Heads of the whole call (batch x heads) at which filling the chip alone halves the rate."""
    overhead_s: float

    @classmethod
    def of(cls, scan: scans.Scan) -> ScanCurve:
        """Take the curve from a file of the catalogue."""
        return cls(scan.compute_efficiency, scan.half_heads, scan.overhead_s)


@dataclass(frozen=True, slots=True)
class ScanCurves:
    """The kernels of one chip, by recurrence."""

    gated_delta: ScanCurve
    channel_delta: ScanCurve
    state_space: ScanCurve


def state_share(model: ModelShape) -> float:
    """Give the share of the layers that keep a state in place of keys and values.

    Source: the shape.
    """
    if model.linear is None and model.mamba is None:
        return 0.0
    return (model.layers_of("linear") + model.layers_of("mamba")) / model.layers


def softmax_share(model: ModelShape) -> float:
    """Give the share of the layers that have softmax attention.

    Source: the shape.
    """
    return 1.0 if model.layer_types is None else model.softmax_layers / model.layers


def feed_forward_share(model: ModelShape) -> float:
    """Give the share of the layers that have a feed-forward, dense or of experts.

    Source: the shape.
    """
    return 1.0 if model.feed_forward_types is None else 1.0 - model.feed_forwards_of("none") / model.layers


def dense_share(model: ModelShape) -> float:
    """Give the share of the layers that have a dense feed-forward.

    Source: the shape.
    """
    if model.experts is None:
        return feed_forward_share(model)
    if model.feed_forward_types is None:
        return 1.0 - model.expert_layers / model.layers
    return model.feed_forwards_of("dense") / model.layers


def state_gemms(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    """List the weight products of layers that keep a state, as one tensor-parallel device sees them; none without any.

    Heads are split over the group, and with them what goes in and comes out; the narrow ways of decays and gates by
    channel are not.

    Source: Dao and Gu 2024 (arXiv:2405.21060), section 8.1, for Mamba-2 in parallel; Yang et al. 2024
    (arXiv:2412.06464), figure 1; Kimi Team 2025 (arXiv:2510.26692), section 4.
    """
    gemms: list[Gemm] = []
    hidden = model.hidden
    if model.linear is not None:
        share, linear = model.layers_of("linear") / model.layers, model.linear
        keys, values = _widths(linear)
        gates = linear.value_heads if linear.channel_decay else values + 2 * linear.value_heads
        gemms.append(Gemm("delta in", (2 * keys + values + gates) / tensor_parallel, hidden, share))
        if linear.channel_decay:
            through = linear.value_dim
            gemms.append(Gemm("delta gates down", 2 * through / tensor_parallel, hidden, share, repeated=True))
            gemms.append(Gemm("delta gates up", (keys + values) / tensor_parallel, through, share))
        gemms.append(Gemm("delta out", hidden, values / tensor_parallel, share))
    if model.mamba is not None:
        share, mamba = model.layers_of("mamba") / model.layers, model.mamba
        into = 2 * mamba.inner + 2 * mamba.groups * mamba.state + mamba.heads
        gemms.append(Gemm("state space in", into / tensor_parallel, hidden, share))
        gemms.append(Gemm("state space out", hidden, mamba.inner / tensor_parallel, share))
    return tuple(gemms)


def scan_flop(model: ModelShape) -> tuple[float, float]:
    """Count the FLOP of the recurrences of all layers for one token, forward.

    The state of a head, N x P, takes one outer product and gives one product with a vector: 4 N P; a delta rule also
    asks it what it holds of the key: 6 N P. In chunks of Q tokens a kernel does those products chunk by chunk, and the
    causal square inside the chunk: Q (N G + H P) for Mamba-2 of H heads in G groups, Q (3 N + 2 P) for each head of a
    delta rule.

    Returns:
        What the mathematics needs, and what the chunked kernel does.

    Source: Dao and Gu 2024 (arXiv:2405.21060), section 6; Yang et al. 2024 (arXiv:2406.06484), section 3.2.
    Valid for: products alone; decays and gates are memory traffic here, as elsewhere.
    """
    kinds = _recurrences(model)
    needed = sum(kind.layers * kind.needed_flop for kind in kinds)
    return needed, sum(kind.layers * kind.chunked_flop for kind in kinds)


def scan_s(
    model: ModelShape, batch: Numbers, tokens: Numbers, shared_by: Numbers, peak_flop_per_s: float, curves: ScanCurves
) -> Numbers:
    """Give the time of the recurrence of the mean layer forward on one device, in s: F (1 + h'/h) / (ec P) + t0.

    Args:
        model: the shape.
        batch: sequences that go through together.
        tokens: tokens of them all.
        shared_by: devices that share the heads: of tensor parallelism, and of context parallelism, which gives each
            device all tokens of some heads.
        peak_flop_per_s: dense 16-bit peak.
        curves: what kernels reach.

    Source: form and constants fitted to kernel tables, see hardware_specs/scans.
    Valid for: sequences of 1,024 tokens and more.
    """
    seconds: Numbers = 0.0
    for kind in _recurrences(model):
        curve: ScanCurve = getattr(curves, kind.curve)
        filled = 1.0 + curve.half_heads * shared_by / (batch * kind.heads)
        arithmetic_s = tokens * kind.chunked_flop * filled / (shared_by * curve.compute_efficiency * peak_flop_per_s)
        seconds = seconds + kind.layers / model.layers * (arithmetic_s + curve.overhead_s)
    return seconds


def exchanged_elements(model: ModelShape) -> float:
    """Count the elements of a token that context parallelism sends round in the mean layer, there and back.

    What goes into the recurrence is sent to the devices of its heads, and its output back.

    Source: Megatron-Core's context parallelism of Mamba layers: all-to-all, as Jacobs et al. 2023 (arXiv:2309.14509).
    """
    linear, mamba = model.linear, model.mamba
    sent = 0.0
    if linear is not None:
        keys, values = _widths(linear)
        sent += model.layers_of("linear") * (2 * keys + 3 * values)
    if mamba is not None:
        into = 2 * mamba.inner + 2 * mamba.groups * mamba.state + mamba.heads
        sent += model.layers_of("mamba") * (into + mamba.inner)
    return sent / model.layers


def state_vector_elements(model: ModelShape) -> float:
    """Count the elements that memory-bound operators of such layers move forward, per token of the mean layer.

    The short convolution reads and writes its channels; the gated norm reads the output and its gate and writes.

    Source: our count of operands.
    Valid for: one fused kernel each, operands in device memory.
    """
    elements = 0.0
    if model.linear is not None:
        keys, values = _widths(model.linear)
        elements += model.layers_of("linear") * (2 * (2 * keys + values) + 3 * values)
    if model.mamba is not None:
        mamba = model.mamba
        channels = mamba.inner + 2 * mamba.groups * mamba.state
        elements += model.layers_of("mamba") * (2 * channels + 3 * mamba.inner)
    return elements / model.layers


def state_kept_elements(model: ModelShape) -> float:
    """Count what such layers keep of a token for the backward pass, on average over all layers, in 16-bit elements.

    What the product in makes, the output of the recurrence, and the input of the product out; states of chunks are
    made again.

    Source: our count of the tensors that the fused kernels of mamba-ssm and flash-linear-attention save.
    """
    kept = 0.0
    if model.linear is not None:
        keys, values = _widths(model.linear)
        kept += model.layers_of("linear") * (2 * keys + 4 * values)
    if model.mamba is not None:
        mamba = model.mamba
        into = 2 * mamba.inner + 2 * mamba.groups * mamba.state + mamba.heads
        kept += model.layers_of("mamba") * (into + 2 * mamba.inner)
    return kept / model.layers


def require_measured_scan(model: ModelShape) -> None:
    """Refuse the recurrence that no kernel table describes.

    Source: hardware_specs/scans has none of it.

    Raises:
        NotYetError: layers of Mamba-1.

    """
    if model.mamba is not None and model.mamba.step_rank is not None:
        raise NotYetError(
            "training is modelled for Mamba-2, whose recurrence is products of matrices",
            value=f"{model.name} has layers of Mamba-1, for whose scan there is no measured curve",
            mend="use another model (sim list models), or give --step-time or --mfu with --params",
        )


class _Recurrence(NamedTuple):
    """One kind of recurrence: its layers and heads, and the FLOP of a token in one layer."""

    curve: str
    layers: int
    heads: int
    needed_flop: float
    chunked_flop: float


def _recurrences(model: ModelShape) -> list[_Recurrence]:
    found: list[_Recurrence] = []
    linear, mamba = model.linear, model.mamba
    if linear is not None:
        needed = 6.0 * linear.value_heads * linear.key_dim * linear.value_dim
        inside = DELTA_CHUNK * linear.value_heads * (3.0 * linear.key_dim + 2.0 * linear.value_dim)
        curve = "channel_delta" if linear.channel_decay else "gated_delta"
        found.append(_Recurrence(curve, model.layers_of("linear"), linear.value_heads, needed, needed + inside))
    if mamba is not None:
        needed = 4.0 * mamba.state * mamba.inner
        inside = float(mamba.chunk) * (mamba.groups * mamba.state + mamba.inner)
        layers = model.layers_of("mamba")
        found.append(_Recurrence("state_space", layers, mamba.heads, needed, needed + inside))
    return found


def _widths(linear: LinearAttention) -> tuple[int, int]:
    return linear.key_heads * linear.key_dim, linear.value_heads * linear.value_dim
