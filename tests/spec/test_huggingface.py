"""Shapes read from config.json against the catalogue, against public totals, and against files made to break it."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.parameters import count
from sim.errors import NotYetError, ScenarioError, SimError
from sim.spec import catalog
from sim.spec.architectures import ALIASES, ARCHITECTURES
from sim.spec.huggingface import from_config
from sim.spec.model import ModelShape

Json = dict[str, Any]


def usual(model_type: str, sizes: tuple[int, ...], **more: Any) -> Json:
    """A configuration with the keys that most architectures share."""
    keys = (
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
    )
    return {"model_type": model_type} | dict(zip(keys, sizes, strict=True)) | more


def experts(routed: int, top_k: int, ffn: int, **more: Any) -> Json:
    return {"num_experts": routed, "num_experts_per_tok": top_k, "moe_intermediate_size": ffn} | more


def deepseek(model_type: str, sizes: tuple[int, ...], routed: int, ffn: int, **more: Any) -> Json:
    latent = {
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
    }
    mixture = {"n_routed_experts": routed, "moe_intermediate_size": ffn, "n_shared_experts": 1}
    return usual(model_type, sizes, **(latent | mixture | {"moe_layer_freq": 1, "attention_bias": False} | more))


LLAMA_8B = usual("llama", (32, 4096, 32, 8, 14336, 128256, 131072), tie_word_embeddings=False, attention_bias=False)
QWEN3_MOE = usual("qwen3_moe", (48, 2048, 32, 4, 6144, 151936, 40960), head_dim=128, **experts(128, 8, 768)) | {
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "use_sliding_window": False,
    "attention_bias": False,
}
DEEPSEEK_V3 = deepseek(
    "deepseek_v3",
    (61, 7168, 128, 128, 18432, 129280, 163840),
    256,
    2048,
    num_experts_per_tok=8,
    first_k_dense_replace=3,
)
GEMMA3_TEXT = {
    "model_type": "gemma3_text",
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 34,
    "sliding_window": 1024,
}
GPT_OSS = usual("gpt_oss", (36, 2880, 64, 8, 2880, 201088, 131072), head_dim=64, sliding_window=128) | {
    "num_local_experts": 128,
    "num_experts_per_tok": 4,
    "attention_bias": True,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
}
GPT2 = {
    "model_type": "gpt2",
    "n_layer": 12,
    "n_embd": 768,
    "n_head": 12,
    "n_inner": None,
    "vocab_size": 50257,
    "n_positions": 1024,
}
FALCON = {"model_type": "falcon", "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False}
FALCON_SIZES = {"hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8}

CATALOGUE = {
    "llama-3.1-8b": LLAMA_8B,
    "llama-3.1-405b": usual("llama", (126, 16384, 128, 8, 53248, 128256, 131072), head_dim=None, mlp_bias=False),
    "llama-2-7b": usual("llama", (32, 4096, 32, 32, 11008, 32000, 4096), tie_word_embeddings=False),
    "llama-3.2-1b": usual("llama", (16, 2048, 32, 8, 8192, 128256, 131072), head_dim=64, tie_word_embeddings=True),
    "mistral-7b": usual("mistral", (32, 4096, 32, 8, 14336, 32000, 32768), sliding_window=4096),
    "mistral-nemo-12b": usual("mistral", (40, 5120, 32, 8, 14336, 131072, 131072), head_dim=128, sliding_window=None),
    "mixtral-8x7b": usual("mixtral", (32, 4096, 32, 8, 14336, 32000, 32768), sliding_window=None)
    | {"num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen2.5-72b": usual("qwen2", (80, 8192, 64, 8, 29568, 152064, 32768), use_sliding_window=False)
    | {"max_window_layers": 70, "sliding_window": 131072},
    "qwen2.5-0.5b": usual("qwen2", (24, 896, 14, 2, 4864, 151936, 32768), tie_word_embeddings=True),
    "qwen2-57b-a14b": usual("qwen2_moe", (28, 3584, 28, 4, 18944, 151936, 131072), **experts(64, 8, 2560))
    | {"shared_expert_intermediate_size": 20480, "decoder_sparse_step": 1},
    "qwen3-8b": usual("qwen3", (36, 4096, 32, 8, 12288, 151936, 40960), head_dim=128, attention_bias=False),
    "qwen3-30b-a3b": QWEN3_MOE,
    "gemma-2-9b": usual("gemma2", (42, 3584, 16, 8, 14336, 256128, 8192), head_dim=256, sliding_window=4096),
    "gemma-2-27b": usual("gemma2", (46, 4608, 32, 16, 36864, 256128, 8192), head_dim=128, sliding_window=4096),
    "gemma-7b": usual("gemma", (28, 3072, 16, 16, 24576, 256128, 8192)),
    "gemma-3-27b": {
        "model_type": "gemma3",
        "text_config": usual("gemma3_text", (62, 5376, 32, 16, 21504, 262144, 131072), head_dim=128)
        | {"sliding_window": 1024, "sliding_window_pattern": 6},
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
    },
    "phi-2": usual("phi", (32, 2560, 32, 32, 10240, 51200, 2048), qk_layernorm=False),
    "phi-3-mini": usual("phi3", (32, 3072, 32, 32, 8192, 32064, 4096), sliding_window=2047),
    "phi-4": usual("phi3", (40, 5120, 40, 10, 17920, 100352, 16384), sliding_window=None),
    "falcon-7b": FALCON | {"hidden_size": 4544, "n_layer": 32, "n_head": 71, "vocab_size": 65024},
    "falcon-40b": FALCON
    | FALCON_SIZES
    | {"vocab_size": 65024, "new_decoder_architecture": True, "tie_word_embeddings": False},
    "opt-66b": usual("opt", (64, 9216, 72, 72, 0, 50272, 2048), ffn_dim=36864, word_embed_proj_dim=9216)
    | {"do_layer_norm_before": True, "enable_bias": True},
    "bloom-176b": {"model_type": "bloom", "n_layer": 70, "hidden_size": 14336, "n_head": 112, "vocab_size": 250880},
    "bloom-7.1b": {"model_type": "bloom", "n_layer": 30, "n_embed": 4096, "num_attention_heads": 32}
    | {"vocab_size": 250880, "seq_length": 2048},
    "deepseek-v2": deepseek("deepseek_v2", (60, 5120, 128, 128, 12288, 102400, 163840), 160, 1536)
    | {"n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1},
    "deepseek-v2-lite": deepseek("deepseek_v2", (27, 2048, 16, 16, 10944, 102400, 163840), 64, 1408)
    | {"n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1, "q_lora_rank": None},
    "deepseek-v3": DEEPSEEK_V3,
    "kimi-k2": deepseek("kimi_k2", (61, 7168, 64, 64, 18432, 163840, 131072), 384, 2048)
    | {"num_experts_per_tok": 8, "first_k_dense_replace": 1},
    "gpt-oss-120b": GPT_OSS,
    "glm-4.5": usual("glm4_moe", (92, 5120, 96, 8, 12288, 151552, 131072), head_dim=128, attention_bias=True)
    | {"use_qk_norm": True, "n_routed_experts": 160, "num_experts_per_tok": 8, "n_shared_experts": 1}
    | {"moe_intermediate_size": 1536, "first_k_dense_replace": 3},
    "glm-4.5-air": usual("glm4_moe", (46, 4096, 96, 8, 10944, 151552, 131072), head_dim=128, attention_bias=True)
    | {"use_qk_norm": False, "n_routed_experts": 128, "num_experts_per_tok": 8, "n_shared_experts": 1}
    | {"moe_intermediate_size": 1408},
}
"""Public hyper-parameters of models that the catalogue has too. Gemma's vocabulary stands as padded there."""
TOTALS = {
    "gpt2": (GPT2, 124_439_808),
    "gpt_neox": (usual("gpt_neox", (44, 6144, 64, 64, 24576, 50432, 2048)), 20_554_567_680),
    "falcon": (CATALOGUE["falcon-7b"], 6_921_720_704),
    "gemma2": (CATALOGUE["gemma-2-27b"] | {"vocab_size": 256000}, 27_227_128_320),
    # The total of the weights less the image encoder and its projector.
    "gemma3": ({"model_type": "gemma3", "text_config": GEMMA3_TEXT}, 4_300_079_472 - 416_866_032 - 2_950_272),
    "glm": (usual("glm", (40, 4096, 32, 2, 13696, 151552, 131072), head_dim=128), 9_399_951_360),
    "glm4": (
        usual("glm4", (61, 6144, 48, 2, 23040, 151552, 32768), head_dim=128, attention_bias=False),
        32_566_081_536,
    ),
}
"""Elements of public weights (memory) where the catalogue has no such model, or another vocabulary."""


