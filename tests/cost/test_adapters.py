"""Steps that train adapters alone, and products in narrow formats: what they leave out, and what they add."""

from dataclasses import replace

import pytest

from sim.cost.layout import single
from sim.cost.memory import MemoryRules, per_device
from sim.cost.recipe import recipe
from sim.cost.training import step_times
from sim.cost.transformer import adapter_weights, cast_elements_per_token, flop_per_token
from sim.cost.work import Work
from sim.spec import catalog
from tests.helpers.steps import PEAK, ideal_machine, ideal_software, real_machine, small_model, work

LORA = recipe("bf16", adapter_rank=16)
FLASH = MemoryRules(reserve_bytes=0.0, fragmentation=0.0, flash_attention=True)


def test_frozen_weights_have_no_gradient_of_their_own() -> None:
    """Two products instead of three; attention has no weights, and keeps all of its backward pass."""
    every, adapters = (flop_per_token(small_model(), 512, adapters=only) for only in (False, True))
    assert every.training - adapters.training == every.layers + every.head
    done = Work(small_model(), LORA, 512, 8)
    step_s = float(step_times(done, ideal_machine(), ideal_software(), single()).step_s[0])
    kernel = done.tokens * adapters.attention_recompute
    assert step_s == pytest.approx((done.model_flop + kernel) / PEAK)


def test_adapters_are_all_that_replicas_exchange() -> None:
    """Queries, keys and values, and output: two thin matrices each; reduced in 4 bytes, gathered in 2."""
    weights = 16 * (256 + 3 * 256) + 16 * (256 + 256)
    assert adapter_weights(small_model(), 16, 1) == weights
    done = Work(small_model(), LORA, 512, 8)
    times = step_times(done, ideal_machine(link_bytes_per_s=1e9), ideal_software(), single(dp=8))
    exposed = times.parts_s[times.names.index("exposed data-parallel communication")][0]
    assert exposed == pytest.approx(4 * weights * (4 + 2) * 7 / 8 / 1e9)


@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_frozen_weights_are_all_the_state_there_is(zero: int) -> None:
    memory = per_device(small_model(), LORA, FLASH, single(dp=8, zero_stage=zero), 512, 8).row(0)
    assert memory["gradients"] == memory["optimizer"] == 0.0
    trained = per_device(small_model(), recipe("bf16"), FLASH, single(dp=8, zero_stage=zero), 512, 8).row(0)
    assert memory["weights"] == trained["weights"]
    assert memory["activations"] < trained["activations"]


@pytest.mark.parametrize("name", ["fp8", "fp8-block", "mxfp8", "nvfp4"])
def test_narrow_operands_are_cast_once_a_pass(name: str) -> None:
    """Each product casts its input forward and the gradient of its output backward; weights once a step."""
    bandwidth, narrow = 1e9, recipe(name)
    model = small_model()
    forward, backward = (float(each) for each in cast_elements_per_token(model, 1))
    assert (forward, backward) == (256 + 256 + 256 + 1024, 3 * 256 + 256 + 1024 + 256)
    plain = replace(narrow, cast_bytes=0.0)
    steps = [
        float(step_times(Work(model, each, 512, 4), ideal_machine(bandwidth), ideal_software(), single()).step_s[0])
        for each in (narrow, plain)
    ]
    parameters = 4 * (4 * 256**2 + 2 * 256 * 1024 + 2 * 256) + 2 * 1000 * 256
    moved = 4 * 4 * 512 * (forward + backward) + parameters
    assert steps[0] - steps[1] == pytest.approx(narrow.cast_bytes * moved / bandwidth, rel=1e-6)


def test_narrow_operands_are_kept_narrow() -> None:
    wide, narrow = (
        per_device(small_model(), recipe(name), FLASH, single(zero_stage=0), 512, 1).row(0)["activations"]
        for name in ("bf16", "fp8")
    )
    logits = 512 * 1000 * (2 + 4)
    # Inputs of both blocks and of the second feed-forward product lose a byte, the output of attention gains one.
    assert wide - narrow == pytest.approx(4 * 512 * (2 * 256 + 1024 - 256))
    assert narrow > logits


@pytest.mark.parametrize("name", catalog.names("recipes"))
def test_narrower_is_faster_where_arithmetic_decides(name: str) -> None:
    if name == "fp16":
        return
    step_s = {
        each: float(
            step_times(
                work("llama-3.1-70b", 8192, 64, each),
                real_machine("b200-sxm", 64, each),
                ideal_software(),
                single(tp=4, pp=2, dp=8),
            ).step_s[0]
        )
        for each in ("bf16", name)
    }
    assert step_s[name] <= step_s["bf16"]
