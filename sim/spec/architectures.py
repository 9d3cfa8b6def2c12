"""What the configuration files of Hugging Face mean, architecture by architecture: data alone, no reading.

A file says its sizes, and leaves out what its program code decides: gates, biases, norms, how positions enter, which
layers look through a window and which have experts. That is what this table holds, by `model_type`.

Source: the public model cards and modelling code of transformers 4.40 to 5.0, by architecture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SIZES: Mapping[str, str] = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "ffn_hidden": "intermediate_size",
    "vocab": "vocab_size",
    "max_positions": "max_position_embeddings",
}
"""Fields of a shape and the key that most architectures have for each."""
NEEDED = ("layers", "hidden", "heads", "ffn_hidden", "vocab")
"""Fields that no file may leave out."""


@dataclass(frozen=True, slots=True)
class ExpertKeys:
    """Which keys describe a mixture of experts."""

    count: tuple[str, ...]
    """Keys for the number of routed experts, the usual one first; without any a file is of a dense model."""
    ffn: str = "moe_intermediate_size"
    top_k: tuple[str, ...] = ("num_experts_per_tok",)
    shared: str | None = None
    """Key for the number of shared experts; they are as wide as the routed ones."""
    shared_ffn: str | None = None
    """Key for the width of the one shared expert, weighed by a learned scalar; 0 for none."""
    dense_layers: str | None = None
    """Key for the number of dense layers at the bottom."""
    dense_list: str | None = None
    """Key for a list of the layers that are dense."""
    every: str | None = None
    """Key for how many layers one with experts comes after: 2 is every second."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the code of one architecture decides, and the keys that it calls otherwise than most."""

    family: str
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys by field of a shape, where they are not the usual ones."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """What a key means where the file leaves it out."""
    nested: Mapping[str, int] = field(default_factory=dict)
    """Sizes of the class, which a text_config inside another file leaves out where they are the same."""
    only: Mapping[str, object] = field(default_factory=dict)
    """The one value of a key that a shape can express; a file without the key has it."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """A key, and another one that it has to equal where the file has it."""
    grouped: bool = False
    """Whether a file has to say how many key heads there are; elsewhere as many as query heads unless it does."""
    gated: bool = True
    bias: Literal["none", "qkv", "attention", "all"] = "none"
    bias_key: str | None = None
    """Key that turns the bias on and off; its default stands under `defaults`, else it is off."""
    norms_per_layer: int = 2
    norm_vectors: Literal[1, 2] = 1
    qk_norm: bool = False
    qk_norm_key: str | None = None
    position: Literal["rotary", "learned", "alibi"] = "rotary"
    tied: bool = False
    """Whether embedding and head are one where the file does not say."""
    window: Literal["none", "all", "alternate", "pattern", "upper", "listed"] = "none"
    """Which layers have the window of `sliding_window`: all; every second, from the first; all but the last of each
    `sliding_window_pattern`; those from `max_window_layers` on; those of `layer_types`, where it is used at all."""
    experts: ExpertKeys | None = None
    latent: bool = False
    """Latent attention."""
    hybrid: Literal["none", "blocks", "delta", "kimi", "jamba"] = "none"
    """How the file lists layers that keep a state (sim.spec.huggingface_hybrid)."""
    four_hidden: bool = False
    """Whether the feed-forward is four times as wide as the residual stream where the file does not say."""
    note: str | None = None
    """What the weights hold beside the shape."""

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Give the keys for one field of a shape, the usual one first."""
        return self.keys.get(name, (SIZES[name],))

    def needed(self) -> tuple[str, ...]:
        """Give the keys that a file of this architecture has to have."""
        names = [name for name in NEEDED if not (name == "ffn_hidden" and self.four_hidden)]
        names += ["max_positions"] if self.position == "learned" else []
        names += ["kv_heads"] if self.grouped else []
        keys = [self.keys_of(name)[0] for name in names]
        keys += list(LATENT.values())[1:] if self.latent else []
        keys += HYBRID_KEYS.get(self.hybrid, ())
        if self.experts is not None:
            keys += [self.experts.count[0], self.experts.top_k[0], self.experts.ffn]
        return tuple(dict.fromkeys(keys))


HYBRID_KEYS: Mapping[str, tuple[str, ...]] = {
    "blocks": ("mamba_num_heads", "mamba_head_dim", "ssm_state_size", "n_groups"),
    "delta": ("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim"),
    "kimi": ("linear_attn_config",),
    "jamba": ("attn_layer_period", "attn_layer_offset", "expert_layer_period", "expert_layer_offset"),
}
"""Keys that a file needs for layers that keep a state."""
LATENT: Mapping[str, str] = {
    "q_rank": "q_lora_rank",
    "kv_rank": "kv_lora_rank",
    "rope_dim": "qk_rope_head_dim",
    "nope_dim": "qk_nope_head_dim",
    "value_dim": "v_head_dim",
}
"""Fields of latent attention and their keys; the first may be left out or null."""

