"""A replica: its layout, what its memory holds, and an iteration of it."""

import numpy as np
import pytest

from sim.cost.parameters import count
from sim.errors import InfeasibleError, NotYetError, UsageError
from sim.plan.serving import Changes, ServingLayout, replica_plan, weight_bytes_per_device
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec

H100 = ClusterSpec(accelerator="h100-sxm", count=8)
LLAMA = catalog.load("models", "llama-3.1-8b")
LLAMA_70B = catalog.load("models", "llama-3.1-70b")


def test_the_smallest_layout_is_one_device_where_the_model_fits() -> None:
    assert replica_plan(LLAMA, H100).layout == ServingLayout(1, 1, 1, 1)
    assert replica_plan(catalog.load("models", "llama-3.1-70b"), H100).layout.tensor_parallel == 4


def test_blocks_fill_what_weights_and_workspace_leave() -> None:
    plan = replica_plan(LLAMA, H100)
    assert plan.kv_bytes_per_token == 2 * 8 * 128 * 32 * 2
    held = plan.kv_tokens * plan.kv_bytes_per_token + plan.weights_bytes
    assert 0.85 * 80 * 2**30 < held < 0.9 * 80 * 2**30


def test_blocks_of_a_measured_engine() -> None:
    """vLLM 0.19 on an RTX 4090 with 2,048 tokens an iteration had 2,588 blocks (LLMServingSim run)."""
    card = ClusterSpec(accelerator="rtx-4090", count=1)
    plan = replica_plan(LLAMA, card, changes=Changes(token_budget=2048, max_sequences=256))
    assert plan.kv_blocks == pytest.approx(2588, rel=0.15)


def test_a_given_capacity_is_taken() -> None:
    plan = replica_plan(LLAMA, H100, changes=Changes(kv_blocks=100, token_budget=512, max_sequences=7))
    assert (plan.kv_blocks, plan.token_budget, plan.max_sequences) == (100, 512, 7)


def test_a_searched_layout_counts_tokens_in_the_blocks_that_were_asked_for() -> None:
    sizes = {replica_plan(LLAMA_70B, H100, changes=Changes(block_size=size)).layout for size in (1, 16, 256)}
    assert len(sizes) == 1


def test_a_draft_model_takes_its_memory() -> None:
    """Weights and cache of the draft stand beside those of the model: as if both were one."""
    alone, drafted = (replica_plan(LLAMA_70B, H100, changes=Changes(draft=draft)) for draft in (None, LLAMA))
    weights = 2 * count(LLAMA).total
    freed = alone.kv_tokens * alone.kv_bytes_per_token - weights
    each = alone.kv_bytes_per_token + 2 * 8 * 128 * 32 * 2
    assert drafted.layout == alone.layout
    assert drafted.kv_tokens == pytest.approx(freed / each, rel=1e-3)


def test_narrow_caches_hold_twice_as_much() -> None:
    wide, narrow = (replica_plan(LLAMA, H100, cache=cache) for cache in ("bf16", "fp8"))
    assert narrow.kv_tokens == pytest.approx(2 * wide.kv_tokens, rel=1e-3)


def test_weights_of_all_devices_are_the_parameters() -> None:
    for tensor in (1, 2, 8):
        held = weight_bytes_per_device(LLAMA, ServingLayout(tensor), "bf16") * tensor
        assert held == pytest.approx(2 * count(LLAMA).total, rel=1e-9)


def test_experts_are_spread_where_attention_is_repeated() -> None:
    model = catalog.load("models", "mixtral-8x7b")
    together = weight_bytes_per_device(model, ServingLayout(8, 1, 8, 1), "bf16") * 8
    apart = weight_bytes_per_device(model, ServingLayout(1, 1, 8, 8), "bf16") * 8
    counted = count(model)
    routed = model.expert_layers * model.experts.count * counted.expert
    assert together == pytest.approx(2 * counted.total, rel=1e-9)
    assert apart == pytest.approx(2 * (8 * (counted.total - routed) + routed), rel=1e-9)


