"""Operator counts against counts by hand and against published formulae."""

import numpy as np
import pytest

from sim.cost.parameters import count
from sim.cost.transformer import flop_per_token, layer_gemms, layer_weights, vector_bytes_per_token
from sim.spec import catalog
from tests.helpers.steps import DENSE, small_model


def test_a_small_model_by_hand() -> None:
    counted = flop_per_token(small_model(), 512)
    # Each layer: four h x h products of attention and two h x 4h of the feed-forward.
    assert counted.layers == 2 * 4 * (4 * 256 * 256 + 2 * 256 * 1024)
    # Scores and values: 2 x 2 x s x h, half of it under the diagonal.
    assert counted.attention == 4 * (2 * 2 * 512 * 256) / 2
    assert counted.head == 2 * 256 * 1000
    assert counted.training == 3 * counted.forward


def test_grouped_keys_and_gates_by_hand() -> None:
    model = small_model(kv_heads=2, gated=True)
    # Keys and values are half as wide; the gate is a third matrix.
    assert flop_per_token(model, 512).layers == 2 * 4 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 1024)
    assert flop_per_token(model, 512).attention == flop_per_token(small_model(), 512).attention


def test_gpt3_agrees_with_narayanan_2021() -> None:
    """96 B s l h^2 (1 + s/6h + V/16lh) counts full attention and one recomputed forward: 4 passes instead of 3."""
    model, sequence = catalog.load("models", "gpt3-175b"), 2048
    h, layers, vocab = model.hidden, model.layers, model.vocab
    published = 96 * layers * h**2 * (1 + sequence / (6 * h) + vocab / (16 * layers * h))
    counted = flop_per_token(model, sequence)
    with_full_attention = 4 * (counted.layers + 2 * counted.attention) + 3 * counted.head
    assert with_full_attention == pytest.approx(published, rel=1e-12)


def test_llama_405b_agrees_with_its_paper() -> None:
    """3.8e25 FLOP for 15.6e12 tokens (arXiv:2407.21783, section 3.2.1) is 6ND; operators and sequence add little."""
    counted = flop_per_token(catalog.load("models", "llama-3.1-405b"), 8192)
    assert counted.training == pytest.approx(3.8e25 / 15.6e12, rel=0.05)
    # Counted by hand: 126 layers of 16384 x (16384 + 2 x 1024 + 16384 + 3 x 53248), a head of 128256 x 16384.
    weights = 126 * 16384 * (16384 + 2 * 1024 + 16384 + 3 * 53248) + 128256 * 16384
    assert counted.training == 6 * weights + 3 * 126 * 2 * 8192 * 16384


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("tensor", [1, 2, 8])
def test_layer_weights_agree_with_the_parameter_count(name: str, tensor: int) -> None:
    model = catalog.load("models", name)
    counted = count(model)
    whole = counted.attention_per_layer + counted.dense_ffn_per_layer + counted.norms_per_layer
    norms = 2 * model.hidden
    # Norms are not split; biases are in the exact count alone.
    assert (float(layer_weights(model, tensor)) - norms) * tensor + norms == pytest.approx(whole, rel=2e-4)


def test_keys_are_repeated_where_the_group_is_larger_than_their_heads() -> None:
    model = small_model(kv_heads=1)
    (first, *_) = layer_gemms(model, np.array([1, 4]))
    assert first.columns.tolist() == [256 + 2 * 64, 64 + 2 * 64]


def test_memory_bound_operators_by_hand() -> None:
    # Two norms (2 each), two residual additions (3 each); rotary in and out; one or two inputs and an output.
    plain, gated = small_model(), small_model(gated=True, kv_heads=2)
    assert float(vector_bytes_per_token(plain, 1)) == 2 * (10 * 256 + 2 * 2 * 256 + 2 * 1024)
    assert float(vector_bytes_per_token(gated, 1)) == 2 * (10 * 256 + 2 * (256 + 128) + 3 * 1024)


def test_sequence_parallelism_splits_norms_and_residuals() -> None:
    model = small_model()
    whole = float(vector_bytes_per_token(model, 1))
    assert float(vector_bytes_per_token(model, 4)) == whole / 4
    # Without it, 10 passes over the residual stream of 2 bytes stay whole.
    assert float(vector_bytes_per_token(model, 4, 0)) == (whole - 20 * 256) / 4 + 20 * 256
