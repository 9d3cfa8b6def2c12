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
    dense_ffn_per_layer: int
    """Feed-forward of one dense layer."""
    expert: int
    """One routed expert."""
    shared_experts_per_layer: int
    """All shared experts of one layer, with their gate; 0 where there are none."""
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
    (arXiv:2002.05202), latent attention (arXiv:2405.04434), experts (arXiv:2401.06066) and gated delta-rule layers
    (arXiv:2412.06464), as the public weights lay them out.
    Valid for: decoder-only text models; not for vision encoders, indexers of sparse attention, attention sinks and
    modules that predict more than one token.

    >>> from sim.spec.catalog import load
    >>> llama = count(load("models", "llama-3.1-405b"))
    >>> llama.total, llama.active == llama.total - llama.embedding
    (405853388800, True)
    """
    attention, linear = _attention(model), _linear_attention(model)
    dense = _feed_forward(model, model.ffn_hidden)
    experts = _expert_parts(model, model.experts) if model.experts else _NO_EXPERTS
    norms = model.norms_per_layer * _norm(model)
    embedding = model.vocab * model.hidden
    positions = (model.max_positions or 0) * model.hidden if model.position == "learned" else 0
    head = 0 if model.tied_embeddings else embedding
    linear_layers, expert_layers = model.layers_of("linear"), model.expert_layers
    everywhere = (
        (model.layers - linear_layers) * attention
        + linear_layers * linear
        + (model.layers - expert_layers) * dense
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
    project = model.hidden * (2 * keys + 2 * values)  # query, key, value and the output gate
    decay_and_write = model.hidden * 2 * linear.value_heads + 2 * linear.value_heads
    convolution = linear.convolution * (2 * keys + values)
    return project + decay_and_write + convolution + linear.value_dim + values * model.hidden


def _feed_forward(model: ModelShape, inner: int) -> int:
    matrices = 3 if model.gated else 2
    biases = (matrices - 1) * inner + model.hidden if model.bias == "all" else 0
    return matrices * model.hidden * inner + biases


def _expert_parts(model: ModelShape, experts: Experts) -> _ExpertParts:
    one = _feed_forward(model, experts.ffn_hidden)
    shared = experts.shared * _feed_forward(model, experts.shared_ffn_hidden or experts.ffn_hidden)
    shared += model.hidden if experts.shared_gate else 0
    router = experts.count * (model.hidden + (1 if model.bias == "all" else 0))
    return _ExpertParts(
        one=one,
        shared=shared,
        router=router,
        whole=experts.count * one + shared + router,
        active=experts.top_k * one + shared + router,
    )
