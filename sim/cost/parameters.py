"""How many parameters a transformer has, exactly and by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.spec.model import Experts, ModelShape


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Parameters of a model by part; all are whole numbers.

    total = embedding + positions + head + the attention, norms and feed-forward of every layer + final norm.
    """

    total: int
    """Every parameter once; a head that shares the embedding adds nothing."""
    active: int
    """Parameters that one token multiplies with: those it is routed to, without the input embedding and the table of
    positions (they are looked up), with the output head even where it shares the embedding."""
    embedding: int
    """Input embedding: vocabulary x hidden."""
    positions: int
    """Table of learned positions; 0 for other kinds."""
    head: int
    """Output head that is not shared with the embedding; 0 where it is."""
    attention_per_layer: int
    """One layer of ordinary or latent attention, biases included."""
    linear_per_layer: int
    """One layer of linear attention; 0 where there are none."""
    state_space_per_layer: int
    """One Mamba layer; 0 where there are none."""
    dense_ffn_per_layer: int
    """Feed-forward of one dense layer."""
    expert: int
    """One routed expert."""
    shared_experts_per_layer: int
    """All shared experts of one layer, with their gate, and the ways to a narrower width and back; 0 for none."""
    router_per_layer: int
    """Router of one layer with experts; 0 for a dense model."""
    expert_layer: int
    """Feed-forward of one layer with experts: all routed ones, the shared ones and the router; 0 for a dense model."""
    active_expert_layer: int
    """The part of expert_layer that one token visits."""
    norms_per_layer: int
    """Normalisations of the residual stream in one layer."""
    final_norm: int
    """Normalisation before the head."""


def count(model: ModelShape) -> ParameterCount:
    """Count the parameters of a model, exactly and by part.

    Active parameters have no common definition; ours are all that one token multiplies with: without the input
    embedding, with the output head. Published counts differ: GLM-4.5 leaves out both, DeepSeek-V3 counts its way.

    Args:
        model: the shape.

    Source: the projections of Vaswani et al. 2017 (arXiv:1706.03762) with grouped keys (arXiv:2305.13245), gates
    (arXiv:2002.05202), latent attention (arXiv:2405.04434), experts (arXiv:2401.06066), gated delta-rule layers
    (arXiv:2412.06464), with decays by channel (arXiv:2510.26692), Mamba (arXiv:2312.00752) and Mamba-2
    (arXiv:2405.21060) layers, as the public weights lay them out.
    Valid for: decoder-only text models; not for vision encoders, indexers of sparse attention, attention sinks and
    modules that predict more than one token.

    >>> from sim.spec.catalog import load
    >>> llama = count(load("models", "llama-3.1-405b"))
    >>> llama.total, llama.active == llama.total - llama.embedding
    (405853388800, True)
    """
    attention, linear, state_space = _attention(model), _linear_attention(model), _state_space(model)
    dense = _feed_forward(model, model.ffn_hidden)
    experts = _expert_parts(model, model.experts) if model.experts else _NO_EXPERTS
    norms = model.norms_per_layer * _norm(model)
    embedding = model.vocab * model.hidden
    positions = (model.max_positions or 0) * model.hidden if model.position == "learned" else 0
    head = 0 if model.tied_embeddings else embedding
    expert_layers = model.expert_layers
    everywhere = (
        model.softmax_layers * attention
        + model.layers_of("linear") * linear
        + model.layers_of("mamba") * state_space
        + model.feed_forwards_of("dense") * dense
        + model.layers * norms
        + _norm(model)
    )
    return ParameterCount(
        total=embedding + positions + head + everywhere + expert_layers * experts.whole,
        active=embedding + everywhere + expert_layers * experts.active,
        embedding=embedding,
        positions=positions,
        head=head,
        attention_per_layer=attention,
        linear_per_layer=linear,
        state_space_per_layer=state_space,
        dense_ffn_per_layer=dense,
        expert=experts.one,
        shared_experts_per_layer=experts.shared,
        router_per_layer=experts.router,
        expert_layer=experts.whole,
        active_expert_layer=experts.active,
        norms_per_layer=norms,
        final_norm=_norm(model),
    )


