"""What one device has to hold during training, by part, for many layouts at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from sim.cost.checkpointing import kept_elements_of_products
from sim.cost.experts import kept_elements, routed_weights
from sim.cost.layout import RECOMPUTE, Counts, Layouts
from sim.cost.recurrent import dense_share, feed_forward_share, softmax_share, state_kept_elements
from sim.cost.schedules import DUAL_PIPE, ZERO_BUBBLE_V, chunks_in_flight, copies
from sim.cost.stages import stage_layers
from sim.cost.transformer import blocks_per_layer, layer_weights

if TYPE_CHECKING:
    from sim.cost.recipe import Recipe
    from sim.cost.roofline import Numbers
    from sim.spec.model import ModelShape

Floats: TypeAlias = npt.NDArray[np.float64]

LOSS_BYTES = 6.0
"""Of one logit at the peak of the loss: itself in 16 bit, and its softmax in 32 bit."""
GATHERED_LAYERS = 2
"""ZeRO 3 holds the layer at work and the one that is fetched beside it."""

BLOCK_ENDS = 2
"""The input and the output of a block under sequence parallelism, whole (Korthikanti et al. 2022, section 4.2.2)."""

OPTIMIZER_SPLIT, GRADIENTS_SPLIT, WEIGHTS_SPLIT = 1, 2, 3
"""ZeRO stages: what is split over the replicas from this stage on."""

_SELECTIVE, _FULL = RECOMPUTE.index("selective"), RECOMPUTE.index("full")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest device, by part; one entry per layout."""

    weights_bytes: Floats
    gradients_bytes: Floats
    optimizer_bytes: Floats
    activations_bytes: Floats
    reserve_bytes: Floats
    """Context of the driver, collective buffers, workspaces and fragmentation."""

    @property
    def total_bytes(self) -> Floats:
        """All parts."""
        states: Floats = self.weights_bytes + self.gradients_bytes + self.optimizer_bytes
        return states + self.activations_bytes + self.reserve_bytes

    def take(self, index: Counts) -> Memory:
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
    """Whether attention is one fused kernel; a stack without one keeps score matrices, and trains with dropout."""
    loss_bytes: float = LOSS_BYTES
    """Of one logit at the peak of the loss, all copies."""
    products_again: bool = False
    """Whether selective recompute does every other product again, instead of what is cheap alone."""
    whole_gradients: bool = False
    """Whether gradients that replicas share stay whole until the last micro-batch of a pipeline."""
    checkpoints_on_host: bool = False
    """Whether the inputs of layers that are computed again wait in the memory of the host."""
    step_gradient_bytes: float = 0.0
    """Of one gradient of a replica's own share, in the copy that the optimizer step makes."""
    stage_outputs_kept: bool = False
    """Whether a stage keeps what it has sent on until the backward pass of that micro-batch."""


