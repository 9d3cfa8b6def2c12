"""Steps of models with experts, latent attention and windows: by hand where the machine is ideal, and as relations."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.grouped import GroupedCurve
from sim.cost.layout import RECOMPUTE, joined, single
from sim.cost.memory import MemoryRules, activation_bytes_per_token, per_device
from sim.cost.recipe import recipe
from sim.cost.training import PARTS, StepTimes, step_times
from sim.cost.transformer import flop_per_token, square_attention_flop
from sim.spec.model import ModelShape
from tests.helpers.steps import (
    PEAK,
    ideal_machine,
    ideal_software,
    mixture,
    real_machine,
    real_software,
    small_model,
    work,
)

MODELS = ("mixtral-8x7b", "deepseek-v3", "qwen3-235b-a22b", "gpt-oss-120b", "llama-4-maverick", "gemma-2-27b")
MACHINES = {chip: real_machine(chip) for chip in ("h100-sxm", "b200-sxm")}
EXCHANGE = "exposed expert-parallel communication"
FLASH = MemoryRules(reserve_bytes=0.0, fragmentation=0.0, flash_attention=True)
BF16 = recipe("bf16")
WINDOWED = small_model(layer_types=["sliding", "full"], sliding_window=300)
LATENT = small_model(
    attention="mla", mla={"q_rank": 96, "kv_rank": 64, "rope_dim": 16, "nope_dim": 48, "value_dim": 48}
)


def part(times: StepTimes, name: str) -> float:
    return float(times.parts_s[times.names.index(name)][0])


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Layouts that are legal for every model of ``MODELS`` with 2,048 tokens and 64 sequences."""
    pp = draw(st.sampled_from([1, 2, 4]))
    degrees = {"tp": draw(st.sampled_from([1, 2, 4])), "cp": draw(st.sampled_from([1, 2])), "dp": 8}
    return degrees | {
        "pp": pp,
        "virtual_stages": draw(st.sampled_from([1, 2])) if pp > 1 else 1,
        "micro_batch": draw(st.sampled_from([1, 2])),
        "recompute": draw(st.sampled_from(RECOMPUTE)),
        "zero_stage": draw(st.integers(0, 3)),
        "ep": draw(st.sampled_from([1, 2, 4, 8])),
    }


@given(layouts(), st.sampled_from(MODELS), st.sampled_from(list(MACHINES)))
def test_parts_are_positive_and_sum_to_the_step(layout: dict[str, Any], model: str, chip: str) -> None:
    done, placed = work(model), single(**layout)
    times = step_times(done, MACHINES[chip], real_software(chip), placed)
    parts = [float(seconds[0]) for seconds in times.parts_s]
    assert (EXCHANGE in times.names) == (done.model.experts is not None)
    assert [name for name, _ in times.row(0)] == [name for name in PARTS if name in times.names]
    assert min(parts) >= -1e-9 * sum(parts)
    assert float(times.step_s[0]) == pytest.approx(sum(parts), rel=1e-12)
    capacity = float(times.step_s[0] * placed.devices[0] * MACHINES[chip].gemm_peak_flop_per_s)
    assert 0 < done.model_flop < float(times.hardware_flop[0]) <= capacity


@given(st.lists(layouts(), min_size=2, max_size=6), st.sampled_from(["deepseek-v3", "gpt-oss-120b"]))
def test_many_layouts_at_once_are_each_alone(many: list[dict[str, Any]], model: str) -> None:
    alone = [single(**layout) for layout in many]
    together = joined(alone)
    done, machine, software = work(model), MACHINES["h100-sxm"], real_software("h100-sxm")
    expected = [float(step_times(done, machine, software, each).step_s[0]) for each in alone]
    assert step_times(done, machine, software, together).step_s.tolist() == pytest.approx(expected, rel=1e-12)
    held = [per_device(done.model, BF16, FLASH, each, 2048, 64).row(0) for each in alone]
    at_once = per_device(done.model, BF16, FLASH, together, 2048, 64)
    assert [at_once.row(index) for index in range(len(alone))] == held


