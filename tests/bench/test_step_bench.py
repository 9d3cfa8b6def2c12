"""Speed of the plan: one step estimate, legal layouts planned per second of one core, and `sim plan` as a process."""

import resource
from collections.abc import Callable
from time import process_time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sim.cost.layout import single
from sim.cost.memory import per_device
from sim.cost.training import step_times
from sim.plan.survey import survey
from sim.spec.layout import LayoutSpec
from tests.helpers.command import spawn
from tests.helpers.steps import real_machine, real_software, work

pytestmark = pytest.mark.bench

ESTIMATE_S_MAX = 2e-3
PLANS_PER_S_MIN = 300_000
PROCESS_S_MAX = 2.0
EXPERTS = ("deepseek-v3", "h800-sxm", 2048, 4096)
QUESTIONS = [("gpt3-175b", "a100-80gb-sxm", 1024, 2048), ("llama-3.1-405b", "h100-sxm", 16384, 8192)]


def test_one_step_estimate(benchmark: BenchmarkFixture) -> None:
    """One layout, memory and time: at most 2 ms."""
    step, machine = work("llama-3.1-405b", 8192, 2048), real_machine("h100-sxm", 16384)
    software, layout = real_software("h100-sxm"), single(tp=8, pp=16, virtual_stages=8, dp=128)

    def estimate() -> float:
        per_device(step.model, step.recipe, software.memory, layout, step.sequence, step.global_batch)
        return float(step_times(step, machine, software, layout).step_s[0])

    benchmark(estimate)
    taken_s = min(_cpu_s(estimate) for _ in range(50))
    assert taken_s <= ESTIMATE_S_MAX


@pytest.mark.parametrize(("model", "chip", "devices", "sequence"), [*QUESTIONS, EXPERTS])
def test_legal_layouts_per_second(
    benchmark: BenchmarkFixture, model: str, chip: str, devices: int, sequence: int
) -> None:
    """Enumeration, memory and time of every legal layout, ranking and front: at least 300,000 a second of one core."""
    step, machine = work(model, sequence, 2**24 // sequence), real_machine(chip, devices)
    software = real_software(chip)
    found = benchmark.pedantic(survey, args=(step, machine, software, LayoutSpec(), devices), rounds=3, warmup_rounds=1)
    taken_s = min(_cpu_s(lambda: survey(step, machine, software, LayoutSpec(), devices)) for _ in range(3))
    rate_per_s = found.legal / taken_s
    assert rate_per_s >= PLANS_PER_S_MIN


@pytest.mark.parametrize(("model", "chip", "devices", "sequence"), QUESTIONS)
def test_the_command(model: str, chip: str, devices: int, sequence: int) -> None:
    """`sim plan` in a process of its own, start-up included: at most 2 s of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert spawn("plan", model, f"{devices}x{chip}", "--sequence", str(sequence)).exit_code == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= PROCESS_S_MAX


def _cpu_s(function: Callable[[], object]) -> float:
    before_s = process_time()
    function()
    return process_time() - before_s
