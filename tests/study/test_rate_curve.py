"""The curve of latency against rate: each point is the scenario itself at another rate."""

from pathlib import Path

import numpy as np
import pytest

from sim.results.charts.curve import curve as draw
from sim.results.record import Record
from sim.results.run_report import RunReport
from sim.spec.load import load_document, read_scenario
from sim.spec.scenario import Scenario
from sim.study import rate_curve
from sim.study.rate_curve import latency_against_rate
from sim.study.scenarios import run_scenario
from tests.helpers.command import call

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["workloads.0.requests.duration=40 s", "workloads.0.requests.warm_up=5 s"]


def played(name: str, *changes: str) -> tuple[Scenario, RunReport]:
    document = load_document(ROOT / "scenarios" / f"{name}.yaml", list(changes))
    scenario = read_scenario(document)
    report = run_scenario(scenario, document=document)
    assert isinstance(report, RunReport)
    return scenario, report


def test_each_point_is_the_scenario_at_another_rate() -> None:
    scenario, report = played("serving/chat", *SHORT)
    curve = latency_against_rate(scenario, report)
    assert curve is not None
    assert curve["rate_per_s"].tolist() == [1.25, 2.5, 3.75, 5.0, 6.25, 7.5, 10.0]
    assert curve["given"].tolist() == [False, False, False, True, False, False, False]
    assert curve["ttft_s_p99"][3] == report.values["chat.ttft_s.p99"].value
    _, other = played("serving/chat", *SHORT, "workloads.0.requests.arrivals.poisson=7.5/s")
    assert curve["tpot_s_p50"][5] == other.values["chat.tpot_s.p50"].value
    assert curve["requests"][5] == len(other.tables["requests"]["id"])
    assert set(curve["seed"].tolist()) == {scenario.seed}


def test_a_longer_run_is_played_in_part_and_the_picture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, report = played("serving/chat", *SHORT)
    monkeypatch.setattr(rate_curve, "MOST_REQUESTS", 50)
    curve = latency_against_rate(scenario, report)
    assert curve is not None
    others = curve["requests"][~curve["given"]]
    assert others.max() < 80
    drawn = draw(Record({"kind": "run", "name": "x"}, {"curve": curve}))
    assert drawn is not None
    assert f"{others.max():.0f} requests each" in drawn.note
    assert "seed 0" in drawn.note
    assert drawn.title == "Latency against requests a second"


def test_where_more_come_than_are_answered_the_picture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("services.chat.replicas=1", "workloads.0.requests.arrivals.poisson=20/s", *SHORT)
    scenario, report = played("serving/chat", *few)
    monkeypatch.setattr(rate_curve, "LEAST_JUDGED", 100)
    curve = latency_against_rate(scenario, report)
    assert curve is not None
    assert curve["growing"][-1]
    assert not curve["growing"][0]
    drawn = draw(Record({"kind": "run", "name": "x"}, {"curve": curve}))
    assert drawn is not None
    assert "more come than are answered" in drawn.note


def test_users_who_wait_are_more_or_fewer() -> None:
    scenario, report = played("serving/closed-loop")
    curve = latency_against_rate(scenario, report)
    assert curve is not None
    assert curve["users"].tolist() == [16, 32, 48, 64, 80, 96, 128]
    assert np.all(np.diff(curve["ttft_s_p50"]) > 0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("serving/two-tenants", ["workloads.0.requests.duration=5 s", "workloads.1.requests.arrivals.at_once=20"]),
        ("serving/autoscaling", ["workloads.0.requests.duration=20 s"]),
        ("serving/trace", []),
        ("graphs/best-of-n", ["workloads.0.tasks.count=3", "workloads.1.requests.count=10"]),
    ],
)
def test_what_has_no_one_rate_has_no_such_curve(name: str, changes: list[str]) -> None:
    assert latency_against_rate(*played(name, *changes)) is None


def test_the_command_says_what_it_played_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = ["run", "scenarios/serving/chat.yaml", "--brief", "--tables", "csv"]
    for change in SHORT:
        arguments += ["--set", change]
    outcome = call(*arguments, "--out", str(tmp_path / "a"))
    assert "curve: 6 other loads were played" in outcome.stderr
    assert (tmp_path / "a" / "tables" / "curve.csv").is_file()
    outcome = call(*arguments, "--out", str(tmp_path / "b"), "--no-curve")
    assert "curve" not in outcome.stderr
    assert not (tmp_path / "b" / "tables" / "curve.csv").exists()
    # A run that keeps nothing plays nothing beside.
    assert "curve" not in call(*arguments).stderr