@pytest.mark.parametrize("again", RECOMPUTE)
@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize("model", [mixture(shared=1, dense_layers=1), mixture(every=2), WINDOWED, LATENT])
def test_at_peak_a_step_takes_its_hardware_flop(model: ModelShape, flash: bool, again: str) -> None:
    """Without memory traffic, messages and empty slots: devices x peak x step = FLOP."""
    done, placed = work(model), single(tp=2, dp=4, cp=2, recompute=again, ep=8 if model.experts else 0)
    times = step_times(done, ideal_machine(), ideal_software(flash=flash), placed)
    count = flop_per_token(model, done.sequence)
    whole = count.attention if flash else square_attention_flop(model, done.sequence)
    kernel = count.attention / 2 if flash else 3 * (whole - count.attention)
    again_flop = {"none": 0, "selective": 0 if flash else whole, "full": count.layers + whole}[again]
    expected = done.model_flop + done.tokens * (kernel + again_flop)
    assert float(times.hardware_flop[0]) == pytest.approx(expected)
    assert float(times.step_s[0]) == pytest.approx(expected / (16 * PEAK), rel=1e-9)


@pytest.mark.parametrize(("again", "starts"), [("none", 3), ("full", 4)])
def test_a_feed_forward_of_experts_starts_once_a_pass_and_fills_its_tiles(again: str, starts: int) -> None:
    """Start once forward, twice backward; rows that fill tiles are arithmetic that counts as no FLOP."""
    machine, model = ideal_machine(), mixture(dense_layers=1)
    curve = machine.experts
    placed, software = single(dp=4, ep=4, recompute=again), ideal_software()

    def step(curve: GroupedCurve) -> float:
        return float(step_times(work(model), replace(machine, experts=curve), software, placed).step_s[0])

    calls = 3 * 64 / 4
    late = step(replace(curve, overhead_s=1e-3)) - step(curve)
    assert late == pytest.approx(calls * starts * 1e-3)
    tiles = step(replace(curve, half_rows=100.0)) - step(curve)
    products = 2 * 2 * 256 * 128 * 100 * 8 / 4
    assert tiles == pytest.approx(calls * starts * products / PEAK)


def test_a_band_takes_its_share_of_the_square() -> None:
    """At peak, and with context parallelism that cuts the sequence to pieces shorter or longer than the window."""
    done = work(WINDOWED, sequence=4096, batch=16)
    steps = [step_times(done, ideal_machine(), ideal_software(), single(cp=cp)).step_s[0] * cp for cp in (1, 2, 16)]
    assert steps == pytest.approx([steps[0]] * 3, rel=1e-9)


def test_experts_by_hand_where_every_operator_waits_for_memory() -> None:
    """The step over that of the same model with products of no width: what moves is experts and router alone."""
    bandwidth, sequence, around = 1e6, 512, 10.0
    machine = ideal_machine(bandwidth)
    machine = replace(machine, experts=replace(machine.experts, visit_bytes=around))
    wide, narrow = mixture(), mixture(count=8, top_k=1)
    step = [
        float(step_times(work(m, sequence, 1), machine, ideal_software(), single()).step_s[0]) for m in (wide, narrow)
    ]
    h, f, experts = 256, 128, 8

    def products(visits: int) -> float:
        rows = sequence * visits / experts
        one = sum(
            2 * 2 * (rows * k + k * n + rows * n) + 2 * (rows * n + rows * k) + 8 * n * k for n, k in ((f, h), (h, f))
        )
        return experts * one

    vector = 3 * sequence * around * (h + f)
    expected = 4 * (products(2) - products(1) + vector) / bandwidth
    assert step[0] - step[1] == pytest.approx(expected, rel=1e-7)


