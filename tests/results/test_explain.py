"""Explanations hold: the formula gives the figure, from inputs whose sources are named."""

import json
import time
from functools import cache
from pathlib import Path

import pytest

from sim.errors import UsageError
from sim.results.explain import explain, formula_of
from sim.results.formulas import TRAINING
from sim.results.quantities import quantities
from sim.results.record import Record
from sim.spec.load import load_document, read_scenario
from sim.study.scenarios import run_scenario
from tests.helpers.command import call
from tests.helpers.records import everything, training_record

ROOT = Path(__file__).resolve().parents[2]
IDLE = "quickstart/howlong-1e26 cluster.count=24584"
SCENARIOS = ("quickstart/howlong-1e26", "training/deepseek-v3", "training/gpt3-175b-spares", "training/humanity", IDLE)


@cache
def record_of_scenario(name: str) -> Record:
    file, *changes = name.split(" ")
    document = load_document(ROOT / "scenarios" / f"{file}.yaml", changes)
    return run_scenario(read_scenario(document), document=document).record


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_formula_gives_its_figure(name: str) -> None:
    record = record_of_scenario(name)
    held = 0
    for path, value in quantities(record).items():
        found = explain(record, path)
        assert found.value == value
        assert found.meaning
        if found.computed is not None:
            assert found.computed == pytest.approx(value, rel=1e-6), (path, found)
            held += 1
    assert held >= (8 if name == "training/humanity" else 12)


def test_every_formula_is_held_against_some_scenario() -> None:
    used = set()
    for name in SCENARIOS:
        record = record_of_scenario(name)
        for path in quantities(record):
            formula, _ = formula_of(record, path)
            used.add(formula.text)
    unused = [path for path, formula in TRAINING.items() if formula.text not in used]
    assert not unused


def test_inputs_name_their_source_and_the_line_that_set_them() -> None:
    record = training_record()
    found = {each.path: each for each in explain(record, "energy_j").inputs}
    assert found["cluster.accelerator.power_w"].given_by == "catalogue"
    assert found["cluster.accelerator.power_w"].source
    assert "gpt3-175b-spares.yaml:6:" in found["cluster.accelerator.power_w"].set_at
    assert found["cluster.power_usage_effectiveness"].set_at == ""
    repair = explain(record, "cluster.repair")
    assert repair.set_at.endswith("cluster.repair")
    assert ":6:" in repair.set_at


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("wall_clock_s", "answer.wall_clock_s.expected"),
        ("mfu_run", "utilization.mfu_run"),
        ("useful-compute", "parts.useful compute"),
        ("energy_j", "energy_j"),
    ],
)
def test_figures_are_found_by_the_end_of_their_name(name: str, path: str) -> None:
    if name == "useful-compute":
        with pytest.raises(UsageError, match="several"):
            explain(training_record(), name)
        name = "parts.useful-compute"
    assert explain(training_record(), name).path == path


def test_an_unknown_figure_offers_what_is_near() -> None:
    with pytest.raises(UsageError) as caught:
        explain(training_record(), "enrgy_j")
    assert "energy_j" in caught.value.mend


def test_figures_of_services_are_explained_by_their_names() -> None:
    found = explain(everything(50), "chat.ttft_s.p99")
    assert found.formula.startswith("99th percentile of first token - arrival")
    assert "after the warm-up" in found.formula
    assert found.shown == "800 ms"
    assert explain(everything(50), "utilization.x" if False else "parts.decode").value == 2000.0


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("cluster.failure_rate", "1.97e-5/h"),
        ("training.batch", "tokens"),
        ("training.precision", "bf16, fp16, fp8"),
        ("workloads.0.training.checkpoint.bandwidth", "2 TB/s"),
        ("InfeasibleError", "no legal plan"),
        ("exit-5", "limit"),
        ("3", "target"),
    ],
)
def test_fields_and_errors_are_explained(what: str, says: str) -> None:
    outcome = call("explain", what)
    assert outcome.exit_code == 0, outcome.stderr
    assert says in " ".join(outcome.stdout.split())
    assert json.loads(call("explain", what, "--json").stdout)["facts"]


def test_what_is_unknown_is_refused() -> None:
    outcome = call("explain", "cluster.cuont")
    assert outcome.exit_code == 2
    assert "cluster.count" in outcome.stderr


def test_on_the_command_line_it_is_quick(tmp_path: Path) -> None:
    training_record().write(tmp_path / "r", tables="none")
    began = time.process_time()
    outcome = call("explain", str(tmp_path / "r"), "energy_j")
    assert time.process_time() - began < 0.5
    assert "board power" in outcome.stdout
    data = json.loads(call("explain", str(tmp_path / "r"), "energy_j", "--json").stdout)
    assert data["unit"] == "J"
    assert {each["given_by"] for each in data["inputs"]} <= {"computed", "catalogue", "default", "user"}
    assert "answer.wall_clock_s.expected" in call("explain", str(tmp_path / "r")).stdout


def test_a_counted_figure_lists_what_the_user_said_of_it() -> None:
    document = load_document(ROOT / "scenarios" / "serving" / "chat.yaml", ["workloads.0.requests.duration=3 min"])
    record = run_scenario(read_scenario(document), document=document).record
    inputs = {each.path: each for each in explain(record, "chat.ttft_s.p99").inputs}
    assert inputs["services.chat.model"].value == "llama-3.1-70b"
    assert "chat.yaml:" in inputs["services.chat.model"].set_at
    assert inputs["workloads.0.requests.duration"].set_at.startswith("--set")