def read(tmp_path: Path, config: object) -> ModelShape:
    file = tmp_path / "config.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config, indent=2), encoding="utf-8")
    return from_config(file)


def problem(tmp_path: Path, config: object) -> str:
    with pytest.raises(SimError) as caught:
        read(tmp_path, config)
    return str(caught.value)


@pytest.mark.parametrize("name", CATALOGUE)
def test_parameters_are_those_of_the_catalogue(name: str, tmp_path: Path) -> None:
    assert count(read(tmp_path, CATALOGUE[name])) == count(catalog.load("models", name))


@pytest.mark.parametrize("name", TOTALS)
def test_parameters_are_those_of_public_weights(name: str, tmp_path: Path) -> None:
    config, total = TOTALS[name]
    assert count(read(tmp_path, config)).total == total


def test_every_architecture_is_tried_on_a_real_model() -> None:
    tried = [*CATALOGUE.values(), *(config for config, _ in TOTALS.values())]
    types = {config.get("text_config", config)["model_type"] for config in tried}
    assert {ALIASES.get(model_type, model_type) for model_type in types} == {
        name for name, known in ARCHITECTURES.items() if known.hybrid == "none"
    }


@pytest.mark.parametrize("name", ["deepseek-v3", "gpt-oss-120b", "mixtral-8x7b", "gemma-2-27b", "mistral-7b"])
def test_the_whole_shape_is_that_of_the_catalogue(name: str, tmp_path: Path) -> None:
    ours, known = read(tmp_path, CATALOGUE[name]), catalog.load("models", name)
    told = {"name", "title", "family", "released", "notes", "source", "source_status", "source_date"}
    told |= {"published_parameters", "published_active_parameters"}
    assert ours.model_dump(exclude=told) == known.model_dump(exclude=told)