def test_dispatch_and_combination_by_hand() -> None:
    """Two visits of 2 bytes x h a token, out and back, both ways: 3/4 of them leave a device of four."""
    links, software = 1e9, ideal_software()

    def exchange(software: Any = software, count: int = 8, **layout: Any) -> float:
        done = work(mixture(dense_layers=1, count=count))
        return part(step_times(done, ideal_machine(link_bytes_per_s=links), software, single(**layout)), EXCHANGE)

    once = 2048 * 2 * 256 * 2 * 3 / 4 / links
    assert exchange(dp=4, ep=4) == pytest.approx(16 * 3 * 4 * once)
    assert exchange(dp=4, ep=1) == 0.0
    # A full recompute sends everything once more; a tensor-parallel group of two shares the tokens.
    assert exchange(dp=4, ep=4, recompute="full") == pytest.approx(16 * 3 * 6 * once)
    assert exchange(tp=2, dp=4, ep=4) == pytest.approx(16 * 3 * 4 * once / 2)
    assert exchange(ideal_software(expert_imbalance=1.5), dp=4, ep=4) == pytest.approx(1.5 * exchange(dp=4, ep=4))
    hidden = ideal_software(expert_parallel_overlap=1.0)
    assert exchange(hidden, dp=8, ep=8) == 0.0
    # Measured inside a domain of eight, it says nothing about sixteen.
    assert exchange(hidden, count=16, dp=16, ep=16) == exchange(count=16, dp=16, ep=16) > 0.0
    across = ideal_software(expert_parallel_overlap_across=1.0)
    assert exchange(across, count=16, dp=16, ep=16) == 0.0
    # Two domains: a token with two experts has them in 1.5 domains on average, 8 of 16 devices are in the other.
    once = 2048 * 1.5 * 256 * 2 * 8 / 16 / links
    assert exchange(count=16, dp=16, ep=16) == pytest.approx(4 * 3 * 4 * once)


def test_gradients_of_experts_are_reduced_over_their_own_replicas() -> None:
    links = 1e9
    done = work(mixture())
    experts, rest = 4 * 8 * 2 * 256 * 128, 4 * (4 * 256**2 + 8 * 256 + 2 * 256) + 2 * 1000 * 256

    def exposed(zero: int, ep: int, **layout: int) -> float:
        placed = single(dp=8, zero_stage=zero, ep=ep, **layout)
        times = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), placed)
        return part(times, "exposed data-parallel communication")

    for ep, replicas in ((1, 8), (2, 4), (8, 1)):
        moved = rest * 7 / 8 + experts / ep * (1 - 1 / replicas)
        assert exposed(0, ep) == pytest.approx(8 * moved / links)
        assert exposed(1, ep) == pytest.approx(6 * moved / links)
        assert exposed(2, ep) == pytest.approx((8 * 4 + 2) * moved / links)
        assert exposed(3, ep) == pytest.approx(8 * 8 * moved / links)


def test_replicas_of_experts_inside_a_tensor_parallel_group_reduce_too() -> None:
    """Two devices with all experts each, no data parallelism: only experts are there twice."""
    times = step_times(
        work(mixture()), ideal_machine(link_bytes_per_s=1e9), ideal_software(), single(tp=2, ep=1, zero_stage=0)
    )
    experts = 4 * 8 * 2 * 256 * 128
    assert part(times, "exposed data-parallel communication") == pytest.approx(8 * experts / 2 / 1e9)


def test_a_group_joins_attention_and_shared_experts_but_not_routed_ones() -> None:
    def messages(model: ModelShape) -> float:
        times = step_times(work(model), ideal_machine(link_bytes_per_s=1e9), ideal_software(), single(tp=4, ep=4))
        return part(times, "exposed tensor-parallel communication")

    pair = 2 * 2048 * 256 * 2 * 3 / 4 / 1e9
    assert messages(mixture()) == pytest.approx(64 * (4 * 2 + 1) * pair)
    assert messages(mixture(shared=1)) == pytest.approx(64 * (4 * 4 + 1) * pair)
    assert messages(mixture(every=2)) == pytest.approx(64 * (4 * 3 + 1) * pair)


