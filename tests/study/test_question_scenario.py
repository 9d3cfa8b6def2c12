"""From a question to a scenario: clusters in short form, options by name, and what is wrong with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.errors import CatalogError, ScenarioError, SimError, UsageError
from sim.spec.cluster import ClusterSpec
from sim.spec.distribution import fixed
from sim.spec.load import load_document, read_scenario
from sim.spec.model import ModelShape
from sim.spec.scenario import Scenario
from sim.spec.workload import CapacitySpec, TrainingSpec
from sim.study.question_scenario import (
    MOST_CHARACTERS,
    OPTIONS,
    build_scenario,
    cluster_fields,
    is_cluster,
    number_text,
    scenario_text,
)

ON, BUDGET = "1024xh100-sxm", "1e24 FLOP"


def cluster(scenario: Scenario) -> ClusterSpec:
    assert isinstance(scenario.one_cluster, ClusterSpec)
    return scenario.one_cluster


@pytest.mark.parametrize("text", ["1024xh100-sxm", "1,024 x h100-sxm", "1_024xH100-SXM", " 1024Xh100-sxm "])
def test_a_counted_cluster(text: str) -> None:
    assert is_cluster(text)
    assert cluster_fields(text) == {"accelerator": "h100-sxm", "count": 1024}


def test_a_cluster_of_the_catalogue_brings_its_node_and_fabric() -> None:
    found = cluster(build_scenario("meta-16k-llama3", BUDGET, {}))
    assert (found.accelerator, found.count) == ("h100-sxm", 16384)
    assert found.fabric is not None


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("h100-sxm", UsageError, "how many of them"),
        ("1024xh100", CatalogError, "h100-sxm"),
        ("1024 h100-sxm", CatalogError, "no such name"),
        ("", CatalogError, "no such name"),
        ("-5xh100-sxm", CatalogError, "no such name"),
        ("1e3xh100-sxm", CatalogError, "no such name"),
        ("0xh100-sxm", ScenarioError, "at least 1"),
        ("999999999999999999999xh100-sxm", ScenarioError, "at most"),
        ("1024xh100-sxm; rm -rf /", CatalogError, "no such name"),
    ],
)
def test_what_is_no_cluster(text: str, kind: type[SimError], said: str) -> None:
    with pytest.raises(kind) as caught:
        build_scenario(text, BUDGET, {})
    assert said in str(caught.value)


def test_every_option_reaches_its_field() -> None:
    """Each option, given as text and as what Python has, changes the field that its path names."""
    given: dict[str, tuple[object, object, object]] = {
        "model": ("llama-3.1-8b", "llama-3.1-8b", "llama-3.1-8b"),
        "params": ("7e9", 7e9, 7e9),
        "tokens": ("1e12 tokens", 1e12, 1e12),
        "law": ("chinchilla", "chinchilla", "chinchilla"),
        "precision": ("fp8", "fp8", "fp8"),
        "sequence": ("4096", 4096, 4096),
        "batch": ("4e6 tokens", 4_000_000, 4e6),
        "documents": ("600 tokens", 600, fixed(600.0, "token", whole=True)),
        "capacity": ("1.25", 1.25, CapacitySpec(factor=1.25)),
        "profile": ("megatron-core", "megatron-core", "megatron-core"),
        "mfu": ("40 %", 0.4, 0.4),
        "step_time": ("8.4 s", 8.4, 8.4),
        "checkpoint": ("1 h", 3600, 3600.0),
        "fabric": ("infiniband-ndr200", "infiniband-ndr200", "infiniband-ndr200"),
        "node": ("hgx-h200", "hgx-h200", "hgx-h200"),
        "failure_rate": ("3.6e-5/h", 1e-8, 1e-8),
        "restart": ("10 min", 600, 600.0),
        "repair": ("1 d", 86400, 86400.0),
        "spares": ("2", 2, 2),
        "price": ("3.6 USD/h", 0.001, 0.001),
    }
    assert set(given) == set(OPTIONS)
    for name, (text, number, value) in given.items():
        for said in (text, number):
            scenario = build_scenario(ON, BUDGET, {name: said})
            owner: Any = cluster(scenario) if OPTIONS[name].path.startswith("cluster") else scenario.training
            field = OPTIONS[name].path.removeprefix("cluster.").removeprefix("workloads.0.training.")
            for step in field.split("."):
                owner = getattr(owner, step)
            assert owner == (pytest.approx(value) if isinstance(value, float) else value), name


@pytest.mark.parametrize("value", [np.float64(8.4), np.float32(8.5), np.int64(9), np.array(8.4)[()]])
def test_numbers_of_numpy_are_numbers(value: Any) -> None:
    assert build_scenario(ON, BUDGET, {"step_time": value}).training.step_time == pytest.approx(float(value))
    assert number_text(value, "s").endswith(" s")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("step_time", "8.4", "has no unit"),
        ("step_time", "12 GB", "a time is needed"),
        ("step_time", "-1 s", "negative"),
        ("step_time", "0 s", "more than 0"),
        ("step_time", float("nan"), "nan"),
        ("step_time", float("inf"), "inf"),
        ("mfu", 1.2, "at most 100 %"),
        ("mfu", 0, "more than 0"),
        ("batch", 1e30, "at most 1 Ttokens"),
        ("tokens", 1e300, "at most"),
        ("spares", 1.5, "whole number"),
        ("spares", True, "must be a number"),
        ("precision", "fp4", "fp8"),
        ("law", "kaplan", "llama3"),
        ("fabric", "", "nothing in it"),
        ("model", "   ", "nothing in it"),
        ("model", "{", "not closed"),
        ("model", "x" * (MOST_CHARACTERS + 1), "at most 8,000 characters"),
        ("sequence", 1, "at least 16"),
        ("price", "2.5", "has no unit"),
        ("failure_rate", "5", "has no unit"),
    ],
)
@pytest.mark.parametrize("flags", [True, False])
def test_a_wrong_option_is_named(option: str, value: Any, said: str, flags: bool) -> None:
    with pytest.raises(SimError) as caught:
        build_scenario(ON, BUDGET, {option: value}, flags=flags)
    error = caught.value
    assert error.exit_code == 2
    assert said in str(error)
    assert error.where.startswith(f"--{option.replace('_', '-')}" if flags else option)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("", "nothing in it"),
        ("0 FLOP", "more than zero"),
        ("-1 FLOP", "negative"),
        ("nan", "not a quantity"),
        ("1e26", "has no unit"),
        ("12 GB", "an amount of data"),
        ("1e37 FLOP", "at most 1e36 FLOP"),
        ("1e400 FLOP", "larger than this program can hold"),
        ("1e26 FLOPs per second", "not a quantity"),
        ("0 tokens", "more than zero"),
        ("1e31 tokens", "at most"),
        ("{flop: 1e24 FLOP, tokens: 1e12 tokens}", "one of both"),
        ("{}", "one of both"),
    ],
)
def test_a_wrong_budget_is_named(budget: str, said: str) -> None:
    with pytest.raises(SimError) as caught:
        build_scenario(ON, budget, {})
    assert caught.value.exit_code == 2
    assert said in str(caught.value)
    assert "the budget of the question" in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"mfu": 0.4, "step_time": 8.0}, "mfu and step_time both override the step"),
        ({"params": 1e9, "model": "gpt3-175b"}, "params and model both name the size"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, object], rule: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        build_scenario(ON, BUDGET, options)
    assert caught.value.rule == rule
    assert caught.value.mend == "give one of them"
    assert all(str(value) in caught.value.value for value in options.values() if isinstance(value, str))
    assert "question:" not in caught.value.where  # no line of a text that nobody wrote


def test_an_unknown_option_of_python() -> None:
    with pytest.raises(UsageError) as caught:
        build_scenario(ON, BUDGET, {"modle": "x"})
    assert "model" in caught.value.mend


def test_a_seed_out_of_bounds_is_the_seeds() -> None:
    with pytest.raises(ScenarioError) as caught:
        build_scenario(ON, BUDGET, {}, seed=2**64, flags=True)
    assert caught.value.where.startswith("--seed")


def test_emitted_text_is_the_scenario(tmp_path: Path) -> None:
    options: dict[str, object] = {"precision": "fp8", "batch": 4e6, "failure_rate": "1e-4/h", "spares": 2}
    text = scenario_text(ON, BUDGET, options, seed=3, comment="what it shows\nand more")
    assert text.startswith("# what it shows\n# and more\n")
    file = tmp_path / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_scenario(load_document(file)) == build_scenario(ON, BUDGET, options, seed=3)


def test_emitted_path_of_a_model_holds_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (
        '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4, "hidden_size": 256,'
        ' "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 1024, "vocab_size": 1000,'
        ' "max_position_embeddings": 2048, "tie_word_embeddings": false}'
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "config.json").write_text(config)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    asked = build_scenario("8xh100-sxm", "1e18 FLOP", {"model": "hf:models"})
    text = scenario_text("8xh100-sxm", "1e18 FLOP", {"model": "hf:models"}, seed=0, comment="a model of my own")
    file = tmp_path / "elsewhere" / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.chdir("/")
    found = read_scenario(load_document(file)).training.model
    assert isinstance(found, ModelShape)
    assert isinstance(asked.training.model, ModelShape)
    assert found.model_dump(exclude={"source"}) == asked.training.model.model_dump(exclude={"source"})


def test_plain_defaults() -> None:
    training = build_scenario(ON, BUDGET, {}).training
    assert training == TrainingSpec.model_validate({"budget": {"flop": 1e24}})