def per_device(
    model: ModelShape,
    recipe: Recipe,
    rules: MemoryRules,
    layouts: Layouts,
    sequence: int,
    global_batch: int,
) -> Memory:
    """Estimate the memory of the fullest device of each layout, in bytes.

    The first stage holds the embedding and the most activations, the last one the head and the logits; both are
    computed, and the parts are those of the larger total.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054) for states; Korthikanti et al. 2022 (arXiv:2205.05198) for
    activations with sequence parallelism, counted operator by operator so that grouped keys and gated feed-forward
    are right; Narayanan et al. 2021 for the micro-batches in flight.
    Valid for: transformers; every layer weighs as the mean one does.
    """
    tensor, stages, virtual = layouts.tensor_parallel, layouts.pipeline_parallel, layouts.virtual_stages
    held = stage_layers(model, layouts, sequence)
    most, least = held.most, held.last
    in_first, in_last = stage_parameters(model, layouts, most, least)
    experts = routed_weights(model, layouts.expert_devices)

    tokens = layouts.micro_batch * float(sequence) / layouts.context_parallel
    micro_batches = global_batch / (layouts.data_parallel * layouts.micro_batch)
    chunk_bytes = tokens * activation_bytes_per_token(model, recipe, rules, layouts, sequence) / virtual
    again = (layouts.recompute == _FULL) | ((layouts.recompute == _SELECTIVE) & rules.products_again)
    at_work = np.where(again, tokens * _whole_layer_bytes(model, recipe, rules, layouts, sequence), 0.0)
    # Split sequences are gathered before a block and summed after it: both stand there whole for a while.
    gathered = np.where((layouts.sequence_parallel == 1) & (tensor > 1), BLOCK_ENDS * model.hidden, 0.0)
    at_work = at_work + tokens * recipe.activation_bytes * gathered
    logits = tokens * model.vocab / tensor * rules.loss_bytes
    if rules.stage_outputs_kept:
        sent = np.where(stages > 1, tokens * recipe.activation_bytes * _residual_width(model, layouts), 0.0)
        at_work = at_work + chunks_in_flight(layouts, micro_batches) * sent / virtual
    held_first = chunks_in_flight(layouts, micro_batches) * most * chunk_bytes + at_work
    held_last = chunks_in_flight(layouts, micro_batches, stages - 1) * least * chunk_bytes + at_work + logits
    alone = stages == 1
    held_first = np.where(has_both_ends(layouts), held_first + logits, held_first)
    most, least = most * copies(layouts), least * copies(layouts)
    first = _stage(model, recipe, rules, layouts, in_first, most * experts, held_first)
    last = _stage(model, recipe, rules, layouts, in_last, least * experts, held_last)
    last_is_fuller = ~alone & (last.total_bytes > first.total_bytes)
    return Memory(
        *(np.where(last_is_fuller, getattr(last, field.name), getattr(first, field.name)) for field in fields(Memory))
    )


def stage_parameters(model: ModelShape, layouts: Layouts, most: Numbers, least: Numbers) -> tuple[Floats, Floats]:
    """Count the parameters of one device of the first and of the last stage, routed experts and ZeRO's split apart.

    A tied head shares the embedding where both are on one stage; elsewhere the last stage keeps a copy. Learned
    positions are not split over the tensor-parallel group.

    Args:
        model: the shape.
        layouts: the layouts.
        most: layers of the first stage, the fullest.
        least: layers of the last stage.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3; Narayanan et al. 2021 for tied embeddings in pipelines.
    Valid for: a vocabulary-parallel embedding and head.
    """
    tensor = layouts.tensor_parallel
    layer = layer_weights(model, tensor)
    embedding = model.vocab * model.hidden / tensor
    positions = model.max_positions or 0 if model.position == "learned" else 0
    own_head = 0.0 if model.tied_embeddings else embedding
    first = most * layer + embedding + positions * model.hidden
    last = least * layer + embedding
    both = copies(layouts) > 1
    first = first + np.where(has_both_ends(layouts) & ~both, own_head, 0.0)
    return np.asarray(np.where(both, first + last, first)), np.asarray(np.where(both, first + last, last))


def has_both_ends(layouts: Layouts) -> Counts:
    """Tell whether the first stage holds the head too: without a pipeline, or where the pipeline comes back to it.

    Source: Qi et al. 2024 (arXiv:2405.15362), figure 1 (ZB-V); DeepSeek-V3 (arXiv:2412.19437), table 2 (DualPipe).

    >>> from sim.cost.layout import single
    >>> [bool(has_both_ends(single(pp=4, schedule=name))[0]) for name in ("1f1b", "zb-v")]
    [False, True]
    """
    returns = (layouts.schedule == ZERO_BUBBLE_V) | (layouts.schedule == DUAL_PIPE)
    return np.asarray((layouts.pipeline_parallel == 1) | returns)


