"""The report of a played scenario: its sections, its values over seeds, and its targets."""

import json

import pytest

from sim.cli.output import to_json
from sim.cli.run_report import cell, draw
from sim.cost.precision import WeightedFlop
from sim.errors import ScenarioError
from sim.results.run_report import Column, RunReport, Section, Value, gather
from sim.results.targets import judge

VALUES = {
    "chat.ttft_s.p99": Value(0.25, "second", "lower"),
    "chat.throughput_tokens_per_s": Value(1000.0, "ratio", "higher"),
    "chat.requests": Value(12.0, "count"),
}


def report(seed: int = 0, p99_s: float = 0.25) -> RunReport:
    section = Section("services", "Services", (Column("name"), Column("ttft", "second")), (("chat", p99_s),))
    return RunReport(
        name="a run",
        sentence="It takes 10 seconds.",
        seed=seed,
        devices=8,
        wall_clock_s=10.0,
        parts=(("useful compute", 4.0), ("allocated idle", 6.0)),
        flop={"decode": WeightedFlop(1e12, 1e12, 1e12)},
        tokens={"out": 100.0},
        energy_j=None,
        cost_usd=1.5,
        co2_kg=None,
        values=VALUES | {"chat.ttft_s.p99": Value(p99_s, "second", "lower")},
        sections=(section,),
        tables={},
        missing=("energy: no power",),
    )


def test_json_holds_every_part() -> None:
    data = json.loads(to_json(report().to_dict()))
    assert sum(part["seconds"] for part in data["parts"]) == data["wall_clock_s"]
    assert data["sections"]["services"]["rows"] == [{"name": "chat", "ttft": 0.25}]
    assert data["sections"]["services"]["units"]["ttft"] == "s"
    assert data["utilization"] == {"useful compute": 0.4, "allocated idle": 0.6}


def test_values_over_seeds() -> None:
    found = gather([report(0, 0.25), report(1, 0.75)])
    assert found.over_seeds["chat.ttft_s.p99"] == (0.25, 0.75)
    assert found.to_dict()["seeds"]["chat.ttft_s.p99"]["mean"] == 0.5
    assert gather([report()]).over_seeds == {}


@pytest.mark.parametrize(
    ("name", "limit", "met"),
    [
        ("chat.ttft_s.p99", "300 ms", True),
        ("chat.ttft_s.p99", "200 ms", False),
        ("chat.throughput_tokens_per_s", 900.0, True),
        ("chat.throughput_tokens_per_s", "1100", False),
    ],
)
def test_a_target_is_met_in_its_direction(name: str, limit: str | float, met: bool) -> None:
    (found,) = judge({name: limit}, VALUES)
    assert found.met is met


@pytest.mark.parametrize(
    ("name", "limit", "rule"),
    [
        ("chat.ttft_s.p98", "1 s", "no figure"),
        ("chat.requests", "12", "no better direction"),
        ("chat.ttft_s.p99", "1 GB", "time"),
        ("chat.throughput_tokens_per_s", "fast", "plain number"),
    ],
)
def test_a_target_that_cannot_be_judged_says_why(name: str, limit: str, rule: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        judge({name: limit}, VALUES)
    assert rule in str(caught.value).lower() or rule in caught.value.rule
    assert caught.value.where == f"targets.{name}"


def test_the_terminal_shows_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    draw(gather([report(0, 0.25), report(1, 0.75)]))
    text = capsys.readouterr().out
    for part in ("It takes 10 seconds.", "useful compute", "60.0%", "chat", "250 ms", "Over 2 seeds", "no power"):
        assert part in text
    assert cell("\x1b[2J", Column("name")) == "\\x1b[2J"
