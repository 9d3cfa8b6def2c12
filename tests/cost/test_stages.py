"""Layers over stages: none is lost, none made."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.cost.stages import last_stage_layers, most_layers

LAYERS, STAGES, VIRTUAL = st.integers(1, 200), st.integers(1, 64), st.integers(1, 12)


def by_hand(layers: int, stages: int, virtual: int) -> list[int]:
    """Deal layers to chunks one by one; chunk c belongs to stage c mod p."""
    held = [0] * stages
    for chunk in range(stages * virtual):
        held[chunk % stages] += layers // (stages * virtual) + (chunk < layers % (stages * virtual))
    return held


@given(LAYERS, STAGES, VIRTUAL)
def test_first_and_last_stage_as_dealt_by_hand(layers: int, stages: int, virtual: int) -> None:
    held = by_hand(layers, stages, virtual)
    assert sum(held) == layers
    assert int(most_layers(layers, stages, virtual)) == held[0] == max(held)
    assert int(last_stage_layers(layers, stages, virtual)) == held[-1] == min(held)


def test_arrays_give_what_single_numbers_give() -> None:
    stages, virtual = np.array([1, 4, 16]), np.array([1, 3, 8])
    expected = [float(most_layers(126, int(p), int(v))) for p, v in zip(stages, virtual, strict=True)]
    assert most_layers(126, stages, virtual).tolist() == expected
