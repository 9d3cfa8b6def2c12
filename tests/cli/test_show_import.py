"""sim show of a model that lies in a config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command import call

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path / "tiny"


def test_shape_and_parameters_with_their_source(folder: Path) -> None:
    shown = call("show", f"hf:{folder}")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("tiny (model)\n")
    assert "8,030,261,248" in shown.stdout
    assert "config.json (Hugging Face, llama)" in shown.stdout.replace("\n    ", "")
    assert f"--model hf:{folder}" in shown.stdout


def test_json(folder: Path) -> None:
    shown = call("show", f"hf:{folder}", "--json")
    found = json.loads(shown.stdout)
    assert (found["entry"]["name"], found["derived"]["parameters"]) == ("tiny", 8_030_261_248)


@pytest.mark.parametrize(
    ("name", "rule"), [("hf:", "hf is the path of a file"), ("hf:no/such", "there is no such file")]
)
def test_wrong_paths(name: str, rule: str) -> None:
    shown = call("show", name)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert rule in shown.stderr
