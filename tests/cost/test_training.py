"""The training step against theory, by hand where the machine is ideal, and as relations where it is real."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sim.cost.layout import RECOMPUTE, joined, single
from sim.cost.machine import Machine, Software
from sim.cost.training import DENSE_PARTS, StepTimes, slowest_rank_pace, step_times
from sim.cost.transformer import flop_per_token
from sim.errors import NotYetError
from tests.helpers.steps import (
    DENSE,
    PEAK,
    ideal_machine,
    ideal_software,
    real_machine,
    real_software,
    small_model,
    work,
)

CHIPS = ("a100-80gb-sxm", "h100-sxm", "b200-sxm", "mi300x")
MACHINES = {chip: real_machine(chip) for chip in CHIPS}
PLAIN = {"tp": 1, "pp": 1, "virtual_stages": 1, "cp": 1, "dp": 1, "micro_batch": 1, "recompute": "none"}


def part(times: StepTimes, name: str) -> float:
    return float(times.parts_s[times.names.index(name)][0])


def step_s(machine: Machine, software: Software, **layout: Any) -> float:
    return float(step_times(work("llama-3.1-8b"), machine, software, single(**layout)).step_s[0])


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Layouts that are legal for every model of ``DENSE`` with 2,048 tokens and 64 sequences."""
    pp = draw(st.sampled_from([1, 2, 4, 8]))
    dp = draw(st.sampled_from([1, 2, 8]))
    micro_batch = draw(st.sampled_from([1, 2, 4]))
    virtual = draw(st.sampled_from([1, 2, 4])) if pp > 1 else 1
    assume(virtual == 1 or 64 // (dp * micro_batch) >= pp)
    return {
        "tp": draw(st.sampled_from([1, 2, 4, 8])),
        "pp": pp,
        "virtual_stages": virtual,
        "cp": draw(st.sampled_from([1, 2, 4])),
        "dp": dp,
        "micro_batch": micro_batch,
        "recompute": draw(st.sampled_from(RECOMPUTE)),
        "zero_stage": draw(st.integers(0, 3)),
        "sequence_parallel": draw(st.booleans()),
    }


@given(layouts(), st.sampled_from(DENSE), st.sampled_from(CHIPS))
def test_parts_are_positive_and_sum_to_the_step(layout: dict[str, Any], model: str, chip: str) -> None:
    done = work(model)
    times = step_times(done, MACHINES[chip], real_software(chip), single(**layout))
    parts = [float(seconds[0]) for seconds in times.parts_s]
    assert [name for name, _ in times.row(0)] == list(DENSE_PARTS)
    assert min(parts) >= -1e-9 * sum(parts)
    assert float(times.step_s[0]) == pytest.approx(sum(parts), rel=1e-12)


@given(layouts(), st.sampled_from(DENSE), st.sampled_from(CHIPS))
def test_utilization_is_at_most_one(layout: dict[str, Any], model: str, chip: str) -> None:
    """Model FLOP at peak take no longer than the step, nor do hardware FLOP; there are more of the latter."""
    done, placed = work(model), single(**layout)
    times = step_times(done, MACHINES[chip], real_software(chip), placed)
    capacity = float(times.step_s[0] * placed.devices[0] * MACHINES[chip].gemm_peak_flop_per_s)
    assert 0 < done.model_flop < float(times.hardware_flop[0]) <= capacity


@given(st.lists(layouts(), min_size=2, max_size=6))
def test_many_layouts_at_once_are_each_alone(many: list[dict[str, Any]]) -> None:
    alone = [single(**layout) for layout in many]
    together = joined(alone)
    done, machine, software = work("llama-3.1-8b"), MACHINES["h100-sxm"], real_software("h100-sxm")
    expected = [float(step_times(done, machine, software, each).step_s[0]) for each in alone]
    assert step_times(done, machine, software, together).step_s.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("again", RECOMPUTE)
@pytest.mark.parametrize("flash", [True, False])
def test_at_peak_a_step_takes_its_hardware_flop(again: str, flash: bool) -> None:
    """Without memory traffic, messages and empty slots, devices x peak x step = model FLOP + what is done again."""
    done = work(small_model())
    placed = single(tp=2, dp=4, cp=2, recompute=again)
    times = step_times(done, ideal_machine(), ideal_software(flash=flash), placed)
    devices, count = 16, flop_per_token(done.model, done.sequence)
    if flash:  # The kernel repeats its scores in the backward pass; a full recompute repeats the forward pass.
        repeated = count.attention / 2 + {"none": 0, "selective": 0, "full": count.layers + count.attention}[again]
    else:  # The masked half is computed too: once forward, twice backward, and again where it is recomputed.
        whole = 2 * count.attention
        extra = {"none": 0, "selective": whole, "full": count.layers + whole}[again]
        repeated = 3 * count.attention + extra
    assert float(times.hardware_flop[0]) == pytest.approx(done.model_flop + done.tokens * repeated)
    assert float(times.step_s[0]) == pytest.approx(float(times.hardware_flop[0]) / (devices * PEAK), rel=1e-9)
    assert part(times, "useful compute") == pytest.approx(done.model_flop / (devices * PEAK))


def test_a_step_by_hand_where_every_operator_waits_for_memory() -> None:
    """Bandwidth so low that arithmetic is free: the step is the bytes of every operator over the bandwidth."""
    model, sequence, bandwidth = small_model(), 512, 1e6
    times = step_times(work(model, sequence, 1), ideal_machine(bandwidth), ideal_software(), single())
    h, f, s, vocab = 256, 1024, sequence, 1000
    shapes = ((3 * h, h), (h, h), (f, h), (h, f))
    # Forward, gradient of the input: 2-byte operands and result; gradient of the weights: read and written in 4 bytes.
    products = sum(2 * 2 * (s * k + k * n + s * n) + 2 * (s * n + s * k) + 8 * n * k for n, k in shapes)
    attention = 3.5 * 2 * (2 * s * h + 2 * s * h)
    vector = 3 * s * 2 * (10 * h + 2 * 2 * h + 2 * f)
    head = 2 * 2 * (s * h + h * vocab + s * vocab) + 2 * (s * h + s * vocab + h * vocab) + 24 * s * vocab
    weights = 4 * (4 * h * h + 2 * h * f + 2 * h) + 2 * vocab * h
    optimizer = weights * (2 * 12 + 3 * 4 + 2)
    expected = (4 * (products + attention + vector) + head + optimizer) / bandwidth
    assert float(times.step_s[0]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("pp", "v", "batches"), [(2, 1, 4), (4, 1, 8), (4, 2, 8), (8, 4, 16), (8, 1, 64)])
def test_bubble_of_equal_stages_is_that_of_narayanan_2021(pp: int, v: int, batches: int) -> None:
    """Idle over useful time of a pipeline is (p - 1) / (v m)."""
    model = small_model(layers=32, vocab=1)
    placed = single(pp=pp, virtual_stages=v)
    times = step_times(work(model, batch=batches), ideal_machine(), ideal_software(), placed)
    bubble = part(times, "pipeline bubble")
    assert bubble / (float(times.step_s[0]) - bubble) == pytest.approx((pp - 1) / (v * batches), rel=1e-3)


def test_uneven_stages_wait_for_the_fullest() -> None:
    """Six layers on four stages: the fullest has two, so that m micro-batches take 2 m layers' time, not 1.5 m."""
    model = small_model(layers=6, vocab=1)
    even = step_times(work(small_model(layers=8, vocab=1)), ideal_machine(), ideal_software(), single(pp=4))
    uneven = step_times(work(model), ideal_machine(), ideal_software(), single(pp=4))
    per_layer = float(even.step_s[0]) / (2 * 64 + 2 * 3)
    assert float(uneven.step_s[0]) == pytest.approx(per_layer * (2 * 64 + 1.5 * 3), rel=1e-4)


def test_the_head_makes_the_last_stage_the_slowest() -> None:
    done = work(small_model(vocab=100_000))
    count = flop_per_token(done.model, done.sequence)
    one_layer = 3 * (count.layers + count.attention) / 4 + count.attention_recompute / 4
    last = done.sequence * (one_layer + 3 * count.head) / PEAK
    mean = done.sequence * (4 * one_layer + 3 * count.head) / 4 / PEAK
    times = step_times(done, ideal_machine(), ideal_software(), single(pp=4))
    assert float(times.step_s[0]) == pytest.approx(64 * last + 3 * mean, rel=1e-9)


def test_tensor_parallel_messages_by_hand() -> None:
    """Two gathers and two scatters a layer and direction, and one pair for the head; s x h x 2 bytes each."""
    done, links = work(small_model()), 1e9
    times = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), single(tp=4))
    pair = 2 * 2048 * 256 * 2 * 3 / 4 / links
    assert part(times, "exposed tensor-parallel communication") == pytest.approx(64 * (4 * 4 + 1) * pair)
    whole = single(tp=4, sequence_parallel=False)
    without = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), whole)
    # An all-reduce moves the same bytes as the pair.
    assert part(without, "exposed tensor-parallel communication") == pytest.approx(64 * (4 * 4 + 1) * pair)


