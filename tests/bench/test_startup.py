"""Start-up budgets of contracts.md, in CPU seconds of the whole process, the best of a few rounds."""

import resource
from pathlib import Path

import pytest

from tests.helpers.command import spawn

ROUNDS = 4
ONE_REQUEST = """
schema_version: 1
name: one request
cluster: {accelerator: a100-80gb-sxm, count: 1}
services: {chat: {model: llama-3.1-8b}}
workloads:
  - requests: {service: chat, arrivals: 1/s, count: 1, input: 600 tokens, output: 200 tokens}
"""


def cpu_s(*arguments: str) -> float:
    """CPU seconds that one command takes, user and system, in its best round."""
    return min(one_round(arguments) for _ in range(ROUNDS))


def one_round(arguments: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # As installed: with compiled modules, which an environment of containers may forbid to be kept.
    outcome = spawn(*arguments, environment={"PYTHONDONTWRITEBYTECODE": ""})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert outcome.exit_code == 0, outcome.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.bench
@pytest.mark.parametrize(
    ("command", "budget_s"),
    [
        ("--help", 0.15),
        ("check scenarios/quickstart/howlong-1e26.yaml", 0.4),
        ("check scenarios/serving/chat.yaml", 0.4),
        ("check scenarios/graphs/best-of-n.yaml", 0.4),
        ("howlong 1e26 24576xh100-sxm", 2.0),
        ("explain cluster.count", 0.5),
    ],
)
def test_command_stays_within_its_budget(command: str, budget_s: float) -> None:
    taken_s = cpu_s(*command.split())
    assert taken_s <= budget_s, f"sim {command}: {taken_s:.3f} s of CPU, budget {budget_s} s"


@pytest.mark.bench
def test_records_are_compared_and_explained_within_their_budget(tmp_path: Path) -> None:
    records = [str(tmp_path / seed) for seed in "01"]
    for seed, record in zip("01", records, strict=True):
        one_round(("run", "scenarios/quickstart/howlong-1e26.yaml", "--seed", seed, "--out", record))
    assert cpu_s("compare", *records) <= 0.5
    assert cpu_s("explain", records[0]) <= 0.5


@pytest.mark.bench
def test_a_run_of_one_request_is_little_more_than_its_start(tmp_path: Path) -> None:
    scenario = tmp_path / "one.yaml"
    scenario.write_text(ONE_REQUEST, encoding="utf-8")
    taken_s = cpu_s("run", str(scenario))
    assert taken_s <= 0.5, f"{taken_s:.3f} s of CPU"
