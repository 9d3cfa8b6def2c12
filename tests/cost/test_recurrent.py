"""Layers that keep a state: counts by hand and by publication, times on an ideal machine, and the list of layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.inference_memory import cache_bytes, state_bytes
from sim.cost.layout import RECOMPUTE, single
from sim.cost.memory import MemoryRules, activation_bytes_per_token, per_device
from sim.cost.parameters import count
from sim.cost.recipe import recipe
from sim.cost.recurrent import BACKWARD_OVER_FORWARD, ScanCurve, ScanCurves, scan_flop, scan_s
from sim.cost.training import step_times
from sim.cost.transformer import blocks_per_layer, flop_per_token, layer_weights
from sim.errors import NotYetError, ScenarioError
from sim.spec import catalog
from sim.spec.model import ModelShape
from sim.spec.validate import validate
from sim.spec.yaml import loads
from tests.helpers.steps import (
    PEAK,
    delta_rules,
    hybrid,
    ideal_machine,
    ideal_software,
    real_machine,
    real_software,
    small_model,
    work,
)

H, V = 256, 1000
FLASH = MemoryRules(reserve_bytes=0.0, fragmentation=0.0, flash_attention=True)
HYBRIDS = (
    "nemotron-h-56b",
    "nemotron-3-nano-30b",
    "nemotron-3-super-120b",
    "qwen3-next-80b-a3b",
    "kimi-linear-48b-a3b",
)


def test_a_hybrid_by_hand() -> None:
    """One Mamba-2 layer of 8 x 64 channels, states of 32 in 4 groups; one of attention; experts; a feed-forward."""
    inner, sides = 512, 2 * 4 * 32
    into = 2 * inner + sides + 8
    parts = count(hybrid())
    convolution = (inner + sides) * 5
    assert parts.state_space_per_layer == H * into + convolution + 3 * 8 + inner + inner * H
    counted = flop_per_token(hybrid(), 512)
    visited = 2 * 2 * H * 128 + H * 8
    assert counted.layers == 2 * (H * into + inner * H + 4 * H * H + 2 * H * 1024 + visited)
    assert counted.attention == flop_per_token(small_model(layers=1), 512).attention
    assert counted.scan == 4 * 32 * inner
    assert counted.chunked_scan == counted.scan + 64 * (4 * 32 + inner)
    assert counted.training == 3 * counted.forward
    assert blocks_per_layer(hybrid()) == 1.0


def test_delta_rules_by_hand() -> None:
    needed, chunked = scan_flop(delta_rules())
    assert needed == 2 * 4 * 6 * 32 * 64
    assert chunked - needed == 2 * 4 * 64 * (3 * 32 + 2 * 64)


def test_a_mamba_layer_counts_as_megatron_does() -> None:
    """Megatron-LM's formula for a Mamba-2 layer but for its scan: 2 h (2 d + 2 g n + heads) + 2 d h a token."""
    model = catalog.load("models", "nemotron-h-56b")
    assert model.mamba is not None
    h, d, sides, heads = model.hidden, model.mamba.inner, model.mamba.groups * model.mamba.state, model.mamba.heads
    mamba = model.layers_of("mamba") * (2 * h * (2 * d + 2 * sides + heads) + 2 * d * h)
    attention = model.layers_of("full") * 2 * (2 * h * h + 2 * h * model.kv_heads * model.head_dim)
    feed_forward = model.feed_forwards_of("dense") * 4 * h * model.ffn_hidden
    assert flop_per_token(model, 8192).layers == mamba + attention + feed_forward
    assert (model.layers_of("mamba"), model.layers_of("full"), model.feed_forwards_of("dense")) == (54, 10, 54)


@pytest.mark.parametrize("again", RECOMPUTE)
@pytest.mark.parametrize("model", [hybrid(), delta_rules()], ids=["mamba", "delta"])
def test_at_peak_a_step_takes_its_hardware_flop(model: ModelShape, again: str) -> None:
    software = ideal_software()
    done = work(model, sequence=512, batch=8)
    times = step_times(done, ideal_machine(), software, single(recompute=again))
    assert float(times.step_s[0]) == pytest.approx(float(times.hardware_flop[0]) / PEAK, rel=1e-9)


@given(st.floats(0.01, 1.0), st.floats(0.0, 100.0), st.sampled_from([1, 2, 4]), st.integers(1, 16))
def test_the_time_of_a_scan_is_its_formula(efficiency: float, half: float, shared: int, batch: int) -> None:
    curve = ScanCurve(efficiency, half, 1e-5)
    model = hybrid()
    seconds = scan_s(model, batch, batch * 2048.0, shared, PEAK, ScanCurves(curve, curve, curve))
    flop = batch * 2048 * scan_flop(model)[1] / shared
    expected = flop * (1 + half * shared / (batch * 8)) / (efficiency * PEAK) + 1e-5
    assert float(np.asarray(seconds)) == pytest.approx(expected / 4, rel=1e-12)


def test_backward_of_a_scan_is_two_and_a_half_times_forward() -> None:
    machine = ideal_machine()
    slow = ScanCurve(1e-3, 0.0, 0.0)
    slower = replace(machine, scans=ScanCurves(slow, slow, slow))
    done = work(hybrid(), sequence=512, batch=8)
    extra = (
        step_times(done, slower, ideal_software(), single()).step_s
        - step_times(done, machine, ideal_software(), single()).step_s
    )
    forward_s = done.tokens * scan_flop(done.model)[1] / PEAK * (1e3 - 1)
    assert float(extra[0]) == pytest.approx((1 + BACKWARD_OVER_FORWARD) * forward_s, rel=1e-9)