_QWEN = {"use_sliding_window": False, "max_window_layers": 28}
_QWEN_EXPERTS = ("num_experts", "num_local_experts")
_GPT_NAMES = {"layers": ("n_layer", "num_hidden_layers"), "heads": ("n_head", "num_attention_heads")}
_LLAMA_SIZES = {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}
_MISTRAL_SIZES = _LLAMA_SIZES | {
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
}
_QWEN2_SIZES = _LLAMA_SIZES | {
    "num_key_value_heads": 32,
    "intermediate_size": 22016,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
}
_GEMMA3_SIZES = {
    "num_hidden_layers": 26,
    "hidden_size": 2304,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "intermediate_size": 9216,
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
}

_DELTA_SIZES = {"head_dim": 256, "linear_conv_kernel_dim": 4, "full_attention_interval": 4}
_QWEN_NEXT_EXPERTS = ExpertKeys(
    _QWEN_EXPERTS,
    shared_ffn="shared_expert_intermediate_size",
    dense_list="mlp_only_layers",
    every="decoder_sparse_step",
)
_ONE_TOKEN = "Without the modules that predict more than one token."

_DEEPSEEK = Architecture(
    "DeepSeek",
    latent=True,
    experts=ExpertKeys(("n_routed_experts",), shared="n_shared_experts", dense_layers="first_k_dense_replace"),
    # A bias of latent attention is not counted, and no published model has one.
    only={"attention_bias": False, "moe_layer_freq": 1},
    note=_ONE_TOKEN,
)
_GEMMA = Architecture(
    "Gemma", defaults={"head_dim": 256, "attention_bias": False}, bias="attention", bias_key="attention_bias", tied=True
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture(
        "Llama", nested=_LLAMA_SIZES, bias="attention", bias_key="attention_bias", only={"mlp_bias": False}
    ),
    "mistral": Architecture(
        "Mistral", nested=_MISTRAL_SIZES, defaults={"sliding_window": 4096}, grouped=True, window="all"
    ),
    "mixtral": Architecture(
        "Mixtral", grouped=True, window="all", experts=ExpertKeys(("num_local_experts",), ffn="intermediate_size")
    ),
    "qwen2": Architecture("Qwen2", nested=_QWEN2_SIZES, defaults=_QWEN, grouped=True, bias="qkv", window="upper"),
    "qwen2_moe": Architecture(
        "Qwen2",
        defaults=_QWEN | {"qkv_bias": True},
        grouped=True,
        bias="qkv",
        bias_key="qkv_bias",
        window="listed",
        experts=ExpertKeys(
            _QWEN_EXPERTS,
            shared_ffn="shared_expert_intermediate_size",
            dense_list="mlp_only_layers",
            every="decoder_sparse_step",
        ),
    ),
    "qwen3": Architecture(
        "Qwen3",
        defaults=_QWEN | {"head_dim": 128},
        grouped=True,
        bias="attention",
        bias_key="attention_bias",
        qk_norm=True,
        window="upper",
    ),
    "qwen3_moe": Architecture(
        "Qwen3",
        defaults=_QWEN,
        grouped=True,
        bias="attention",
        bias_key="attention_bias",
        qk_norm=True,
        window="listed",
        experts=ExpertKeys(_QWEN_EXPERTS, dense_list="mlp_only_layers", every="decoder_sparse_step"),
    ),
    "gemma": _GEMMA,
    "gemma2": Architecture(
        "Gemma",
        defaults={"head_dim": 256, "sliding_window": 4096},
        grouped=True,
        bias="attention",
        bias_key="attention_bias",
        norms_per_layer=4,
        tied=True,
        window="alternate",
    ),
    "gemma3": Architecture(
        "Gemma",
        nested=_GEMMA3_SIZES,
        defaults={"head_dim": 256, "sliding_window": 4096, "sliding_window_pattern": 6},
        grouped=True,
        bias="attention",
        bias_key="attention_bias",
        norms_per_layer=4,
        qk_norm=True,
        tied=True,
        window="pattern",
    ),
    "phi": Architecture(
        "Phi",
        gated=False,
        bias="all",
        norms_per_layer=1,
        norm_vectors=2,
        only={"qk_layernorm": False},
        note="Without the bias of the output head.",
    ),
    "phi3": Architecture("Phi", window="all"),
    "falcon": Architecture(
        "Falcon",
        keys={
            "layers": ("num_hidden_layers", "n_layer"),
            "heads": ("num_attention_heads", "n_head"),
            "hidden": ("hidden_size", "n_embed"),
            "kv_heads": ("num_kv_heads", "n_head_kv"),
            "ffn_hidden": ("ffn_hidden_size",),
        },
        defaults={"max_position_embeddings": 2048},
        gated=False,
        bias="all",
        bias_key="bias",
        norm_vectors=2,
        tied=True,
        four_hidden=True,
    ),
    "opt": Architecture(
        "OPT",
        keys={"ffn_hidden": ("ffn_dim",)},
        defaults={"enable_bias": True},
        only={"do_layer_norm_before": True, "layer_norm_elementwise_affine": True},
        equal={"word_embed_proj_dim": "hidden_size"},
        gated=False,
        bias="all",
        bias_key="enable_bias",
        norm_vectors=2,
        position="learned",
        tied=True,
        note="Without the two rows by which the table of positions is longer than its longest sequence.",
    ),
    "bloom": Architecture(
        "BLOOM",
        keys=_GPT_NAMES
        | {"hidden": ("hidden_size", "n_embed"), "ffn_hidden": ("n_inner",), "max_positions": ("seq_length",)},
        gated=False,
        bias="all",
        norm_vectors=2,
        position="alibi",
        tied=True,
        four_hidden=True,
        note="Without the normalisation of the embedding.",
    ),
    "gpt2": Architecture(
        "GPT-2",
        keys=_GPT_NAMES
        | {
            "hidden": ("n_embd", "hidden_size"),
            "ffn_hidden": ("n_inner",),
            "max_positions": ("n_positions", "n_ctx", "max_position_embeddings"),
        },
        only={"add_cross_attention": False},
        gated=False,
        bias="all",
        norm_vectors=2,
        position="learned",
        tied=True,
        four_hidden=True,
    ),
    "gpt_neox": Architecture(
        "GPT-NeoX", only={"attention_bias": True}, gated=False, bias="all", norm_vectors=2, position="rotary"
    ),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "gpt_oss": Architecture(
        "gpt-oss",
        defaults={"head_dim": 64, "sliding_window": 128},
        grouped=True,
        only={"attention_bias": True},
        bias="all",
        window="alternate",
        experts=ExpertKeys(
            ("num_local_experts", "num_experts"),
            ffn="intermediate_size",
            top_k=("num_experts_per_tok", "experts_per_token"),
        ),
        note="Without the attention sinks.",
    ),
    "nemotron_h": Architecture(
        "Nemotron-H",
        defaults={"conv_kernel": 4, "chunk_size": 128},
        keys={"head_dim": ("head_dim", "attention_head_dim")},
        only={"attention_bias": False, "mlp_bias": False, "use_bias": False, "mamba_proj_bias": False},
        grouped=True,
        gated=False,
        norms_per_layer=1,
        hybrid="blocks",
        note=_ONE_TOKEN,
    ),
    "qwen3_next": Architecture(
        "Qwen3-Next",
        defaults=_DELTA_SIZES | {"decoder_sparse_step": 1, "mlp_only_layers": []},
        only={"attention_bias": False},
        grouped=True,
        qk_norm=True,
        hybrid="delta",
        experts=_QWEN_NEXT_EXPERTS,
        note=_ONE_TOKEN,
    ),
    "qwen3_5": Architecture(
        "Qwen3.5",
        defaults=_DELTA_SIZES,
        only={"attention_bias": False},
        grouped=True,
        qk_norm=True,
        hybrid="delta",
        note=_ONE_TOKEN,
    ),
    "qwen3_5_moe": Architecture(
        "Qwen3.5",
        keys={"ffn_hidden": ("intermediate_size", "moe_intermediate_size")},
        defaults=_DELTA_SIZES,
        only={"attention_bias": False},
        grouped=True,
        qk_norm=True,
        hybrid="delta",
        experts=ExpertKeys(_QWEN_EXPERTS, shared_ffn="shared_expert_intermediate_size", dense_list="mlp_only_layers"),
        note=_ONE_TOKEN,
    ),
    "kimi_linear": Architecture(
        "Kimi",
        keys={"max_positions": ("model_max_length", "max_position_embeddings")},
        only={"moe_layer_freq": 1},
        latent=True,
        hybrid="kimi",
        experts=ExpertKeys(
            ("num_experts",),
            top_k=("num_experts_per_token",),
            shared="num_shared_experts",
            dense_layers="first_k_dense_replace",
        ),
    ),
    "jamba": Architecture(
        "Jamba",
        defaults={"mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": "auto"},
        only={"mamba_conv_bias": True, "mamba_proj_bias": False},
        grouped=True,
        hybrid="jamba",
    ),
    "glm": Architecture(
        "GLM",
        defaults={"head_dim": 128, "attention_bias": True},
        grouped=True,
        bias="qkv",
        bias_key="attention_bias",
    ),
    "glm4": Architecture(
        "GLM",
        defaults={"head_dim": 128, "attention_bias": True},
        grouped=True,
        bias="qkv",
        bias_key="attention_bias",
        norms_per_layer=4,
    ),
    "glm4_moe": Architecture(
        "GLM",
        defaults={"first_k_dense_replace": 1},
        grouped=True,
        bias="qkv",
        bias_key="attention_bias",
        qk_norm_key="use_qk_norm",
        experts=ExpertKeys(
            ("n_routed_experts", "num_experts"), shared="n_shared_experts", dense_layers="first_k_dense_replace"
        ),
        note=_ONE_TOKEN,
    ),
}
"""Architectures by `model_type`."""
ALIASES: Mapping[str, str] = {
    "gemma3_text": "gemma3",
    "qwen3_5_text": "qwen3_5",
    "qwen3_5_moe_text": "qwen3_5_moe",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
}
"""Other names of the same."""
