"""Speed of the engine: issue 2 gives 0.02 s of CPU to a run with 420 interruptions."""

from __future__ import annotations

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sim.engine.training import play
from tests.helpers.training_runs import training_run

BUDGET_S = 0.02
ROUNDS = 10
LLAMA_3_WINDOW = training_run(
    devices=16_384,
    active_devices=16_384,
    steps=54 * 86_400 * 0.93 / 8.0,
    step_s=8.0,
    interval_s=250.0,
    write_s=2.8,
    hazard_per_s=16_384 * 19.7e-6 / 3600,
    restart_s=600.0,
)


@pytest.mark.bench
def test_a_run_with_420_interruptions_stays_within_its_budget(benchmark: BenchmarkFixture) -> None:
    played = benchmark(play, LLAMA_3_WINDOW, 0)
    assert 380 < played.interruptions < 460
    taken_s = min(_cpu_s() for _ in range(ROUNDS))
    assert taken_s <= BUDGET_S, f"{taken_s:.4f} s of CPU for {played.interruptions} interruptions"


def _cpu_s() -> float:
    before_s = time.process_time()
    play(LLAMA_3_WINDOW, 0)
    return time.process_time() - before_s
