"""Total FLOP on two axes: what is counted, and how it is weighted; by hand for Llama 3.1 8B."""

import pytest

from sim.cost.precision import WeightedFlop
from tests.helpers.answers import H100_BF16, H100_FP8, asked

TOKENS, SEQUENCE = 1e12, 8192
LAYERS, HIDDEN, KEY_WIDTH, FFN, VOCABULARY = 32, 4096, 1024, 14336, 128256
# Forward FLOP of one token: queries and output, keys and values, three gated products; causal scores and values.
PRODUCTS = 2.0 * LAYERS * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * KEY_WIDTH + 3 * HIDDEN * FFN)
ATTENTION = LAYERS * 2.0 * HIDDEN * SEQUENCE
HEAD = 2.0 * HIDDEN * VOCABULARY
WIDE = 3 * (ATTENTION + HEAD)


def flop(precision: str, **options: object) -> dict[str, WeightedFlop]:
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b", precision=precision, **options)
    return answer.flop


def test_model_flop_are_those_of_the_operators() -> None:
    found = flop("bf16")["model"]
    assert found.operations == pytest.approx(TOKENS * 3 * (PRODUCTS + ATTENTION + HEAD), rel=1e-9)
    assert found.operations == pytest.approx(found.bits16, rel=1e-12)
    assert found.operations == pytest.approx(found.device_time16, rel=1e-12)


def test_fp8_products_count_half_and_attention_and_head_stay_wide() -> None:
    found = flop("fp8")["model"]
    assert found.operations == pytest.approx(TOKENS * 3 * (PRODUCTS + ATTENTION + HEAD), rel=1e-9)
    assert found.bits16 == pytest.approx(TOKENS * (3 * PRODUCTS / 2 + WIDE), rel=1e-9)
    assert found.device_time16 == pytest.approx(TOKENS * (3 * PRODUCTS * H100_BF16 / H100_FP8 + WIDE), rel=1e-4)


def test_hardware_flop_add_the_scores_that_the_flash_kernel_repeats() -> None:
    found = flop("fp8", failure_rate="0/h")
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b", precision="fp8", failure_rate="0/h")
    assert answer.plan["layout"]["recompute"] in ("none", "selective")
    again = ATTENTION / 2
    assert found["hardware"].operations - found["model"].operations == pytest.approx(TOKENS * again, rel=1e-6)
    assert found["hardware"].bits16 - found["model"].bits16 == pytest.approx(TOKENS * again, rel=1e-6)
    assert found["executed"] == found["hardware"]


def test_full_recompute_repeats_the_layers_in_their_precision() -> None:
    from sim.plan.training import prepare
    from sim.results.flop import accounts
    from sim.results.outcome import from_expected
    from sim.study.question_scenario import build_scenario

    scenario = build_scenario(
        "256xh100-sxm", "1e12 tokens", {"model": "llama-3.1-8b", "precision": "fp8", "failure_rate": "0/h"}
    )
    training = scenario.training.model_copy(update={"plan": _plan("full")})
    run = prepare(scenario.one_cluster, training)
    found = accounts(run, from_expected(run.run, run.expected()))
    more = found["hardware"].operations - found["model"].operations
    assert more == pytest.approx(TOKENS * (PRODUCTS + 1.5 * ATTENTION), rel=1e-6)
    more16 = found["hardware"].bits16 - found["model"].bits16
    assert more16 == pytest.approx(TOKENS * (PRODUCTS / 2 + 1.5 * ATTENTION), rel=1e-6)


def _plan(recompute: str) -> object:
    from sim.spec.layout import LayoutSpec

    return LayoutSpec.model_validate({"recompute": recompute})


def test_redone_work_is_executed_and_not_hardware() -> None:
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b", failure_rate="1e-3/h")
    hardware, executed = answer.flop["hardware"].operations, answer.flop["executed"].operations
    assert executed > hardware
    run_s = answer.plan["steps"] * answer.plan["step_s"]
    lost_s = dict(answer.parts)["lost work"]
    # Lost work holds cut writes too, so it bounds the share that was redone.
    assert 0 < executed / hardware - 1 <= lost_s / run_s


def test_a_given_step_has_no_recompute() -> None:
    answer = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b", mfu=0.4, failure_rate="0/h")
    assert answer.flop["hardware"].operations == pytest.approx(answer.flop["model"].operations, rel=1e-12)
