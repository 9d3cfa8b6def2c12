"""What layouts have in common: experts shared by devices, hybrid sharding, gathered keys, uneven stages."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cost.collectives import hierarchical_s, place_group
from sim.cost.layout import USUAL, Layouts, joined, single
from sim.cost.memory import MemoryRules, per_device
from sim.cost.slots import play, slots
from sim.cost.stages import balanced_cut, cut_layers, relative_weights, stage_idle, stage_layers
from sim.cost.training import StepTimes, step_times
from sim.spec import catalog
from tests.helpers.steps import (
    PEAK,
    hybrid,
    ideal_machine,
    ideal_software,
    mixture,
    real_machine,
    real_software,
    small_model,
    work,
)

RULES = MemoryRules(reserve_bytes=0.0, fragmentation=0.0, flash_attention=True)
H100, SOFTWARE = real_machine("h100-sxm"), real_software("h100-sxm")
EXPERTS, DATA = "exposed expert-parallel communication", "exposed data-parallel communication"
CONTEXT = "exposed context-parallel communication"


def part(times: StepTimes, name: str) -> float:
    return dict(times.row(0))[name]


def memory(model: Any, layouts: Layouts, batch: int = 64) -> dict[str, float]:
    done = work(model, batch=batch)
    return per_device(done.model, done.recipe, RULES, layouts, done.sequence, done.global_batch).row(0)


def test_nothing_in_common_is_the_usual() -> None:
    plain = single(tp=2, dp=8, ep=4)
    assert plain.common is USUAL
    assert single(tp=2, dp=8, ep=4, etp=1, shard=0, stages="mean").common is USUAL
    assert set(plain.row(0)) == {
        "tp", "pp", "virtual_stages", "cp", "dp", "micro_batch", "recompute", "zero_stage", "sequence_parallel", "ep",
    }  # fmt: skip


def test_what_is_in_common_stands_in_the_row_and_survives_taking_and_joining() -> None:
    placed = single(tp=2, dp=8, ep=2, etp=2, shard=4, cp_exchange="all-gather", stages="even", last_stage_layers=1)
    row = placed.row(0)
    assert {name: row[name] for name in ("etp", "shard", "cp_exchange", "stages", "last_stage_layers")} == {
        "etp": 2, "shard": 4, "cp_exchange": "all-gather", "stages": "even", "last_stage_layers": 1,
    }  # fmt: skip
    assert "first_stage_layers" not in row
    assert joined([placed.take(np.array([0, 0])), placed]).row(2) == row


def test_devices_that_share_an_expert_by_hand() -> None:
    """Two groups of two devices: each has half of the experts and of their width, for four devices' tokens."""
    shared, alone = single(dp=4, ep=2, etp=2), single(dp=4, ep=4)
    assert shared.expert_devices.tolist() == alone.expert_devices.tolist() == [4]
    assert shared.expert_replicas.tolist() == [1]
    done = work(mixture(), batch=8)
    both = [step_times(done, ideal_machine(), ideal_software(), placed) for placed in (shared, alone)]
    # The same work on the same devices; at peak without messages it takes the same time.
    assert float(both[0].step_s[0]) == pytest.approx(float(both[1].step_s[0]), rel=1e-12)
    assert memory(mixture(), shared)["weights"] == memory(mixture(), alone)["weights"]
    # What comes in is kept by both devices of an expert.
    assert memory(mixture(), shared)["activations"] > memory(mixture(), alone)["activations"]


