"""Scenarios with graphs, put together from their parts."""

from sim.spec.load import check_document
from sim.spec.scenario import Scenario
from sim.spec.yaml import loads

SERVICES = """\
services:
  solver: {model: llama-3.1-8b, replicas: 2}
  checker: {model: llama-3.1-8b, replicas: 2}
"""
TOOLS = """\
tools:
  python: {latency: 500 ms}
  search: {latency: {lognormal: {median: 800 ms, p95: 3 s}}, concurrency: 4}
"""
ATTEMPT = """\
  attempt:
    draft: {call: solver, copies: 8, prompt: [task], output: 1500 tokens, solves: {beta: {mean: 0.4, sd: 0.25}}}
    run:   {tool: python, for_each: draft, result: 200 tokens}
    check: {call: checker, for_each: draft, prompt: [task, draft, run], output: 300 tokens,
      accepts: {right: 0.9, wrong: 0.1}}
    write: {call: solver, prompt: [task, draft.accepted], need: 1, output: 800 tokens,
      solves: {given_right: 0.95, given_wrong: 0.02}}
    returns: write
  solve:
    try: {graph: attempt, prompt: [task], repeat: {until: check.accepted, at_most: 3, carry: [check]}}
    returns: try
"""


def text(graphs: str, tasks: str = "{graph: solve, count: 10}", services: str = SERVICES, tools: str = TOOLS) -> str:
    """Write a scenario of one workload of tasks."""
    head = "schema_version: 1\nname: graphs\ncluster: {accelerator: h100-sxm, count: 64}\n"
    return f"{head}{services}{tools}graphs:\n{graphs}workloads:\n  - tasks: {tasks}\n"


def scenario(
    graphs: str, tasks: str = "{graph: solve, count: 10}", services: str = SERVICES, tools: str = TOOLS
) -> Scenario:
    """Read a scenario of one workload of tasks."""
    return check_document(loads(text(graphs, tasks, services, tools), "a.yaml"))
