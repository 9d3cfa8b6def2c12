"""Bubbles and activations in flight against the published formulae."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.schedules import bubble_slots, chunks_in_flight

STAGES, VIRTUAL = st.integers(1, 64), st.integers(1, 12)


@given(STAGES, VIRTUAL)
def test_bubble_of_narayanan_2021(stages: int, virtual: int) -> None:
    assert float(bubble_slots(stages, virtual)) * virtual == pytest.approx(stages - 1)


@given(STAGES, st.integers(2, 12))
def test_first_stage_holds_what_korthikanti_2022_says(stages: int, virtual: int) -> None:
    """L (1 + (p - 1) / (p m)) layers' activations under interleaving with m chunks per stage, for one of L layers."""
    many = 1000 * stages
    share = float(chunks_in_flight(stages, virtual, many)) / (stages * virtual)
    assert share == pytest.approx(1 + (stages - 1) / (stages * virtual))


@given(STAGES, VIRTUAL, st.integers(1, 300))
def test_later_stages_hold_no_more_and_nobody_more_than_the_batch(stages: int, virtual: int, batches: int) -> None:
    held = [float(chunks_in_flight(stages, virtual, batches, rank)) for rank in range(stages)]
    assert held == sorted(held, reverse=True)
    assert 1 <= held[-1] <= held[0] <= batches * virtual
    if virtual == 1:
        assert held[-1] == 1
