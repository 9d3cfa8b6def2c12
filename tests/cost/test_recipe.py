"""Precision recipes: numbers of the catalogue and of a user's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.cost.layout import single
from sim.cost.recipe import recipe
from sim.cost.training import step_times
from sim.errors import CatalogError, ScenarioError
from sim.spec import catalog, yaml
from sim.spec.recipe import PrecisionRecipe
from sim.spec.validate import validate
from tests.helpers.steps import ideal_machine, ideal_software, mixture, real_machine, work


def own(text: str) -> PrecisionRecipe:
    """A recipe as a user writes it."""
    return validate(PrecisionRecipe, yaml.loads(text))


def test_a_state_of_adam_in_mixed_precision_is_18_bytes() -> None:
    """Rajbhandari et al. 2020 count 16 with 16-bit gradients; they are accumulated in 32 bit here."""
    bf16 = recipe("bf16")
    assert bf16.weight_bytes + bf16.gradient_bytes + bf16.optimizer_bytes == 18


def test_only_the_products_run_in_fp8() -> None:
    assert (recipe("fp8").gemm_precision, recipe("fp8").wide_precision) == ("fp8", "bf16")


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(CatalogError) as raised:
        recipe("fp12")
    assert raised.value.value == "fp12"


@pytest.mark.parametrize("name", catalog.names("recipes"))
def test_every_number_of_the_catalogue_has_its_source(name: str) -> None:
    entry = catalog.load("recipes", name)
    numbers = [getattr(entry, field) for field in type(entry).model_fields if field.endswith("_bytes")]
    assert all(number is None or number.status != "given" for number in numbers)
    assert all(number is None or number.value <= 16 for number in numbers)


@pytest.mark.parametrize("profile", catalog.names("profiles"))
def test_profiles_name_recipes_of_the_catalogue(profile: str) -> None:
    entry = catalog.load("profiles", profile)
    entries = (*entry.kernel_slowdown, *entry.expert_slowdown, *entry.attention_slowdown)
    assert {name for each in entries for name in each.precisions} <= set(catalog.names("recipes"))


def test_a_recipe_of_ones_own_is_like_another_but_for_what_it_says() -> None:
    mine = recipe(own("name: mine\nlike: fp8\ngradient_bytes: 2 B"))
    assert mine == replace(recipe("fp8"), name="mine", gradient_bytes=2.0)


def test_constants_of_software_go_by_the_recipe_with_the_same_products() -> None:
    assert recipe("fp8-deepseek").kind == "fp8-block"
    assert recipe(own("name: mine\nlike: fp8-deepseek\ngradient_bytes: 2 B")).kind == "fp8-block"
    assert recipe("fp8").kind == "fp8"
    assert recipe(own("name: mine\nlike: bf16\nproducts: fp8\ncurve: fp8")).kind == "mine"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("name: mine\nlike: fp9", "precision must name a training recipe"),
        ("name: mine\nlike: mine", "a recipe is like another one"),
        ("name: mine\nlike: fp8\nproducts: fp7", "no such number format"),
        ("name: mine\nlike: fp8\ngradient_bytes: 2", "has no unit"),
    ],
)
def test_a_wrong_recipe_is_told_in_place(text: str, rule: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        own(text)
    assert rule in str(raised.value)


def test_layers_in_16_bit_are_as_slow_as_in_bf16() -> None:
    """A step with half of the layers in 16 bit lies in the middle: nothing but products depends on the recipe here."""
    machine = ideal_machine()
    machine = replace(machine, gemm_peak_flop_per_s=4 * machine.wide_peak_flop_per_s)
    layout, software = single(zero_stage=0), ideal_software()
    base = work("llama-3.1-8b", precision="fp8")

    def step_s(share: float) -> float:
        some = replace(base, recipe=replace(base.recipe, wide_layers=share, cast_bytes=0.0))
        return float(step_times(some, machine, software, layout).step_s[0])

    assert step_s(0.5) == pytest.approx((step_s(0.0) + step_s(1.0)) / 2)
    # Three passes of the layers' products, at a quarter of the time where they are narrow.
    products_s = 3 * base.flop_per_token.layers * base.tokens / machine.wide_peak_flop_per_s
    assert step_s(1.0) - step_s(0.0) == pytest.approx(0.75 * products_s, rel=1e-6)


def test_tokens_sent_in_8_bit_shorten_the_exchange() -> None:
    """There a byte, back two: three quarters of an exchange in 16 bit."""
    machine, software = ideal_machine(link_bytes_per_s=1e9), ideal_software()
    layout = single(dp=8, ep=8, zero_stage=0)
    base = work(mixture(), sequence=512, batch=8)

    def exchange_s(dispatched_bytes: float) -> float:
        some = replace(base, recipe=replace(base.recipe, dispatched_bytes=dispatched_bytes))
        return dict(step_times(some, machine, software, layout).row(0))["exposed expert-parallel communication"]

    assert exchange_s(1.0) == pytest.approx(0.75 * exchange_s(2.0))


def test_weights_gathered_in_8_bit_shorten_the_gathering() -> None:
    machine = real_machine("h100-sxm", 64)
    base, layout = work("llama-3.1-8b", batch=64), single(dp=64, zero_stage=3)
    narrow = replace(base, recipe=replace(base.recipe, gathered_bytes=1.0))
    step_s = [float(step_times(each, machine, ideal_software(), layout).step_s[0]) for each in (base, narrow)]
    assert step_s[1] < step_s[0]