@pytest.mark.parametrize(
    ("config", "types", "window"),
    [
        (CATALOGUE["mistral-7b"], ("sliding",), 4096),
        (CATALOGUE["mistral-7b"] | {"sliding_window": 32768}, None, None),
        ({key: value for key, value in CATALOGUE["mistral-7b"].items() if key != "sliding_window"}, ("sliding",), 4096),
        (CATALOGUE["gemma-3-27b"], ("sliding",) * 5 + ("full",), 1024),
        (GPT_OSS, ("sliding", "full"), 128),
        (CATALOGUE["qwen2.5-72b"], None, None),
        (CATALOGUE["qwen2.5-72b"] | {"use_sliding_window": True}, None, None),
        (
            CATALOGUE["qwen2.5-72b"] | {"use_sliding_window": True, "sliding_window": 4096},
            ("full",) * 70 + ("sliding",) * 10,
            4096,
        ),
        (CATALOGUE["qwen2.5-72b"] | {"use_sliding_window": True, "max_window_layers": 80}, None, None),
        (LLAMA_8B | {"sliding_window": 512}, None, None),
        (GPT_OSS | {"layer_types": ["full_attention"] * 36}, None, None),
        (GPT_OSS | {"layer_types": None}, ("sliding", "full"), 128),
    ],
)
def test_windows(config: Json, types: tuple[str, ...] | None, window: int | None, tmp_path: Path) -> None:
    shape = read(tmp_path, config)
    assert (shape.layer_types, shape.sliding_window) == (types, window)


