"""Experts, latent attention and windows: counts by hand, and against the parameter count of every model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.attention_shape import key_value_heads, score_width, spans
from sim.cost.experts import expert_share, expert_vector_elements, kept_elements, routed_weights
from sim.cost.parameters import count
from sim.cost.transformer import (
    flop_per_token,
    kernels_per_layer,
    layer_gemms,
    layer_weights,
    square_attention_flop,
    vector_bytes_per_token,
)
from sim.spec import catalog
from tests.helpers.steps import mixture, small_model


def counted_here(name: str) -> bool:
    """Whether every product of a model is counted: not that of relative positions (Transformer-XL), nor Mamba-1's."""
    model = catalog.load("models", name)
    return model.position != "relative" and not (model.mamba and model.mamba.step_rank)


MODELS = tuple(name for name in catalog.names("models") if counted_here(name))
MLA = {"q_rank": 96, "kv_rank": 64, "rope_dim": 16, "nope_dim": 32, "value_dim": 48}
LATENT = small_model(attention="mla", mla=MLA)
H, F = 256, 1024


def test_a_small_mixture_by_hand() -> None:
    """Four layers, the first dense; three with 8 experts of width 128, of which a token visits two, and one shared."""
    model = mixture(shared=1, dense_layers=1)
    counted = flop_per_token(model, 512)
    visited = 2 * (2 * H * 128) + 2 * H * 128 + H * 8  # two routed, one shared, the router
    assert counted.layers == 2 * (4 * 4 * H * H + 1 * 2 * H * F + 3 * visited)
    assert counted.attention == flop_per_token(small_model(), 512).attention
    assert expert_share(model) == 0.75


def test_every_second_layer_has_experts_and_gates_are_a_third_matrix() -> None:
    counted = flop_per_token(mixture(every=2, gated=True), 512)
    assert counted.layers == 2 * (4 * 4 * H * H + 2 * 3 * H * F + 2 * (2 * 3 * H * 128 + H * 8))


@pytest.mark.parametrize("name", MODELS)
def test_weight_products_are_two_flop_for_each_active_parameter(name: str) -> None:
    """Norms, biases and gates of shared experts are parameters without a product here."""
    model = catalog.load("models", name)
    counted = flop_per_token(model, 4096)
    assert (counted.layers + counted.head) / 2 == pytest.approx(count(model).active, rel=4e-3)