@pytest.mark.parametrize("name", HYBRIDS)
@pytest.mark.parametrize("tensor", [1, 2, 4])
def test_layer_weights_agree_with_the_parameter_count(name: str, tensor: int) -> None:
    """Norms and what compresses are whole on each device; convolutions, rates and inner norms are not counted."""
    model = catalog.load("models", name)
    parts = count(model)
    routed = model.expert_layers * (model.experts.count * parts.expert if model.experts else 0)
    whole = parts.total - parts.embedding - parts.positions - parts.head - parts.final_norm - routed
    assert float(layer_weights(model, 1)) * model.layers == pytest.approx(whole, rel=5e-3)
    assert float(layer_weights(model, tensor)) >= float(layer_weights(model, 1)) / tensor


@pytest.mark.parametrize("name", HYBRIDS)
def test_published_hybrids_step_within_their_memory(name: str) -> None:
    chip = "b200-sxm"
    placed = single(tp=4, pp=2, dp=8, micro_batch=1, ep=8 if catalog.load("models", name).experts else 0)
    done = work(name, sequence=8192, batch=64)
    times = step_times(done, real_machine(chip), real_software(chip), placed)
    capacity = float(times.step_s[0]) * 64 * real_machine(chip).gemm_peak_flop_per_s
    assert 0 < done.model_flop < float(times.hardware_flop[0]) < capacity
    assert float(times.step_s[0]) == pytest.approx(sum(float(part[0]) for part in times.parts_s), rel=1e-12)
    memory = per_device(done.model, done.recipe, FLASH, placed, 8192, 64)
    assert float(memory.total_bytes[0]) > float(memory.weights_bytes[0]) > 0


def test_activations_of_a_mamba_layer_by_hand() -> None:
    """Input of the norm and of the product, what goes in, the output of the recurrence twice; 2 bytes each."""
    sizes = {"heads": 8, "head_dim": 64, "state": 32, "groups": 4}
    model = small_model(layer_types=["mamba"], feed_forward_types=["none"], mamba=sizes, norms_per_layer=1)
    kept = activation_bytes_per_token(model, recipe("bf16"), FLASH, single(), 2048)
    assert float(kept[0]) == 2 * (2 * H + (2 * 512 + 256 + 8) + 2 * 512)


def test_a_sequence_keeps_its_states_and_the_cache_of_its_few_layers_of_attention() -> None:
    model = hybrid()
    assert state_bytes(model) == 512 * 32 * 4 + 4 * (512 + 256) * 2
    token = 2 * model.kv_heads * model.head_dim * 2.0
    assert cache_bytes(model, 1000) == 1000 * token + state_bytes(model)
    assert cache_bytes(model, 2000, tensor_parallel=2) == 2000 * token / 2 + state_bytes(model) / 2


def test_a_state_is_split_by_its_heads_under_context_parallelism() -> None:
    done = work("nemotron-h-56b", sequence=8192, batch=64)
    chip = real_machine("h100-sxm")
    alone, split = (step_times(done, chip, real_software("h100-sxm"), single(tp=4, cp=cp, dp=8)) for cp in (1, 2))
    exposed = "exposed context-parallel communication"
    assert dict(alone.row(0))[exposed] == 0 < dict(split.row(0))[exposed]


def test_mamba_1_is_counted_but_not_timed() -> None:
    done = work("jamba-v0.1")
    assert count(done.model).total == 51_570_323_328
    with pytest.raises(NotYetError, match="Mamba-2"):
        step_times(done, real_machine("h100-sxm"), real_software("h100-sxm"), single())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("mamba: {heads: 8, head_dim: 64, state: 32}", "belong together"),
        ("layer_types: [mamba]", "belong together"),
        ("feed_forward_types: [experts]", "belong together"),
        ("layer_types: [none]\nsliding_window: 1\nfeed_forward_types: [none]", "belong together"),
        (
            "layer_types: [full, none]\nfeed_forward_types: [dense, none]",
            "a layer mixes tokens, or has a feed-forward, or both",
        ),
        ("layer_types: [mamba]\nmamba: {heads: 8, head_dim: 64, state: 32, groups: 3}", "groups divide the heads"),
        (
            "feed_forward_types: [experts, dense]\nexperts: {count: 8, top_k: 2, ffn_hidden: 64, every: 2}",
            "feed_forward_types says which layers have experts",
        ),
    ],
)
def test_lists_of_layers_that_contradict_themselves_are_refused(change: str, rule: str) -> None:
    text = "\n".join(
        f"{key}: {str(value).lower()}" for key, value in small_model().model_dump(exclude_none=True).items()
    )
    keys = {line.split(":")[0] for line in change.splitlines()}
    kept = [line for line in text.splitlines() if line.split(":")[0] not in keys]
    with pytest.raises(ScenarioError, match=rule):
        validate(ModelShape, loads("\n".join([*kept, change]), "model.yaml"))


def test_experts_in_a_latent_space_by_hand() -> None:
    """Tokens go to 64 channels and back; routed experts, their traffic and what they keep are that narrow."""
    wide, narrow = (hybrid(experts={"count": 8, "top_k": 2, "ffn_hidden": 128} | own) for own in ({}, {"latent": 64}))
    assert count(narrow).expert == 2 * 64 * 128 == count(wide).expert // 4
    assert count(narrow).expert_layer == 8 * 2 * 64 * 128 + H * 8 + 2 * H * 64
    assert flop_per_token(narrow, 512).layers - flop_per_token(wide, 512).layers == 2 * (
        2 * 2 * (64 - H) * 128 + 2 * H * 64
    )