@pytest.mark.parametrize(
    ("more", "key_heads", "norms"),
    [
        ({}, 1, 1),
        ({"multi_query": False}, 128, 1),
        ({"parallel_attn": False}, 1, 2),
        ({"new_decoder_architecture": True}, 8, 2),
        ({"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1}, 8, 1),
    ],
)
def test_the_flags_of_falcon(more: Json, key_heads: int, norms: int, tmp_path: Path) -> None:
    shape = read(tmp_path, FALCON | FALCON_SIZES | {"vocab_size": 65024} | more)
    assert (shape.kv_heads, shape.norms_per_layer, shape.ffn_hidden) == (key_heads, norms, 4 * 8192)


def test_experts_after_dense_layers_and_every_second(tmp_path: Path) -> None:
    shape = read(tmp_path, QWEN3_MOE | {"mlp_only_layers": [0, 1], "decoder_sparse_step": 2})
    assert [shape.has_experts(layer) for layer in range(6)] == [False, False, False, True, False, True]
    assert read(tmp_path, DEEPSEEK_V3 | {"n_routed_experts": None}).experts is None


def test_text_part_of_a_model_of_images_says_what_it_took_as_given(tmp_path: Path) -> None:
    shape = read(tmp_path, {"model_type": "gemma3", "text_config": GEMMA3_TEXT, "vision_config": {"hidden_size": 1}})
    assert (shape.hidden, shape.heads, shape.kv_heads, shape.vocab) == (2560, 8, 4, 262208)
    assert "num_attention_heads 8" in (shape.notes or "")
    nested = {"model_type": "llava", "tie_word_embeddings": True, "text_config": LLAMA_8B}
    del nested["text_config"]["tie_word_embeddings"]
    assert read(tmp_path, nested).tied_embeddings


@pytest.mark.parametrize(
    ("file", "told", "name"),
    [
        ("Qwen2.5-7B Instruct/config.json", None, "qwen2.5-7b-instruct"),
        ("x/My_Model.json", "other", "my-model"),
        (f"models--org--Tiny-2/snapshots/{'a1' * 20}/config.json", None, "tiny-2"),
        ("___/config.json", "org/Told_1.5B/", "told-1.5b"),
        ("___/config.json", 7, "imported"),
        ("é/config.json", "\x1b[31m" * 40, "31m-" * 15 + "31m"),
    ],
)
def test_name(file: str, told: object, name: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(LLAMA_8B | {"_name_or_path": told}), encoding="utf-8")
    assert from_config(path).name.startswith(name[:40])


def test_missing_keys_are_all_named_with_the_place(tmp_path: Path) -> None:
    config = {key: value for key, value in LLAMA_8B.items() if key not in {"hidden_size", "vocab_size"}}
    said = problem(tmp_path, config)
    assert "config.json:1:1: 'hidden_size' is missing, which llama needs; missing too: vocab_size" in said
    assert "'num_experts' (or num_local_experts) is missing" in problem(
        tmp_path, {key: value for key, value in QWEN3_MOE.items() if key != "num_experts"}
    )


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (GPT2, "n_positions"),
        (CATALOGUE["mistral-7b"], "num_key_value_heads"),
        (DEEPSEEK_V3, "n_shared_experts"),
        (DEEPSEEK_V3, "kv_lora_rank"),
        (GPT_OSS, "num_experts_per_tok"),
        (CATALOGUE["qwen2-57b-a14b"], "shared_expert_intermediate_size"),
    ],
)
def test_keys_that_have_no_usual_value_are_asked_for(config: Json, key: str, tmp_path: Path) -> None:
    said = problem(tmp_path, {name: value for name, value in config.items() if name != key})
    assert f"'{key}'" in said
    assert "is missing, which " in said


@pytest.mark.parametrize(
    ("config", "key", "rule"),
    [
        (LLAMA_8B | {"hidden_size": "4096"}, "hidden_size", "hidden_size must be a whole number"),
        (LLAMA_8B | {"hidden_size": 4096.0}, "hidden_size", "hidden_size must be a whole number"),
        (LLAMA_8B | {"hidden_size": True}, "hidden_size", "hidden_size must be a whole number"),
        (LLAMA_8B | {"hidden_size": [4096]}, "hidden_size", "hidden_size must be a whole number"),
        (LLAMA_8B | {"hidden_size": -1}, "hidden_size", "from 1 to 1,000,000,000"),
        (LLAMA_8B | {"hidden_size": 10**40}, "hidden_size", "from 1 to 1,000,000,000"),
        (LLAMA_8B | {"num_hidden_layers": 10**9}, "num_hidden_layers", "from 1 to 10,000"),
        (LLAMA_8B | {"num_key_value_heads": 5}, "num_key_value_heads", "must divide the 32 query heads"),
        (LLAMA_8B | {"tie_word_embeddings": "no"}, "tie_word_embeddings", "must be true or false"),
        (LLAMA_8B | {"num_attention_heads": 24}, "{", "4096 is no multiple of 24 heads"),
        (QWEN3_MOE | {"num_experts_per_tok": 129}, "num_experts_per_tok", "must be at most the 128 experts"),
        (QWEN3_MOE | {"mlp_only_layers": [3]}, "mlp_only_layers", "must list the first layers"),
        (GPT_OSS | {"layer_types": ["full_attention"]}, "layer_types", "must list all 36 layers"),
        (GPT_OSS | {"layer_types": ["linear_attention"] * 36}, "layer_types", "has 'linear_attention'"),
        (
            {"model_type": "x", "text_config": LLAMA_8B | {"hidden_size": 0}},
            "hidden_size",
            "hidden_size must be a whole",
        ),
    ],
)
def test_wrong_values_are_told_with_their_place(config: Json, key: str, rule: str, tmp_path: Path) -> None:
    said = problem(tmp_path, config)
    lines = (tmp_path / "config.json").read_text(encoding="utf-8").splitlines()
    head = key if key == "{" else f'"{key}": '
    line, found = next((number, line) for number, line in enumerate(lines, start=1) if head in line)
    column = 1 if key == "{" else found.index(head) + len(head) + 1
    assert said.startswith(f"{tmp_path}/config.json:{line}:{column}: ")
    assert rule in said


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (LLAMA_8B | {"mlp_bias": True}, "mlp_bias is false in every llama"),
        (DEEPSEEK_V3 | {"moe_layer_freq": 2}, "moe_layer_freq is 1 in every deepseek_v3"),
        (CATALOGUE["opt-66b"] | {"word_embed_proj_dim": 512}, "word_embed_proj_dim is 9216"),
    ],
)
def test_what_a_shape_cannot_say_is_not_yet(config: Json, rule: str, tmp_path: Path) -> None:
    with pytest.raises(NotYetError, match=rule):
        read(tmp_path, config)


