"""Power from the board to the meter."""

import pytest

from sim.cost.energy import DEFAULT_NODE_FACTOR, PowerModel, node_factor


def test_a_node_of_eight_h100_by_hand() -> None:
    factor = node_factor(10_200.0, 8, 700.0)
    assert factor == pytest.approx(10_200 / 5_600)
    assert PowerModel(700.0, factor, 1.2).wall_w_per_device == pytest.approx(10_200 / 8 * 1.2)


def test_a_node_takes_no_less_than_its_boards() -> None:
    assert node_factor(1_000.0, 8, 700.0) == 1.0


def test_an_unknown_node_takes_the_default() -> None:
    assert node_factor(None, 8, 700.0) == DEFAULT_NODE_FACTOR
