"""Memory of serving against published figures and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.inference_memory import ELEMENT_BYTES, Split, cache_bytes, per_device, weight_bytes, workspace_bytes
from sim.cost.parameters import count
from sim.spec import catalog
from tests.helpers.steps import small_model

ALONE = Split(1, 1, 1)


@pytest.mark.parametrize(
    ("name", "kilobytes"), [("deepseek-v3", 70.272), ("qwen2.5-72b", 327.680), ("llama-3.1-405b", 516.096)]
)
def test_cache_of_a_token_is_what_deepseek_prints(name: str, kilobytes: float) -> None:
    """ISCA 2025 (arXiv:2505.09343), table 1: cache per token in bf16."""
    assert cache_bytes(catalog.load("models", name), 1) == kilobytes * 1000


def test_a_cache_is_split_by_heads_and_repeated_beyond_them() -> None:
    model = small_model(kv_heads=2)
    whole = 4 * 100 * 2 * 2 * 64 * 2
    assert [cache_bytes(model, 100, 2.0, tp) for tp in (1, 2, 4)] == [whole, whole / 2, whole / 2]


def test_latent_attention_repeats_its_vector_on_each_device() -> None:
    model = catalog.load("models", "deepseek-v3")
    assert cache_bytes(model, 100, 2.0, 8) == cache_bytes(model, 100, 2.0, 1)


def test_sliding_layers_keep_their_window() -> None:
    model = small_model(sliding_window=1000, layer_types=("sliding", "full"))
    token = 2 * 4 * 64 * 2
    assert cache_bytes(model, 500) == 4 * 500 * token
    assert cache_bytes(model, 8000) == (2 * 8000 + 2 * 1000) * token


def test_linear_layers_keep_a_state_of_fixed_size() -> None:
    sizes = {"key_heads": 2, "value_heads": 4, "key_dim": 64, "value_dim": 32, "convolution": 4}
    model = small_model(linear=sizes, layer_types=("linear", "full"))
    state = 2 * (4 * 64 * 32 * 4 + 4 * (2 * 2 * 64 + 4 * 32) * 2)
    token = 2 * 2 * 4 * 64 * 2
    assert cache_bytes(model, 1000) - 1000 * token == state == cache_bytes(model, 10) - 10 * token


@pytest.mark.parametrize("name", catalog.names("models"))
def test_weights_of_every_model_are_two_bytes_each(name: str) -> None:
    model = catalog.load("models", name)
    assert weight_bytes(model, ALONE) == pytest.approx(2 * count(model).total)
    assert weight_bytes(model, Split(8, 1, 1)) == pytest.approx(2 * count(model).total / 8)


def test_the_first_stage_has_the_embedding_and_not_the_head() -> None:
    model = small_model(layers=5)
    counted = count(model)
    layers = counted.total - counted.embedding - counted.head
    assert weight_bytes(model, Split(1, 2, 1), 1.0) == pytest.approx(layers * 3 / 5 + 2 * counted.embedding)


def test_narrow_weights_leave_the_tables_wide() -> None:
    model = small_model()
    counted = count(model)
    tables = counted.embedding + counted.head
    assert weight_bytes(model, ALONE, 0.5) == pytest.approx((counted.total - tables) / 2 + 2 * tables)


def test_workspace_by_hand() -> None:
    token = 4 * 256 + 4 * 256 + 2 * 1024
    assert workspace_bytes(small_model(), ALONE, 3) == 8192 * token * 2 + 3 * 1000 * 6


def test_workspace_of_experts_is_that_of_the_ones_a_token_visits() -> None:
    experts = {"count": 8, "top_k": 3, "shared": 2, "ffn_hidden": 700, "shared_ffn_hidden": 500}
    model = small_model(experts=experts)
    token = 4 * 256 + (4 * 256 + 2 * (3 * 700 + 2 * 500)) / 2
    assert workspace_bytes(model, Split(2, 1, 1), 0) == 8192 * token * 2


def test_devices_of_a_split() -> None:
    assert Split(2, 3, 5).devices == 30


def test_widths_of_precisions() -> None:
    assert ELEMENT_BYTES == {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": (4 + 8 / 16) / 8}


def test_the_fullest_stage_holds_the_caches_of_its_layers() -> None:
    model = small_model(layers=5)
    memory = per_device(model, Split(1, 2, 1), 1, 1000, 1e9)
    assert memory.cache_bytes == pytest.approx(cache_bytes(model, 1000) * 3 / 5)


def test_the_parts_are_the_whole_and_sequences_are_shared() -> None:
    model = catalog.load("models", "llama-3.1-8b")
    memory = per_device(model, Split(1, 1, 4), 10, 2048, 80 * 2**30)
    assert memory.cache_bytes == 3 * cache_bytes(model, 2048)
    assert memory.reserve_bytes == pytest.approx(8 * 2**30)
    row = memory.row()
    assert row.pop("total") == pytest.approx(sum(row.values()))


@given(
    st.sampled_from(catalog.names("models")),
    st.integers(1, 500),
    st.integers(1, 100_000),
    st.sampled_from(sorted(ELEMENT_BYTES)),
)
def test_more_never_takes_less(name: str, sequences: int, context: int, precision: str) -> None:
    model, split = catalog.load("models", name), Split(2, 2, 2)

    def total(sequences: int, context: int, weights: str) -> float:
        return per_device(model, split, sequences, context, 80e9, weights, precision).total_bytes

    given = total(sequences, context, precision)
    assert total(sequences + 1, context, precision) >= given
    assert total(sequences, context + 1, precision) >= given
    assert total(sequences, context, "bf16") >= given
