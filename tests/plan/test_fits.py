"""Whether training fits: the least memory is the least, and every change that is named makes it fit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InfeasibleError, NotYetError
from sim.plan.fits import TrainingFit, fewest_devices, larger_chips, least_memory, training_fit
from sim.plan.survey import survey
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.layout import LayoutSpec
from sim.spec.workload import TrainingSpec
from tests.helpers.steps import real_machine, real_software, small_model, work

MODEL = small_model(layers=4, hidden=4096, heads=32, kv_heads=8, head_dim=128, ffn_hidden=14336, gated=True)


def on(count: int, accelerator: str = "h100-sxm") -> ClusterSpec:
    return ClusterSpec(accelerator=accelerator, count=count)


def training(**changes: object) -> TrainingSpec:
    return TrainingSpec(model="llama-3.1-8b", sequence=4096, batch=2**20).model_copy(update=changes)


def to(fit: TrainingFit, name: str) -> list[str]:
    return [change.after for change in fit.changes if change.name == name]


@settings(max_examples=10)
@given(st.sampled_from([1, 2, 7, 8, 16]), st.sampled_from([None, 0, 1, 3]), st.sampled_from([None, True, False]))
def test_least_memory_is_the_least_of_all_legal_layouts(devices: int, zero: int | None, split: bool | None) -> None:
    """The choices that are left out never need less: the end of the front of all layouts agrees."""
    done, machine, software = work(MODEL, 4096, 16), real_machine("h100-sxm"), real_software("h100-sxm")
    wish = LayoutSpec(zero_stage=zero, sequence_parallel=split)
    found = least_memory(done, machine, software, wish, devices)
    try:
        whole = survey(done, machine, software, wish, devices)
    except InfeasibleError:
        assert found is None or found[0] > machine.memory_bytes
        return
    assert found is not None
    assert found[0] == float(whole.front.memory.total_bytes[-1])


def test_what_fits_says_with_how_much_room() -> None:
    fit = training_fit(on(8), training())
    assert fit.fits
    assert fit.planned is not None
    assert fit.changes == ()
    best = fit.planned.survey.best.memory.row(0)
    assert fit.least_bytes < best["total"] <= fit.memory_bytes == 80 * 2**30
    assert fit.fewest_devices is not None
    assert fit.fewest_devices < 8


def test_the_fewest_devices_fit_and_fewer_do_not() -> None:
    fewest = training_fit(on(8), training(model="llama-3.1-70b")).fewest_devices
    assert fewest is not None
    assert training_fit(on(fewest), training(model="llama-3.1-70b")).fits
    assert not training_fit(on(fewest - 8), training(model="llama-3.1-70b")).fits


def test_every_change_that_is_named_makes_it_fit() -> None:
    wish = LayoutSpec(tp=1, pp=1, micro_batch=8, recompute="none", zero_stage=0)
    fit = training_fit(on(8), training(plan=wish, sequence=8192))
    assert not fit.fits
    assert fit.planned is None
    assert fit.least_bytes > fit.memory_bytes
    changed = {
        "tp": wish.model_copy(update={"tp": None}),
        "zero stage": wish.model_copy(update={"zero_stage": 3}),
    }
    for name, plan in changed.items():
        assert bool(to(fit, name)) == training_fit(on(8), training(plan=plan, sequence=8192)).fits, name
    assert to(fit, "zero stage") == ["3"] or to(fit, "tp") == ["searched"]
    for text in to(fit, "devices"):
        assert training_fit(on(int(text.replace(",", ""))), training(plan=wish, sequence=8192)).fits
    for text in to(fit, "chip"):
        assert training_fit(on(8, text.split()[0]), training(plan=wish, sequence=8192)).fits
    for text in to(fit, "sequence"):
        sequence = int(text.split()[0].replace(",", ""))
        assert training_fit(on(8), training(plan=wish, sequence=sequence)).fits


def test_smaller_micro_batches_come_first() -> None:
    wish = LayoutSpec(tp=1, micro_batch=8, recompute="none", zero_stage=1)
    fit = training_fit(on(8), training(plan=wish, sequence=8192))
    assert (fit.changes[0].name, fit.changes[0].before, fit.changes[0].after) == ("micro batch", "8", "1")


def test_no_number_of_devices_helps_where_the_layout_is_fixed() -> None:
    wish = LayoutSpec(tp=1, pp=1, virtual_stages=1, cp=1, dp=1, micro_batch=1, recompute="full")
    fit = training_fit(on(8), training(model="llama-3.1-70b", plan=wish))
    assert fit.fewest_devices is None
    assert "devices" not in {change.name for change in fit.changes}


def test_what_is_not_legal_or_not_modelled_is_refused() -> None:
    with pytest.raises(InfeasibleError, match="divides the heads"):
        training_fit(on(8), training(plan=LayoutSpec(tp=7)))
    with pytest.raises(NotYetError):
        training_fit(on(8), training(model="jamba-v0.1"))


def test_larger_chips_are_larger_and_those_of_the_vendor_come_first() -> None:
    chip = catalog.load("accelerators", "h100-sxm")
    larger = larger_chips(chip)
    assert all(each.memory_bytes.value > chip.memory_bytes.value for each in larger)
    others = [each.vendor != chip.vendor for each in larger]
    assert others == sorted(others)
    assert len(others) > sum(others) > 0


@given(st.integers(1, 5000), st.sampled_from([1, 4, 8, 32]), st.integers(1, 5000))
def test_fewest_devices_is_the_first_count_that_fits(least: int, per_node: int, near: int) -> None:
    found = fewest_devices(lambda devices: devices >= least, per_node, near)
    parts = [part for part in range(1, per_node) if per_node % part == 0]
    possible = [*parts, *range(per_node, 6000, per_node)]
    assert found == next(count for count in possible if count >= least)


def test_there_is_an_end_to_devices() -> None:
    assert fewest_devices(lambda _: False, 8, 64) is None
