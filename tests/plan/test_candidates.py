"""Enumeration: exactly the legal layouts, each once, and every other one counted under the rule it breaks."""

from itertools import product
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cost.layout import RECOMPUTE
from sim.plan.candidates import HEADS, RULES, SEQUENCE, Space, divisors, enumerate_layouts, space
from sim.spec.layout import LayoutSpec
from sim.spec.model import ModelShape
from tests.helpers.steps import small_model

NAMES = ("tp", "pp", "virtual_stages", "cp", "dp", "micro_batch", "recompute", "zero_stage", "sequence_parallel")


def brute_force(degrees: Space, model: ModelShape, sequence: int, batch: int, devices: int) -> set[tuple[Any, ...]]:
    """Every legal layout by one loop after the other, the rules written out once more."""
    legal = set()
    tensor = [tp for tp in degrees.tensor_parallel if not _refused_by_heads(model, tp)]
    for tp, pp, v, cp, dp, micro, again, zero, sp in product(
        tensor,
        degrees.pipeline_parallel,
        degrees.virtual_stages,
        degrees.context_parallel,
        degrees.data_parallel,
        degrees.micro_batch,
        degrees.recompute,
        degrees.zero_stage,
        degrees.sequence_parallel,
    ):
        if pp > model.layers or (v > 1 and (pp == 1 or pp * (v - 1) >= model.layers)):
            continue
        if cp > 1 and (sequence % (2 * cp) or (micro > 1 and len(degrees.micro_batch) > 1)):
            continue
        if tp * pp * cp * dp > devices or batch % (dp * micro) or (v > 1 and batch // (dp * micro) < pp):
            continue
        if (dp * cp == 1 and zero > min(degrees.zero_stage)) or (sp and (tp == 1 or sequence % (tp * cp))):
            continue
        legal.add((tp, pp, v, cp, dp, micro, RECOMPUTE[again], zero, sp))
    return legal


def _refused_by_heads(model: ModelShape, tp: int) -> bool:
    return bool(model.heads % tp or model.ffn_hidden % tp or (model.kv_heads % tp and tp % model.kv_heads))


@settings(max_examples=20)
@given(
    st.sampled_from([(4, 4, 1024), (8, 2, 1536), (6, 6, 768)]),
    st.integers(2, 5),
    st.sampled_from([2048, 4096, 6000, 2047]),
    st.sampled_from([1, 12, 16, 30]),
    st.integers(1, 40),
)
def test_every_legal_layout_once_and_no_other(
    width: tuple[int, int, int], layers: int, sequence: int, batch: int, devices: int
) -> None:
    heads, kv_heads, ffn = width
    model = small_model(heads=heads, kv_heads=kv_heads, ffn_hidden=ffn, layers=layers)
    degrees = space(model, sequence, batch, 8, LayoutSpec(), every_choice=True)
    found = enumerate_layouts(degrees, model, sequence, batch, devices, every_data=True)
    written = found.all()
    rows = [tuple(written.row(index)[name] for name in NAMES) for index in range(len(written))]
    assert len(rows) == len(set(rows)) == found.legal
    assert set(rows) == brute_force(degrees, model, sequence, batch, devices)
    axes = (getattr(degrees, name) for name in Space.__slots__ if name != "common")
    assert found.legal + sum(found.illegal.values()) == prod(len(values) for values in axes)
    assert set(found.illegal) <= set(RULES)
    assert min(found.illegal.values(), default=1) > 0


def test_chunks_are_the_whole_in_the_same_order() -> None:
    model = small_model()
    degrees = space(model, 2048, 16, 8, LayoutSpec(), every_choice=True)
    found = enumerate_layouts(degrees, model, 2048, 16, 16, every_data=True)
    whole, chunks = found.all(), list(found.chunks(100))
    assert max(len(chunk) for chunk in chunks) <= 100
    rows = [chunk.row(index) for chunk in chunks for index in range(len(chunk))]
    assert rows == [whole.row(index) for index in range(len(whole))]


def test_without_every_choice_sequences_are_split_wherever_that_is_legal() -> None:
    model = small_model()
    degrees = space(model, 2050, 16, 8, LayoutSpec())
    found = enumerate_layouts(degrees, model, 2050, 16, 16, every_data=True)
    layouts = found.all()
    assert set(layouts.zero_stage.tolist()) == {1}
    split = (layouts.tensor_parallel > 1) & (2050 % (layouts.tensor_parallel * layouts.context_parallel) == 0)
    assert layouts.sequence_parallel.tolist() == split.astype(int).tolist()
    assert SEQUENCE not in found.illegal


def test_without_every_data_the_two_largest_degrees_stay() -> None:
    model = small_model()
    degrees = space(model, 2048, 16, 8, LayoutSpec(tp=1, pp=1, cp=1, virtual_stages=1, micro_batch=1))
    found = enumerate_layouts(degrees, model, 2048, 16, 15, every_data=False)
    assert sorted(set(found.all().data_parallel.tolist())) == [4, 8]


@pytest.mark.parametrize(
    ("wish", "axis", "value"),
    [
        (LayoutSpec(tp=2), "tensor_parallel", 2),
        (LayoutSpec(pp=3), "pipeline_parallel", 3),
        (LayoutSpec(virtual_stages=2), "virtual_stages", 2),
        (LayoutSpec(cp=4), "context_parallel", 4),
        (LayoutSpec(dp=8), "data_parallel", 8),
        (LayoutSpec(micro_batch=16), "micro_batch", 16),
        (LayoutSpec(recompute="full"), "recompute", 2),
        (LayoutSpec(zero_stage=3), "zero_stage", 3),
        (LayoutSpec(sequence_parallel=False), "sequence_parallel", 0),
    ],
)
def test_a_degree_that_the_user_fixed_has_one_value(wish: LayoutSpec, axis: str, value: int) -> None:
    for every_choice in (False, True):
        degrees = space(small_model(), 8192, 64, 8, wish, every_choice=every_choice)
        assert getattr(degrees, axis) == (value,)


def test_a_wish_is_no_way_round_the_rules() -> None:
    model = small_model()
    degrees = space(model, 2048, 16, 8, LayoutSpec(tp=3))
    found = enumerate_layouts(degrees, model, 2048, 16, 16, every_data=True)
    assert found.legal == 0
    assert set(found.illegal) == {HEADS}


def test_pipelines_are_the_shortest_for_their_fullest_stage() -> None:
    degrees = space(small_model(layers=10), 2048, 16, 8, LayoutSpec())
    # ceil(10 / p) is 10, 5, 4, 3, 2, 1 at p = 1, 2, 3, 4, 5, 10; six to nine stages are no faster than five.
    assert degrees.pipeline_parallel == (1, 2, 3, 4, 5, 10)


@given(st.integers(1, 5000))
def test_divisors_by_trial(number: int) -> None:
    assert divisors(number) == [candidate for candidate in range(1, number + 1) if number % candidate == 0]