def activation_bytes_per_token(
    model: ModelShape, recipe: Recipe, rules: MemoryRules, layouts: Layouts, sequence: int
) -> Floats:
    """Give the bytes that one layer keeps for its backward pass, per token and device, under each recompute choice.

    none: inputs of both norms and of every product; selective: the same without what is cheap to make again (norm
    and activation outputs, and the score matrix of an unfused attention kernel), or every other product; full: the
    layer's input alone, if that does not wait on the host.

    Source: Korthikanti et al. 2022, equations 2 to 6, by operator.
    Valid for: the mean of all layers, with loads balanced over experts; without dropout where attention is fused (its
    two masks are 2 of the paper's 34 bytes).
    """
    element, tensor = recipe.activation_bytes, layouts.tensor_parallel
    width = _residual_width(model, layouts)
    whole = _whole_layer_bytes(model, recipe, rules, layouts, sequence)
    dense = dense_share(model) * model.ffn_hidden
    narrow = min(recipe.operand_bytes / element, 1.0)
    if recipe.adapter_rank:  # nothing is kept of what only frozen weights read, so there is less to save
        dense, width = 0.0 * dense, width / 2
    norms = blocks_per_layer(model)
    cheap = element * (
        narrow * norms * width + (narrow * dense + kept_elements(model, layouts.common.expert_tensor)[1]) / tensor
    )
    kept = whole - cheap - _score_bytes_per_token(model, rules, tensor, sequence)
    if rules.products_again:
        kept = np.asarray(element * kept_elements_of_products(model, tensor, width))
    inputs = 0.0 if rules.checkpoints_on_host else element * width
    return np.asarray(np.where(layouts.recompute == 0, whole, np.where(layouts.recompute == _FULL, inputs, kept)))


def _stage(
    model: ModelShape,
    recipe: Recipe,
    rules: MemoryRules,
    layouts: Layouts,
    parameters: Floats,
    experts: Numbers,
    activations: Floats,
) -> Memory:
    """Join the states and the activations of one stage; its experts are shared out over replicas of their own."""
    units = _units(model, layouts)
    shards = layouts.replicas // layouts.copies
    weights, gradients, optimizer = _states(recipe, rules, layouts, parameters, shards, *units)
    if model.experts is not None:
        unit = routed_weights(model, layouts.expert_devices)
        shards = layouts.expert_replicas / layouts.copies
        of_experts = _states(recipe, rules, layouts, np.asarray(experts), shards, unit, 0.0)
        weights, gradients, optimizer = weights + of_experts[0], gradients + of_experts[1], optimizer + of_experts[2]
    reserve = rules.reserve_bytes + rules.fragmentation * activations
    return Memory(weights, gradients, optimizer, activations, reserve)


def _whole_layer_bytes(
    model: ModelShape, recipe: Recipe, rules: MemoryRules, layouts: Layouts, sequence: int
) -> Floats:
    """Count inputs of two norms, two blocks, attention and its output product, feed-forward and activation."""
    tensor, width = layouts.tensor_parallel, _residual_width(model, layouts)
    inner, outer = (3.0 if model.gated else 2.0), 2 * blocks_per_layer(model)
    kept_alone, blocks = 0.0, blocks_per_layer(model)
    narrow = min(recipe.operand_bytes / recipe.activation_bytes, 1.0)
    if recipe.adapter_rank:  # inputs of the frozen feed-forward products are read by no gradient
        inner, outer = inner - 1, outer - feed_forward_share(model)
    elif narrow < 1.0:
        # Inputs of products are kept as operands: those of both blocks and of the second feed-forward product shrink,
        # and the output of attention is kept twice.
        inner, outer = inner - 1 + narrow, outer - blocks + blocks * narrow
        kept_alone = (
            softmax_share(model) * narrow * model.heads * (model.mla.value_dim if model.mla else model.head_dim)
        )
    feed_forward = dense_share(model) * inner * model.ffn_hidden + kept_alone
    mixing = softmax_share(model) * _attention_elements(model) + state_kept_elements(model)
    split = mixing + feed_forward + kept_elements(model, layouts.common.expert_tensor)[0]
    masks = 0.0 if rules.flash_attention else 2 * width
    scores = _score_bytes_per_token(model, rules, tensor, sequence)
    return np.asarray(recipe.activation_bytes * (outer * width + split / tensor) + masks + scores)


