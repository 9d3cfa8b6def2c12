"""Layouts as arrays."""

import numpy as np

from sim.cost.layout import single


def test_row_gives_back_what_was_typed() -> None:
    given = {
        "tp": 8,
        "pp": 16,
        "virtual_stages": 4,
        "cp": 2,
        "dp": 64,
        "micro_batch": 1,
        "recompute": "selective",
        "zero_stage": 2,
        "sequence_parallel": 1,
    }
    layouts = single(**given)
    assert layouts.row(0) == given
    assert len(layouts) == 1
    assert layouts.devices.tolist() == [8 * 16 * 2 * 64]
    assert layouts.replicas.tolist() == [2 * 64]


def test_without_a_tensor_parallel_group_there_is_nothing_to_split_sequences_over() -> None:
    assert single(tp=1).row(0)["sequence_parallel"] == 0


def test_take_keeps_all_arrays_together() -> None:
    layouts = single(tp=4, recompute="full").take(np.array([0, 0, 0]))
    assert len(layouts) == 3
    assert layouts.row(2) == single(tp=4, recompute="full").row(0)