def test_traffic_of_shared_experts_is_two_all_to_alls_a_gather_and_a_scatter() -> None:
    machine = ideal_machine(link_bytes_per_s=1e9)
    done = work(mixture(), batch=8)
    placed = single(dp=4, ep=2, etp=2)
    visits = 2048.0 * 2 * 256 * 2.0  # tokens x experts visited x width x bytes, of one micro-batch and layer
    group, pair = place_group(np.array([2.0]), 2, 8, 1e12), place_group(np.array([2.0]), 1, 8, 1e12)
    each_s = 2 * hierarchical_s("all_to_all", visits, group, machine.fabric)
    each_s += hierarchical_s("all_gather", 2 * visits, pair, machine.fabric)
    each_s += hierarchical_s("reduce_scatter", 2 * visits, pair, machine.fabric)
    exposed = part(step_times(done, machine, ideal_software(), placed), EXPERTS)
    assert exposed == pytest.approx(2 * 4 * 2 * float(np.asarray(each_s)[0]))  # 2 micro-batches, 4 layers, 2 ways


@given(st.sampled_from([1, 2, 3]), st.sampled_from([1, 2, 4]), st.sampled_from(["llama-3.1-8b", "mixtral-8x7b"]))
@settings(max_examples=20)
def test_a_group_of_all_replicas_is_plain_sharding(zero: int, tensor: int, name: str) -> None:
    ep = 8 if name.startswith("mix") else 0
    layout: dict[str, Any] = {"tp": tensor, "dp": 32, "zero_stage": zero, "ep": ep}
    plain, grouped = single(**layout), single(**layout, shard=32)
    done = work(name)
    one, other = (step_times(done, H100, SOFTWARE, placed) for placed in (plain, grouped))
    assert float(other.step_s[0]) == pytest.approx(float(one.step_s[0]), rel=1e-12)
    assert memory(name, grouped) == pytest.approx(memory(name, plain), rel=1e-12)


@given(st.sampled_from([1, 2, 3]), st.sampled_from([8, 16, 32]))
@settings(max_examples=20)
def test_smaller_groups_hold_more_and_split_less(zero: int, shard: int) -> None:
    layout: dict[str, Any] = {"dp": 64, "zero_stage": zero}
    held = [memory("llama-3.1-8b", single(**layout, shard=size))["total"] for size in (shard, 64)]
    assert held[0] > held[1]
    kept = [memory("llama-3.1-8b", single(**layout, shard=size))["optimizer"] for size in (shard, 64)]
    assert kept[0] == pytest.approx(kept[1] * 64 / shard)


def test_hybrid_sharding_gathers_inside_the_domain_and_sums_across() -> None:
    """Groups of a node: weights come over NVLink alone; gradients cross once, an eighth of them from each device."""
    machine = ideal_machine(link_bytes_per_s=1e9)
    model = small_model(tied_embeddings=True, vocab=8)
    done = work(model, batch=32)
    placed = single(dp=32, zero_stage=1, shard=8)
    inside, across = place_group(np.array([8.0]), 1, 8, 1e12), place_group(np.array([4.0]), 8, 8, 1e12)
    parameters = 4 * (12 * 256**2 + 2 * 256) + 8 * 256
    seconds = hierarchical_s("reduce_scatter", 4.0 * parameters, inside, machine.fabric)
    seconds += hierarchical_s("all_reduce", 4.0 * parameters / 8, across, machine.fabric)
    seconds += hierarchical_s("all_gather", 2.0 * parameters, inside, machine.fabric)
    exposed = part(step_times(done, machine, ideal_software(data_parallel_overlap=0.0), placed), DATA)
    assert exposed == pytest.approx(float(np.asarray(seconds)[0]))


def test_hybrid_sharding_spares_the_network_with_every_micro_batch_but_once() -> None:
    layout: dict[str, Any] = {"dp": 256, "zero_stage": 3}
    done = work("llama-3.1-8b", batch=2048)
    whole, grouped = (step_times(done, H100, SOFTWARE, single(**layout, **more)) for more in ({}, {"shard": 8}))
    assert part(grouped, DATA) < part(whole, DATA)


