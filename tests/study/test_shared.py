"""Services beside jobs: one queue, one policy, one ledger; by hand, and against each part alone."""

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
ONE = """
schema_version: 1
name: one request beside one job
cluster: {accelerator: h100-sxm, count: 8, failure_rate: 0/h}
policy: {schedule: %s, place: %s}
services:
  chat: {model: llama-3.1-8b, plan: {tp: 1}, cold_start: 5 s%s}
workloads:
  - requests: {service: chat, arrivals: {at_once: 1}, input: 300 tokens, output: 4000 tokens%s}
  - jobs: {list: [{at: 20 s, devices: 8, runtime: 30 s, priority: 5}]}
"""
LINES = TEXT.split("\n")


def run(text: str = TEXT) -> RunReport:
    report = run_scenario(read_scenario(loads(text, "both.yaml")))
    assert isinstance(report, RunReport)
    return report


def one(policy: str = "priority", place: str = "packed", service: str = "", requests: str = "") -> RunReport:
    return run(ONE % (policy, place, service, requests))


def without(*words: str) -> str:
    return "\n".join(line for line in LINES if not any(word in line for word in words))


def column(report: RunReport, name: str, table: str = "jobs") -> list[float]:
    found: list[float] = np.asarray(report.tables[table][name]).tolist()
    return found


def test_both_parts_are_told_and_every_device_second_is_in_one_account() -> None:
    report = run()
    assert report.devices == 32
    assert math.isclose(sum(seconds for _, seconds in report.parts), report.wall_clock_s, rel_tol=1e-9)
    assert {"requests", "jobs"} <= set(report.tables)
    assert {section.name for section in report.sections} >= {"services", "queued_services", "jobs"}
    assert [target.met for target in report.targets] == [True]
    assert report.energy_j is not None
    assert report.cost_usd is not None


def test_where_nobody_waits_each_part_is_what_it_is_alone() -> None:
    both = run(TEXT.replace("count: 32, failure_rate", "count: 64, failure_rate"))
    served = run(without("jobs:"))
    done = run(without("services:", "chat").replace("count: 32", "count: 64"))
    assert both.values["chat.ttft_s.p99"] == served.values["chat.ttft_s.p99"]
    for name in ("arrival_s", "start_s", "finish_s", "slowdown"):
        assert column(both, name)[:6] == column(done, name), name
    assert column(both, "outcome")[6:] == ["released"] * 4
    # Free devices draw power too, so that the whole is the cluster of the jobs and what serving draws beyond that.
    assert both.energy_j is not None
    assert done.energy_j is not None


def test_a_job_waits_until_the_service_has_given_its_devices_back() -> None:
    report = one()
    alone_s = report.values["chat.e2e_s.mean"].value
    assert alone_s > 25.0
    assert column(report, "start_s")[0] == pytest.approx(alone_s, abs=1e-9)
    assert report.values["chat.retries"].value == 0


@pytest.mark.parametrize("place", ["packed", "anywhere"])
def test_the_request_of_a_preempted_replica_is_later_by_the_retry(place: str) -> None:
    alone_s = one().values["chat.e2e_s.mean"].value
    report = one(place=place, service=", preemptible: true")
    # Stopped at 20 s; devices again at 50 s, up at 55 s, and the request from its beginning.
    assert column(report, "start_s")[0] == 20.0
    assert report.values["chat.e2e_s.mean"].value == pytest.approx(55.0 + alone_s, abs=1e-9)
    assert report.values["chat.retries"].value == 1
    assert report.values["chat.replicas_preempted"].value == 1
    accounts = dict(report.parts)
    assert accounts["restart"] == pytest.approx(5.0 / 8, rel=1e-9)
    assert sum(accounts.values()) == pytest.approx(report.wall_clock_s, rel=1e-9)


def test_a_policy_that_does_not_preempt_leaves_replicas_alone() -> None:
    report = one(policy="fifo", service=", preemptible: true")
    assert report.values["chat.replicas_preempted"].value == 0


def test_a_service_that_scales_up_waits_for_a_job_to_end() -> None:
    text = """
schema_version: 1
name: scaling beside a job
cluster: {accelerator: h100-sxm, count: 8, failure_rate: 0/h}
policy: fifo
services:
  chat: {model: llama-3.1-8b, plan: {tp: 1}, replicas: {min: 1, max: 2, target: 1, every: 10 s}, cold_start: 5 s}
workloads:
  - requests: {service: chat, arrivals: {at_once: 16}, input: 300 tokens, output: 15000 tokens}
  - jobs: {list: [{devices: 7, runtime: 60 s}, {at: 30 s, devices: 1, runtime: 10 s}]}
"""
    report = run(text)
    # The load asks for a second replica at 10 s; its device is free at 60 s. The job of 30 s stands behind it.
    assert report.values["chat.e2e_s.mean"].value > 65.0
    assert report.values["chat.devices_wait_s.max"].value == 50.0
    assert column(report, "arrival_s") == [0.0, 30.0, 0.0, 10.0]
    assert column(report, "start_s") == [0.0, 60.0, 0.0, 60.0]
    assert dict(report.parts)["restart"] == pytest.approx(5.0 / 8, rel=1e-9)


