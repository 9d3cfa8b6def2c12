from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine.serving.histogram import LogHistogram


@given(st.lists(st.floats(1e-5, 1e3), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_quantiles_are_right_to_half_a_bin(durations: list[float], share: float) -> None:
    histogram = LogHistogram()
    histogram.add(np.array(durations), np.ones(len(durations)))
    closed = histogram.close()
    due = float(np.quantile(durations, share, method="inverted_cdf"))
    assert closed.quantile_s(share) == pytest.approx(due, rel=0.0051)
    assert closed.mean_s == pytest.approx(np.mean(durations))


@given(st.floats(1e-4, 1.0), st.floats(0.0, 0.1), st.integers(1, 300), st.integers(1, 64))
def test_a_progression_counts_as_its_members_do(first: float, step: float, count: int, weight: int) -> None:
    whole, members = LogHistogram(), LogHistogram()
    whole.add_progressions(np.array([first]), np.array([step]), np.array([float(count)]), np.array([float(weight)]))
    members.add(first + step * np.arange(count), np.full(count, float(weight)))
    one, other = whole.close(), members.close()
    assert one.count == pytest.approx(other.count)
    assert one.total_s == pytest.approx(other.total_s)
    # A member that lies on an edge may round into either bin.
    assert np.abs(np.cumsum(one.weights) - np.cumsum(other.weights)).max() <= weight * (count if step < 1e-12 else 1)