def test_states_of_experts_are_shared_by_their_replicas() -> None:
    """16 devices, experts over 4: four replicas of the experts, sixteen of the rest."""
    model = mixture(vocab=8)
    experts, rest = 4 * 8 * 2 * 256 * 128 / 4, 4 * (4 * 256**2 + 8 * 256 + 2 * 256) + 2 * 8 * 256
    kept = [per_device(model, BF16, FLASH, single(dp=16, ep=4, zero_stage=zero), 512, 64).row(0) for zero in (0, 1)]
    assert [memory["weights"] for memory in kept] == [2 * (experts + rest)] * 2
    assert [memory["gradients"] for memory in kept] == [4 * (experts + rest)] * 2
    assert [memory["optimizer"] for memory in kept] == [12 * (experts + rest), 12 * (experts / 4 + rest / 16)]


def test_activations_by_hand() -> None:
    """Two visits keep two copies of the input, two inner vectors each twice, and the router's scores in 32 bit."""
    dense = float(activation_bytes_per_token(small_model(), BF16, FLASH, single(), 512)[0])
    none, selective, full = (
        float(activation_bytes_per_token(mixture(), BF16, FLASH, single(recompute=again), 512)[0])
        for again in RECOMPUTE
    )
    assert none == dense - 2 * 2 * 1024 + 2 * (2 * 2 * 128 + 2 * 256) + 4 * 8
    assert none - selective == 2 * (2 * 256 + 2 * 128)
    assert full == 2 * 256
    latent = float(activation_bytes_per_token(LATENT, BF16, FLASH, single(), 512)[0])
    assert latent == dense + 2 * (4 * (2 * 64 + 2 * 48) + 2 * 96 + 2 * 64 + 16 - 4 * 256)


@given(layouts(), st.sampled_from(MODELS[:5]))
def test_more_expert_parallelism_never_needs_more_memory(layout: dict[str, Any], model: str) -> None:
    shape = work(model).model
    totals = [
        float(per_device(shape, BF16, FLASH, single(**layout | {"ep": ep}), 2048, 64).total_bytes[0])
        for ep in (1, 2, 4, 8)
    ]
    assert totals == sorted(totals, reverse=True)


def test_kernels_of_models_with_experts_are_slower_by_a_number_of_the_profile() -> None:
    plain, slow = (ideal_software(expert_slowdown=factor) for factor in (1.0, 1.5))
    for model, factor in ((mixture(), 1.5), (small_model(), 1.0)):
        before, after = (
            float(step_times(work(model), ideal_machine(), software, single(zero_stage=0)).step_s[0])
            for software in (plain, slow)
        )
        assert after == pytest.approx(factor * before)


@given(layouts(), st.floats(1.0, 2.0))
def test_imbalance_is_never_faster(layout: dict[str, Any], factor: float) -> None:
    done, machine, software = work("mixtral-8x7b"), MACHINES["h100-sxm"], real_software("h100-sxm")
    uneven = replace(software, expert_imbalance=factor)
    even_s, uneven_s = (step_times(done, machine, each, single(**layout)).step_s[0] for each in (software, uneven))
    assert uneven_s >= even_s * (1 - 1e-12)


def test_small_experts_wait_for_their_weights() -> None:
    """The same FLOP in more and smaller experts take longer: fewer rows for each weight that is read."""
    few, many = mixture(count=8, top_k=2), mixture(count=64, top_k=2)
    machine = MACHINES["h100-sxm"]
    steps = [
        float(step_times(work(model, 512, 8), machine, ideal_software(), single()).step_s[0]) for model in (few, many)
    ]
    assert steps[0] < steps[1]