def test_messages_of_the_head_are_those_of_the_last_stage() -> None:
    """Four stages of a layer: the last one has a pair of messages more, and sets the pace of each micro-batch."""
    done, links = work(small_model()), 1e6
    count = flop_per_token(done.model, done.sequence)
    pair = 2 * 2048 * 256 * 2 * 3 / 4 / links
    layer = 2048 * (3 * (count.layers + count.attention) + count.attention_recompute) / 4 / 4 / PEAK + 4 * pair
    head = 2048 * 3 * count.head / 4 / PEAK + pair
    times = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), single(tp=4, pp=4))
    hops = part(times, "exposed pipeline communication")
    mean = layer + head / 4
    assert float(times.step_s[0]) - hops == pytest.approx(64 * (layer + head) + 3 * mean, rel=1e-9)
    assert part(times, "pipeline bubble") == pytest.approx(64 * (layer + head - mean) + 3 * mean, rel=1e-9)


@pytest.mark.parametrize(("v", "exposed"), [(1, 1.0), (2, 0.25)])
def test_pipeline_messages_by_hand(v: int, exposed: float) -> None:
    """Each stage sends s x h x 2 bytes over tp, forward and back, for each chunk; and once through when filling."""
    done, links = work(small_model()), 1e9
    software = ideal_software(pipeline_overlap=0.75)
    placed = single(tp=2, pp=2, virtual_stages=v, dp=4)
    times = step_times(done, ideal_machine(link_bytes_per_s=links), software, placed)
    hop = 2048 * 256 * 2 / 2 / links
    assert part(times, "exposed pipeline communication") == pytest.approx((2 * 16 * v * exposed + 2) * hop)
    alone = step_times(done, ideal_machine(link_bytes_per_s=links), software, single(tp=2))
    assert part(alone, "exposed pipeline communication") == 0.0


