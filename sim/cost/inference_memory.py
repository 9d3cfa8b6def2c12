"""What one device has to hold to serve a model: its share of the weights, caches of its sequences, and workspace."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sim.cost.parameters import count

if TYPE_CHECKING:
    from sim.spec.model import ModelShape

ELEMENT_BYTES: dict[str, float] = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5625}
"""Of a weight or a cached number; fp4 with one 8-bit scale for 16 of them (NVFP4)."""
WIDE_BYTES = 2.0
"""Embedding, head and activations stay in 16 bit."""
STATE_BYTES = 4.0
"""States of linear attention are kept in 32 bit."""
PREFILL_TOKENS = 8192
"""Tokens that one iteration computes at most (vLLM's default of 2024-25 for throughput on large chips)."""
RESERVED_SHARE = 0.1
"""Of a device's memory: driver, communication buffers, captured graphs (vLLM's default gpu_memory_utilization 0.9)."""


@dataclass(frozen=True, slots=True)
class Split:
    """How one copy of a model is laid out for serving."""

    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    """Copies side by side; they share the sequences."""

    @property
    def devices(self) -> int:
        """Devices of all copies."""
        return self.tensor_parallel * self.pipeline_parallel * self.replicas


@dataclass(frozen=True, slots=True)
class InferenceMemory:
    """Bytes on the fullest device, by part."""

    weights_bytes: float
    cache_bytes: float
    workspace_bytes: float
    """Activations of one iteration, and its logits."""
    reserve_bytes: float

    @property
    def total_bytes(self) -> float:
        """All parts."""
        return self.weights_bytes + self.cache_bytes + self.workspace_bytes + self.reserve_bytes

    def row(self) -> dict[str, float]:
        """Give the parts by name, in bytes."""
        parts = {field.name.removesuffix("_bytes"): float(getattr(self, field.name)) for field in fields(self)}
        return parts | {"total": self.total_bytes}


def cache_bytes(model: ModelShape, context: float, element_bytes: float = 2.0, tensor_parallel: int = 1) -> float:
    """Give the bytes that a sequence of ``context`` tokens keeps on a device of a tensor-parallel group, all layers.

    Keys and values are split by their heads and repeated beyond them; the compressed vector of latent attention is
    repeated on each device; sliding layers keep their window; linear attention keeps a state of fixed size.

    Source: Kwon et al. 2023 (arXiv:2309.06180), section 3 for keys and values; DeepSeek-V2 (arXiv:2405.04434), section
    2.1 for the compressed vector; Mistral 7B (arXiv:2310.06825) for windows; Yang et al. 2024 (arXiv:2412.06464) for
    states.
    Valid for: every model of the catalogue, without the padding of pages.

    >>> from sim.spec.catalog import load
    >>> cache_bytes(load("models", "llama-3.1-405b"), 1), cache_bytes(load("models", "deepseek-v3"), 1)
    (516096.0, 70272.0)
    """
    if model.mla is not None:
        token = float(model.mla.kv_rank + model.mla.rope_dim)
    else:
        token = 2.0 * model.kv_heads * model.head_dim / min(tensor_parallel, model.kv_heads)
    window = min(context, model.sliding_window or context)
    tokens = model.layers_of("full") * context + model.layers_of("sliding") * window
    return tokens * token * element_bytes + state_bytes(model) / tensor_parallel


def state_bytes(model: ModelShape) -> float:
    """Give the bytes of the states that a sequence keeps however long it is, all layers, on one device.

    Of a delta rule: key x value for each head; of Mamba-2: head x state for each head; both in 32 bit, and the last
    inputs of the short convolution.

    Source: Yang et al. 2024 (arXiv:2412.06464); Dao and Gu 2024 (arXiv:2405.21060); as Hugging Face keeps them.

    >>> from sim.spec.catalog import load
    >>> round(state_bytes(load("models", "nemotron-h-56b")) / 2**20, 1)
    872.4
    """
    linear, mamba, state = model.linear, model.mamba, 0.0
    if linear is not None:
        kept = linear.value_heads * linear.key_dim * linear.value_dim * STATE_BYTES
        width = 2 * linear.key_heads * linear.key_dim + linear.value_heads * linear.value_dim
        state += (kept + linear.convolution * width * WIDE_BYTES) * model.layers_of("linear")
    if mamba is not None:
        kept = mamba.inner * mamba.state * STATE_BYTES
        width = mamba.inner + 2 * mamba.groups * mamba.state
        state += (kept + mamba.convolution * width * WIDE_BYTES) * model.layers_of("mamba")
    return state


def weight_bytes(model: ModelShape, split: Split, element_bytes: float = 2.0) -> float:
    """Give the bytes of weights on the fullest device: the first of the stages, with the embedding.

    Source: parameter count by part (sim.cost.parameters); matrices split evenly, embedding and head in 16 bit.
    Valid for: stages of equal layers; experts split as evenly as the rest; keys repeated beyond their heads are not
    counted (below 1 % of the weights).

    >>> from sim.spec.catalog import load
    >>> round(weight_bytes(load("models", "llama-3.1-70b"), Split(8, 1, 1)) / 2**30, 1)
    16.4
    """
    counted = count(model)
    tables = counted.embedding + counted.positions + counted.head
    stages = split.pipeline_parallel
    layers = -(-model.layers // stages) / model.layers
    on_first = tables if stages == 1 else counted.embedding + counted.positions
    whole = (counted.total - tables) * layers * element_bytes + on_first * WIDE_BYTES
    return whole / split.tensor_parallel


def workspace_bytes(model: ModelShape, split: Split, sequences: float) -> float:
    """Give the bytes of the activations of one iteration and of the logits of its sequences.

    Source: operands of the widest layer held at once: four widths of the residual stream, queries, keys, values and
    their result, both sides of the feed-forward; 32-bit logits beside 16-bit ones.
    Valid for: chunked prefill of ``PREFILL_TOKENS`` tokens.

    >>> from sim.spec.catalog import load
    >>> round(workspace_bytes(load("models", "llama-3.1-8b"), Split(1, 1, 1), 1) / 2**30, 2)
    1.06
    """
    widths = [model.ffn_hidden]
    if model.experts is not None:
        shared = model.experts.shared * (model.experts.shared_ffn_hidden or model.experts.ffn_hidden)
        widths.append(model.experts.top_k * model.experts.ffn_hidden + shared)
    feed_forward = (3 if model.gated else 2) * max(widths)
    attention = (2 * model.heads + 2 * model.kv_heads) * model.head_dim
    token = 4.0 * model.hidden + (feed_forward + attention) / split.tensor_parallel
    logits = sequences * model.vocab / split.tensor_parallel * (WIDE_BYTES + 4.0)
    return PREFILL_TOKENS * token * WIDE_BYTES + logits


def per_device(
    model: ModelShape,
    split: Split,
    sequences: int,
    context: int,
    memory_bytes: float,
    weight_precision: str = "bf16",
    cache_precision: str = "bf16",
) -> InferenceMemory:
    """Give what the fullest device holds, by part, in bytes.

    Args:
        model: any model of the catalogue.
        split: how it is laid out.
        sequences: served at the same time, over all replicas.
        context: tokens of each, prompt and answer.
        memory_bytes: memory of a device; a share of it is reserved.
        weight_precision: one of ``ELEMENT_BYTES``.
        cache_precision: likewise.

    Source: the parts above.
    Valid for: sequences spread evenly over the replicas.
    """
    share = -(-sequences // split.replicas)
    stages = -(-model.layers // split.pipeline_parallel) / model.layers
    one = cache_bytes(model, context, ELEMENT_BYTES[cache_precision], split.tensor_parallel)
    return InferenceMemory(
        weights_bytes=weight_bytes(model, split, ELEMENT_BYTES[weight_precision]),
        cache_bytes=share * stages * one,
        workspace_bytes=workspace_bytes(model, split, share),
        reserve_bytes=RESERVED_SHARE * memory_bytes,
    )
