"""What one device has to hold during training, by part, for many layouts at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import RECOMPUTE, Layouts
from sim.cost.schedules import chunks_in_flight
from sim.cost.stages import most_layers
from sim.cost.transformer import layer_weights

if TYPE_CHECKING:
    from sim.cost.recipe import Recipe
    from sim.spec.model import ModelShape


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest device, by part; one entry per layout."""

    weights_bytes: np.ndarray
    gradients_bytes: np.ndarray
    optimizer_bytes: np.ndarray
    activations_bytes: np.ndarray
    reserve_bytes: np.ndarray
    """Context of the driver, collective buffers, workspaces and fragmentation."""

    @property
    def total_bytes(self) -> np.ndarray:
        """All parts."""
        return (
            self.weights_bytes
            + self.gradients_bytes
            + self.optimizer_bytes
            + self.activations_bytes
            + self.reserve_bytes
        )

    def take(self, index: np.ndarray) -> Memory:
        """Give the layouts at these positions."""
        return Memory(*(getattr(self, field.name)[index] for field in fields(self)))

    def row(self, index: int) -> dict[str, float]:
        """Give the parts of one layout by name, in bytes."""
        return {
            "weights": float(self.weights_bytes[index]),
            "gradients": float(self.gradients_bytes[index]),
            "optimizer": float(self.optimizer_bytes[index]),
            "activations": float(self.activations_bytes[index]),
            "reserve": float(self.reserve_bytes[index]),
            "total": float(self.total_bytes[index]),
        }


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """What a software stack keeps beside the tensors of the model."""

    reserve_bytes: float
    fragmentation: float
    """Share of the activations that the allocator loses."""
    flash_attention: bool


def per_device(
    model: ModelShape,
    recipe: Recipe,
    rules: MemoryRules,
    layouts: Layouts,
    sequence: int,
    global_batch: int,
) -> Memory:
    """Estimate the memory of the fullest device of each layout, in bytes.

    The first stage holds the most activations (and the embedding), the last stage the logits; both are computed
    and the larger total is kept.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054) for states; Korthikanti et al. 2022 (arXiv:2205.05198) for
    activations with sequence parallelism, counted operator by operator so that grouped keys and gated feed-forward
    are right; Narayanan et al. 2021 for the micro-batches in flight.
    Valid for: dense transformers under 1F1B and interleaved 1F1B.
    """
    tensor = layouts.tensor_parallel
    embedding = model.vocab * model.hidden / tensor
    layers = most_layers(model.layers, layouts.pipeline_parallel, layouts.virtual_stages)
    parameters = layers * layer_weights(model, tensor)
    untied_head = np.where((layouts.pipeline_parallel == 1) & (not model.tied_embeddings), embedding, 0.0)
    parameters = parameters + embedding + untied_head
    shards = np.where(layouts.zero_stage >= 1, layouts.data_parallel * layouts.context_parallel, 1)

    tokens = layouts.micro_batch * float(sequence) / layouts.context_parallel
    micro_batches = global_batch / (layouts.data_parallel * layouts.micro_batch)
    saved = tokens * activation_bytes_per_token(model, recipe, rules, layouts, sequence)
    chunks = chunks_in_flight(layouts.pipeline_parallel, layouts.virtual_stages, micro_batches)
    layers_in_flight = np.minimum(layers / layouts.virtual_stages * chunks, layers * micro_batches)
    working = tokens * _whole_layer_bytes(model, recipe, rules, tensor, sequence)
    first = layers_in_flight * saved + np.where(layouts.recompute == RECOMPUTE.index("full"), working, 0.0)
    logits = tokens * model.vocab / tensor * (recipe.activation_bytes + 4.0)
    last = np.minimum(layers, layers_in_flight) * saved + logits
    activations = np.where(layouts.pipeline_parallel == 1, first + logits, np.maximum(first, last))
    return Memory(
        weights_bytes=parameters * recipe.weight_bytes,
        gradients_bytes=parameters * recipe.gradient_bytes,
        optimizer_bytes=parameters * recipe.optimizer_bytes / shards,
        activations_bytes=activations,
        reserve_bytes=rules.reserve_bytes + rules.fragmentation * activations,
    )


def activation_bytes_per_token(
    model: ModelShape, recipe: Recipe, rules: MemoryRules, layouts: Layouts, sequence: int
) -> np.ndarray:
    """Give the bytes that one layer keeps for its backward pass, per token and device, under each recompute choice.

    none: inputs of both norms and of every product; selective: the same without what is cheap to make again (norm
    and activation outputs, and the score matrix of an unfused attention kernel); full: the layer's input alone.

    Source: Korthikanti et al. 2022, equations 2 to 6, by operator.
    """
    whole = _whole_layer_bytes(model, recipe, rules, layouts.tensor_parallel, sequence)
    element = recipe.activation_bytes
    cheap = element * (2 * model.hidden + model.ffn_hidden) / layouts.tensor_parallel
    scores = _score_bytes_per_token(model, rules, layouts.tensor_parallel, sequence)
    least = element * model.hidden / layouts.tensor_parallel
    return np.choose(layouts.recompute, [whole, whole - cheap - scores, least])


def _whole_layer_bytes(
    model: ModelShape, recipe: Recipe, rules: MemoryRules, tensor: np.ndarray, sequence: int
) -> np.ndarray:
    heads_width = (2 * model.heads + 2 * model.kv_heads) * model.head_dim
    ffn_width = (3 if model.gated else 2) * model.ffn_hidden
    elements = 4 * model.hidden + heads_width + ffn_width
    return recipe.activation_bytes * elements / tensor + _score_bytes_per_token(model, rules, tensor, sequence)


def _score_bytes_per_token(
    model: ModelShape, rules: MemoryRules, tensor: np.ndarray, sequence: int
) -> np.ndarray | float:
    """Count 5 bytes a score: softmax output, dropout output and its mask (Korthikanti et al. 2022, equation 2)."""
    return 0.0 if rules.flash_attention else 5.0 * model.heads * sequence / tensor
