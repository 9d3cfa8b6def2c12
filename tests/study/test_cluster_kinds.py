"""Several kinds of device from a scenario: what the cost layer says of each, who pays for what, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from sim.spec.document import Document
from sim.spec.load import read_scenario
from sim.spec.scenario import Scenario
from sim.spec.yaml import loads
from sim.study.cluster import play, play_cluster, prepare_cluster
from tests.helpers.command import call

SCENARIO = "scenarios/clusters/two-generations.yaml"
TRAINING = "{name: run, devices: 32, tokens: 1e8 tokens, model: llama-3.1-8b, batch: 262144 tokens}"
NEW = "{accelerator: h100-sxm, count: 32, failure_rate: 0/h}"
OLD = "{accelerator: a100-80gb-sxm, count: 64, failure_rate: 0/h}"


def read(machine: str, *workloads: str, more: str = "policy: {schedule: fifo}") -> Scenario:
    listed = "\n".join(f"  - {each}" for each in workloads)
    text = f"schema_version: 1\nname: kinds\n{machine}\n{more}\nworkloads:\n{listed}\n"
    document: Document = loads(text, "kinds.yaml")
    return read_scenario(document)


def wall_clock_s(scenario: Scenario) -> float:
    return play(prepare_cluster(scenario), scenario.seed).wall_clock_s


def test_a_training_run_is_as_fast_on_each_kind_as_on_a_cluster_of_it() -> None:
    """Two runs, one on each kind: both end when they end alone on a cluster of that kind."""
    both = read(
        f"clusters: {{new: {NEW}, old: {OLD}}}",
        f"training: {TRAINING}",
        f"training: {TRAINING.replace('name: run', 'name: other')}",
    )
    played = play(prepare_cluster(both), 0)
    alone = {kind: wall_clock_s(read(f"cluster: {kind}", f"training: {TRAINING}")) for kind in (NEW, OLD)}
    assert played.finish_s.tolist() == pytest.approx([alone[NEW], alone[OLD]], rel=1e-12)
    assert alone[OLD] > 1.5 * alone[NEW]


def test_two_jobs_on_two_kinds_by_hand() -> None:
    """Expectation: 32 H100s for an hour, then nothing; 32 A100s for 1 h / 0.4 = 2.5 h; the rest of 2.5 h idles.

    Cost: (32 x 3 + 64 x 2) USD/h x 2.5 h = 560 USD.
    """
    jobs = "jobs: {kinds: {new: 1, old: 0.4}, list: [{devices: 32, runtime: 1 h}, {devices: 32, runtime: 1 h}]}"
    priced = [NEW.replace("}", ", price: 3 USD/h}"), OLD.replace("}", ", price: 2 USD/h}")]
    report = play_cluster(read(f"clusters: {{new: {priced[0]}, old: {priced[1]}}}", jobs))
    assert report.wall_clock_s == pytest.approx(2.5 * 3600)
    assert report.cost_usd == pytest.approx(560.0)
    values = {name: each.value for name, each in report.values.items()}
    assert values["kinds.new.allocated"] == pytest.approx(1 / 2.5)
    assert values["kinds.old.allocated"] == pytest.approx(0.5)
    assert values["kinds.new.cost_usd"] == pytest.approx(240.0)
    assert values["kinds.new.energy_j"] + values["kinds.old.energy_j"] == pytest.approx(report.energy_j)
    assert sum(seconds for _, seconds in report.parts) == pytest.approx(report.wall_clock_s)


def test_energy_of_a_kind_is_that_of_a_cluster_of_it() -> None:
    jobs = "jobs: {kinds: {new: 1}, list: [{devices: 32, runtime: 1 h}]}"
    both = play_cluster(read(f"clusters: {{new: {NEW}, old: {OLD}}}", jobs))
    alone = play_cluster(read(f"cluster: {NEW}", jobs.replace("kinds: {new: 1}, ", "")))
    assert both.values["kinds.new.energy_j"].value == pytest.approx(alone.energy_j, rel=1e-12)


def test_a_run_that_does_not_fit_a_kind_says_so_and_runs_on_the_other() -> None:
    fp8 = TRAINING.replace("devices: 32", "devices: 32, precision: fp8")
    report = play_cluster(read(f"clusters: {{old: {OLD}, new: {NEW}}}", f"training: {fp8}"))
    assert any("does not run on old" in each and "fp8" in each for each in report.missing)
    assert set(report.tables["allocations"]["kind"].tolist()) == {"new"}


def test_a_trace_of_steps_runs_at_the_throughput_of_each_kind(tmp_path: Path) -> None:
    """Expectation: 1,000 steps take 100 s at 10 steps/s on V100, and 400 s on K80; case does not matter."""
    rates = {kind: {"('ResNet', 1)": {"null": rate}} for kind, rate in (("V100", 10.0), ("K80", 2.5))}
    (tmp_path / "rates.json").write_text(json.dumps(rates))
    line = "ResNet\tx\tx\tx\t1000\t0\t1"
    (tmp_path / "steps.trace").write_text(f"{line}\n{line}\n")
    jobs = f"jobs: {{trace: {{file: {tmp_path}/steps.trace, format: gavel, throughputs: {tmp_path}/rates.json}}}}"
    clusters = "clusters: {v100: 1xv100-sxm2-32gb, k80: {accelerator: a100-80gb-sxm, count: 1}}"
    prepared = prepare_cluster(read(clusters, jobs))
    assert play(prepared, 0).finish_s.tolist() == pytest.approx([100.0, 400.0])


WRONG: list[tuple[dict[str, str], str]] = [
    ({"workloads.1.training.kinds": "odl"}, "did you mean 'old'?"),
    ({"workloads.2.jobs.kinds": "{odl: 1}"}, "did you mean 'old'?"),
    ({"workloads.2.jobs.kinds": "{}"}, "how fast, where there are several"),
    ({"workloads.1.training.kinds": "old"}, "fp8"),
    ({"workloads.0.training.devices": "null"}, "how many devices it asks for"),
    ({"workloads.0.training.devices": "200"}, "none of the kinds"),
    ({"cluster": "8xh100-sxm"}, "leave out one of them"),
    ({"clusters": "{}"}, "'cluster' is missing"),
    ({"clusters.new.accelerator": "h100"}, "did you mean"),
    ({"services": "{chat: {model: llama-3.1-8b}}"}, "nothing is sent to the services"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG)
def test_what_is_wrong_is_told(changes: dict[str, str], expected: str, root: Path) -> None:
    options: list[Any] = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    outcome = call("run", str(root / SCENARIO), *options)
    assert outcome.exit_code in (2, 4), outcome.stderr
    assert expected in outcome.stderr


def test_services_and_plans_want_one_cluster(root: Path) -> None:
    outcome = call("plan", str(root / SCENARIO))
    assert outcome.exit_code == 2
    assert "several clusters" in outcome.stderr
