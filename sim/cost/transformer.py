"""What a transformer computes and moves, operator by operator: exact counts, no times.

One matrix element pair multiplied and added is 2 FLOP. *Model* FLOP are what the mathematics needs: every matrix
product of the layers and of the LM head, the causal half of attention, twice the forward count for the backward
pass, and no embedding look-up; of experts, those that a token visits. Everything else (norms, rotary, softmax) is
memory traffic here, not FLOP. Layers of several kinds are joined in one *mean layer*: each operator counts by the
share of the layers that have it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.attention_shape import key_value_heads, score_width, spans
from sim.cost.experts import EXPERT_KERNELS, expert_gemms, expert_share, expert_vector_elements, whole_token_gemms
from sim.cost.gemm import Gemm
from sim.cost.recurrent import BACKWARD_OVER_FORWARD as SCAN_BACKWARD_OVER_FORWARD
from sim.cost.recurrent import (
    SCAN_KERNELS,
    dense_share,
    feed_forward_share,
    scan_flop,
    softmax_share,
    state_gemms,
    state_share,
    state_vector_elements,
)
from sim.errors import NotYetError

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec.model import ModelShape


@dataclass(frozen=True, slots=True)
class FlopPerToken:
    """Model FLOP of the forward pass for one token, in operations, by operator kind."""

    layers: float
    """Matrix products with the weights of the layers."""
    attention: float
    """Scores and their product with the values, causal half, averaged over the sequence."""
    head: float
    """The LM head."""
    adapters: bool = False
    """Whether the weights are frozen beside adapters: no product makes their gradients."""
    scan: float = 0.0
    """Recurrences of layers that keep a state."""
    chunked_scan: float = 0.0
    """What kernels do for them, chunk by chunk."""

    @property
    def forward(self) -> float:
        """All of the forward pass."""
        return self.layers + self.attention + self.scan + self.head

    @property
    def training(self) -> float:
        """Forward and backward: each product of the forward pass has two in the backward pass, or one if frozen.

        What adapters themselves multiply (below 1 % at rank 16) is not counted.
        """
        return self.weight_passes * (self.layers + self.head) + 3 * (self.attention + self.scan)

    @property
    def weight_passes(self) -> float:
        """Products with a weight for each one of the forward pass: itself, its input's gradient, its own."""
        return 2.0 if self.adapters else 3.0

    @property
    def attention_recompute(self) -> float:
        """What a flash kernel repeats in its backward pass: the scores, one of the two forward products."""
        return self.attention / 2

    @property
    def scan_surplus(self) -> float:
        """What chunked kernels do beyond the mathematics, forward and backward."""
        return (1 + SCAN_BACKWARD_OVER_FORWARD) * self.chunked_scan - 3 * self.scan


def flop_per_token(model: ModelShape, sequence: float, *, adapters: bool = False) -> FlopPerToken:
    """Count the model FLOP of one token in the forward pass.

    Args:
        model: the shape.
        sequence: tokens of one sequence; attention grows with it.
        adapters: whether the weights are frozen beside adapters.

    Returns:
        FLOP (operations) per token; causal attention counts half of the square, a sliding window its band, with
        edges as one half.

    Source: Narayanan et al. 2021 (arXiv:2104.04473), appendix, with the causal half of attention and with grouped
    keys, gated feed-forward, latent attention (arXiv:2405.04434, not absorbed) and visited experts as they are.
    Valid for: decoder-only models of softmax attention, delta rules and state spaces.

    """
    layers = sum(_products(model, gemm) for gemm in layer_gemms(model, 1))
    layers += visited_flop(model)
    widths = 2.0 * model.heads * score_width(model)
    attention = sum(round(share * model.layers) * widths * span for share, span in spans(model, sequence))
    return FlopPerToken(layers, attention, 2.0 * model.hidden * model.vocab, adapters, *scan_flop(model))


def visited_flop(model: ModelShape) -> float:
    """Count the FLOP of the routed experts that a token visits, forward, in all layers.

    Source: as ``flop_per_token``.
    """
    return sum(_products(model, gemm) * visits for gemm, visits in _visited(model))


def square_attention_flop(model: ModelShape, sequence: int) -> float:
    """Count attention forward for one token without its masks, in FLOP: what a kernel does that skips nothing.

    Source: two s x s products per head, 2 FLOP a multiply-add.
    """
    return 4.0 * model.softmax_layers * model.heads * score_width(model) * sequence