def test_a_service_that_never_gets_its_devices_says_so() -> None:
    report = one(policy="fifo", service=", at: 30 s, replicas: 2", requests=", time_out: 15 s")
    # The job holds every device from 20 s to 50 s; the request came at 0 s and was given up at 15 s.
    assert report.values["chat.timed_out"].value == 1
    late = run(ONE % ("fifo", "packed", ", at: 25 s", ", at: 24 s, time_out: 10 s"))
    assert late.values["chat.replicas_without_devices"].value == 1
    assert late.values["chat.timed_out"].value == 1
    assert any("never had any" in line for line in late.missing)
    assert column(late, "start_s")[0] == 20.0


def test_a_service_begins_at_its_time_and_its_early_requests_wait() -> None:
    alone_s = one().values["chat.e2e_s.mean"].value
    report = run(without_job(ONE % ("fifo", "packed", ", at: 100 s", "")))
    assert report.values["chat.e2e_s.mean"].value == pytest.approx(105.0 + alone_s, abs=1e-9)


def without_job(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if "jobs:" not in line)


def test_services_alone_share_the_cluster_under_a_stated_policy() -> None:
    text = without_job(ONE % ("fifo", "packed", ", replicas: {min: 6, max: 8}", ""))
    other = "  code: {model: llama-3.1-8b, plan: {tp: 1}, replicas: 4}\nworkloads:"
    with pytest.raises(InfeasibleError, match="more devices than the cluster has"):
        run(text.replace("workloads:", other))
    report = run(text.replace("workloads:", other.replace("replicas: 4", "replicas: 2")))
    assert "jobs" not in {section.name for section in report.sections}
    assert report.values["code.devices_wait_s.max"].value == 0.0


def test_a_replica_that_fits_no_quota_is_refused() -> None:
    text = (ONE % ("fifo", "packed", ", tenant: a", "")).replace("tp: 1", "tp: 4")
    text = text.replace("services:", "tenants: {a: {quota: 2}}\nservices:")
    with pytest.raises(InfeasibleError, match="quota of its tenant") as caught:
        run(text)
    assert "tenants.a.quota: 4" in caught.value.mend


def test_failures_of_the_cluster_hit_replicas_too() -> None:
    text = (ONE % ("fifo", "packed", ", replicas: 4", "")).replace("failure_rate: 0/h", "failure_rate: 40/h")
    report = run(text.replace("at_once: 1", "at_once: 40"))
    assert report.values["chat.replicas_failed"].value > 0
    assert report.values["chat.retries"].value > 0
    assert report.values["chat.finished"].value == 40


def test_services_to_which_nothing_is_sent_are_refused() -> None:
    with pytest.raises(ScenarioError, match="nothing is sent"):
        run(without("requests", "targets"))


CROWDED = """
schema_version: 1
name: two services and jobs that take devices from each other
cluster: {accelerator: h100-sxm, count: 16, failure_rate: %s, repair: 20 s, node_loss_share: 0.5}
policy: {schedule: %s, place: packed}
services:
  chat: {model: llama-3.1-8b, plan: {tp: 2}, cold_start: 3 s, preemptible: true, %s}
  other: {model: llama-3.1-8b, plan: {tp: 1}, replicas: {min: 1, max: 6, target: 4, every: 3 s, keep: 6 s}, at: 5 s,
    preemptible: true, failure_rate: 60/h, repair: 4 s, cold_start: 2 s}
workloads:
  - requests: {name: a, service: chat, arrivals: {poisson: 5/s}, input: 300 tokens, output: 200 tokens,
      duration: 60 s, time_out: 20 s}
  - requests: {name: b, service: other, arrivals: {poisson: 8/s}, input: 300 tokens, output: 400 tokens, duration: 40 s}
  - jobs: {count: 25, arrivals: {poisson: 20/min}, devices: {empirical: [1, 2, 8, 16]}, runtime: {exponential: 6 s},
      priority: 3, checkpoint: 2 s}
seed: %d
"""


@pytest.mark.parametrize(
    ("failures", "policy", "replicas", "seed"),
    [
        ("30/h", "priority", "replicas: 3", 1),  # a request sent again meets what is left of itself
        ("0/h", "srtf", "disaggregation: {prefill: 1, decode: 2}", 2),  # given up as its prompt is done
        ("30/h", "las", "replicas: 3, router: shared-queue", 0),
        ("30/h", "easy", "replicas: {min: 1, max: 6, target: 3, every: 2 s, keep: 4 s}, router: power-of-two", 2),
    ],
)
def test_nothing_is_lost_in_a_crowd(failures: str, policy: str, replicas: str, seed: int) -> None:
    report = run(CROWDED % (failures, policy, replicas, seed))
    sums = {name: report.values[f"{name}.requests"].value for name in ("chat", "other")}
    for name, count in sums.items():
        ends = ("finished", "timed_out", "rejected", "cancelled")
        assert sum(report.values[f"{name}.{end}"].value for end in ends) == count
    assert sum(seconds for _, seconds in report.parts) == pytest.approx(report.wall_clock_s, rel=1e-9)
    assert (report.tables["jobs"]["outcome"] == "waiting").sum() == 0
