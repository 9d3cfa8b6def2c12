"""CPU of the questions beside howlong (tests/bench/test_startup.py): process time of one answer, imports apart."""

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.helpers.command import call

BUDGETS = [
    (("howlong", "1e26", "24576xh100-sxm"), 1.5),
    (("howmany", "1e26", "90d", "h100-sxm"), 2.0),
    (("howmuch", "90d", "24576xh100-sxm"), 2.0),
    (("howmany", "1e36", "90d", "h100-sxm"), 2.0),
    (("howlong", "1e28", "1000000xh100-sxm"), 2.0),
    (("howlong", "1e26", "24576xh100-sxm", "--spares", "20"), 3.0),
]


@pytest.mark.bench
@pytest.mark.parametrize(("question", "budget_s"), BUDGETS, ids=lambda value: str(value)[:60])
def test_a_question_stays_within_its_budget(
    question: tuple[str, ...], budget_s: float, benchmark: BenchmarkFixture
) -> None:
    call(*question)  # imports, and the catalogue
    taken_s: list[float] = []

    def once() -> None:
        before_s = time.process_time()
        call(*question)
        taken_s.append(time.process_time() - before_s)

    benchmark.pedantic(once, rounds=3)
    assert min(taken_s) <= budget_s, f"{min(taken_s):.3f} s of CPU, budget {budget_s} s"
