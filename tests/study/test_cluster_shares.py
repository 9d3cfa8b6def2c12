"""Shares of a device from a scenario or a trace: what they hold, and what is refused."""

from pathlib import Path

import pytest

from sim.spec.load import read_scenario
from sim.spec.scenario import Scenario
from sim.spec.yaml import loads
from sim.study.cluster import play_cluster, prepare_cluster
from tests.helpers.command import call
from tests.helpers.shared_data import SHARED

SCENARIO = "scenarios/clusters/shares.yaml"
TRACES = SHARED / "traces"


def read(jobs: str, cluster: str = "{accelerator: h100-sxm, count: 8, failure_rate: 0/h}") -> Scenario:
    text = f"schema_version: 1\nname: shares\ncluster: {cluster}\npolicy: {{place: best}}\nworkloads: [jobs: {jobs}]\n"
    return read_scenario(loads(text, "shares.yaml"))


def test_four_quarter_jobs_by_hand() -> None:
    """Expectation: a device for an hour, whatever its quarters; 1 of 8 is held; FLOP are those of a device at 30 %."""
    quarters = "{{list: [{}], mfu: 0.3}}".format(", ".join(["{devices: 0.25, runtime: 1 h}"] * 4))
    shared, whole = (play_cluster(read(each)) for each in (quarters, "{list: [{devices: 1, runtime: 1 h}], mfu: 0.3}"))
    assert shared.wall_clock_s == whole.wall_clock_s == 3600.0
    assert shared.parts == whole.parts
    assert shared.energy_j == whole.energy_j
    assert shared.flop["model"].operations == pytest.approx(whole.flop["model"].operations)
    assert shared.tables["jobs"]["devices"].tolist() == [0.25] * 4
    assert whole.tables["jobs"]["devices"].dtype.kind == "i"


def test_fragmentation_counts_what_is_left_of_shared_devices() -> None:
    """Jobs of 0.6 and 0.7 on two devices: 0.7 are free, in pieces of 0.4 and 0.3, and neither of them could use one."""
    jobs = "{list: [{devices: 0.6, runtime: 100 s}, {devices: 0.7, runtime: 100 s}]}"
    report = play_cluster(read(jobs, "{accelerator: l4, count: 2, failure_rate: 0/h}"))
    (section,) = [each for each in report.sections if each.name == "cluster"]
    assert "100.0%" in section.note
    smaller = jobs.replace("0.6", "0.3")
    # Of 0.3 and 0.7, one fills what the other leaves; the other device is whole, and whoever comes can use it.
    report = play_cluster(read(smaller, "{accelerator: l4, count: 2, failure_rate: 0/h}"))
    (section,) = [each for each in report.sections if each.name == "cluster"]
    assert "time: 0.0%" in section.note


def test_a_table_may_ask_for_shares(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("at_s,devices,runtime_s\n0,0.5,10\n0,2,10\n")
    report = play_cluster(read(f"{{trace: {tmp_path}/lab.csv}}"))
    assert report.tables["jobs"]["devices"].tolist() == [0.5, 2.0]
    (tmp_path / "bad.csv").write_text("at_s,devices,runtime_s\n0,1.5,10\n")
    with pytest.raises(Exception, match="whole number"):
        prepare_cluster(read(f"{{trace: {tmp_path}/bad.csv}}"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("workloads.0.jobs.devices=1.5", "a share of one in thousandths"),
        ("workloads.0.jobs.devices={empirical: [0.25, 2.5]}", "a share of one in thousandths"),
        ("workloads.0.jobs.devices={uniform: [0.1, 2]}", "must be whole here"),
        ("workloads.0.jobs.devices=0.00001", "a share of one in thousandths"),
        ("workloads.0.jobs.devices=0", "more than zero"),
        ("policy.place=anywhere", "has a place on one device"),
        ("workloads.0={training: {devices: 0.5, budget: 1e20 FLOP, model: llama-3.1-8b}}", "whole number"),
        ("workloads.0.jobs={list: [{devices: 2.5, runtime: 1 h}]}", "whole number"),
        (
            "workloads.0.jobs={list: [{devices: 0.5, runtime: 1 h, elastic: {min: 1, max: 2}}]}",
            "an elastic job asks for whole devices",
        ),
    ],
)
def test_what_is_wrong_is_told(change: str, expected: str, root: Path) -> None:
    outcome = call("run", str(root / SCENARIO), "--set", change)
    assert outcome.exit_code == 2
    assert expected in outcome.stderr


def test_the_trace_of_alibaba_runs_with_its_shares() -> None:
    """Every job that ran ends; what they hold is what the lines of the trace say, share by share."""
    pods, nodes = (
        TRACES / "ali_gpu_v2023_openb_pod_list_default.csv",
        TRACES / "ali_gpu_v2023_openb_node_list_gpu_node.csv",
    )
    if not pods.is_file():
        pytest.skip(f"needs {pods}, which is not shipped")
    rows = [line.split(",") for line in pods.read_text().splitlines()[1:]]
    asked_s = sum(
        int(row[3]) * int(row[4]) / 1000 * (float(row[9]) - float(row[10] or row[8]))
        for row in rows[:1500]
        if int(row[3]) and row[9]
    )
    report = play_cluster(read(f"{{trace: {{file: {pods}, nodes: {nodes}}}, count: {_jobs(rows[:1500])}}}"))
    devices = report.tables["jobs"]["devices"]
    assert 0 < devices.min() < 1 < devices.max()
    useful_s = dict(report.parts)["useful compute"] * report.devices
    assert report.values["jobs.rejected"].value == 0
    assert useful_s == pytest.approx(asked_s, rel=1e-9)


def _jobs(rows: list[list[str]]) -> int:
    """Count the lines that are jobs: those that ask for a GPU and have ended."""
    return sum(bool(int(row[3]) and row[9]) for row in rows)