def test_stages_that_share_a_domain_talk_inside_it() -> None:
    """Neighbouring stages are tp x cp x dp devices apart: 4 stay in a domain of 8, 8 do not."""
    done = work(small_model(), batch=16)
    inside = ideal_machine(link_bytes_per_s=1e9)
    slow = replace(inside.fabric.pod, bandwidth_bytes_per_s=1e6)
    machine = replace(inside, fabric=replace(inside.fabric, pod=slow, spine=slow))

    def hops_s(**layout: int) -> float:
        times = step_times(done, machine, ideal_software(), single(pp=2, **layout))
        return part(times, "exposed pipeline communication")

    message = 2048 * 256 * 2
    near = (2 * 16 + 2) * message / 1e9
    assert hops_s(tp=4) == pytest.approx(near / 4)
    assert hops_s(cp=4) == pytest.approx(near / 4)
    assert hops_s(dp=4) == pytest.approx((2 * 4 + 2) * message / 1e9)
    assert hops_s(tp=2, cp=2, dp=2) == pytest.approx((2 * 8 + 2) * message / 4 / 1e6)


def test_context_parallel_messages_by_hand() -> None:
    """Keys and values of the others come in behind all but one of the ring's calls; gradients go back with them."""
    done, links, cp = work(small_model(), batch=1), 5e11, 4
    times = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), single(cp=cp))
    message = 2048 * 2 * 256 * 2 * 3 / 4 / links
    attention = 2048 * flop_per_token(done.model, 2048).attention / 4 / cp / PEAK
    hidden = attention * 3 / 4
    assert message > hidden > 0
    expected = (message - hidden) + max(2 * message - 2.5 * hidden, 0.0)
    assert part(times, "exposed context-parallel communication") == pytest.approx(4 * expected)
    full = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), single(cp=cp, recompute="full"))
    again = part(full, "exposed context-parallel communication")
    assert again == pytest.approx(4 * (expected + message - hidden))
    pair = step_times(done, ideal_machine(link_bytes_per_s=1e6), ideal_software(), single(cp=2))
    assert part(pair, "exposed context-parallel communication") > 0.0