def test_gathered_keys_by_hand() -> None:
    """One gather forward; one more and a scatter of the gradients backward; attention hides none of it."""
    machine = ideal_machine(link_bytes_per_s=1e9)
    done = work(small_model(), batch=8)
    placed = single(cp=4, dp=2, cp_exchange="all-gather")
    size = 2048.0 * 2 * 256 * 2.0  # keys and values of a whole sequence in 16 bit
    group = place_group(np.array([4.0]), 1, 8, 1e12)
    gather_s, scatter_s = (
        hierarchical_s(kind, size, group, machine.fabric) for kind in ("all_gather", "reduce_scatter")
    )
    exposed = part(step_times(done, machine, ideal_software(), placed), CONTEXT)
    assert exposed == pytest.approx(4 * 4 * float(np.asarray(2 * gather_s + scatter_s)[0]))


@given(st.sampled_from([1, 2, 4, 8]))
def test_both_exchanges_do_the_same_arithmetic(context: int) -> None:
    done = work("llama-3.1-8b", sequence=32768, batch=16)
    both = [
        step_times(done, ideal_machine(), ideal_software(), single(cp=context, dp=2, cp_exchange=kind))
        for kind in ("ring", "all-gather")
    ]
    assert float(both[0].step_s[0]) == pytest.approx(float(both[1].step_s[0]), rel=1e-12)
    assert float(both[0].hardware_flop[0]) == float(both[1].hardware_flop[0])


def test_one_device_has_nothing_to_exchange() -> None:
    done = work("llama-3.1-8b")
    kinds = [step_times(done, H100, SOFTWARE, single(dp=8, cp_exchange=kind)) for kind in ("ring", "all-gather")]
    assert float(kinds[0].step_s[0]) == pytest.approx(float(kinds[1].step_s[0]), rel=1e-12)


@given(
    st.lists(st.floats(0.1, 3.0), min_size=2, max_size=9),
    st.integers(2, 5),
    st.floats(0.0, 4.0),
)
def test_the_cut_is_the_best_of_all(weights: list[float], parts: int, extra: float) -> None:
    parts = min(parts, len(weights))
    sizes = balanced_cut(tuple(weights), parts, extra)
    assert sum(sizes) == len(weights)
    assert min(sizes) >= 1

    def heaviest(ends: tuple[int, ...]) -> float:
        bounds = (0, *ends, len(weights))
        sums = [sum(weights[low:high]) for low, high in pairwise(bounds)]
        return max(*sums[:-1], sums[-1] + extra)

    best = min(heaviest(ends) for ends in combinations(range(1, len(weights)), parts - 1))
    ends = tuple(np.cumsum(sizes)[:-1].tolist())
    assert heaviest(ends) == pytest.approx(best, rel=1e-9)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]))
def test_equal_layers_are_cut_as_before(stages: int, virtual: int) -> None:
    """Every layer of a dense model is the mean one, so an even cut is what the usual rule says."""
    model = catalog.load("models", "llama-3.1-8b")
    virtual = virtual if stages > 1 else 1
    even, mean = (
        stage_layers(model, single(pp=stages, virtual_stages=virtual, stages=kind), 4096) for kind in ("even", "mean")
    )
    for name in ("most", "last", "heaviest", "last_weight"):
        assert float(np.asarray(getattr(even, name)).ravel()[0]) == pytest.approx(float(getattr(mean, name)[0]))


def test_dense_layers_of_deepseek_v3_and_its_head() -> None:
    """Three dense layers of 61 are lighter than those with experts: balanced is no slower than even."""
    model = catalog.load("models", "deepseek-v3")
    weights, head = relative_weights(model, 4096)
    assert sum(weights) == pytest.approx(61)
    assert len(set(weights[:3])) == len(set(weights[3:])) == 1
    sizes, _ = cut_layers(model, 4096, single(pp=16, stages="balanced").common, 16, 1)
    assert sum(sizes) == 61
    ends = np.cumsum((0, *sizes))
    heavy = [sum(weights[low:high]) for low, high in pairwise(ends)]
    heavy[-1] += head
    even, _ = cut_layers(model, 4096, single(pp=16, stages="even").common, 16, 1)
    assert even == (4,) * 13 + (3,) * 3
    assert max(heavy) <= max(sum(weights[:4]), 4 * max(weights), 3 * max(weights) + head) + 1e-9
    done = work(model)
    layout: dict[str, Any] = {"tp": 1, "pp": 16, "dp": 8, "ep": 8}
    times = {
        kind: float(step_times(done, H100, SOFTWARE, single(**layout, stages=kind)).step_s[0])
        for kind in ("even", "balanced")
    }
    assert times["balanced"] <= times["even"]


