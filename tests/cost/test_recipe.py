"""Precision recipes."""

import pytest

from sim.cost.recipe import RECIPES, recipe
from sim.errors import UsageError


def test_a_state_of_adam_in_mixed_precision_is_18_bytes() -> None:
    """Rajbhandari et al. 2020 count 16 with 16-bit gradients; they are accumulated in 32 bit here."""
    bf16 = recipe("bf16")
    assert bf16.weight_bytes + bf16.gradient_bytes + bf16.optimizer_bytes == 18


def test_only_the_products_run_in_fp8() -> None:
    assert (recipe("fp8").gemm_precision, recipe("fp8").wide_precision) == ("fp8", "bf16")


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        recipe("fp12")
    assert raised.value.value == "fp12"
    assert all(name in raised.value.mend for name in RECIPES)