def _attention_elements(model: ModelShape) -> float:
    """Count queries, keys, values and the output; of latent attention also what they are unfolded from."""
    mla = model.mla
    if mla is None:
        return (2 * model.heads + 2 * model.kv_heads) * model.head_dim
    unfolded = model.heads * (2 * (mla.nope_dim + mla.rope_dim) + 2 * mla.value_dim)
    return unfolded + 2 * mla.q_rank + 2 * mla.kv_rank + mla.rope_dim


def _residual_width(model: ModelShape, layouts: Layouts) -> Floats:
    """Give the elements of the residual stream that one device keeps for a token."""
    return np.asarray(model.hidden / np.where(layouts.sequence_parallel == 1, layouts.tensor_parallel, 1))


def _score_bytes_per_token(model: ModelShape, rules: MemoryRules, tensor: Counts, sequence: int) -> Numbers:
    """Count 5 bytes a score: softmax output, dropout output and its mask (Korthikanti et al. 2022, equation 2)."""
    return 0.0 if rules.flash_attention else softmax_share(model) * 5.0 * model.heads * sequence / tensor


def _units(model: ModelShape, layouts: Layouts) -> tuple[Numbers, Numbers]:
    """Give what ZeRO brings together at once: the weights of a layer, and those of the embedding."""
    return layer_weights(model, layouts.tensor_parallel), model.vocab * model.hidden / layouts.tensor_parallel


def _states(
    recipe: Recipe,
    rules: MemoryRules,
    layouts: Layouts,
    parameters: Floats,
    shards: Counts,
    layer: Numbers,
    embedding: Numbers,
) -> tuple[Floats, Floats, Floats]:
    """Give weights, gradients and optimizer state of one device in bytes, split over so many shards.

    What ZeRO splits comes together for a while: gradients (stage 2) of one layer until they are reduced, weights
    (stage 3) of the layer at work and of the next; the embedding is such a unit too (Zhao et al. 2023, section 3.2).
    """
    zero = layouts.zero_stage
    if recipe.adapter_rank:
        return _frozen(recipe, layouts, parameters, shards, np.maximum(GATHERED_LAYERS * layer, embedding))
    own = np.where(zero >= OPTIMIZER_SPLIT, parameters / shards, parameters)
    kept = own * (recipe.optimizer_bytes + rules.step_gradient_bytes)
    if not (zero >= GRADIENTS_SPLIT).any():
        return parameters * recipe.weight_bytes, parameters * recipe.gradient_bytes, kept
    gathered = np.minimum(np.maximum(GATHERED_LAYERS * layer, embedding), parameters)
    reduced = np.minimum(np.maximum(layer, embedding), parameters)
    held = np.where(zero >= WEIGHTS_SPLIT, np.minimum(parameters / shards + gathered, parameters), parameters)
    whole = rules.whole_gradients & (layouts.pipeline_parallel > 1)
    together = np.where(whole, parameters / shards + parameters, np.minimum(parameters / shards + reduced, parameters))
    summed = np.where(zero >= GRADIENTS_SPLIT, together, parameters)
    return held * recipe.weight_bytes, summed * recipe.gradient_bytes, kept


def _frozen(
    recipe: Recipe, layouts: Layouts, parameters: Floats, shards: Counts, gathered: Numbers
) -> tuple[Floats, Floats, Floats]:
    """Give the states where adapters alone are trained: theirs are below a hundredth of the frozen weights."""
    split = layouts.zero_stage >= WEIGHTS_SPLIT
    held = np.where(split, np.minimum(parameters / shards + gathered, parameters), parameters)
    nothing = np.zeros_like(held)
    return held * recipe.stored_weight_bytes, nothing, nothing
