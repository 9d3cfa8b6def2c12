"""Designed shapes: the size that was asked for, in proportions that published models have."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import UsageError
from sim.plan.shape import ASPECT, LEAST_PARAMETERS, of_size, total_parameters


@given(st.floats(math.log(1.001 * LEAST_PARAMETERS), math.log(1e13)))
def test_a_shape_has_the_size_that_was_asked_for(log_size: float) -> None:
    size = math.exp(log_size)
    shape = of_size(size)
    assert total_parameters(shape) == pytest.approx(size, rel=0.02)
    assert shape.hidden == shape.heads * shape.head_dim
    assert shape.heads % shape.kv_heads == 0
    assert shape.ffn_hidden % 256 == 0


@pytest.mark.parametrize("size", [7e9, 70e9, 405e9, 2e12])
def test_proportions_are_those_of_published_models(size: float) -> None:
    shape = of_size(size)
    assert 0.6 < shape.hidden / shape.layers / ASPECT < 1.7
    assert 2.5 < shape.ffn_hidden / shape.hidden < 4.5
    assert shape.layers <= 32 or shape.layers % 4 == 0


def test_405e9_is_much_like_llama() -> None:
    shape = of_size(405e9)
    assert (shape.hidden, shape.kv_heads, shape.vocab) == (16384, 8, 128_256)
    assert shape.layers == pytest.approx(126, abs=6)


def test_too_small_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match="usual proportions"):
        of_size(1e6)
