"""The tables of names lead to entries of the catalogue that there are."""

import re

import pytest

from sim.spec import catalog
from sim.spec.model import ModelShape
from sim.validate.names import names


def test_every_accelerator_profile_and_fabric_exists() -> None:
    for chip in names().accelerators.values():
        catalog.load("accelerators", chip.accelerator)
    for rule in names().profiles:
        catalog.load("profiles", rule.profile)
    for fabric in names().fabrics:
        catalog.load("fabrics", fabric.fabric)


def test_every_model_that_a_rule_names_exists() -> None:
    for rule in names().models:
        sizes = re.findall(r"\((\d+(?:\|\d+)*)\)", rule.pattern)
        found = (
            [rule.model.replace("\\1", size) for size in sizes[0].split("|")] if "\\1" in rule.model else [rule.model]
        )
        for name in found:
            assert isinstance(catalog.load("models", name), ModelShape)


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ("LLAMA3.1_405B", "llama-3.1-405b"),
        ("Llama3-405B", "llama-3.1-405b"),
        ("llama3.1-405b cut to 4 layers", "llama-3.1-405b"),
        ("Llama2-70B-LoRA", "llama-2-70b"),
        ("LLaMA-33B", "llama-1-33b"),
        ("Nemotron-340B", "nemotron-4-340b"),
        ("GPT OSS 120B", "gpt-oss-120b"),
        ("GPT3-175B (Paxml JAX)", "gpt3-175b"),
        ("GPT-1.7B", None),
        ("Qwen3_30B_a3B (tokendrop)", "qwen3-30b-a3b"),
    ],
)
def test_names_of_tables_are_recognised(written: str, model: str | None) -> None:
    assert names().catalogue_model(written) == model


def test_the_last_rule_of_each_list_matches_all() -> None:
    assert names().software("nobody/knows", "other").profile == "megatron-core"
    assert names().precision("nobody/knows", "other").precision == "bf16"
    assert names().family("nobody knows").gated


def test_software_goes_by_source_and_publication() -> None:
    assert names().software("nvidia-megatron-lm/narayanan21/gpt-1t", "ampere").profile == "megatron-2021"
    assert names().software("nvidia-megatron-lm/korthikanti22/gpt-175b", "ampere").profile == "megatron-2022"
    assert names().software("nvidia-megatron-lm/mlm/gpt-16b", "hopper").profile == "megatron-core"
    assert names().software("mosaic-llm-foundry/mosaic/mpt-7b", "hopper").profile == "llm-foundry"
    bridge = "nvidia-megatron-bridge/mbridge"
    assert names().software(f"{bridge}/qwen3-30b-a3b/26.04.01", "blackwell").profile == "nemo"
    assert names().software(f"{bridge}/qwen3-30b-a3b/26.06", "blackwell").profile == "megatron-bridge-2606"
    assert names().software(f"{bridge}/gpt-oss-120b/26.06.01", "blackwell").profile == "nemo-sinks"
    assert names().software("dgxc/dgxc/llama2-70b-(maxtext-jax)", "hopper").profile == "xla-gpu"


@pytest.mark.parametrize(
    ("words", "stage"),
    [("fsdp_shard_grad_op(zero2)", 2), ("fsdp(64)+dp", 3), ("ddp+distributed optimizer", 1), ("dp", 0), ("zero0", 0)],
)
def test_words_for_sharding_become_zero_stages(words: str, stage: int) -> None:
    rule = names().sharding_rule(words)
    assert rule is not None
    assert rule.stage == stage


def test_offload_is_refused_with_a_reason() -> None:
    rule = names().sharding_rule("zero3 + CPU AdamW offload")
    assert rule is not None
    assert rule.stage is None
    assert "offload" in rule.reason
