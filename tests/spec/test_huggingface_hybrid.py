"""Configurations of models that keep states: against the catalogue, and made to break the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.parameters import count
from sim.errors import SimError
from sim.spec import catalog
from sim.spec.architectures import ARCHITECTURES
from sim.spec.huggingface import from_config
from sim.spec.huggingface_hybrid import shortest_period

Json = dict[str, Any]
NANO: Json = {
    "model_type": "nemotron_h",
    "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    "hidden_size": 2688,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "intermediate_size": 1856,
    "vocab_size": 131072,
    "max_position_embeddings": 262144,
    "mamba_num_heads": 64,
    "mamba_head_dim": 64,
    "ssm_state_size": 128,
    "n_groups": 8,
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1856,
    "n_shared_experts": 1,
    "moe_shared_expert_intermediate_size": 3712,
    "attention_bias": False,
    "tie_word_embeddings": False,
}
QWEN: Json = {
    "model_type": "qwen3_next",
    "num_hidden_layers": 48,
    "hidden_size": 2048,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "intermediate_size": 5120,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "full_attention_interval": 4,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "tie_word_embeddings": False,
}
KIMI: Json = {
    "model_type": "kimi_linear",
    "num_hidden_layers": 27,
    "hidden_size": 2304,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 9216,
    "vocab_size": 163840,
    "model_max_length": 1048576,
    "q_lora_rank": None,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "num_experts": 256,
    "num_experts_per_token": 8,
    "moe_intermediate_size": 1024,
    "num_shared_experts": 1,
    "first_k_dense_replace": 1,
    "tie_word_embeddings": False,
    "linear_attn_config": {
        "full_attn_layers": [4, 8, 12, 16, 20, 24, 27],
        "num_heads": 32,
        "head_dim": 128,
        "short_conv_kernel_size": 4,
    },
}
JAMBA: Json = {
    "model_type": "jamba",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 65536,
    "max_position_embeddings": 262144,
    "attn_layer_period": 8,
    "attn_layer_offset": 4,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "num_experts": 16,
    "num_experts_per_tok": 2,
    "mamba_dt_rank": "auto",
    "tie_word_embeddings": False,
}
CATALOGUE = {
    "nemotron-3-nano-30b": NANO,
    "qwen3-next-80b-a3b": QWEN,
    "kimi-linear-48b-a3b": KIMI,
    "jamba-v0.1": JAMBA,
}


def written(folder: Path, config: Json) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_configuration_is_the_model_of_the_catalogue(name: str, tmp_path: Path) -> None:
    read, known = from_config(written(tmp_path, CATALOGUE[name])), catalog.load("models", name)
    assert count(read) == count(known)
    for layer in range(known.layers):
        assert (read.layer_type(layer), read.feed_forward(layer)) == (
            known.layer_type(layer),
            known.feed_forward(layer),
        )
    assert (read.linear, read.mamba, read.mla) == (known.linear, known.mamba, known.mla)


def test_every_architecture_is_tried() -> None:
    tried = {config["model_type"] for config in CATALOGUE.values()} | {"qwen3_5", "qwen3_5_moe"}
    assert tried == {name for name, known in ARCHITECTURES.items() if known.hybrid != "none"}


def test_a_dense_model_of_delta_rules(tmp_path: Path) -> None:
    sizes = {"num_hidden_layers": 64, "hidden_size": 5120, "num_attention_heads": 24, "num_key_value_heads": 4}
    sizes |= {"intermediate_size": 17408, "vocab_size": 248320, "linear_num_value_heads": 48}
    kept = {key: value for key, value in QWEN.items() if "expert" not in key}
    read = from_config(written(tmp_path, kept | sizes | {"model_type": "qwen3_5"}))
    assert count(read) == count(catalog.load("models", "qwen3.5-27b"))


def test_blocks_may_be_words_in_place_of_letters(tmp_path: Path) -> None:
    letters = from_config(written(tmp_path, NANO))
    words = {"M": "mamba", "E": "moe", "*": "attention"}
    listed = [words[letter] for letter in NANO["hybrid_override_pattern"]]
    plain = {key: value for key, value in NANO.items() if key != "hybrid_override_pattern"}
    assert from_config(written(tmp_path, plain | {"layers_block_type": listed})) == letters


def test_a_text_part_inside_another_file_and_a_latent_space(tmp_path: Path) -> None:
    inner = QWEN | {"model_type": "qwen3_5_moe_text"}
    inner.pop("intermediate_size")
    read = from_config(written(tmp_path, {"model_type": "qwen3_5_moe", "text_config": inner}))
    assert read.gated_attention
    assert read.layers_of("linear") == 36
    assert from_config(written(tmp_path, NANO | {"moe_latent_size": 1024})).experts.latent == 1024  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (NANO | {"hybrid_override_pattern": "MXM"}, "has 'X', which is no block"),
        (NANO | {"hybrid_override_pattern": ""}, "must list the blocks"),
        (NANO | {"hybrid_override_pattern": "***"}, "has no Mamba block"),
        ({key: value for key, value in NANO.items() if key != "hybrid_override_pattern"}, "is missing"),
        ({key: value for key, value in NANO.items() if key != "ssm_state_size"}, "'ssm_state_size' is missing"),
        (QWEN | {"layer_types": ["linear_attention"]}, "must list all 48 layers"),
        (QWEN | {"layer_types": ["mamba"] * 48}, "has 'mamba'"),
        (KIMI | {"linear_attn_config": 3}, "'linear_attn_config' is missing"),
        (KIMI | {"linear_attn_config": {"full_attn_layers": [99]}}, "a list of layers from 1 to 27"),
        (KIMI | {"linear_attn_config": {"full_attn_layers": [4]}}, "needs num_heads"),
        (JAMBA | {"attn_layer_period": 0}, "from 1"),
        (JAMBA | {"mamba_proj_bias": True}, "mamba_proj_bias"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(config: Json, said: str, tmp_path: Path) -> None:
    with pytest.raises(SimError) as raised:
        from_config(written(tmp_path, config))
    assert said in str(raised.value)


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=12))
def test_a_period_repeats_to_the_whole(types: list[str]) -> None:
    period = shortest_period(tuple(types))
    assert [period[at % len(period)] for at in range(len(types))] == types