def test_deepseek_v3_activates_37e9() -> None:
    counted = flop_per_token(catalog.load("models", "deepseek-v3"), 4096)
    assert (counted.layers + counted.head) / 2 == pytest.approx(37e9, rel=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_all_layers_are_the_parameters_of_the_model(name: str) -> None:
    model, parts = catalog.load("models", name), count(catalog.load("models", name))
    layers = model.layers * (float(layer_weights(model, 1)) + float(routed_weights(model, 1)))
    tables = parts.embedding + parts.head + parts.positions
    assert layers + tables == pytest.approx(parts.total, rel=4e-3)


def test_weights_by_tensor_and_expert_parallel_by_hand() -> None:
    """The router is whole on each device, a shared expert is split, a routed one is on one device of the group."""
    model = mixture(shared=1)
    split = (4 * H * H + 2 * H * 128) / 4
    assert float(layer_weights(model, 4)) == split + 8 * H + 2 * H
    assert float(routed_weights(model, 4)) == 2 * (2 * H * 128)
    assert routed_weights(small_model(), 4) == 0.0


def test_latent_attention_by_hand() -> None:
    products = H * 96 + 96 * 4 * 48 + H * (64 + 16) + 64 * 4 * (32 + 48) + 4 * 48 * H
    counted = flop_per_token(LATENT, 512)
    assert counted.layers == 2 * 4 * (products + 2 * H * F)
    # Scores of nope + rope = 48 wide keys, values 48 wide: half of the square each.
    assert counted.attention == 4 * 2 * 4 * (48 + 48) * 512 / 2
    assert score_width(LATENT) == 48
    assert key_value_heads(LATENT, 2) == 2
    direct = flop_per_token(small_model(attention="mla", mla=MLA | {"q_rank": 0}), 512)
    assert counted.layers - direct.layers == 2 * 4 * (H * 96 + 96 * 4 * 48 - H * 4 * 48)


def test_what_compresses_a_token_is_not_split() -> None:
    kept = H * 96 + H * 80
    split = 96 * 4 * 48 + 64 * 4 * 80 + 4 * 48 * H + 2 * H * F
    assert float(layer_weights(LATENT, 4)) == kept + split / 4 + 2 * H
    # Its work is: each device compresses its share of the tokens.
    work = [sum(float(gemm.columns) * float(gemm.inner) for gemm in layer_gemms(LATENT, t)) for t in (1, 4)]
    assert work[0] == 4 * work[1]


@given(st.integers(1, 80), st.integers(1, 80))
def test_a_window_is_a_band(window: int, sequence: int) -> None:
    """Scores one by one: token i looks at j if 0 <= i - j < w; the diagonal counts as one half."""
    model = small_model(layer_types=["sliding"], sliding_window=window)
    scores: float = sum(0.5 if i == j else 1.0 for i in range(sequence) for j in range(max(i - window + 1, 0), i + 1))
    # The far edge of the band counts as one half too: i - j = w.
    scores += 0.5 * max(sequence - window, 0)
    ((share, span),) = spans(model, sequence)
    assert share == 1.0
    assert span / 2 * sequence == pytest.approx(scores, rel=1e-12)


def test_full_and_sliding_layers_share_the_attention() -> None:
    model = small_model(layer_types=["sliding", "sliding", "sliding", "full"], sliding_window=64)
    assert spans(model, 512) == ((0.25, 512.0), (0.75, 2 * 64 - 64**2 / 512))
    full = flop_per_token(small_model(), 512).attention
    assert flop_per_token(model, 512).attention == full * (0.25 + 0.75 * (2 * 64 - 8) / 512)
    # A window as long as the sequence is none.
    assert flop_per_token(model, 64) == flop_per_token(small_model(), 64)
    assert square_attention_flop(model, 512) == 2 * full


def test_vector_traffic_of_experts_by_hand() -> None:
    """Per token: the activation of one shared expert and 8 scores; routed experts have theirs in their curve."""
    model = mixture(shared=1)
    assert expert_vector_elements(model) == 2 * 128 + 8 * 12 / 2
    assert expert_vector_elements(mixture()) == 8 * 12 / 2
    plain = float(vector_bytes_per_token(small_model(), 1))
    assert float(vector_bytes_per_token(model, 1)) == plain - 2 * 2 * F + 2 * expert_vector_elements(model)
    assert expert_vector_elements(small_model()) == 0.0


def test_latent_attention_moves_joined_heads_and_compressed_vectors() -> None:
    plain, latent = (float(vector_bytes_per_token(model, 1)) for model in (small_model(), LATENT))
    assert latent - plain == 2 * (2 * (2 * 4 * 48 + 96 + 64) - 2 * 8 * 64)


def test_kept_for_the_backward_pass_by_hand() -> None:
    model = mixture(shared=1, gated=True)
    inner = 3 * 128
    assert kept_elements(model) == (3 * inner + 2 * H + 2 * 8, inner)
    assert kept_elements(small_model()) == (0.0, 0.0)


def test_kernels_of_a_layer() -> None:
    assert kernels_per_layer(small_model()) == 4 + 1 + 7
    # Half of the layers: two products of a dense feed-forward, or a router, two grouped products and six kernels.
    assert kernels_per_layer(mixture(every=2)) == 2 + 1 + 7 + 0.5 * 2 + 0.5 * (1 + 2 + 6)


def test_experts_are_arrays_over_layouts() -> None:
    assert np.asarray(routed_weights(mixture(), np.array([1, 2, 8]))).tolist() == [8 * 65536, 4 * 65536, 65536]
