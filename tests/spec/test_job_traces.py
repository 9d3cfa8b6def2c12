"""Traces of jobs: each format as it is published, and a bad line named by its number."""

import json
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.spec.job_traces import read_jobs, read_nodes
from tests.helpers.shared_data import SHARED

SWF = "; a comment\n 1 0 5 100 4 -1 -1 8 200 -1 1 3 1 -1 -1 -1 -1 -1\n 2 10 0 -1 4 -1 -1 4 9 -1 5 3 1 -1 -1 -1 -1 -1\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_swf(tmp_path: Path) -> None:
    trace = read_jobs(write(tmp_path, "a.swf", SWF))
    (job,) = trace.jobs
    assert (trace.format, trace.left_out) == ("swf", 1)
    assert (job.arrival_s, job.devices, job.run_s, job.estimate_s, job.tenant) == (0.0, 4, 100.0, 200.0, "user-3")


def test_csv_in_our_words_and_in_those_of_others(tmp_path: Path) -> None:
    ours = read_jobs(write(tmp_path, "a.csv", "at_s,devices,runtime_s,tenant,priority\n5,2,60,x,3\n1,1,30,,\n"))
    assert [(job.arrival_s, job.devices, job.run_s, job.tenant, job.priority) for job in ours.jobs] == [
        (1.0, 1, 30.0, "", None),
        (5.0, 2, 60.0, "x", 3),
    ]
    text = "jobid,submitted_time,num_gpus,duration,vc\nj1,2017-10-03 06:22:22,8,3600,abc\n"
    (job,) = read_jobs(write(tmp_path, "philly.csv", text)).jobs
    assert (job.arrival_s, job.devices, job.run_s, job.tenant) == (1507011742.0, 8, 3600.0, "abc")


def test_alibaba_pods_and_nodes(tmp_path: Path) -> None:
    header = (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"
    )
    rows = [
        "p0,1,1,1,460,,LS,Running,10,110,20",
        "p1,1,1,0,0,,BE,Running,11,12,11",
        "p2,1,1,8,1000,V100M16|V100M32,LS,Running,12,22,12",
    ]
    trace = read_jobs(write(tmp_path, "pods.csv", "\n".join([header, *rows])))
    assert trace.left_out == 1
    assert [(job.devices, job.milli, job.run_s, tuple(job.speeds)) for job in trace.jobs] == [
        (1, 460, 90.0, ()),
        (8, 0, 10.0, ("V100M16", "V100M32")),
    ]
    nodes = write(
        tmp_path, "nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\na,1,1,2,P100\nb,1,1,8,V100\nc,1,1,8,V100\n"
    )
    assert read_nodes(nodes) == {"V100": (16, 8), "P100": (2, 2)}


def test_gavel_needs_its_throughputs(tmp_path: Path) -> None:
    path = write(tmp_path, "g.trace", "LM (batch size 10)\tcommand\t--steps\t1\t1000\t6.0\t2\n")
    with pytest.raises(ScenarioError, match="steps a second"):
        read_jobs(path)
    rates = {"v100": {"('LM (batch size 10)', 2)": {"null": 10.0}}, "k80": {"('LM (batch size 10)', 2)": {"null": 2.5}}}
    throughputs = write(tmp_path, "t.json", json.dumps(rates))
    (job,) = read_jobs(path, throughputs=throughputs).jobs
    assert (job.arrival_s, job.devices, job.run_s, job.speeds) == (6.0, 2, 100.0, {"v100": 1.0, "k80": 0.25})


@pytest.mark.parametrize(
    ("name", "text", "line", "rule"),
    [
        ("a.swf", SWF + "3 4 5\n", 4, "18 fields"),
        ("a.swf", SWF.replace("100", "1e99"), 2, "run time"),
        ("a.csv", "at_s,devices,runtime_s\n0,1,60\n0,1.5,60\n", 3, "whole number"),
        ("a.csv", "at_s,devices,runtime_s\n0,1\n", 2, "3 fields"),
        ("a.csv", "at_s,devices,runtime_s\nyesterday,1,3\n", 2, "a number of seconds or a date"),
        ("a.csv", "at_s,devices,runtime_s\n0,1,nan\n", 2, "finite"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, name: str, text: str, line: int, rule: str) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(ScenarioError, match=rule) as error:
        read_jobs(path)
    assert error.value.where == f"{path}:{line}"


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no known format"):
        read_jobs(write(tmp_path, "a.txt", "hello\n"))
    with pytest.raises(ScenarioError, match="cannot read"):
        read_jobs(tmp_path / "absent.swf")


@pytest.mark.parametrize(
    ("name", "jobs", "left_out"),
    [
        ("swf_lublin_256_synthetic.swf", 10_000, 0),
        ("swf_kth_sp2_cqsim_sample.swf", 9, 0),
        ("ali_gpu_v2023_openb_pod_list_default.csv", 7_064, 1_088),
        ("philly_runtime_from_ali2020.csv", 83_154, 0),
    ],
)
def test_published_traces(name: str, jobs: int, left_out: int) -> None:
    path = SHARED / "traces" / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/traces/{name}, which is not shipped")
    trace = read_jobs(path)
    assert (len(trace.jobs), trace.left_out) == (jobs, left_out)
