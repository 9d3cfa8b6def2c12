"""A model of one's own in a scenario: where its path begins, what is said of a wrong one, what editors are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cost.parameters import count
from sim.errors import CatalogError, ScenarioError
from sim.spec.model import ModelShape
from sim.spec.model_reference import load_model
from sim.spec.scenario import Scenario
from sim.spec.workload import TrainingSpec
from sim.spec.yaml import apply_override, load, loads, validate

LLAMA_8B = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}

SCENARIO = """
schema_version: 1
name: imported
cluster: {accelerator: h100-sxm, count: 64}
workloads:
  - training: {budget: 1e22 FLOP, model: MODEL}
"""


def write(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(LLAMA_8B), encoding="utf-8")


def scenario(folder: Path, model: str) -> Scenario:
    file = folder / "scenario.yaml"
    file.write_text(SCENARIO.replace("MODEL", model), encoding="utf-8")
    return validate(Scenario, load(file))


@pytest.mark.parametrize("written", ["{hf: tiny/config.json}", "'hf: tiny/config.json'", "hf:tiny", "{hf: ABSOLUTE}"])
def test_a_scenario_names_a_file_from_its_own_folder(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    write(tmp_path / "tiny")
    monkeypatch.chdir("/")
    model = scenario(tmp_path, written.replace("ABSOLUTE", str(tmp_path / "tiny"))).training.model
    assert isinstance(model, ModelShape)
    assert (model.name, count(model).total) == ("tiny", 8_030_261_248)


def test_the_command_line_names_a_file_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    write(tmp_path / "here")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "scenario.yaml").write_text(SCENARIO.replace("MODEL", "llama-3.1-8b"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    document = apply_override(load("scenarios/scenario.yaml"), "workloads.0.training.model=hf:here")
    assert isinstance(validate(Scenario, document).training.model, ModelShape)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("{hf: 3}", "6:42: workloads.0.training.model: hf is the path of a file"),
        ("{hf: ''}", "hf is the path of a file"),
        ("'hf:'", "hf is the path of a file"),
        ("{hf: a, layers: 3}", "nothing stands beside hf"),
        ("{hf: nowhere.json}", "there is no such file"),
    ],
)
def test_wrong_references_are_told_with_their_place(written: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, written)
    assert rule in str(caught.value)


def test_editors_are_told_of_the_file() -> None:
    schema = Scenario.model_json_schema()
    forms = schema["$defs"]["TrainingSpec"]["properties"]["model"]["anyOf"]
    assert any(form.get("required") == ["hf"] for form in forms)
    assert {"$ref": "#/$defs/ModelShape"} in forms
    assert any(form.get("pattern", "").startswith("^hf:") for form in forms)


def test_a_text_that_is_no_file_begins_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    document = loads(SCENARIO.replace("MODEL", "hf:config.json"), "question")
    assert isinstance(validate(Scenario, document).training.model, ModelShape)


def test_python_code_names_a_file_from_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    for model in ("hf:.", {"hf": "config.json"}):
        assert isinstance(TrainingSpec.model_validate({"model": model}).model, ModelShape)


def test_a_home_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_model("hf:~/config.json").layers == 32


def test_a_name_is_one_of_the_catalogue() -> None:
    assert load_model("llama-3.1-8b").name == "llama-3.1-8b"
    for name in ("hf:", "llama-3.1-9b"):
        with pytest.raises(CatalogError):
            load_model(name)
