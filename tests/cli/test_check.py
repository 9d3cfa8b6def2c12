"""`sim check`: what a scenario resolves to, without a simulation."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import call, printed, python

QUICKSTART = "scenarios/quickstart/howlong-1e26.yaml"
CHECK = """
import contextlib, io, json, sys
from sim.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(["check", {file!r}])
print(json.dumps([code, sorted(sys.modules)]))
"""


@pytest.fixture(autouse=True)
def _at_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def test_it_shows_what_names_and_auto_stand_for() -> None:
    outcome = call("check", QUICKSTART)
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    lines = outcome.stdout.split("\n")
    assert lines[0] == "1e26 FLOP on 24,576 H100s: valid"
    assert max(map(len, lines)) <= 80
    shown = {line[2:26].strip(): line[26:] for line in lines[1:] if line.startswith("  ") and line[2] != " "}
    assert shown["accelerator"] == "h100-sxm"
    assert shown["devices"] == "24,576"
    assert shown["fabric"] == "infiniband-ndr400"
    assert shown["layout"].startswith("tp ")
    assert "TB" not in shown["memory"]
    assert "FLOP" in shown["model flop"]
    assert all(name == name.strip() and not name.endswith(" per") for name in shown)


def test_it_says_the_same_as_the_run() -> None:
    resolved, ran = printed("check", QUICKSTART), printed("run", QUICKSTART)
    assert resolved["valid"] is True
    assert resolved["assumptions"] == ran["assumptions"]
    values = resolved["resolved"]
    plan = ran["plan"]
    for name in ("devices", "active_devices", "steps", "step_s", "checkpoint_interval_s", "checkpoint_write_s"):
        assert values[name] == plan[name], name
    assert sorted(values["layout"].split(", ")) == [f"{key} {value}" for key, value in sorted(plan["layout"].items())]
    assert values["memory_bytes"] == plan["memory_bytes"]["total"]
    assert values["model_flop"] == pytest.approx(1e26)
    assert values["hazard_per_s"] == pytest.approx(plan["active_devices"] * 19.7e-6 / 3600)


def test_nothing_is_simulated() -> None:
    """The engine is not even imported."""
    code, modules = json.loads(python(CHECK.format(file=QUICKSTART)))
    assert code == 0
    loaded = set(modules)
    assert not loaded & {"simpy", "networkx", "scipy", "pandas", "pint", "rich.table"}
    assert not {name for name in loaded if name.startswith(("sim.engine", "sim.study", "sim.calibrate"))}


def test_set_is_checked_too() -> None:
    values = printed("check", QUICKSTART, "--set", "cluster.count=32768")["resolved"]
    assert values["devices"] == 32768
    outcome = call("check", QUICKSTART, "--set", "cluster.count=many")
    assert outcome.exit_code == 2
    assert "--set cluster.count" in outcome.stderr


@pytest.mark.parametrize(
    ("change", "exit_code", "said"),
    [
        ("cluster.count=8", 4, "does not fit"),
        ("cluster.failure_rate=1/s", 4, "never finishes"),
        ("cluster.accelerator=h100", 2, "did you mean"),
        ("workloads.0.training.precision=fp4", 2, "one of bf16, fp16, fp8"),
        ("policy=first", 2, "no such policy"),
        ("pools={a: 4}", 2, "not built yet"),
        ("workloads.0.training.budget=1e26 GB", 2, "write it like"),
        ("workloads.0.training.plan={tp: 7}", 4, "no parallel layout is legal"),
    ],
)
def test_what_is_wrong_is_found_before_a_run(change: str, exit_code: int, said: str) -> None:
    outcome = call("check", QUICKSTART, "--set", change)
    assert outcome.exit_code == exit_code
    assert said in outcome.stderr
    assert outcome.stdout == ""


def test_an_ideal_machine_has_no_layout() -> None:
    values = printed("check", "scenarios/training/humanity.yaml")["resolved"]
    assert values["layout"] == "none: the step is given"
    assert values["memory_bytes"] is None