def test_an_unfused_kernel_moves_its_scores() -> None:
    """Seven passes of 2 bytes over heads x s x s scores forward, twice that backward."""
    model, sequence, bandwidth = small_model(), 512, 1e6
    fused, unfused = (
        step_times(work(model, sequence, 1), ideal_machine(bandwidth), ideal_software(flash=flash), single())
        for flash in (True, False)
    )
    scores = 4 * 3 * 7 * 2 * 4 * sequence**2
    flash = 4 * 3.5 * 2 * (2 * sequence * 256 + 2 * sequence * 256)
    expected = (scores - flash) / bandwidth
    assert float(unfused.step_s[0]) - float(fused.step_s[0]) == pytest.approx(expected, rel=1e-6)


def test_two_replicas_reduce_too() -> None:
    done, links = work(small_model()), 1e9
    times = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(), single(dp=2))
    parameters = 4 * (12 * 256**2 + 2 * 256) + 2 * 1000 * 256
    assert part(times, "exposed data-parallel communication") == pytest.approx(6 * parameters / 2 / links)


def test_data_parallel_messages_by_hand() -> None:
    """ZeRO 1 scatters 4-byte gradients and gathers 2-byte weights once; ZeRO 0 gathers the 4-byte gradients back."""
    done, links = work(small_model()), 1e9
    parameters = 4 * (12 * 256**2 + 2 * 256) + 2 * 1000 * 256

    def exposed(zero: int, links: float = links, **software: float) -> float:
        placed = single(dp=8, zero_stage=zero, micro_batch=2)
        times = step_times(done, ideal_machine(link_bytes_per_s=links), ideal_software(**software), placed)
        return part(times, "exposed data-parallel communication")

    share = parameters * 7 / 8 / links
    assert exposed(0) == pytest.approx(8 * share)
    assert exposed(1) == pytest.approx(6 * share)
    # Four micro-batches each scatter their gradients.
    assert exposed(2) == pytest.approx((4 * 4 + 2) * share)
    # And gather the weights for both passes.
    assert exposed(3) == pytest.approx(4 * (4 + 2 + 2) * share)
    # Links so fast that the last micro-batch could hide all of it; links so slow that it hides no more than itself.
    fast = 1e14
    assert exposed(1, fast, data_parallel_overlap=0.5) == pytest.approx(exposed(1, fast) / 2)
    assert exposed(1, fast, data_parallel_overlap=1.0) == pytest.approx(0.0, abs=1e-15)
    assert exposed(1, data_parallel_overlap=1.0) == pytest.approx(exposed(1), rel=0.01)


@given(layouts(), st.sampled_from(CHIPS))
def test_sharing_more_never_makes_a_step_faster(layout: dict[str, Any], chip: str) -> None:
    def data_s(zero: int) -> float:
        placed = single(**layout | {"zero_stage": zero})
        times = step_times(work("llama-3.1-8b"), MACHINES[chip], real_software(chip), placed)
        return float(times.step_s[0]) - part(times, "optimizer")

    assert data_s(1) <= data_s(2) * (1 + 1e-12)
    assert data_s(2) <= data_s(3) * (1 + 1e-12)


@given(layouts(), st.sampled_from(["bandwidth", "links", "peak"]), st.floats(1.0, 8.0))
def test_a_faster_machine_is_never_slower(layout: dict[str, Any], what: str, factor: float) -> None:
    slow, software = MACHINES["h100-sxm"], real_software("h100-sxm")
    if what == "bandwidth":
        fast = replace(slow, bandwidth_bytes_per_s=factor * slow.bandwidth_bytes_per_s)
    elif what == "peak":
        peaks = {name: factor * getattr(slow, name) for name in ("gemm_peak_flop_per_s", "wide_peak_flop_per_s")}
        fast = replace(slow, **peaks)
    else:
        levels = {
            name: replace(level, bandwidth_bytes_per_s=factor * level.bandwidth_bytes_per_s)
            for name, level in (("pod", slow.fabric.pod), ("spine", slow.fabric.spine))
        }
        domain = replace(
            slow.fabric.domain,
            bandwidth_bytes_per_s=factor * slow.fabric.domain.bandwidth_bytes_per_s,
            pair_bandwidth_bytes_per_s=factor * slow.fabric.domain.pair_bandwidth_bytes_per_s,
        )
        fast = replace(slow, fabric=replace(slow.fabric, domain=domain, **levels))
    assert step_s(fast, software, **layout) <= step_s(slow, software, **layout) * (1 + 1e-12)


