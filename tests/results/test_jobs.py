"""Figures of jobs by hand."""

import numpy as np
import pytest

from sim.engine.cluster.policies.fifo import Fifo
from sim.results.jobs import figures, jain, mean_contention, over_time
from sim.results.jobs_report import parts, sections, tables, values
from tests.helpers.cluster import jobs, play

# Two jobs that take the whole cluster, one after the other; the second arrives at 20 s.
RECORDING = play(jobs((0.0, 4, 60.0), (20.0, 4, 40.0), (20.0, 8, 1.0)), Fifo())


def test_waits_slowdowns_and_fairness() -> None:
    done = figures(RECORDING)
    assert done.rows.tolist() == [0, 1]
    assert done.wait_s.tolist() == [0.0, 40.0]
    assert done.turnaround_s.tolist() == [60.0, 80.0]
    assert done.slowdown.tolist() == [1.0, 2.0]
    # Job 1 shares the cluster with one other for 40 of its 60 s, job 2 for 40 of its 80 s.
    assert done.finish_time.tolist() == pytest.approx([60 / (60 * (100 / 60)), 80 / (40 * 1.5)])


def test_values_and_sections() -> None:
    found = {name: value.value for name, value in values(RECORDING).items()}
    assert found["makespan_s"] == 100.0
    assert found["allocated"] == 1.0
    assert found["jobs.wait_s.mean"] == 20.0
    assert found["jobs.rejected"] == 1.0
    assert found["jobs.fairness.jain"] == pytest.approx(1.5**2 / (2 * 1.25))
    assert [section.name for section in sections(RECORDING)] == ["jobs", "cluster"]
    assert sum(seconds for _, seconds in parts(RECORDING)) == pytest.approx(RECORDING.wall_clock_s)
    assert {len(column) for column in tables(RECORDING)["jobs"].values()} == {3}


def test_curves_hold_what_was_held() -> None:
    curve = over_time(RECORDING, 10)
    assert curve["allocated_devices"].tolist() == pytest.approx([4.0] * 10)
    assert curve["waiting_jobs"].tolist() == pytest.approx([0, 0, 1, 1, 1, 1, 0, 0, 0, 0])


def test_contention_and_jain() -> None:
    assert mean_contention(np.array([0.0]), np.array([5.0])).tolist() == [1.0]
    assert jain(np.array([1.0, 1.0, 1.0])) == pytest.approx(1.0)
    assert jain(np.array([3.0, 0.0, 0.0])) == pytest.approx(1 / 3)
