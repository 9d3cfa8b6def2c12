"""Recorded graphs as tasks: what waits for what, tools in between, the same times as the graph written by hand."""

import json
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.results.run_report import RunReport
from sim.spec.load import check_document
from sim.spec.yaml import loads
from sim.study.scenarios import run_scenario
from tests.helpers.shared_data import SHARED

HEAD = """\
schema_version: 1
name: recorded
cluster: {accelerator: a100-80gb-sxm, count: 2}
services: {actor: {model: llama-3.1-8b, replicas: 2}}
"""
AGENTIC = SHARED / "traces" / "serving" / "agentic_bestof4.jsonl"


def run(text: str) -> RunReport:
    report = run_scenario(check_document(loads(HEAD + text, "a.yaml")))
    assert isinstance(report, RunReport)
    return report


def row(name: str, at_s: float | None, asked: int, answered: int, waits: list[str], tool_ms: int = 0) -> str:
    # Every request has contents of its own, so that nothing is found in a cache.
    found = {
        "request_id": name,
        "session_id": name,
        "input_length": asked,
        "output_length": answered,
        "wait_for": waits,
    }
    found["hash_ids"] = [1000 * int.from_bytes(name.encode()) + place for place in range(-(-asked // 512))]
    if at_s is not None:
        found["timestamp"] = at_s * 1000
    if tool_ms:
        found["tool_wait_ms"] = tool_ms
    return json.dumps(found)


def write(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return f"workloads:\n  - tasks: {{trace: {{file: {path}, service: actor}}}}\n"


def test_a_recorded_graph_takes_the_time_of_the_graph(tmp_path: Path) -> None:
    rows = [
        row("a", 0.0, 600, 100, []),
        row("b", 0.0, 600, 50, []),
        row("c", None, 700, 40, ["a"], 500),
        row("d", None, 900, 30, ["b", "c"]),
    ]
    recorded = run(write(tmp_path / "t.jsonl", rows)).tables["tasks"]
    graphs = """\
tools: {wait: {latency: 500 ms}}
graphs:
  solve:
    a: {call: actor, prompt: [task], output: 100}
    b: {call: actor, prompt: [task], output: 50}
    w: {tool: wait, after: [a]}
    c: {call: actor, prompt: [task, a], output: 40, after: [w]}
    d: {call: actor, prompt: [task, b], output: 30, after: [c]}
    returns: d
workloads:
  - tasks: {graph: solve, count: 1, input: 600}
"""
    written = run(graphs).tables["tasks"]
    assert recorded["calls"].tolist() == written["calls"].tolist() == [4]
    assert recorded["path_tool_s"].tolist() == [0.5]
    spent_s = recorded["finish_s"][0] - recorded["arrival_s"][0]
    assert recorded["path_model_s"][0] + recorded["path_waiting_s"][0] == pytest.approx(spent_s - 0.5)
    assert spent_s == pytest.approx(float(written["finish_s"][0]), rel=0.1), "prompts differ a little, caches too"


def test_what_hangs_together_is_a_task(tmp_path: Path) -> None:
    rows = [row(f"{name}{place}", place, 100, 10, []) for place in range(3) for name in "ab"]
    rows += [row(f"c{place}", None, 200, 10, [f"a{place}", f"b{place}"]) for place in range(3)]
    report = run(write(tmp_path / "t.jsonl", rows))
    tasks = report.tables["tasks"]
    assert tasks["calls"].tolist() == [3, 3, 3]
    assert report.values["trace.tasks"].value == 3
    calls = report.tables["calls"]
    assert [int((calls["task"] == serial).sum()) for serial in tasks["serial"]] == [3, 3, 3]
    text = write(tmp_path / "t.jsonl", rows).replace("service: actor}", "service: actor}, count: 2")
    assert run(text).values["trace.tasks"].value == 2


def test_a_circle_in_a_trace_is_an_error(tmp_path: Path) -> None:
    rows = [row("a", 0.0, 100, 10, []), row("b", None, 100, 10, ["c"]), row("c", None, 100, 10, ["b"])]
    with pytest.raises(ScenarioError, match="circle"):
        run(write(tmp_path / "t.jsonl", rows))


@pytest.mark.skipif(not AGENTIC.exists(), reason="../shared/data is not there")
def test_a_thousand_recorded_graphs() -> None:
    report = run(f"workloads:\n  - tasks: {{trace: {{file: {AGENTIC}, service: actor}}}}\n")
    tasks = report.tables["tasks"]
    assert len(tasks["number"]) == 1000
    assert set(tasks["calls"].tolist()) == {9}
    served = sum(each.operations for each in report.flop.values())
    assert float((tasks["prefill_flop"] + tasks["decode_flop"]).sum()) == pytest.approx(served, rel=1e-9)
    spent_s = tasks["finish_s"] - tasks["arrival_s"]
    path_s = tasks["path_waiting_s"] + tasks["path_model_s"] + tasks["path_tool_s"]
    assert path_s == pytest.approx(spent_s)
