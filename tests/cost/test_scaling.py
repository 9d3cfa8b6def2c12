"""Scaling laws against the numbers that their papers print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.scaling import LAWS, expected_loss


def test_chinchilla_is_the_optimum_of_its_own_law() -> None:
    law = LAWS["chinchilla"]
    assert law.tokens(5.76e23) == pytest.approx(1.4e12)
    assert law.parameters(5.76e23) == pytest.approx(70e9, rel=0.03)
    # Hoffmann et al. 2022, table 3: about 20 tokens a parameter at every budget.
    assert law.tokens(1e21) / law.parameters(1e21) == pytest.approx(20.4, rel=0.1)


def test_llama_3_optimum_is_about_402e9_parameters() -> None:
    """arXiv:2407.21783, section 3.2.1: 402e9 parameters on 16.55e12 tokens at 3.8e25 FLOP; C/6D is 5 % below."""
    assert LAWS["llama3"].parameters(3.8e25) == pytest.approx(402e9, rel=0.06)


@given(st.sampled_from(sorted(LAWS)), st.floats(1e18, 1e28), st.floats(1.01, 100))
def test_larger_budgets_buy_larger_models_and_more_tokens(name: str, flop: float, factor: float) -> None:
    law = LAWS[name]
    assert law.tokens(factor * flop) > law.tokens(flop)
    assert law.parameters(factor * flop) > law.parameters(flop)
    assert 6 * law.parameters(flop) * law.tokens(flop) == pytest.approx(flop)


def test_loss_by_hand() -> None:
    estimate = expected_loss(1e9, 2e10)
    assert estimate.value == pytest.approx(1.8172 + 482.01 / 1e9**0.3478 + 2085.43 / 2e10**0.3658, rel=1e-12)
    # In the middle of the data the exponents are pinned, so only the constant is uncertain.
    assert estimate.p90 - estimate.value == pytest.approx(1.2816 * 0.03)
    assert estimate.in_range


@given(st.floats(1e8, 1e12), st.floats(1e9, 1e14), st.floats(1.01, 100))
def test_loss_falls_with_size_and_tokens_to_its_floor(parameters: float, tokens: float, factor: float) -> None:
    estimate = expected_loss(parameters, tokens)
    assert estimate.p10 < estimate.value < estimate.p90
    assert estimate.value > 1.8172
    assert expected_loss(factor * parameters, tokens).value < estimate.value
    assert expected_loss(parameters, factor * tokens).value < estimate.value


def test_beyond_the_fitted_runs_the_estimate_says_so() -> None:
    assert not expected_loss(405e9, 1e11).in_range
    assert not expected_loss(1e9, 15e12).in_range