def test_windows_that_are_not_listed_are_not_guessed(tmp_path: Path) -> None:
    config = QWEN3_MOE | {"use_sliding_window": True, "sliding_window": 4096}
    assert "'layer_types' is missing" in problem(tmp_path, config)


@pytest.mark.parametrize(
    ("config", "nearest"),
    [
        (LLAMA_8B | {"model_type": "llama9"}, "llama"),
        (QWEN3_MOE | {"model_type": "qwen3_moe_vl"}, "qwen3_moe"),
        (DEEPSEEK_V3 | {"model_type": "zzz"}, "deepseek_v2"),
        ({"model_type": "zzz", "n_layer": 1, "n_embd": 1, "n_head": 1, "n_positions": 1, "vocab_size": 9}, "gpt2"),
    ],
)
def test_unknown_architectures_name_the_nearest(config: Json, nearest: str, tmp_path: Path) -> None:
    said = problem(tmp_path, config)
    assert f"the nearest known is {nearest}, which needs " in said
    assert "which are all here" in said
    del config["vocab_size"]
    assert "missing here: vocab_size" in problem(tmp_path, config)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"model_type": "llama",\n  "hidden_size": 1,,\n}', ":2:20: this is not JSON: illegal trailing comma"),
        ("", ":1:1: this is not JSON"),
        ("[1, 2]", "a configuration is a JSON object"),
        ('"llama"', "a configuration is a JSON object"),
        ("{}", "'model_type' is missing"),
        ('{"model_type": ["llama"]}', "are not known here"),
        ('{"model_type": "llama", "text_config": {}}', "'num_hidden_layers' is missing"),
        ('{"model_type": "llama", "model_type": "opt"}', "the key 'model_type' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"model_type": "llama", "hidden_size": ' + "9" * 5000 + "}", "4300"),
        ('{"model_type": "llama", "hidden_size": NaN}', "'num_hidden_layers' is missing"),
    ],
)
def test_hostile_text(text: str, rule: str, tmp_path: Path) -> None:
    said = problem(tmp_path, text)
    if "illegal trailing comma" in rule:  # the words of Python 3.13
        rule = ":2:20: this is not JSON"
    assert rule in said
    assert len(said) < 2000


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(bytes(range(256)))
    with pytest.raises(ScenarioError, match="this is not text"):
        from_config(file)
    file.write_bytes(b" " * 4_000_001)
    with pytest.raises(ScenarioError, match="at most 4,000,000 bytes"):
        from_config(file)
    with pytest.raises(ScenarioError, match="no such file"):
        from_config(tmp_path / "other.json")
    with pytest.raises(ScenarioError, match=r"huggingface\.co/no-such-owner/name/raw"):
        from_config("no-such-owner/name")
    with pytest.raises(ScenarioError, match="cannot be read"):
        from_config("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScenarioError, match="not a plain file"):
        from_config(tmp_path / "pipe")


def test_a_folder_and_a_byte_order_mark_are_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(LLAMA_8B).encode())
    assert from_config(tmp_path).hidden == 4096


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(CATALOGUE)), st.data())
def test_any_value_of_any_key_gives_a_shape_or_an_error(name: str, data: st.DataObject) -> None:
    config = json.loads(json.dumps(CATALOGUE[name]))
    inner = config.get("text_config", config)
    for key in data.draw(st.lists(st.sampled_from(sorted(inner)), min_size=1, max_size=3)):
        inner[key] = data.draw(JUNK)
    file = Path(os.environ["PYTEST_CURRENT_FOLDER"]) / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    with contextlib.suppress(SimError):
        assert count(from_config(file)).total > 0


@pytest.fixture(autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the property test, which has no folder of its own for each example, one for all of them."""
    monkeypatch.setenv("PYTEST_CURRENT_FOLDER", str(tmp_path_factory.mktemp("examples")))
