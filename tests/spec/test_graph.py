"""The graph language: what may stand in a node, and which graphs make sense; every mistake with its line."""

import time

import pytest

from sim.errors import NotYetError, ScenarioError
from sim.spec.graph_edges import common, edges, indices, judges
from tests.helpers.graphs import ATTEMPT, SERVICES, TOOLS, scenario, text

RESEARCH = """\
  answer:
    outline: {call: lead, prompt: [task], output: 800 tokens}
    branch:  {graph: research, copies: {uniform: [3, 8]}, prompt: [task, outline], depth: 3}
    report:  {call: lead, prompt: [task, branch], need: majority, output: 3000 tokens}
    returns: report
  research:
    find:   {tool: search, after: [task], result: 600 tokens}
    page:   {tool: fetch, copies: {uniform: [2, 6]}, after: [find], result: 4000 tokens}
    note:   {call: reader, for_each: page, prompt: [task, page], output: 300 tokens}
    deeper: {graph: research, copies: 2, prompt: [task, note], when: {chance: 0.3}, depth: 3}
    sum:    {call: reader, prompt: [task, note, deeper], output: 500 tokens}
    returns: sum
"""
RESEARCH_SERVICES = """\
services: {lead: {model: llama-3.1-405b, precision: fp8, replicas: 4, plan: {tp: 8}},
  reader: {model: llama-3.1-8b, replicas: 16}}
"""
RESEARCH_TOOLS = """\
tools:
  search: {latency: {lognormal: {median: 800 ms, p95: 3 s}}, concurrency: 200}
  fetch:  {latency: {lognormal: {median: 1.5 s, p95: 8 s}}, concurrency: 100, fails: 0.05}
"""


def problem(graphs: str, tasks: str = "{graph: solve, count: 10}") -> ScenarioError:
    with pytest.raises(ScenarioError) as raised:
        scenario(graphs, tasks)
    return raised.value


def one_node(rest: str) -> str:
    return f"  solve:\n    a: {{{rest}}}\n    returns: a\n"


def test_attempts_of_the_design_load() -> None:
    read = scenario(ATTEMPT)
    assert list(read.graphs["attempt"].nodes) == ["draft", "run", "check", "write"]
    attempt = read.graphs["attempt"]
    assert indices(attempt) == {"draft": ("draft",), "run": ("draft",), "check": ("draft",), "write": ()}
    assert judges(attempt, "draft") == ["check"]
    assert [edge.target for edge in edges(attempt.nodes["check"])] == ["draft", "draft", "run"]


def test_deep_research_of_the_design_loads() -> None:
    read = scenario(RESEARCH, "{graph: answer, arrivals: 0.1/s}", RESEARCH_SERVICES, RESEARCH_TOOLS)
    assert read.graphs["research"].nodes["deeper"].depth == 3
    assert read.tools["fetch"].fails == 0.05


def test_training_in_a_graph_is_answered_not_yet() -> None:
    graphs = """\
  step:
    batch: {graph: rollout, copies: 512, prompt: [task]}
    learn: {train: policy, on: batch.think, epochs: 1}
    returns: learn
"""
    with pytest.raises(NotYetError, match="train") as raised:
        scenario(graphs)
    assert raised.value.exit_code == 2


def test_nested_families_share_the_head_of_their_index() -> None:
    read = scenario(
        "  solve:\n"
        "    plan: {call: solver, copies: 3, prompt: [task], output: 10 tokens}\n"
        "    try: {call: solver, copies: 4, for_each: plan, prompt: [plan], output: 10 tokens}\n"
        "    best: {call: solver, for_each: plan, prompt: [try], output: 10 tokens}\n"
        "    end: {call: solver, prompt: [best, try], output: 10 tokens}\n"
        "    returns: end\n"
    )
    over = indices(read.graphs["solve"])
    assert over == {"plan": ("plan",), "try": ("plan", "try"), "best": ("plan",), "end": ()}
    assert common(over["best"], over["try"]) == 1


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("call: solver, tool: python", "exactly one kind"),
        ("prompt: [task]", "exactly one kind"),
        ("call: solver, prompt: [task]", "needs 'output'"),
        ("call: solver, output: 5", "needs 'prompt'"),
        ("tool: python, output: 5", "has no 'output'"),
        ("call: solver, prompt: [task], output: 5, budget: 10", "does not think"),
        ("call: solver, prompt: [task], output: 5, accepts: {right: 1, wrong: 0}", "for_each of"),
        ("call: solver, prompt: [task], output: 5, solves: {given_right: 1}", "both chances"),
        ("call: solver, prompt: [task], output: 5, solves: {beta: {mean: 0.9, sd: 0.4}}", "varies so much"),
        ("call: solver, prompt: [task], output: 5, context: shorter", "too long"),
        ("call: solver, prompt: [task], output: 5, when: {}", "one condition"),
        ("tool: python, need: none", "how many runs"),
        ("tool: python, copies: 0", "more than zero"),
        ("graph: solve", "needs 'prompt'"),
    ],
)
def test_nodes_say_what_does_not_fit(rest: str, said: str) -> None:
    error = problem(one_node(rest))
    assert said in str(error)
    assert error.where.startswith("a.yaml:1")


