"""The shape of a transformer, as its configuration file gives it: counts only, nothing about time."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.spec.hardware import GIVEN, Slug, SourceStatus
from sim.spec.quantity import Count, FrozenModel, PositiveCount, SourcedCount, refusal

LayerType = Literal["full", "sliding", "linear"]


class LatentAttention(FrozenModel):
    """Multi-head latent attention (DeepSeek-V2): keys and values are unfolded from one small vector."""

    q_rank: Count
    """Width of the compressed query; 0 where the query is not compressed."""
    kv_rank: PositiveCount
    """Width of the compressed key and value, which is what the cache holds."""
    rope_dim: PositiveCount
    """Part of the query and key that carries the position; its key is shared by all heads."""
    nope_dim: PositiveCount
    """Part of the query and key of each head that carries no position."""
    value_dim: PositiveCount
    """Width of the value of each head."""


class LinearAttention(FrozenModel):
    """Gated delta-rule layers (Qwen3-Next), which keep a state of fixed size instead of a cache."""

    key_heads: PositiveCount
    """Heads of query and key."""
    value_heads: PositiveCount
    """Heads of value."""
    key_dim: PositiveCount
    """Width of a query or key head."""
    value_dim: PositiveCount
    """Width of a value head."""
    convolution: PositiveCount = 4
    """Length of the short convolution over query, key and value."""


class Experts(FrozenModel):
    """The mixture-of-experts layers."""

    count: PositiveCount
    """Routed experts in one layer."""
    top_k: PositiveCount
    """Routed experts that one token visits."""
    shared: Count = 0
    """Experts that every token visits."""
    ffn_hidden: PositiveCount
    """Inner width of one routed expert."""
    shared_ffn_hidden: PositiveCount | None = None
    """Inner width of one shared expert; as the routed ones where none is given."""
    shared_gate: bool = False
    """Whether a learned scalar weighs the shared experts (Qwen2)."""
    dense_layers: Count = 0
    """Layers at the bottom that are dense."""
    every: PositiveCount = 1
    """Each so many layers one has experts: 2 means every second."""

    @model_validator(mode="after")
    def _token_visits_at_most_all(self) -> Self:
        if self.top_k > self.count:
            raise refusal(
                "a token visits at most all experts",
                f"top_k {self.top_k} of {self.count}",
                "lower top_k, or raise count",
            )
        return self


class ModelShape(FrozenModel):
    """A transformer: what decides its parameters, its operations and its cache."""

    name: Slug
    """Name in the catalogue; the file has the same name."""
    title: str | None = None
    """Name as people write it."""
    family: str | None = None
    """Family of models."""
    released: str | None = None
    """Month of release, such as 2024-07."""

    layers: PositiveCount
    """Transformer layers."""
    hidden: PositiveCount
    """Width of the residual stream."""
    heads: PositiveCount
    """Query heads."""
    kv_heads: PositiveCount
    """Key and value heads; 1 is multi-query, fewer than heads is grouped-query."""
    head_dim: PositiveCount
    """Width of one query and key head."""
    ffn_hidden: PositiveCount
    """Inner width of a dense feed-forward layer."""
    gated: bool
    """Whether the feed-forward has a gate (SwiGLU, GeGLU): three matrices instead of two."""
    vocab: PositiveCount
    """Tokens in the vocabulary, with padding where the weights have it."""
    tied_embeddings: bool
    """Whether the output head shares the input embedding."""
    max_positions: PositiveCount | None = None
    """Longest sequence that the published model takes."""
    attention: Literal["full", "mla"] = "full"
    """Ordinary heads, or multi-head latent attention."""
    mla: LatentAttention | None = None
    """Sizes of latent attention."""
    linear: LinearAttention | None = None
    """Sizes of the layers without a cache, where layer_types has 'linear'."""
    gated_attention: bool = False
    """Whether the query projection also makes a gate for the attention output."""
    experts: Experts | None = None
    """The mixture of experts; none for a dense model."""
    sliding_window: PositiveCount | None = None
    """Tokens that a 'sliding' layer looks back on."""
    layer_types: Annotated[tuple[LayerType, ...], Field(min_length=1)] | None = None
    """Kinds of attention in order, repeated over the layers; none means full everywhere."""

    position: Literal["rotary", "learned", "alibi", "relative"] = "rotary"
    """How positions enter; learned ones are a table, relative ones (Transformer-XL) a matrix in each layer."""
    bias: Literal["none", "qkv", "attention", "all"] = "none"
    """Linear layers that add a bias vector."""
    norms_per_layer: Count = 2
    """Normalisations of the residual width in one layer."""
    norm_vectors: Literal[1, 2] = 1
    """Vectors of one normalisation: 1 scale (RMSNorm), 2 scale and shift (LayerNorm)."""
    qk_norm: bool = False
    """Whether each query and key head is normalised with weights of its own."""

    published_parameters: SourcedCount | None = None
    """Total that the authors publish."""
    published_active_parameters: SourcedCount | None = None
    """Active parameters that the authors publish, by their own definition."""
    source: str = GIVEN
    """Where the shape was read."""
    source_status: SourceStatus = "given"
    """How far the shape can be trusted."""
    source_date: str | None = None
    """Date of that source."""
    notes: str | None = None
    """What a reader has to know about this shape."""

    @model_validator(mode="after")
    def _parts_belong_together(self) -> Self:
        kinds = self.layer_types or ("full",)
        if (self.attention == "mla") != (self.mla is not None):
            raise refusal("attention: mla and the sizes under mla belong together", mend="give both or neither")
        if ("sliding" in kinds) != (self.sliding_window is not None):
            raise refusal(
                "sliding_window and the 'sliding' layers of layer_types belong together",
                mend="give both or neither, such as layer_types: [sliding] for a window in every layer",
            )
        if ("linear" in kinds) != (self.linear is not None):
            raise refusal(
                "the sizes under linear and the 'linear' layers of layer_types belong together",
                mend="give both or neither",
            )
        if self.heads % self.kv_heads:
            raise refusal(
                "heads is a multiple of kv_heads", f"{self.heads} and {self.kv_heads}", "each group shares one key head"
            )
        if self.position == "learned" and self.max_positions is None:
            raise refusal("learned positions are a table of max_positions rows", mend="give max_positions")
        return self

    def layer_type(self, layer: int) -> LayerType:
        """Give the kind of attention of a layer, counted from 0."""
        return self.layer_types[layer % len(self.layer_types)] if self.layer_types else "full"

    def layers_of(self, kind: LayerType) -> int:
        """Count the layers that have this kind of attention."""
        return sum(self.layer_type(layer) == kind for layer in range(self.layers))

    def has_experts(self, layer: int) -> bool:
        """Tell whether a layer, counted from 0, has experts."""
        if self.experts is None or layer < self.experts.dense_layers:
            return False
        return (layer + 1) % self.experts.every == 0

    @property
    def expert_layers(self) -> int:
        """Count the layers that have experts."""
        return sum(self.has_experts(layer) for layer in range(self.layers))
