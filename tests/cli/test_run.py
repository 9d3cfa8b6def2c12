"""`sim run`: a scenario played event by event, beside what was expected."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import call, printed

SCENARIO = """# A small run that fails often.
schema_version: 1
name: small
cluster: {accelerator: h100-sxm, count: 256, failure_rate: 1e-3/h}
workloads:
  - training: {budget: 1e22 FLOP}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return str(path)


def test_text_has_both_views_and_fits(file: str) -> None:
    outcome = call("run", file)
    assert outcome.exit_code == 0, outcome.stderr
    lines = outcome.stdout.split("\n")
    assert lines[0] == "small"
    assert lines[1].startswith("Simulated with seed 0: ")
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["simulated", "expected", "hours"] for line in lines)
    assert "\x1b" not in outcome.stdout
    assert outcome.stderr == ""


def test_seeds_give_the_spread(file: str) -> None:
    text = " ".join(call("run", file, "--seeds", "20").stdout.split())
    assert "Simulated with seeds 0 to 19: mean " in text
    assert ", p10 " in text
    assert ", p90 " in text
    simulated = printed("run", file, "--seeds", "20")["simulated"]
    assert simulated["seeds"] == 20
    spread = simulated["wall_clock_s"]
    assert spread["p10"] < spread["p50"] < spread["p90"]
    assert simulated["expected_over_simulated"] == pytest.approx(1, abs=0.05)


def test_a_seed_is_a_run(file: str) -> None:
    first, again, other = (printed("run", file, "--seed", seed)["simulated"] for seed in ("4", "4", "5"))
    assert first == again
    assert first["first_seed"]["seed"] == 4
    assert first["wall_clock_s"] != other["wall_clock_s"]


def test_expected_answer_does_not_depend_on_the_seeds(file: str) -> None:
    one, many = printed("run", file), printed("run", file, "--seeds", "20", "--seed", "7")
    assert one["answer"]["wall_clock_s"]["expected"] == many["answer"]["wall_clock_s"]["expected"]
    assert one["parts"] == many["parts"]


def test_conservation(file: str) -> None:
    for changes in ((), ("--set", "cluster.spares=2", "--set", "cluster.repair=12 h")):
        data = printed("run", file, *changes)
        simulated = data["simulated"]
        wall_s = simulated["wall_clock_s"]["expected"]
        assert sum(part["seconds"] for part in simulated["parts"]) == pytest.approx(wall_s, rel=1e-9)
        first = simulated["first_seed"]
        held = sum(first["device_seconds"].values())
        assert held == pytest.approx(256 * first["wall_clock_s"], rel=1e-9)
        assert first["flop"]["model"] == pytest.approx(1e22, rel=1e-9)


def test_set_changes_the_scenario(file: str) -> None:
    changed = printed("run", file, "--set", "cluster.count=512", "--set", "workloads.0.training.precision=fp8")
    assert changed["plan"]["devices"] == 512
    assert changed["utilization"]["peak_precision"] == "fp8"
    assert changed["name"] == "small"


def test_spares_are_answered_by_the_simulation_alone(file: str) -> None:
    text = " ".join(call("run", file, "--set", "cluster.spares=2").stdout.split())
    assert "the mean of 16 seeds or more is" in text
    assert "waiting for repair" in text or "free" in text


def test_errors_name_the_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(SCENARIO.replace("count: 256", "cuont: 256"), encoding="utf-8")
    outcome = call("run", str(path))
    assert outcome.exit_code == 2
    assert f"{path}:4:34: unknown key 'cuont' in cluster" in outcome.stderr
    assert "did you mean 'count'?" in outcome.stderr
    assert outcome.stdout == ""
    error = json.loads(call("run", str(path), "--json").stdout)
    assert error["problems"][0]["where"] == f"{path}:4:34"


@pytest.mark.parametrize(("limit", "code", "word"), [("30 d", 0, "met"), ("1 min", 3, "MISSED")])
def test_a_target_decides_the_exit_code(limit: str, code: int, word: str, file: str) -> None:
    done = call("run", file, "--set", f"targets={{training.wall_clock_s: {limit}}}")
    assert done.exit_code == code, done.stderr
    assert f"against {limit}: {word}" in done.stdout
    data = json.loads(call("run", file, "--json", "--set", f"targets={{training.wall_clock_s: {limit}}}").stdout)
    assert [target["met"] for target in data["targets"]] == [code == 0]


def test_a_target_that_no_figure_has_is_refused_with_those_that_there_are(file: str) -> None:
    done = call("run", file, "--set", "targets={training.ttft_s.p99: 1 s}")
    assert done.exit_code == 2
    assert "training.wall_clock_s" in done.stderr
