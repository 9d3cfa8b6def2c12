"""Speed of graphs: the cost of a run of a node is flat in the number of tasks."""

import time

import pytest

from tests.helpers.graphs import ATTEMPT, play


def seconds_per_task(tasks: int) -> float:
    began = time.process_time()
    play(ATTEMPT, tasks, gap_s=1.0)
    return (time.process_time() - began) / tasks


@pytest.mark.bench
def test_cost_of_a_task_is_flat() -> None:
    seconds_per_task(200)
    few = min(seconds_per_task(500) for _ in range(3))
    assert seconds_per_task(8000) < 1.4 * few
