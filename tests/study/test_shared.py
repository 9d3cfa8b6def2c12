"""Services beside jobs: the devices are divided, nothing is lost, and each part is what it would be alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.errors import InfeasibleError, ScenarioError
from sim.results.run_report import RunReport
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.scenarios import run_scenario

TEXT = """
schema_version: 1
name: both
cluster: {accelerator: h100-sxm, count: 32, failure_rate: 0/h}
tenants: {prod: {priority: 10}, research: {priority: 1}}
services:
  chat: {model: llama-3.1-8b, tenant: prod, replicas: 4, plan: {tp: 1}}
workloads:
  - requests: {service: chat, arrivals: {poisson: 4/s}, input: 300 tokens, output: 50 tokens, count: 60}
  - jobs: {name: sweep, tenant: research, arrivals: 60/h, count: 6, devices: 8, runtime: 5 min}
targets: {chat.ttft_s.p99: 1 s}
"""


LINES = TEXT.split("\n")


def run(text: str = TEXT) -> RunReport:
    report = run_scenario(read_scenario(loads(text, "both.yaml")))
    assert isinstance(report, RunReport)
    return report


def without(*words: str) -> str:
    return "\n".join(line for line in LINES if not any(word in line for word in words))


def test_both_parts_are_told_and_every_device_second_is_in_one_account() -> None:
    report = run()
    assert report.devices == 32
    assert math.isclose(sum(seconds for _, seconds in report.parts), report.wall_clock_s, rel_tol=1e-9)
    assert {"requests", "jobs"} <= set(report.tables)
    assert {section.name for section in report.sections} >= {"services", "jobs"}
    assert [target.met for target in report.targets] == [True]
    assert report.energy_j is not None
    assert report.cost_usd is not None


def test_each_part_is_what_it_is_alone_on_its_nodes() -> None:
    both = run()
    served = run(without("jobs:").replace("count: 32", "count: 8"))
    done = run(without("services:", "chat").replace("count: 32", "count: 24"))
    assert both.values["chat.ttft_s.p99"] == served.values["chat.ttft_s.p99"]
    for name, column in done.tables["jobs"].items():
        assert np.asarray(both.tables["jobs"][name]).tolist() == np.asarray(column).tolist(), name
    assert both.energy_j is not None
    assert served.energy_j is not None
    assert done.energy_j is not None
    assert both.energy_j >= served.energy_j + done.energy_j


def test_services_that_leave_nothing_are_refused_with_what_would_do() -> None:
    with pytest.raises(InfeasibleError) as caught:
        run(TEXT.replace("count: 32, failure_rate", "count: 8, failure_rate"))
    assert "cluster.count=16" in caught.value.mend


def test_services_to_which_nothing_is_sent_are_refused() -> None:
    with pytest.raises(ScenarioError, match="nothing is sent"):
        run(without("requests", "targets"))