@given(layouts(), st.floats(1.0, 2.0))
def test_slower_software_is_never_faster(layout: dict[str, Any], factor: float) -> None:
    machine, software = MACHINES["h100-sxm"], real_software("h100-sxm")
    for name in ("kernel_slowdown", "launch_s", "step_host_s"):
        slower = replace(software, **{name: factor * getattr(software, name)})
        assert step_s(machine, slower, **layout) >= step_s(machine, software, **layout) * (1 - 1e-12)


def test_overlap_measured_in_a_domain_is_not_applied_across_domains() -> None:
    done, machine = work("llama-3.1-8b"), MACHINES["h100-sxm"]

    def exposed(tp: int, overlap: float) -> float:
        software = real_software("h100-sxm", tensor_parallel_overlap=overlap)
        return part(step_times(done, machine, software, single(tp=tp)), "exposed tensor-parallel communication")

    assert machine.domain_devices == 8
    assert exposed(8, 1.0) == 0.0
    assert exposed(8, 0.0) > 0.0
    assert exposed(16, 1.0) == exposed(16, 0.0) > exposed(8, 0.0)


def test_recompute_adds_its_forward_and_hides_nothing() -> None:
    done = work("llama-3.1-8b")
    machine, software = MACHINES["h100-sxm"], real_software("h100-sxm")
    none, selective, full = (step_times(done, machine, software, single(tp=2, recompute=again)) for again in RECOMPUTE)
    count = flop_per_token(done.model, done.sequence)
    added = float(full.hardware_flop[0] - none.hardware_flop[0])
    assert added == pytest.approx(done.tokens * (count.layers + count.attention))
    assert float(selective.hardware_flop[0]) == float(none.hardware_flop[0])
    assert part(none, "recompute") == 0.0 < part(selective, "recompute") < part(full, "recompute")
    assert part(full, "exposed tensor-parallel communication") > part(none, "exposed tensor-parallel communication")


def test_context_parallelism_costs_what_attention_does_not_hide() -> None:
    done = work("llama-3.1-8b", sequence=8192, batch=8)
    quick = step_times(done, ideal_machine(link_bytes_per_s=1e15), ideal_software(), single(cp=8))
    slow = step_times(done, ideal_machine(link_bytes_per_s=1e6), ideal_software(), single(cp=8))
    assert part(quick, "exposed context-parallel communication") == 0.0
    assert part(slow, "exposed context-parallel communication") > 0.0


def test_a_ring_works_on_short_blocks() -> None:
    """Each of cp calls sees 1/cp of the sequence, where a kernel is further from its peak."""
    done = work("llama-3.1-8b", sequence=8192, batch=8)
    machine = MACHINES["h100-sxm"]
    alone, ring = (step_times(done, machine, real_software("h100-sxm"), single(cp=cp)) for cp in (1, 8))
    assert part(ring, "kernel inefficiency") > part(alone, "kernel inefficiency") / 8


def test_small_models_wait_for_the_host() -> None:
    """Kernels shorter than their launch: the step takes the launches, 12 forward and 24 backward a layer."""
    done = work(small_model(), sequence=16, batch=1)
    machine = ideal_machine()
    times = step_times(done, machine, ideal_software(launch_s=1.0, step_host_s=5.0), single())
    assert float(times.step_s[0]) == pytest.approx(4 * 36 + 5.0)


def test_pace_of_the_slowest_rank() -> None:
    pace = slowest_rank_pace(0.005, np.array([8, 256, 1024, 16384]))
    assert pace.tolist() == pytest.approx([1 - 0.025, 1.0, 1.01, 1.03])
    # Below one node nothing more is gained.
    assert slowest_rank_pace(0.005, np.array([1])).tolist() == [pace[0]]


def test_other_kinds_of_model_are_refused() -> None:
    with pytest.raises(NotYetError, match="Mamba-2"):
        step_times(work("jamba-v0.1"), ideal_machine(), ideal_software(), single())