@pytest.mark.parametrize(
    ("graphs", "line", "said"),
    [
        (one_node("call: solvr, prompt: [task], output: 5"), 12, "did you mean 'solver'"),
        (one_node("tool: pythn"), 12, "did you mean 'python'"),
        (one_node("graph: slove, prompt: [task]"), 12, "did you mean 'solve'"),
        (one_node("call: solver, prompt: [task, b], output: 5"), 12, "no node 'b'"),
        (one_node("call: solver, prompt: [task.x], output: 5"), 12, "no part 'x'"),
        ("  solve:\n    a: {tool: python}\n    returns: b\n", 13, "no node 'b'"),
        (one_node("graph: solve, prompt: [task]"), 12, "runs itself without end"),
        (
            "  solve:\n    a: {tool: python, after: [b]}\n    b: {tool: python, after: [a]}\n    returns: b\n",
            13,
            "a -> b -> a",
        ),
        ("  solve:\n    a: {tool: python, for_each: a}\n    returns: a\n", 12, "in a circle"),
        ("  solve:\n    a: {tool: python}\n    b: {tool: python}\n    returns: b\n", 12, "'a' leads nowhere"),
        ("  solve:\n    a: {tool: python, copies: 2}\n    returns: a\n", 13, "a graph returns one"),
        (
            "  solve:\n    a: {tool: python, copies: 3}\n    b: {tool: python, after: [a], need: 4}\n    returns: b\n",
            13,
            "can never be satisfied",
        ),
        (
            "  solve:\n    a: {tool: python, need: any}\n    returns: a\n",
            12,
            "nothing to join",
        ),
        (
            (
                "  solve:\n    a: {call: solver, copies: 2, prompt: [task], output: 5}\n"
                "    b: {call: solver, prompt: [a.accepted], output: 5}\n    returns: b\n"
            ),
            13,
            "no node accepts runs of 'a'",
        ),
        (
            (
                "  solve:\n    a: {call: solver, copies: 2, prompt: [task], output: 5}\n"
                "    c: {call: solver, for_each: a, prompt: [a], output: 5, accepts: {right: 1, wrong: 0}}\n"
                "    b: {call: solver, prompt: [a.accepted], output: 5}\n    returns: b\n"
            ),
            13,
            "never right or wrong",
        ),
        (
            (
                "  solve:\n    a: {call: solver, copies: 2, prompt: [task], output: 5, solves: 0.5}\n"
                "    c: {call: solver, for_each: a, prompt: [a], output: 5, accepts: {right: 0, wrong: 0}}\n"
                "    b: {call: solver, prompt: [a.accepted], output: 5, solves: 1}\n    returns: b\n"
            ),
            14,
            "never accepts",
        ),
        (
            (
                "  solve:\n    a: {call: solver, copies: 2, prompt: [task], output: 5}\n"
                "    b: {vote: {over: a}}\n    returns: b\n"
            ),
            13,
            "nothing to vote on",
        ),
        (
            (
                "  solve:\n    a: {call: solver, prompt: [task], output: 5, solves: 0.5}\n"
                "    b: {call: solver, prompt: [a], output: 5}\n    returns: b\n"
            ),
            14,
            "never right or wrong",
        ),
        (ATTEMPT.replace("until: check.accepted", "until: check"), 20, "until: check.accepted"),
        (ATTEMPT.replace("carry: [check]", "carry: [chekc]"), 20, "did you mean 'check'"),
    ],
)
def test_graphs_that_make_no_sense(graphs: str, line: int, said: str) -> None:
    error = problem(graphs)
    assert said in str(error), str(error)
    assert f"a.yaml:{line}:" in str(error), str(error)


def test_a_depth_bounds_recursion() -> None:
    graphs = (
        "  solve:\n    more: {graph: solve, prompt: [task], depth: 3}\n"
        "    a: {call: solver, prompt: [task, more], output: 5}\n    returns: a\n"
    )
    assert scenario(graphs).graphs["solve"].nodes["more"].depth == 3


def test_tasks_name_a_graph() -> None:
    assert "did you mean 'solve'" in str(problem(ATTEMPT, "{graph: solv, count: 3}"))
    assert "arrivals, or a count" in str(problem(ATTEMPT, "{graph: solve}"))
    assert "one of both" in str(problem(ATTEMPT, "{count: 3}"))


def test_a_mistake_among_a_thousand_nodes_is_told_at_once() -> None:
    nodes = "".join(
        f"    n{index}: {{call: solver, prompt: [task, n{index - 1}], output: 50 tokens}}\n" for index in range(1, 1000)
    )
    graphs = (
        "  solve:\n    n0: {call: solver, prompt: [task, n999], output: 50 tokens}\n" + nodes + "    returns: n999\n"
    )
    began = time.process_time()
    error = problem(graphs)
    spent_s = time.process_time() - began
    assert "in a circle" in str(error)
    assert spent_s < 1


def test_the_text_of_a_scenario_is_a_scenario() -> None:
    assert text(ATTEMPT, services=SERVICES, tools=TOOLS).count("graph: attempt") == 1
