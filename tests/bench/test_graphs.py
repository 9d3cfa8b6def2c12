"""Speed of graphs, in CPU seconds of a whole process; compare on a machine that does nothing else.

Figures of issue 6: a recorded trace of 1,000 graphs, a hundred thousand tasks of generate, check and synthesize with
their memory, the cost of a task flat in their number, and an error in a long graph.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.graphs import ATTEMPT, play
from tests.helpers.shared_data import SHARED

RUN = "import sys; from sim.cli.main import main; sys.exit(main())"
TRACE = SHARED / "traces/serving/agentic_bestof4.jsonl"
RECORDED = """
schema_version: 1
name: recorded
cluster: {{accelerator: a100-80gb-sxm, count: 2}}
services: {{actor: {{model: llama-3.1-8b, replicas: 2}}}}
workloads:
  - tasks: {{trace: {{file: {file}, service: actor}}}}
"""
SYNTHESIS = """
schema_version: 1
name: generate, check, synthesize
cluster: 64xh100-sxm
services:
  solver: {{model: llama-3.1-8b, replicas: 48}}
  checker: {{model: llama-3.1-8b, replicas: 16}}
tools:
  python: {{latency: {{lognormal: {{median: 500 ms, p95: 3 s}}}}, concurrency: 1000}}
graphs:
  solve:
    draft: {{call: solver, copies: 8, prompt: [task], output: 1500 tokens, solves: {{beta: {{mean: 0.4, sd: 0.25}}}}}}
    run: {{tool: python, for_each: draft, result: 200 tokens}}
    check: {{call: checker, for_each: draft, prompt: [task, draft, run], output: 300 tokens,
      accepts: {{right: 0.9, wrong: 0.1}}}}
    write: {{call: solver, prompt: [task, draft.accepted], output: 800 tokens,
      solves: {{given_right: 0.95, given_wrong: 0.02}}}}
    returns: write
workloads:
  - tasks: {{graph: solve, arrivals: 10/s, count: {tasks}, input: 1000 tokens}}
"""
LONG = """
schema_version: 1
name: a thousand nodes
cluster: 8xh100-sxm
services: {{solver: {{model: llama-3.1-8b, replicas: 8}}}}
graphs:
  solve:
    n0: {{call: solver, prompt: [task], output: 10 tokens}}
{nodes}
    returns: n999
workloads:
  - tasks: {{graph: solve, count: 1, input: 10 tokens}}
"""


def command(*arguments: str, exit_code: int = 0) -> tuple[float, int]:
    """Run one command as installed; give its CPU seconds and its peak memory in kB."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == exit_code
    return used.ru_utime + used.ru_stime, used.ru_maxrss


def seconds_per_task(tasks: int) -> float:
    began = time.process_time()
    play(ATTEMPT, tasks, gap_s=1.0)
    return (time.process_time() - began) / tasks


@pytest.mark.bench
def test_cost_of_a_task_is_flat() -> None:
    seconds_per_task(200)
    few = min(seconds_per_task(500) for _ in range(3))
    assert seconds_per_task(8000) < 1.4 * few


@pytest.mark.bench
def test_recorded_graphs_stay_within_their_budget(tmp_path: Path) -> None:
    if not TRACE.is_file():
        pytest.skip(f"needs {TRACE}, which is not shipped")
    scenario = tmp_path / "recorded.yaml"
    scenario.write_text(RECORDED.format(file=TRACE), encoding="utf-8")
    taken_s = min(command("run", str(scenario))[0] for _ in range(3))
    assert taken_s <= 1.5, f"{taken_s:.2f} s of CPU"


@pytest.mark.bench
@pytest.mark.parametrize("tasks", [5_000, 100_000])
def test_tasks_of_generate_check_synthesize(tasks: int, tmp_path: Path) -> None:
    """25 calls and tool runs each; 90 s for 2.5 million of them, and as much for each of fewer."""
    scenario = tmp_path / "synthesis.yaml"
    scenario.write_text(SYNTHESIS.format(tasks=tasks), encoding="utf-8")
    taken_s, peak_kb = command("run", str(scenario))
    assert peak_kb <= 2 * 2**20, f"{peak_kb / 2**20:.2f} GiB"
    assert taken_s <= 1.0 + 89.0 * tasks / 100_000, f"{taken_s:.1f} s of CPU"


@pytest.mark.bench
@pytest.mark.parametrize("wrong", ["nowhere", "n900"], ids=["unknown", "circle"])
def test_an_error_in_a_thousand_nodes_is_told_within_a_second(wrong: str, tmp_path: Path) -> None:
    prompts = (f"n{place - 1}" if place != 500 else f"n499, {wrong}" for place in range(1, 1000))
    nodes = "\n".join(
        f"    n{place}: {{call: solver, prompt: [task, {read}], output: 10 tokens}}"
        for place, read in enumerate(prompts, 1)
    )
    scenario = tmp_path / "long.yaml"
    scenario.write_text(LONG.format(nodes=nodes), encoding="utf-8")
    taken_s = min(command("check", str(scenario), exit_code=2)[0] for _ in range(3))
    assert taken_s <= 1.0, f"{taken_s:.2f} s of CPU"