def layer_gemms(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    """List the weight products of the mean layer, routed experts apart, as one tensor-parallel device sees them.

    Column-parallel products split their columns, row-parallel ones their inner dimension; keys and values are
    repeated where the group is larger than their number of heads. What compresses a token (latent attention) or
    routes it is not split: each device has all of its weights, and does it for its share of the tokens.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3; DeepSeek-V2 (arXiv:2405.04434), section 2.1, for
    latent attention in its training form.
    """
    ffn_width = model.ffn_hidden / tensor_parallel
    dense = dense_share(model)
    feed_forward = (
        Gemm("feed-forward in", (2 if model.gated else 1) * ffn_width, model.hidden, dense),
        Gemm("feed-forward out", model.hidden, ffn_width, dense),
    )
    mixing = _latent_gemms(model, tensor_parallel) if model.mla else _head_gemms(model, tensor_parallel)
    share = softmax_share(model)
    if share < 1.0:
        mixing = tuple(replace(gemm, share=share) for gemm in mixing if share) + state_gemms(model, tensor_parallel)
    return (*mixing, *(feed_forward if dense else ()), *whole_token_gemms(model, tensor_parallel))


def layer_weights(model: ModelShape, tensor_parallel: Numbers) -> Numbers:
    """Count the weights of the mean layer that one device holds, routed experts apart: matrices split, norms whole.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3.
    Valid for: biases (below 0.02 % of a dense layer) are left out.
    """
    gemms = layer_gemms(model, tensor_parallel)
    matrices = sum(
        gemm.share * gemm.columns * gemm.inner * (tensor_parallel if gemm.repeated else 1.0) for gemm in gemms
    )
    return matrices + blocks_per_layer(model) * model.hidden


def blocks_per_layer(model: ModelShape) -> float:
    """Count the blocks of the mean layer, each with a norm and a residual addition: to mix tokens, to feed forward.

    Source: the shape; Nemotron-H (arXiv:2504.03624), section 2.1, whose layers have one of both.
    """
    return softmax_share(model) + state_share(model) + feed_forward_share(model)


def vector_bytes_per_token(
    model: ModelShape, tensor_parallel: Numbers, sequence_parallel: Numbers = 1.0, element_bytes: float = 2.0
) -> Numbers:
    """Count the bytes that the memory-bound operators of the mean layer move forward, per token and device.

    Two norms (read, write), two residual additions (read two, write one), rotary embedding of queries and keys
    (read, write), and the activation (reads its one or two inputs, writes one). Latent attention joins the two parts
    of each query and key instead, and norms the compressed vectors. Sequence parallelism (1, or 0 for none) splits
    norms and residuals over the tensor-parallel group as well.

    Source: our count of operands; Korthikanti et al. 2022 (arXiv:2205.05198), section 4, for what is split.
    Valid for: one fused kernel per operator, operands in device memory.
    """
    norms_and_residuals = (2 + 3) * blocks_per_layer(model) * model.hidden
    shared_by = np.where(np.equal(sequence_parallel, 1), tensor_parallel, 1)
    if model.mla:
        joined = 2 * model.heads * (model.mla.nope_dim + model.mla.rope_dim)
        rotary = 2 * (joined + model.mla.q_rank + model.mla.kv_rank)
    else:
        rotary = 2 * (model.heads + model.kv_heads) * model.head_dim
    activation = dense_share(model) * (3 if model.gated else 2) * model.ffn_hidden
    split = softmax_share(model) * rotary + activation + expert_vector_elements(model) + state_vector_elements(model)
    return element_bytes * (norms_and_residuals / shared_by + split / tensor_parallel)


def cast_elements_per_token(model: ModelShape, tensor_parallel: Numbers) -> tuple[Numbers, Numbers]:
    """Count the 16-bit elements that the mean layer turns into operands, per token and device: forward, backward.

    Each product has an input of its own forward, and the gradient of its output backward; the router stays in 16 bit,
    and what routed experts cast is part of their curve.

    Source: our count of operands.
    Valid for: one cast for each operand and pass, which its other product shares.
    """
    gemms = [gemm for gemm in layer_gemms(model, tensor_parallel) if gemm.name != "router"]
    forward = sum(gemm.share * gemm.inner for gemm in gemms)
    return forward, sum(gemm.share * gemm.columns for gemm in gemms)


def adapter_weights(model: ModelShape, rank: int, tensor_parallel: Numbers) -> Numbers:
    """Count the weights of the adapters of one layer on one device: two thin matrices a product of attention.

    Source: Hu et al. 2021 (arXiv:2106.09685), section 4; queries, keys, values and output have one each.
    """
    return sum(gemm.share * rank * (gemm.columns + gemm.inner) for gemm in _adapted(model, tensor_parallel))


def adapter_bytes_per_token(model: ModelShape, tensor_parallel: Numbers, element_bytes: float = 2.0) -> Numbers:
    """Count the bytes that adapters move forward in one layer, per token and device: input read, output added to.

    Source: our count of operands.
    """
    elements = sum(gemm.share * (gemm.inner + 2 * gemm.columns) for gemm in _adapted(model, tensor_parallel))
    return element_bytes * elements


def kernels_per_layer(model: ModelShape, *, fused: bool = True) -> float:
    """Count the kernels of the forward pass of the mean layer: products, attention, vector operators, experts.

    Without a fused kernel attention has two products, softmax and dropout, and dropout stands beside each residual.

    Source: our count of operators, one kernel each.
    """
    products = sum(gemm.share for gemm in layer_gemms(model, 1))
    routed = sum(gemm.share for gemm in expert_gemms(model)) + expert_share(model) * EXPERT_KERNELS
    mixing = softmax_share(model) * (1 if fused else UNFUSED_KERNELS) + state_share(model) * (1 + SCAN_KERNELS)
    return products + mixing + vector_kernels_per_layer(model) + routed


def vector_kernels_per_layer(model: ModelShape) -> float:
    """Count the kernels of the mean layer that only move bytes: as ``VECTOR_KERNELS_PER_LAYER`` where it has all.

    Source: our count of operators: norm and residual addition of each block, rotary twice, one activation.
    """
    softmax, fed = softmax_share(model), feed_forward_share(model)
    if softmax == fed == 1.0:
        return float(VECTOR_KERNELS_PER_LAYER)
    return 2 * blocks_per_layer(model) + 2 * softmax + SCAN_KERNELS * state_share(model) + fed


VECTOR_KERNELS_PER_LAYER = 7
"""Two norms, two residual additions, rotary for queries and for keys, one activation: kernels of a layer's forward."""

UNFUSED_KERNELS = 6
"""Two products, softmax and dropout of the scores, dropout before both residual additions."""
SCORE_PASSES = 7.0
"""Passes over the score matrix without a flash kernel: write, scale and mask (2), softmax (2), dropout, read."""

LOSS_BYTES_PER_LOGIT = 24.0
"""Cross-entropy on 16-bit logits with a 32-bit softmax: read 2, write 4, read 4 three times, write 4, write 2 back."""


def require_cached(model: ModelShape) -> None:
    """Refuse to time the serving of models that keep states.

    Source: hardware_specs/kernels has no kernel of one new token over a state.

    Raises:
        NotYetError: layers of linear attention or of a state-space model.

    """
    if state_share(model):
        raise NotYetError(
            "serving is timed for softmax attention (full, sliding or latent)",
            value=f"{model.name} has layers of linear attention or state spaces, whose decode kernels are not measured",
            mend="another model (sim list models); sim fits says what its states and its cache need",
        )


def _products(model: ModelShape, gemm: Gemm) -> float:
    """Count the FLOP of a product for one token in all layers that have it; whole numbers stay exact."""
    return 2.0 * round(gemm.share * model.layers) * float(gemm.columns) * float(gemm.inner)


def _visited(model: ModelShape) -> list[tuple[Gemm, int]]:
    """List the products of one routed expert, and how many experts a token visits."""
    return [(gemm, model.experts.top_k) for gemm in expert_gemms(model)] if model.experts else []


def _adapted(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    """List the products that have an adapter."""
    gemms = layer_gemms(model, tensor_parallel)
    return tuple(gemm for gemm in gemms if gemm.name.startswith(("query", "attention output")))


def _head_gemms(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    query_width = model.heads * model.head_dim / tensor_parallel
    gates = 2 if model.gated_attention else 1
    columns = gates * query_width + 2 * key_value_heads(model, tensor_parallel) * model.head_dim
    return (
        Gemm("query, key, value", columns, model.hidden),
        Gemm("attention output", model.hidden, query_width),
    )


def _latent_gemms(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    mla = model.mla
    assert mla is not None
    heads = model.heads / tensor_parallel
    query_width = heads * (mla.nope_dim + mla.rope_dim)
    query: tuple[Gemm, ...] = (Gemm("query", query_width, model.hidden),)
    if mla.q_rank:
        query = (
            Gemm("query down", mla.q_rank / tensor_parallel, model.hidden, repeated=True),
            Gemm("query up", query_width, mla.q_rank),
        )
    return (
        *query,
        Gemm("key, value down", (mla.kv_rank + mla.rope_dim) / tensor_parallel, model.hidden, repeated=True),
        Gemm("key, value up", heads * (mla.nope_dim + mla.value_dim), mla.kv_rank),
        Gemm("attention output", model.hidden, heads * mla.value_dim),
    )
