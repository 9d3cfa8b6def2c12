"""Max-min fairness: by hand, by its definition, and against linear programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cost.max_min import Loads, max_min_rates


def loads_of(table: np.ndarray) -> Loads:
    """Take a table of weights, links x classes."""
    link, flow_class = np.nonzero(table)
    return Loads(flow_class, link, table[link, flow_class])


def rates_of(table: np.ndarray, capacity: np.ndarray, limit: np.ndarray) -> np.ndarray:
    return max_min_rates(capacity, loads_of(table), limit)


@st.composite
def networks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    links, classes = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    weights = st.sampled_from([0.0, 0.0, 0.25, 1.0, 1.0, 3.0, 8.0])
    table = np.array(draw(st.lists(weights, min_size=links * classes, max_size=links * classes)))
    amounts = st.floats(0.1, 100.0)
    capacity = np.array(draw(st.lists(amounts, min_size=links, max_size=links)))
    limit = np.array(draw(st.lists(amounts, min_size=classes, max_size=classes)))
    return table.reshape(links, classes), capacity, limit


@pytest.mark.parametrize(
    ("table", "capacity", "limit", "expected"),
    [
        ([[1, 1]], [10], [100, 100], [5, 5]),
        ([[1, 1]], [10], [2, 100], [2, 8]),
        ([[3, 1]], [10], [100, 100], [2.5, 2.5]),
        # Three flows over two links: the long one gets half of the narrow link, the third what the wide one has left.
        ([[1, 1, 0], [1, 0, 1]], [4, 10], [99, 99, 99], [2, 2, 8]),
        ([[0, 0]], [1], [7, 9], [7, 9]),
    ],
)
def test_by_hand(table, capacity, limit, expected) -> None:
    table, capacity, limit = (np.array(each, dtype=float) for each in (table, capacity, limit))
    assert rates_of(table, capacity, limit) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(networks())
def test_every_class_is_stopped_by_its_limit_or_by_a_full_link_where_none_is_faster(network) -> None:
    """The bottleneck property, which defines max-min fairness (Bertsekas and Gallager, section 6.5.2)."""
    table, capacity, limit = network
    rates = rates_of(table, capacity, limit)
    used = table @ rates
    assert (used <= capacity * (1 + 1e-9)).all()
    assert (rates <= limit * (1 + 1e-12)).all()
    for flow_class, rate in enumerate(rates):
        at_limit = rate >= limit[flow_class] * (1 - 1e-9)
        is_bottleneck = [
            used[link] >= capacity[link] * (1 - 1e-9) and rate >= rates[table[link] > 0].max() * (1 - 1e-9)
            for link in np.flatnonzero(table[:, flow_class])
        ]
        assert at_limit or any(is_bottleneck)


@settings(deadline=None, max_examples=30)
@given(networks())
def test_against_linear_programs(network) -> None:
    """Raise the slowest as far as a linear program allows, keep those that cannot rise further, and repeat."""
    optimize = pytest.importorskip("scipy.optimize", reason="scipy comes with the extra 'study'")
    table, capacity, limit = network
    classes = table.shape[1]
    fixed: dict[int, float] = {}

    def best(objective: np.ndarray, floor: float) -> float:
        """Maximise over (rates, common level); free classes reach at least the level, which is at least `floor`."""
        rows = [np.append(row, 0.0) for row in table]
        bounds_above = list(capacity)
        for flow_class in range(classes):
            if flow_class not in fixed:
                rows.append(np.append(-np.eye(classes)[flow_class], 1.0))
                bounds_above.append(0.0)
        box = [(fixed[each], fixed[each]) if each in fixed else (0.0, limit[each]) for each in range(classes)]
        found = optimize.linprog(-objective, A_ub=np.array(rows), b_ub=bounds_above, bounds=[*box, (floor, None)])
        assert found.success
        return float(-found.fun)

    while len(fixed) < classes:
        level = best(np.append(np.zeros(classes), 1.0), 0.0) * (1 - 1e-9)
        free = [each for each in range(classes) if each not in fixed]
        most = {each: best(np.append(np.eye(classes)[each], 0.0), level) for each in free}
        stuck = [each for each in free if most[each] <= level * (1 + 1e-6)]
        assert stuck
        fixed |= dict.fromkeys(stuck, level)
    assert rates_of(table, capacity, limit) == pytest.approx([fixed[each] for each in range(classes)], rel=1e-5)


@settings(deadline=None)
@given(networks(), st.floats(0.01, 100.0))
def test_all_rates_scale_together(network, factor) -> None:
    table, capacity, limit = network
    assert rates_of(table, factor * capacity, factor * limit) == pytest.approx(
        factor * rates_of(table, capacity, limit), rel=1e-9
    )


@settings(deadline=None)
@given(networks(), st.randoms(use_true_random=False))
def test_the_order_of_links_and_classes_is_irrelevant(network, random) -> None:
    table, capacity, limit = network
    links, classes = list(range(len(capacity))), list(range(len(limit)))
    random.shuffle(links)
    random.shuffle(classes)
    shuffled = rates_of(table[links][:, classes], capacity[links], limit[classes])
    assert shuffled == pytest.approx(rates_of(table, capacity, limit)[classes], rel=1e-9)


def test_two_half_links_with_half_flows_are_one_link() -> None:
    table = np.array([[2.0, 1.0, 4.0]])
    one = rates_of(table, np.array([10.0]), np.array([0.5, 9.0, 9.0]))
    two = rates_of(np.vstack([table / 2, table / 2]), np.array([5.0, 5.0]), np.array([0.5, 9.0, 9.0]))
    assert one == pytest.approx(two, rel=1e-12)
