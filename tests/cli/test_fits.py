"""`sim fits` as people use it."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import call

QUICK = ("--sequence", "2048", "--batch", "131072")


def answer(*arguments: str, exit_code: int = 0) -> dict[str, object]:
    done = call("fits", *arguments, "--json")
    assert done.exit_code == exit_code, done.stdout
    data = json.loads(done.stdout)
    assert isinstance(data, dict)
    return data


def test_both_uses_in_one_answer() -> None:
    data = answer("llama-3.1-8b", "8xh100-sxm", *QUICK)
    assert data["question"] == {"accelerator": "h100-sxm", "devices": 8, "model": "llama-3.1-8b"}
    for use in ("training", "inference"):
        row = data[use]
        assert row["fits"] is True
        parts = row["memory_bytes"]
        assert sum(parts[part] for part in parts if part != "total") == pytest.approx(parts["total"])
        assert row["room_bytes"] == pytest.approx(row["memory_bytes_per_device"] - parts["total"])
        assert row["changes"] == []
    assert data["inference"]["most_sequences"] > 100


def test_what_does_not_fit_ends_with_4_and_says_what_would() -> None:
    data = answer("llama-3.1-70b", "2xh100-sxm", *QUICK, "--sequences", "16", exit_code=4)
    for use in ("training", "inference"):
        assert data[use]["fits"] is False
        assert {change["change"] for change in data[use]["changes"]} >= {"devices"}
    text = call("fits", "llama-3.1-70b", "2xh100-sxm", *QUICK, "--sequences", "16")
    assert text.exit_code == 4
    assert "Does not fit: training of llama-3.1-70b" in text.stdout
    assert "devices: 2 -> " in text.stdout
    assert text.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("llama-3.1-8b", "8xh100-sxm", *QUICK),
        ("llama-3.1-405b", "8xh100-sxm", *QUICK),
        ("deepseek-v3", "8xh200-sxm", "--weights", "fp8"),
        ("llama-3.1-70b", "4xh100-sxm", "--for", "inference", "--context", "100000", "--sequences", "9"),
    ],
)
def test_text_fits_80_columns(arguments: tuple[str, ...]) -> None:
    done = call("fits", *arguments)
    assert done.exit_code in {0, 4}
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "fit" in done.stdout


def test_one_use_alone() -> None:
    assert "inference" not in answer("llama-3.1-8b", "8xh100-sxm", *QUICK, "--for", "training")
    assert "training" not in answer("llama-3.1-8b", "8xh100-sxm", "--for", "inference")


def test_a_kind_that_is_not_trained_yet_still_serves() -> None:
    data = answer("jamba-v0.1", "8xh200-sxm", "--weights", "fp8")
    assert data["training"]["fits"] is None
    assert "Mamba-2" in data["training"]["reason"]
    assert data["inference"]["fits"] is True
    assert call("fits", "jamba-v0.1", "8xh200-sxm", "--for", "training").exit_code == 2


def test_fixed_degrees_are_what_is_changed_first() -> None:
    given = ("--tp", "1", "--micro-batch", "8", "--recompute", "none", "--zero-stage", "1", "--for", "training")
    data = answer("llama-3.1-8b", "8xh100-sxm", *given, exit_code=4)
    assert data["training"]["changes"][0] == {"change": "micro batch", "from": "8", "to": "1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("llama-3.1-8b",), ("on which cluster",)),
        (("llama-3.1-8b", "8xh100-sxm", "--for", "fun"), ("--for both",)),
        (("llama-3.1-8b", "8xh100-sxm", "--for", "inference", "--weights", "fp3"), ("--weights", "fp8")),
        (("llama-3.1-8b", "8xh100-sxm", "--for", "inference", "--context", "999999"), ("131,072 tokens at most",)),
        (("llama-9", "8xh100-sxm"), ("llama-9",)),
        (("llama-3.1-8b", "humanity"), ("ideal",)),
    ],
)
def test_errors(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = call("fits", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("model", ["params: 8e9, tokens: 1e12 tokens", "budget: 1e22 FLOP"])
def test_a_scenario_whose_model_is_sized_by_the_run(tmp_path: Path, model: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "schema_version: 1\nname: sized\ncluster: {accelerator: h100-sxm, count: 64}\n"
        f"workloads:\n  - training: {{{model}, sequence: 2048, batch: 131072 tokens}}\n",
        encoding="utf-8",
    )
    data = answer(str(file))
    assert data["training"]["fits"] is True
    assert data["inference"]["fits"] is True
