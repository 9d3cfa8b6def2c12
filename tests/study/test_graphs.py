"""Tasks on real services: conservation against what the services counted, shared prefixes, mixtures with requests."""

import pytest

from sim.errors import ScenarioError
from sim.results.run_report import RunReport
from sim.spec.load import check_document
from sim.spec.yaml import loads
from sim.study.scenarios import run_scenario

SERVICES = """\
schema_version: 1
name: tasks
cluster: 4xh100-sxm
services:
  solver: {model: llama-3.1-8b, replicas: 2}
  checker: {model: llama-3.1-8b, precision: fp8, replicas: 2}
tools: {python: {latency: 500 ms, price_per_call: 0.001 USD}}
"""
GRAPHS = """\
graphs:
  solve:
    draft: {call: solver, copies: 4, prompt: [task], output: {uniform: [50, 200]}, solves: 0.5}
    run: {tool: python, for_each: draft, result: 100 tokens}
    check: {call: checker, for_each: draft, prompt: [task, draft, run], output: 20, accepts: {right: 0.9, wrong: 0.1}}
    write: {call: solver, prompt: [task, draft.accepted], NEED output: 50, solves: {given_right: 1, given_wrong: 0}}
    returns: write
"""
TASKS = "workloads:\n  - tasks: {graph: solve, arrivals: 2/s, count: 40, input: 1000}\n"


def run(text: str) -> RunReport:
    report = run_scenario(check_document(loads(text, "a.yaml")))
    assert isinstance(report, RunReport)
    return report


@pytest.mark.parametrize("need", ["", "need: 1,"])
def test_operations_of_tasks_are_those_of_their_services(need: str) -> None:
    report = run(SERVICES + GRAPHS.replace("NEED", need) + TASKS)
    tasks = report.tables["tasks"]
    spent = float((tasks["prefill_flop"] + tasks["decode_flop"] + tasks["wasted_flop"]).sum())
    served = sum(each.operations for each in report.flop.values())
    if need:  # of a prompt that was given up half-read, no task knows
        assert 0.97 * served <= spent <= served * (1 + 1e-9)
        assert tasks["wasted_tokens"].sum() > 0
    else:
        assert spent == pytest.approx(served, rel=1e-9)
        bits16 = sum(each.bits16 for each in report.flop.values())
        assert float(tasks["cached_tokens"].sum()) == pytest.approx(report.tokens["cached"])
        assert float(tasks["flop16"].sum()) == pytest.approx(bits16, rel=1e-2)
    delivered = float(tasks["output_tokens"].sum())
    assert delivered == report.tokens["delivered"]


def test_cost_of_tasks_is_that_of_their_services_and_tools() -> None:
    report = run(SERVICES + GRAPHS.replace("NEED", "") + TASKS)
    per_task = report.values["solve.usd_per_task"].value
    assert report.cost_usd is not None
    assert per_task * 40 == pytest.approx(report.cost_usd, rel=1e-6)
    assert report.values["python.calls"].value == 160
    share = report.values["solve.solved"].value
    assert report.values["solve.usd_per_solved_task"].value == pytest.approx(per_task / share)


def test_critical_path_is_below_the_wall_clock_of_a_loaded_service() -> None:
    report = run(SERVICES + GRAPHS.replace("NEED", "") + TASKS)
    tasks = report.tables["tasks"]
    working_s = tasks["path_model_s"] + tasks["path_tool_s"]
    spent_s = tasks["finish_s"] - tasks["start_s"]
    assert (tasks["path_waiting_s"] >= 0).all()
    assert working_s + tasks["path_waiting_s"] == pytest.approx(spent_s)
    assert tasks["path_tool_s"] == pytest.approx(0.5)


def test_alone_a_chain_takes_what_an_empty_replica_takes() -> None:
    graphs = (
        "graphs:\n  solve:\n    a: {call: solver, prompt: [task], output: 100}\n"
        "    b: {call: checker, prompt: [a], output: 30}\n    returns: b\n"
    )
    report = run(
        SERVICES + graphs + "workloads:\n  - tasks: {graph: solve, arrivals: {deterministic: 0.1/s}, count: 5}\n"
    )
    tasks = report.tables["tasks"]
    assert tasks["path_waiting_s"] == pytest.approx([0.0] * 5, abs=1e-6)


def test_copies_share_the_prompt_where_the_router_keeps_them_together() -> None:
    one = SERVICES.replace("llama-3.1-8b, replicas: 2}\n  checker", "llama-3.1-8b, replicas: 1}\n  checker")
    report = run(one + GRAPHS.replace("NEED", "") + TASKS)
    alone = run(
        one.replace("replicas: 1}", "replicas: 1, engine: {prefix_caching: false}}")
        + GRAPHS.replace("NEED", "")
        + TASKS
    )
    assert report.values["solver.hit_rate"].value > 0.3
    assert alone.values["solver.hit_rate"].value == 0


def test_tasks_and_requests_share_services() -> None:
    mixed = TASKS + "  - requests: {service: solver, arrivals: 5/s, count: 100, input: 300, output: 100}\n"
    report = run(SERVICES + GRAPHS.replace("NEED", "") + mixed)
    assert report.values["solve.tasks"].value == 40
    assert report.values["solver.requests"].value == 40 * 5 + 100


def test_a_task_that_does_not_fit_the_window_says_so() -> None:
    graphs = "graphs:\n  solve:\n    a: {call: solver, prompt: [task], output: 200000}\n    returns: a\n"
    report = run(SERVICES + graphs + "workloads:\n  - tasks: {graph: solve, count: 2}\n")
    assert report.missing[-1] == "2 tasks failed: solve.a: prompt and answer beyond the window of solver"


def test_two_workloads_of_tasks_have_names() -> None:
    with pytest.raises(ScenarioError, match="different names"):
        run(SERVICES + GRAPHS.replace("NEED", "") + TASKS + TASKS.removeprefix("workloads:\n"))


def test_users_come_back_with_their_next_task() -> None:
    users = "workloads:\n  - tasks: {graph: solve, arrivals: {closed: {users: 3, think: 1 s}}, count: 12}\n"
    report = run(SERVICES + GRAPHS.replace("NEED", "") + users)
    tasks = report.tables["tasks"]
    assert len(tasks["number"]) == 12
    assert (tasks["arrival_s"] < 1.0001).sum() == 3