def test_first_and_last_stage_have_the_layers_that_are_asked_for() -> None:
    """Llama 3 405B: 126 layers on 16 stages of 8, one fewer on the first and on the last (arXiv:2407.21783, 3.3.2)."""
    model = catalog.load("models", "llama-3.1-405b")
    placed = single(pp=16, stages="even", first_stage_layers=7, last_stage_layers=7)
    sizes, _ = cut_layers(model, 8192, placed.common, 16, 1)
    assert sizes == (7, *([8] * 14), 7)
    held = stage_layers(model, placed, 8192)
    assert (float(np.asarray(held.most)[0]), float(np.asarray(held.last)[0])) == (8, 7)


def test_a_hybrid_is_cut_by_what_its_layers_do() -> None:
    model = hybrid(layers=8)
    weights, _ = relative_weights(model, 2048)
    assert weights[:4] == weights[4:]
    assert len(set(weights[:4])) == 4


@given(st.integers(2, 5), st.integers(0, 8), st.lists(st.floats(0.5, 2.0), min_size=5, max_size=5))
@settings(max_examples=50)
def test_unequal_stages_take_no_longer_than_the_usual_formula(stages: int, more: int, weights: list[float]) -> None:
    """m x slowest + (p - 1) x mean bounds 1F1B from above; from below, what any stage has to wait for and to do."""
    batches, weights = stages + more, weights[:stages]
    found = play(slots("1f1b", stages, batches), stages, {"F": 1.0, "B": 1.0, "W": 1.0}, weights=weights)
    times = [3 * weight for weight in weights]
    assert found.end_s <= batches * max(times) + (stages - 1) * sum(times) / stages + 1e-9
    assert found.end_s >= max(batches * times[at] + sum(times[:at]) for at in range(stages)) - 1e-9


@pytest.mark.parametrize("name", ["1f1b", "gpipe", "zb-h1"])
def test_a_full_pipeline_grows_by_its_slowest_stage(name: str) -> None:
    weights = [0.7, 1.3, 1.0, 1.9]
    ends = [play(slots(name, 4, many), 4, {"F": 1.0, "B": 1.0, "W": 1.0}, weights=weights).end_s for many in (16, 40)]
    assert ends[1] - ends[0] == pytest.approx(24 * 3 * 1.9)


def test_equal_stages_wait_as_the_formula_says() -> None:
    """Without a head to speak of, layers cut evenly leave the bubble of Narayanan et al. 2021."""
    model = small_model(layers=8, vocab=1)
    for virtual in (1, 2):
        placed = single(pp=4, virtual_stages=virtual, stages="even")
        idle = stage_idle(model, placed, 2048, np.array([64.0]))
        assert float(idle[0]) == pytest.approx(3 / virtual * 2, rel=1e-3)


def test_weights_of_parts_stretch_their_slots() -> None:
    order = slots("1f1b", 2, 1)
    found = play(order, 2, {"F": 1.0, "B": 1.0, "W": 1.0}, weights=[1.0, 3.0])
    assert found.end_s == 12.0
    assert found.busy_s == (3.0, 9.0)


def test_a_heavy_last_stage_hides_part_of_the_bubble() -> None:
    """Two stages of one layer each, the head on the second: played slot by slot they wait less than the mean stage."""
    done = work(small_model(layers=2), batch=8)
    both = [
        float(step_times(done, ideal_machine(), ideal_software(), single(pp=2, stages=kind)).step_s[0])
        for kind in ("even", "mean")
    ]
    assert done.model_flop / (2 * PEAK) < both[0] < both[1]
    assert both[0] == pytest.approx(both[1], rel=0.02)
