"""What may be said of a workload of tasks."""

import pytest

from sim.errors import ScenarioError
from sim.spec.tasks import TasksSpec
from sim.spec.yaml import loads, validate


def read(text: str) -> TasksSpec:
    return validate(TasksSpec, loads(text, "a.yaml"))


def test_forms() -> None:
    assert read("{graph: solve, arrivals: 2/s}").window_s == 600
    assert read("{graph: solve, count: 5, concurrency: 2}").window_s is None
    assert read("{graph: solve, arrivals: {at_once: 5}, name: five}").label == "five"
    assert read("{graph: solve, count: 5, prefix: 800 tokens}").prefix.tokens == 800
    assert read("{trace: {file: a.jsonl, service: actor}}").label == "trace"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{graph: solve}", "arrivals, or a count"),
        ("{graph: solve, trace: {file: a.jsonl, service: x}, count: 3}", "one of both"),
        ("{trace: {file: a.jsonl}}", "service"),
        ("{trace: {file: a.jsonl, service: x}, arrivals: 1/s}", "leave out arrivals"),
        ("{graph: solve, count: 3, arrivals: {at_once: 3}}", "at_once is the count"),
    ],
)
def test_contradictions(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read(text)
    assert said in str(raised.value)
