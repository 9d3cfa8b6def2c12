"""Memory of a device against the published formulae, part by part."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.layout import RECOMPUTE, Layouts, joined, single
from sim.cost.memory import Memory, MemoryRules, activation_bytes_per_token, per_device
from sim.cost.parameters import count
from sim.cost.recipe import recipe
from sim.spec import catalog
from sim.spec.model import ModelShape
from tests.helpers.steps import DENSE, small_model

FLASH = MemoryRules(reserve_bytes=0.0, fragmentation=0.0, flash_attention=True)
UNFUSED = replace(FLASH, flash_attention=False)
BF16 = recipe("bf16")


def of(
    model: ModelShape, layouts: Layouts, rules: MemoryRules = FLASH, sequence: int = 2048, batch: int = 64
) -> Memory:
    return per_device(model, BF16, rules, layouts, sequence, batch)


@pytest.mark.parametrize("name", DENSE)
def test_states_of_a_whole_model_are_18_bytes_a_parameter(name: str) -> None:
    model = catalog.load("models", name)
    memory = of(model, single(zero_stage=0))
    states = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes
    # Biases and the final norm are left out.
    assert float(states[0]) == pytest.approx(18 * count(model).total, rel=3e-4)


def test_zero_splits_optimizer_then_gradients_then_weights() -> None:
    """Rajbhandari et al. 2020, figure 1, with 4-byte gradients; a split part comes together layer by layer."""
    model = small_model(layers=64, vocab=8)
    stages = [of(model, single(dp=8, zero_stage=stage)).row(0) for stage in range(4)]
    parameters = stages[0]["weights"] / 2
    layer = 12 * 256**2 + 2 * 256
    assert [stage["optimizer"] for stage in stages] == [12 * parameters] + [12 * parameters / 8] * 3
    assert [stage["gradients"] for stage in stages] == [4 * parameters] * 2 + [4 * (parameters / 8 + layer)] * 2
    assert [stage["weights"] for stage in stages] == [2 * parameters] * 3 + [2 * (parameters / 8 + 2 * layer)]


@pytest.mark.parametrize(("sp", "split", "whole"), [(True, 34, 0), (False, 24, 10)])
def test_activations_of_a_layer_are_those_of_korthikanti_2022(sp: bool, split: int, whole: int) -> None:
    """Equations 2 and 4: s b h (10 + 24/t + 5 a s / (h t)), and all of it over t with sequence parallelism."""
    model, sequence, t = small_model(), 512, 4
    layouts = single(tp=t, sequence_parallel=sp)
    scores = 5 * model.heads * sequence / (model.hidden * t)
    expected = model.hidden * (whole + split / t + scores)
    assert activation_bytes_per_token(model, BF16, UNFUSED, layouts, sequence).tolist() == [expected]
    # A flash kernel keeps no scores, and runs without dropout have no masks: 2 of the 34 bytes.
    masks = 2 / t if sp else 2
    fused = activation_bytes_per_token(model, BF16, FLASH, layouts, sequence)
    assert fused.tolist() == [model.hidden * (whole + split / t - masks)]


def test_recompute_keeps_less() -> None:
    model, t = small_model(), 2
    none, selective, full = (
        float(activation_bytes_per_token(model, BF16, FLASH, single(tp=t, recompute=again), 512)[0])
        for again in RECOMPUTE
    )
    # Selective drops two norm outputs and the output of the activation; full keeps the layer's input.
    assert none - selective == 2 * (2 * 256 + 1024) / t
    assert full == 2 * 256 / t


def test_activations_of_a_pipeline_do_not_depend_on_its_depth() -> None:
    """Korthikanti et al. 2022, section 4.2.3: the first of p stages holds p micro-batches of L/p layers each."""
    model = small_model(layers=16, vocab=1)
    held = [of(model, single(tp=2, pp=pp)).row(0)["activations"] for pp in (2, 4, 8)]
    assert held == pytest.approx([held[0]] * 3, rel=1e-3)


def test_interleaving_holds_more_by_what_korthikanti_2022_says() -> None:
    model = small_model(layers=16, vocab=1)
    plain, interleaved = (of(model, single(pp=4, virtual_stages=v)).row(0)["activations"] for v in (1, 4))
    assert interleaved / plain == pytest.approx(1 + 3 / 16)


def test_full_recompute_holds_inputs_and_one_layer_at_work() -> None:
    model = small_model(vocab=1)
    memory = of(model, single(pp=2, recompute="full"), sequence=512).row(0)
    whole = float(activation_bytes_per_token(model, BF16, FLASH, single(), 512)[0])
    assert memory["activations"] == 512 * (2 * 2 * 2 * 256 + whole)


def test_one_stage_holds_one_micro_batch_and_the_logits() -> None:
    model = small_model()
    memory = of(model, single(dp=64), sequence=512).row(0)
    layers = 4 * 512 * float(activation_bytes_per_token(model, BF16, FLASH, single(), 512)[0])
    assert memory["activations"] == layers + 512 * 1000 * 6


def test_the_last_stage_decides_where_the_vocabulary_is_large() -> None:
    """Two stages of two layers, 4 x wider logits than the rest: the last stage holds one micro-batch and its logits."""
    model = small_model(vocab=200_000)
    memory = of(model, single(pp=2), sequence=512).row(0)
    one_micro_batch = 2 * 512 * float(activation_bytes_per_token(model, BF16, FLASH, single(), 512)[0])
    assert memory["activations"] == one_micro_batch + 512 * 200_000 * 6
    assert memory["weights"] == 2 * (2 * (12 * 256**2 + 2 * 256) + 200_000 * 256)


@pytest.mark.parametrize("zero", range(4))
def test_the_fuller_of_first_and_last_stage_counts(zero: int) -> None:
    """Seven layers on two stages: four and the embedding with two micro-batches, or three and the head with logits."""
    rules = replace(FLASH, fragmentation=0.5)
    layer, micro_batch = 12 * 256**2 + 2 * 256, 512 * 32 * 256
    for vocab in (8, 3000, 6000, 20_000, 200_000):
        table = vocab * 256
        totals = []
        for layers, held in ((4, 8 * micro_batch), (3, 3 * micro_batch + 512 * vocab * 6)):
            count = layers * layer + table
            weights = min(count / 8 + max(2 * layer, table), count) if zero == 3 else count
            gradients = min(count / 8 + max(layer, table), count) if zero >= 2 else count
            optimizer = count / 8 if zero >= 1 else count
            totals.append(2 * weights + 4 * gradients + 12 * optimizer + 1.5 * held)
        memory = of(small_model(layers=7, vocab=vocab), single(pp=2, dp=8, zero_stage=zero), rules, sequence=512)
        assert memory.row(0)["total"] == pytest.approx(max(totals), rel=1e-12), vocab


def test_tensor_parallelism_splits_what_zero_gathers() -> None:
    model = small_model(vocab=100_000)
    weights = of(model, single(tp=4, dp=8, zero_stage=3)).row(0)["weights"]
    count = 4 * (3 * 256**2 + 2 * 256) + 2 * 100_000 * 64
    assert weights == 2 * (count / 8 + 100_000 * 64)


def test_a_tied_head_is_kept_once_on_one_stage_and_twice_in_a_pipeline() -> None:
    tied, untied = small_model(tied_embeddings=True), small_model()
    table = 2 * 1000 * 256
    assert of(untied, single()).row(0)["weights"] - of(tied, single()).row(0)["weights"] == table
    assert of(untied, single(pp=4)).row(0)["weights"] == of(tied, single(pp=4)).row(0)["weights"]


def test_learned_positions_are_not_split() -> None:
    model = small_model(position="learned", max_positions=4096)
    difference = of(model, single(tp=4)).row(0)["weights"] - of(small_model(), single(tp=4)).row(0)["weights"]
    assert difference == 2 * 4096 * 256


def test_reserve_is_fixed_plus_a_share_of_the_activations() -> None:
    rules = MemoryRules(reserve_bytes=1e9, fragmentation=0.1, flash_attention=True)
    memory = of(small_model(), single(), rules).row(0)
    assert memory["reserve"] == pytest.approx(1e9 + 0.1 * memory["activations"])
    assert memory["total"] == pytest.approx(sum(memory[part] for part in memory if part != "total"))


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, object]:
    pp = draw(st.sampled_from([1, 2, 4]))
    return {
        "tp": draw(st.sampled_from([1, 2, 4])),
        "pp": pp,
        "virtual_stages": draw(st.sampled_from([1, 2])) if pp > 1 else 1,
        "cp": draw(st.sampled_from([1, 2])),
        "dp": draw(st.sampled_from([1, 2, 4])),
        "micro_batch": draw(st.sampled_from([1, 2])),
        "recompute": draw(st.sampled_from(RECOMPUTE)),
        "zero_stage": draw(st.integers(0, 3)),
    }


@given(layouts(), st.sampled_from([FLASH, UNFUSED]))
def test_what_saves_memory_never_costs_memory(layout: dict[str, object], rules: MemoryRules) -> None:
    model = small_model(layers=16)
    totals = {
        (again, zero, sp): float(
            of(
                model, single(**layout | {"recompute": again, "zero_stage": zero, "sequence_parallel": sp}), rules
            ).total_bytes[0]
        )
        for again in RECOMPUTE[:2]
        for zero in range(4)
        for sp in (False, True)
    }
    for (again, zero, sp), total in totals.items():
        assert total > 0
        assert totals["selective", zero, sp] <= totals["none", zero, sp]
        assert totals[again, max(zero - 1, 0), sp] >= total
        assert totals[again, zero, True] <= totals[again, zero, False]


@given(layouts())
def test_many_layouts_at_once_are_each_alone(layout: dict[str, object]) -> None:
    model = small_model(layers=16)
    alone = single(**layout)
    other = single(tp=2, pp=2, dp=2, zero_stage=3, recompute="full")
    both = joined((alone, other))
    assert of(model, both).row(0) == of(model, alone).row(0)


def part(model: ModelShape, name: str, layout: Layouts, **changes: object) -> tuple[float, float]:
    """One part of the memory, as usual and under a rule of some software."""
    usual, other = (of(model, layout, rules).row(0)[name] for rules in (FLASH, replace(FLASH, **changes)))
    return usual, other


def test_every_copy_of_the_logits_counts() -> None:
    usual, eager = part(small_model(), "activations", single(), loss_bytes=12.0)
    assert eager - usual == 2048 * 1000 * 6


def test_gradients_that_wait_for_the_last_micro_batch_are_whole() -> None:
    """FSDP in a pipeline: the own share, and all of the stage; without a pipeline they are shared at once."""
    model, rule = small_model(layers=8, vocab=8), {"whole_gradients": True}
    usual, whole = part(model, "gradients", single(pp=2, dp=8, zero_stage=2), **rule)
    layer, parameters = 12 * 256**2 + 2 * 256, 4 * (12 * 256**2 + 2 * 256) + 8 * 256
    assert (usual, whole) == (4 * (parameters / 8 + layer), 4 * (parameters / 8 + parameters))
    for layout in (single(dp=8, zero_stage=2), single(pp=2, dp=8, zero_stage=1)):
        assert len(set(part(model, "gradients", layout, **rule))) == 1


def test_checkpoints_on_the_host_leave_one_layer_at_work() -> None:
    usual, host = part(small_model(vocab=1), "activations", single(recompute="full"), checkpoints_on_host=True)
    assert usual - host == 4 * 2048 * 2 * 256
    assert len(set(part(small_model(), "activations", single(recompute="none"), checkpoints_on_host=True))) == 1


def test_the_copy_of_the_own_gradients_is_shared_as_the_optimizer_is() -> None:
    usual, copied = part(small_model(), "optimizer", single(dp=8, zero_stage=1), step_gradient_bytes=4.0)
    assert copied == pytest.approx(usual * 16 / 12)


def test_what_a_stage_has_sent_on_waits_for_each_micro_batch_in_flight() -> None:
    usual, kept = part(small_model(vocab=1), "activations", single(pp=4), stage_outputs_kept=True)
    assert kept - usual == 4 * 2048 * 2 * 256
    assert len(set(part(small_model(), "activations", single(), stage_outputs_kept=True))) == 1


def test_selective_recompute_by_products_keeps_every_other_one() -> None:
    """Query, value, attention, gate and down stay; key, output, up and all between them are made again."""
    model, rules = small_model(gated=True, vocab=1), replace(FLASH, products_again=True)
    layout = single(recompute="selective")
    kept = float(activation_bytes_per_token(model, BF16, rules, layout, 2048)[0])
    assert kept == 2 * (2 * 256 + 3 * 256 + 1024)
    whole = float(activation_bytes_per_token(model, BF16, rules, single(), 2048)[0])
    assert of(model, layout, rules).row(0)["activations"] == pytest.approx(2048 * (4 * kept + whole + 6))


def test_split_sequences_stand_whole_at_the_ends_of_a_block() -> None:
    model = small_model(vocab=1)
    split, whole = (of(model, single(tp=2, sequence_parallel=sp)).row(0)["activations"] for sp in (True, False))
    # Four widths of each layer in 16 bit are halved; two come back, once.
    assert whole - split == 2048 * (4 * 4 * 2 * 128 - 2 * 2 * 256)