def test_operations_are_exact() -> None:
    cost = replica_plan(LLAMA, H100).cost
    counted = count(LLAMA)
    matrices = counted.total - counted.embedding - counted.head - 65 * 4096
    assert cost.flop(3, 0, 0) == 3 * 2 * matrices
    assert cost.flop(0, 10, 0) == 10 * 4 * 32 * 128 * 32
    assert cost.flop(0, 0, 2) == 2 * 2 * 4096 * 128256


@pytest.mark.parametrize("name", ["llama-3.1-70b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-120b"])
def test_many_contexts_are_bit_equal_to_one_at_a_time(name: str) -> None:
    cost = replica_plan(catalog.load("models", name), ClusterSpec(accelerator="h200-sxm", count=16), "trtllm-1.0").cost
    contexts = np.arange(1, 10**6, 9973, dtype=np.int64)
    assert cost.decode_s(24, contexts).tolist() == [cost.mixed_s(24, int(each), 0, 0, 0) for each in contexts]


@pytest.mark.parametrize("engine", catalog.names("engines"))
@pytest.mark.parametrize("weights", ["bf16", "fp8", "int4"])
def test_more_work_takes_longer(engine: str, weights: str) -> None:
    cost = replica_plan(LLAMA, H100, engine, weights=weights).cost
    decode = [cost.mixed_s(32, 32 * context, 0, 0, 0) for context in (16, 256, 4096, 65536)]
    assert decode == sorted(decode)
    batches = [cost.mixed_s(size, size * 512, 0, 0, 0) for size in (1, 8, 64, 512)]
    assert batches == sorted(batches)
    chunks = [cost.mixed_s(8, 4096, size, size * size // 2, 1) for size in (128, 512, 2048)]
    assert chunks == sorted(chunks)


def test_a_step_is_not_faster_than_its_weights_can_be_read() -> None:
    for name in ("h100-sxm", "a100-80gb-sxm", "b200-sxm", "l40s", "mi300x", "rtx-4090"):
        chip = catalog.load("accelerators", name)
        plan = replica_plan(LLAMA, ClusterSpec(accelerator=name, count=1))
        read_s = (plan.weights_bytes - 128256 * 4096 * 2) / chip.memory_bandwidth_bytes_per_s.value
        assert read_s < plan.cost.mixed_s(1, 512, 0, 0, 0) < 2.5 * read_s


def test_communication_is_part_of_an_iteration() -> None:
    plan = replica_plan(LLAMA, H100, layout=ServingLayout(8))
    assert 0 < plan.cost.communication_s(64) < plan.cost.mixed_s(64, 64, 0, 0, 0)
    assert replica_plan(LLAMA, H100).cost.communication_s(64) == 0


@pytest.mark.parametrize(
    ("layout", "rule"),
    [(ServingLayout(3), "heads"), (ServingLayout(1, 33), "layer"), (ServingLayout(8, 1, 3), "experts")],
)
def test_layouts_that_cannot_be_are_refused(layout: ServingLayout, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        replica_plan(LLAMA, H100, layout=layout)


def test_what_does_not_fit_says_so() -> None:
    with pytest.raises(InfeasibleError, match="no room"):
        replica_plan(catalog.load("models", "llama-3.1-405b"), ClusterSpec(accelerator="h100-sxm", count=1))


def test_what_a_chip_cannot_compute_is_refused() -> None:
    with pytest.raises(UsageError, match="no dense peak for fp8"):
        replica_plan(LLAMA, ClusterSpec(accelerator="a100-80gb-sxm", count=1), weights="fp8")
    with pytest.raises(UsageError, match="format of weights"):
        replica_plan(LLAMA, H100, weights="fp7")


def test_linear_attention_is_not_modelled_yet() -> None:
    with pytest.raises(NotYetError, match="serving is timed for softmax attention"):
        replica_plan(catalog.load("models", "qwen3-next-80b-a3b"), H100)
