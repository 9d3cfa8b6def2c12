"""The shape of a transformer, as its configuration file gives it: counts only, nothing about time."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.spec.hardware import GIVEN, Slug, SourceStatus
from sim.spec.quantity import Count, FrozenModel, PositiveCount, SourcedCount, refusal

LayerType = Literal["full", "sliding", "linear", "mamba", "none"]
"""What mixes the tokens of a layer: softmax attention, a delta rule, a state-space model, or nothing."""
FeedForwardType = Literal["dense", "experts", "none"]


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
    """Gated delta-rule layers (Qwen3-Next, Kimi Linear), which keep a state of fixed size instead of a cache."""

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
    channel_decay: bool = False
    """Whether each channel of a key decays at a rate of its own, made through one value head's width (Kimi Delta
    Attention); the output gate is then made the same way. Else each head has one rate, and a full gate."""


class StateSpace(FrozenModel):
    """Mamba layers, which keep a state of fixed size instead of a cache."""

    heads: PositiveCount
    """Heads of the inner width; for Mamba-1, whose channels all decay at rates of their own, that width."""
    head_dim: PositiveCount
    """Width of a head; 1 for Mamba-1."""
    state: PositiveCount
    """Width of the state of each channel."""
    groups: PositiveCount = 1
    """Groups of heads that share what they write and read of the state."""
    convolution: PositiveCount = 4
    """Length of the short convolution."""
    chunk: PositiveCount = 128
    """Tokens that the kernel takes at once."""
    step_rank: PositiveCount | None = None
    """Width through which Mamba-1 makes its step sizes; none for Mamba-2."""
    inner_norms: bool = False
    """Whether step sizes and both sides of the state are normalised (Jamba)."""

    @property
    def inner(self) -> int:
        """Give the width of all heads."""
        return self.heads * self.head_dim

    @model_validator(mode="after")
    def _groups_divide_the_heads(self) -> Self:
        if self.heads % self.groups:
            raise refusal("groups divide the heads", f"{self.groups} of {self.heads}", "each group shares one state")
        return self


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
    latent: PositiveCount | None = Field(default=None, exclude_if=lambda width: width is None)
    """Width that a token is projected to before it goes to its routed experts, and back from; none: the whole."""

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
    mamba: StateSpace | None = Field(default=None, exclude_if=lambda sizes: sizes is None)
    """Sizes of the state-space layers, where layer_types has 'mamba'."""
    gated_attention: bool = False
    """Whether the query projection also makes a gate for the attention output."""
    experts: Experts | None = None
    """The mixture of experts; none for a dense model."""
    sliding_window: PositiveCount | None = None
    """Tokens that a 'sliding' layer looks back on."""
    layer_types: Annotated[tuple[LayerType, ...], Field(min_length=1)] | None = None
    """Kinds of attention in order, repeated over the layers; none means full everywhere."""
    feed_forward_types: Annotated[tuple[FeedForwardType, ...], Field(min_length=1)] | None = Field(
        default=None, exclude_if=lambda types: types is None
    )
    """Kinds of feed-forward in order, repeated over the layers; none: dense, or what experts say of layers."""

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
        for kind, sizes in (("linear", self.linear), ("mamba", self.mamba)):
            if (kind in kinds) != (sizes is not None):
                raise refusal(
                    f"the sizes under {kind} and the '{kind}' layers of layer_types belong together",
                    mend="give both or neither",
                )
        self._feed_forwards_belong_together()
        if self.heads % self.kv_heads:
            raise refusal(
                "heads is a multiple of kv_heads", f"{self.heads} and {self.kv_heads}", "each group shares one key head"
            )
        if self.position == "learned" and self.max_positions is None:
            raise refusal("learned positions are a table of max_positions rows", mend="give max_positions")
        return self

    def _feed_forwards_belong_together(self) -> None:
        kinds, experts = self.feed_forward_types, self.experts
        if kinds is None:
            return
        if ("experts" in kinds) != (experts is not None):
            raise refusal(
                "the sizes under experts and the 'experts' of feed_forward_types belong together",
                mend="give both or neither",
            )
        if experts is not None and (experts.dense_layers or experts.every > 1):
            raise refusal(
                "feed_forward_types says which layers have experts",
                f"dense_layers {experts.dense_layers}, every {experts.every}",
                "leave dense_layers and every out",
            )
        if any(self.layer_type(at) == "none" and self.feed_forward(at) == "none" for at in range(self.layers)):
            raise refusal("a layer mixes tokens, or has a feed-forward, or both", mend="leave empty layers out")

    def feed_forward(self, layer: int) -> FeedForwardType:
        """Give the kind of feed-forward of a layer, counted from 0."""
        if self.feed_forward_types is not None:
            return self.feed_forward_types[layer % len(self.feed_forward_types)]
        return "experts" if self.has_experts(layer) else "dense"

    def feed_forwards_of(self, kind: FeedForwardType) -> int:
        """Count the layers that have this kind of feed-forward."""
        return sum(self.feed_forward(layer) == kind for layer in range(self.layers))

    def layer_type(self, layer: int) -> LayerType:
        """Give the kind of attention of a layer, counted from 0."""
        return self.layer_types[layer % len(self.layer_types)] if self.layer_types else "full"

    def layers_of(self, kind: LayerType) -> int:
        """Count the layers that have this kind of attention."""
        return sum(self.layer_type(layer) == kind for layer in range(self.layers))

    @property
    def softmax_layers(self) -> int:
        """Count the layers of softmax attention, which keep keys and values."""
        return self.layers_of("full") + self.layers_of("sliding")

    def has_experts(self, layer: int) -> bool:
        """Tell whether a layer, counted from 0, has experts."""
        if self.feed_forward_types is not None:
            return self.feed_forward(layer) == "experts"
        if self.experts is None or layer < self.experts.dense_layers:
            return False
        return (layer + 1) % self.experts.every == 0

    @property
    def expert_layers(self) -> int:
        """Count the layers that have experts."""
        return sum(self.has_experts(layer) for layer in range(self.layers))
