"""Start-up budgets of contracts.md, in CPU seconds of the whole process, the best of a few rounds."""

import resource

import pytest

from tests.helpers.command import spawn

ROUNDS = 4


def cpu_s(*arguments: str) -> float:
    """CPU seconds that one command takes, user and system, in its best round."""
    return min(one_round(arguments) for _ in range(ROUNDS))


def one_round(arguments: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = spawn(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert outcome.exit_code == 0, outcome.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.bench
@pytest.mark.parametrize(
    ("command", "budget_s"),
    [
        ("--help", 0.15),
        ("check scenarios/quickstart/howlong-1e26.yaml", 0.4),
        ("howlong 1e26 24576xh100-sxm", 2.0),
    ],
)
def test_command_stays_within_its_budget(command: str, budget_s: float) -> None:
    taken_s = cpu_s(*command.split())
    assert taken_s <= budget_s, f"sim {command}: {taken_s:.3f} s of CPU, budget {budget_s} s"
