"""How good the predictions are on the published rows: floors and bounds a little beyond what was measured.

A change of the cost model that makes them worse has to say so here.
"""

import time

import pytest

from sim.validate.collectives import collectives
from sim.validate.report import Report
from sim.validate.runs import runs
from sim.validate.score import Score
from sim.validate.serving import serving
from sim.validate.steps import training
from tests.helpers.shared_data import SHARED, shared_rows

MOST_SECONDS = 60.0


@pytest.fixture(scope="module")
def steps() -> Report:
    shared_rows("truth/training.csv")
    begin = time.process_time()
    report = training(SHARED / "truth" / "training.csv")
    assert time.process_time() - begin < MOST_SECONDS
    return report


def within(score: Score, n: int, median: float, p90: float, bias: float) -> None:
    assert score.n >= n
    assert score.median_ape is not None
    assert score.p90_ape is not None
    assert score.bias is not None
    assert score.median_ape < median
    assert score.p90_ape < p90
    assert abs(score.bias) < bias


def test_every_row_is_predicted_or_says_why(steps: Report) -> None:
    rows = shared_rows("truth/training.csv")
    assert [row.id for row in steps.of()] == [row["id"] for row in rows]
    assert all(row.reason for row in steps.of() if row.status != "ok")
    assert all(row.predicted and row.measured for row in steps.of() if row.status == "ok")


def test_step_time(steps: Report) -> None:
    within(steps.score(), n=977, median=0.055, p90=0.22, bias=0.03)
    within(steps.by("plan")["given"], n=885, median=0.055, p90=0.21, bias=0.03)
    within(steps.by("kind")["dense"], n=746, median=0.05, p90=0.20, bias=0.03)
    within(steps.by("kind")["MoE"], n=107, median=0.09, p90=0.31, bias=0.05)
    within(steps.by("kind")["LoRA"], n=124, median=0.085, p90=0.23, bias=0.06)


@pytest.mark.parametrize(
    ("group", "n", "median", "p90"),
    [
        ("nvidia-dgxc-benchmarking", 194, 0.05, 0.14),
        ("nvidia-megatron-lm", 20, 0.055, 0.20),
        ("mosaic-llm-foundry", 130, 0.03, 0.08),
        ("vtrain", 109, 0.07, 0.20),
        ("nvidia-megatron-bridge", 150, 0.08, 0.29),
        ("mlperf", 143, 0.08, 0.24),
        ("simumax-b200", 27, 0.04, 0.09),
        ("internevo", 32, 0.03, 0.11),
        ("bigscience-a100", 67, 0.075, 0.18),
        ("torchtitan", 19, 0.14, 0.28),
    ],
)
def test_step_time_by_source(steps: Report, group: str, n: int, median: float, p90: float) -> None:
    within(steps.by("group")[group], n, median, p90, bias=0.20)


def test_operators_alone() -> None:
    shared_rows("truth/training.csv")
    within(training(SHARED / "truth" / "training.csv", profile="none").score(), 977, median=0.16, p90=0.41, bias=0.16)


def test_peak_memory(steps: Report) -> None:
    within(steps.score("peak_mem_gib"), n=94, median=0.08, p90=0.20, bias=0.04)
    assert steps.called_too_big is not None
    too_big, of = steps.called_too_big
    assert too_big <= 0.05 * of


def test_collectives() -> None:
    shared_rows("truth/collectives.csv")
    report = collectives(SHARED / "truth" / "collectives.csv")
    assert report.score().n >= 166
    within(report.by("kind")["inside a domain, from 1 MiB"], n=89, median=0.05, p90=0.16, bias=0.03)
    within(report.by("kind")["inside a domain, below 1 MiB"], n=20, median=0.10, p90=0.22, bias=0.10)


def test_whole_runs() -> None:
    shared_rows("truth/run_totals.csv")
    report = runs(SHARED / "truth" / "run_totals.csv")
    within(report.by("kind")["not contradicted"], n=22, median=0.22, p90=0.44, bias=0.22)


@pytest.mark.parametrize(
    ("group", "n", "median", "p90", "bias"),
    [
        ("trtllm_static_0.9", 49, 0.105, 0.18, 0.05),
        ("trtllm_ttft_0.9", 25, 0.095, 0.30, 0.05),
        ("trtllm_doc_1.2", 91, 0.18, 0.48, 0.15),
    ],
)
def test_serving_by_source(group: str, n: int, median: float, p90: float, bias: float) -> None:
    shared_rows("truth/serving.csv")
    within(serving(SHARED / "truth" / "serving.csv", group).score, n, median, p90, bias)