@dataclass(frozen=True, slots=True)
class _ExpertParts:
    one: int
    shared: int
    router: int
    whole: int
    active: int


_NO_EXPERTS = _ExpertParts(0, 0, 0, 0, 0)


def _norm(model: ModelShape) -> int:
    return model.norm_vectors * model.hidden


def _attention(model: ModelShape) -> int:
    if model.mla is not None:
        return _latent_attention(model)
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    gated_query = 2 * query if model.gated_attention else query
    weights = model.hidden * (gated_query + 2 * keys) + query * model.hidden
    biases = 0 if model.bias == "none" else gated_query + 2 * keys
    if model.bias in {"attention", "all"}:
        biases += model.hidden
    # Transformer-XL projects the relative positions once more in every layer.
    relative = model.hidden * query if model.position == "relative" else 0
    return weights + biases + relative + (2 * model.head_dim if model.qk_norm else 0)


def _latent_attention(model: ModelShape) -> int:
    mla = model.mla
    assert mla is not None
    query = model.heads * (mla.nope_dim + mla.rope_dim)
    unfold_query = (model.hidden + query + 1) * mla.q_rank if mla.q_rank else model.hidden * query
    compress = model.hidden * (mla.kv_rank + mla.rope_dim)
    # One more row of kv_rank: the norm of the compressed vector, as for the query above.
    unfold_key_value = mla.kv_rank * (model.heads * (mla.nope_dim + mla.value_dim) + 1)
    return unfold_query + compress + unfold_key_value + model.heads * mla.value_dim * model.hidden


def _linear_attention(model: ModelShape) -> int:
    linear = model.linear
    if linear is None:
        return 0
    keys, values = linear.key_heads * linear.key_dim, linear.value_heads * linear.value_dim
    convolution = linear.convolution * (2 * keys + values)
    joined = convolution + linear.value_dim + values * model.hidden
    if linear.channel_decay:
        # The decay of each channel, and the gate of the output, go through the width of a value head.
        through = (2 * model.hidden + keys + values) * linear.value_dim
        write = model.hidden * linear.value_heads
        return model.hidden * (2 * keys + values) + through + write + keys + linear.value_heads + joined
    project = model.hidden * (2 * keys + 2 * values)  # query, key, value and the output gate
    decay_and_write = model.hidden * 2 * linear.value_heads + 2 * linear.value_heads
    return project + decay_and_write + joined


def _state_space(model: ModelShape) -> int:
    mamba = model.mamba
    if mamba is None:
        return 0
    inner, hidden = mamba.inner, model.hidden
    if mamba.step_rank is not None:
        made = mamba.step_rank + 2 * mamba.state
        steps = inner * made + (mamba.step_rank + 1) * inner + (made if mamba.inner_norms else 0)
        rates = inner * (mamba.state + 1)
        return 2 * hidden * inner + inner * (mamba.convolution + 1) + steps + rates + inner * hidden
    sides = 2 * mamba.groups * mamba.state
    project = hidden * (2 * inner + sides + mamba.heads)
    # Of each head: its rate, its step and what passes by; of each channel: the norm behind the gate.
    return project + (inner + sides) * (mamba.convolution + 1) + 3 * mamba.heads + inner + inner * hidden


def _feed_forward(model: ModelShape, inner: int, width: int | None = None) -> int:
    matrices, outer = (3 if model.gated else 2), width or model.hidden
    biases = (matrices - 1) * inner + outer if model.bias == "all" else 0
    return matrices * outer * inner + biases


def _expert_parts(model: ModelShape, experts: Experts) -> _ExpertParts:
    width = experts.latent or model.hidden
    one = _feed_forward(model, experts.ffn_hidden, width)
    shared = experts.shared * _feed_forward(model, experts.shared_ffn_hidden or experts.ffn_hidden)
    shared += model.hidden if experts.shared_gate else 0
    # The way to the narrower width of the routed experts and back, which every token takes.
    shared += 2 * model.hidden * experts.latent if experts.latent else 0
    router = experts.count * (model.hidden + (1 if model.bias == "all" else 0))
    return _ExpertParts(
        one=one,
        shared=shared,
        router=router,
        whole=experts.count * one + shared + router,
        active=experts.top_k * one + shared + router,
    )
