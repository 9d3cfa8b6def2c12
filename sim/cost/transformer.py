"""What a dense transformer computes and moves, operator by operator: exact counts, no times.

One matrix element pair multiplied and added is 2 FLOP. *Model* FLOP are what the mathematics needs: every matrix
product of the layers and of the LM head, the causal half of attention, twice the forward count for the backward
pass, and no embedding look-up. Everything else (norms, rotary, softmax) is memory traffic here, not FLOP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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

    @property
    def forward(self) -> float:
        """All of the forward pass."""
        return self.layers + self.attention + self.head

    @property
    def training(self) -> float:
        """Forward and backward: each product of the forward pass has two in the backward pass."""
        return 3 * self.forward

    @property
    def attention_recompute(self) -> float:
        """What a flash kernel repeats in its backward pass: the scores, one of the two forward products."""
        return self.attention / 2


@dataclass(frozen=True, slots=True)
class Gemm:
    """A matrix product of one layer on one device: (rows x inner) times (inner x columns)."""

    name: str
    columns: Numbers
    inner: Numbers


def flop_per_token(model: ModelShape, sequence: int) -> FlopPerToken:
    """Count the model FLOP of one token in the forward pass.

    Args:
        model: a dense transformer.
        sequence: tokens of one sequence; attention grows with it.

    Returns:
        FLOP (operations) per token; causal attention counts half of the square.

    Raises:
        NotYetError: the model is not a dense transformer with full attention.

    Source: Narayanan et al. 2021 (arXiv:2104.04473), appendix, with the causal half of attention and with grouped
    keys and gated feed-forward counted as they are.
    Valid for: dense decoder-only transformers.

    """
    require_dense(model)
    weights = sum(float(gemm.columns) * float(gemm.inner) for gemm in layer_gemms(model, 1))
    attention = 2.0 * model.heads * model.head_dim * sequence
    return FlopPerToken(
        layers=2.0 * model.layers * weights,
        attention=model.layers * attention,
        head=2.0 * model.hidden * model.vocab,
    )


def layer_gemms(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    """List the weight products of one layer as one device of a tensor-parallel group sees them.

    Column-parallel products split their columns, row-parallel ones their inner dimension; keys and values are
    repeated where the group is larger than their number of heads.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3.
    """
    key_value_heads = np.maximum(model.kv_heads / tensor_parallel, 1.0)
    query_width = model.heads * model.head_dim / tensor_parallel
    ffn_width = model.ffn_hidden / tensor_parallel
    gates = 2 if model.gated_attention else 1
    return (
        Gemm("query, key, value", gates * query_width + 2 * key_value_heads * model.head_dim, model.hidden),
        Gemm("attention output", model.hidden, query_width),
        Gemm("feed-forward in", (2 if model.gated else 1) * ffn_width, model.hidden),
        Gemm("feed-forward out", model.hidden, ffn_width),
    )


def layer_weights(model: ModelShape, tensor_parallel: Numbers) -> Numbers:
    """Count the weights of one layer that one device holds: matrices split, norms whole.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3.
    Valid for: dense layers; biases (below 0.02 % of a layer) are left out.
    """
    matrices = sum(gemm.columns * gemm.inner for gemm in layer_gemms(model, tensor_parallel))
    return matrices + 2 * model.hidden


def vector_bytes_per_token(
    model: ModelShape, tensor_parallel: Numbers, sequence_parallel: Numbers = 1.0, element_bytes: float = 2.0
) -> Numbers:
    """Count the bytes that the memory-bound operators of one layer move forward, per token and device.

    Two norms (read, write), two residual additions (read two, write one), rotary embedding of queries and keys
    (read, write), and the activation (reads its one or two inputs, writes one). Sequence parallelism (1, or 0 for
    none) splits norms and residuals over the tensor-parallel group as well.

    Source: our count of operands; Korthikanti et al. 2022 (arXiv:2205.05198), section 4, for what is split.
    Valid for: one fused kernel per operator, operands in device memory.
    """
    norms_and_residuals = (2 * 2 + 2 * 3) * model.hidden
    shared_by = np.where(np.equal(sequence_parallel, 1), tensor_parallel, 1)
    rotary = 2 * (model.heads + model.kv_heads) * model.head_dim
    activation = (3 if model.gated else 2) * model.ffn_hidden
    return element_bytes * (norms_and_residuals / shared_by + (rotary + activation) / tensor_parallel)


VECTOR_KERNELS_PER_LAYER = 7
"""Two norms, two residual additions, rotary for queries and for keys, one activation: kernels of a layer's forward."""

SCORE_PASSES = 7.0
"""Passes over the score matrix without a flash kernel: write, scale and mask (2), softmax (2), dropout, read."""

LOSS_BYTES_PER_LOGIT = 24.0
"""Cross-entropy on 16-bit logits with a 32-bit softmax: read 2, write 4, read 4 three times, write 4, write 2 back."""


def require_dense(model: ModelShape) -> None:
    """Refuse what this module does not count yet.

    Raises:
        NotYetError: mixture of experts, latent attention, sliding windows or hybrid layers.

    """
    reason = None
    if model.experts is not None:
        reason = "a mixture of experts"
    elif model.attention == "mla":
        reason = "multi-head latent attention"
    elif model.sliding_window is not None or any(kind != "full" for kind in model.layer_types or ()):
        reason = "sliding windows or hybrid layers"
    if reason is not None:
        raise NotYetError(
            "training is modelled for dense transformers with full attention",
            value=f"{model.name} has {reason}",
            mend="use a dense model (sim list models), or give --step-time or --mfu with --params",
        )
