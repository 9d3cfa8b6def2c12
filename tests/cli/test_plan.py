"""`sim plan` as people use it."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import Outcome, call

SMALL = ("plan", "llama-3.1-8b", "16xh100-sxm", "--sequence", "2048", "--batch", "131072")


def answer(*arguments: str) -> dict[str, object]:
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.stdout
    data = json.loads(done.stdout)
    assert isinstance(data, dict)
    return data


def refused(*arguments: str) -> Outcome:
    done = call(*arguments)
    assert done.stdout == ""
    return done


def test_json_is_one_object_in_si() -> None:
    data = answer(*SMALL)
    assert data["question"] == {
        "accelerator": "h100-sxm",
        "devices": 16,
        "model": "llama-3.1-8b",
        "precision": "bf16",
        "profile": "megatron-core",
        "sequence": 2048,
        "sequences_per_step": 64,
    }
    best = data["best"]
    assert len(best) == 5
    steps = [row["step_s"] for row in best]
    assert steps == sorted(steps)
    for row in best:
        assert sum(part["seconds"] for part in row["parts"]) == pytest.approx(row["step_s"])
        memory = row["memory_bytes"]
        assert sum(memory[part] for part in memory if part != "total") == pytest.approx(memory["total"])
        assert memory["total"] <= data["memory_bytes_per_device"]
    assert sum(part["seconds"] for part in data["runner_up"]) == pytest.approx(steps[1] - steps[0], abs=1e-5 * steps[0])
    layouts = data["layouts"]
    assert 0 < layouts["fitting"] <= layouts["legal"]
    assert all(rule["layouts"] > 0 for rule in layouts["illegal"])


def test_text_fits_80_columns_and_says_the_same() -> None:
    done = call(*SMALL)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    data = answer(*SMALL)
    text = " ".join(done.stdout.split())
    assert f"{data['layouts']['legal']:,} layouts are legal" in text
    assert f"{data['best'][0]['step_s']:.4g} s" in text
    for rule in data["layouts"]["illegal"]:
        assert f"{rule['layouts']:,} {rule['rule']}" in text
    assert "Second loses" in text
    assert "free" in text


def test_degrees_can_be_fixed() -> None:
    given = {"tp": 2, "pp": 2, "virtual_stages": 2, "cp": 1, "micro_batch": 1, "recompute": "full", "zero_stage": 2}
    options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    for row in answer(*SMALL, *options, "--no-sequence-parallel")["best"]:
        assert row["layout"] | given == row["layout"]
        assert row["layout"]["sequence_parallel"] == 0


def test_top_says_how_many() -> None:
    assert len(answer(*SMALL, "--top", "2")["best"]) == 2
    alone = answer(*SMALL, "--top", "1")
    assert len(alone["best"]) == 1
    assert "runner_up" not in alone
    assert call(*SMALL, "--top", "1").exit_code == 0


def test_the_sequence_ends_where_the_positions_of_the_model_do() -> None:
    assert answer("plan", "gpt3-1.3b", "8xa100-80gb-sxm")["question"]["sequence"] == 2048


def test_a_scenario_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "schema_version: 1\nname: small\ncluster: {accelerator: h100-sxm, count: 16}\n"
        "workloads:\n  - training: {model: llama-3.1-8b, tokens: 1e9 tokens, sequence: 2048, batch: 131072 tokens}\n",
        encoding="utf-8",
    )
    assert answer("plan", str(file))["best"] == answer(*SMALL)["best"]
    changed = answer("plan", str(file), "--set", "cluster.count=8", "--precision", "fp8", "--tp", "2")
    assert changed["question"]["devices"] == 8
    assert changed["question"]["precision"] == "fp8"
    assert changed["best"][0]["layout"]["tp"] == 2


def test_the_next_command_runs() -> None:
    (command,) = answer(*SMALL)["next"]
    program, *arguments = command.split()
    assert program == "sim"
    assert call(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("llama-3.1-405b", "8xh100-sxm"), 4, ("does not fit on 8 x h100-sxm", "the smallest needs")),
        (("llama-3.1-8b", "16xh100-sxm", "--tp", "7"), 4, ("no parallel layout is legal", "divides the heads")),
        (("llama-3.1-8b", "16xa100-80gb-sxm", "--precision", "fp8"), 2, ("no dense peak for fp8",)),
        (("jamba-v0.1", "64xh100-sxm"), 2, ("Mamba-1",)),
        (("llama-3.1-9b", "16xh100-sxm"), 2, ("llama-3.1-8b",)),
        (("llama-3.1-8b", "16xh100-sxn"), 2, ("h100-sxm",)),
        (("llama-3.1-8b",), 2, ("on which cluster", "1024xh100-sxm")),
        (("llama-3.1-8b", "h100-sxm"), 2, ("how many of them",)),
        (("no-such-file.yaml",), 2, ("no-such-file.yaml",)),
        (("llama-3.1-8b", "16xh100-sxm", "--tp", "0"), 2, ("tp",)),
        (("llama-3.1-8b", "16xh100-sxm", "--zero-stage", "4"), 2, ("zero_stage",)),
        (("llama-3.1-8b", "16xh100-sxm", "--recompute", "some"), 2, ("recompute",)),
        (("llama-3.1-8b", "16xh100-sxm", "--batch", "5 GB"), 2, ("--batch",)),
        (("llama-3.1-8b", "16xh100-sxm", "--set", "cluster.count=8"), 2, ("--set",)),
        (("llama-3.1-8b", "humanity"), 2, ("ideal",)),
    ],
)
def test_errors(arguments: tuple[str, ...], exit_code: int, words: tuple[str, ...]) -> None:
    done = refused("plan", *arguments)
    assert done.exit_code == exit_code
    for word in words:
        assert word in done.stderr


def test_where_sharing_weights_wins_the_usual_plan_is_told_too() -> None:
    arguments = ("plan", "llama-3.1-8b", "64xh100-sxm", "--batch", "4194304")
    data = answer(*arguments)
    assert data["best"][0]["layout"]["zero_stage"] >= 2
    assert data["usual"]["layout"]["zero_stage"] <= 1
    assert data["usual"]["step_s"] > data["best"][0]["step_s"]
    text = call(*arguments).stdout
    assert "that is how sim howlong plans" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "ZeRO 1  " not in call(*arguments, "--zero-stage", "1").stdout


def test_a_layout_beside_the_best_has_its_rank() -> None:
    """The second best, written out, ranks after what is faster; it loses what the list says it loses."""
    whole = answer(*SMALL)
    second = dict(whole["best"][1]["layout"])
    second["sequence_parallel"] = str(bool(second["sequence_parallel"])).lower()
    beside = answer(*SMALL, "--beside", ",".join(f"{name}={value}" for name, value in second.items()))["beside"]
    assert beside["layout"] == whole["best"][1]["layout"]
    assert beside["fits"]
    assert beside["rank"] == 1 + sum(row["step_s"] < beside["step_s"] for row in whole["best"])
    assert beside["slower"] == pytest.approx(beside["step_s"] / whole["best"][0]["step_s"] - 1)
    assert beside["lost"] == whole["runner_up"]


def test_what_a_layout_beside_leaves_open_is_chosen_for_it() -> None:
    """No more than the search of the same degrees finds, as its own best."""
    fixed = answer(*SMALL, "--tp", "4", "--pp", "2")["best"][0]
    data = answer(*SMALL, "--beside", "tp=4, pp=2")
    assert data["beside"]["layout"] == fixed["layout"]
    assert data["beside"]["rank"] > 1
    text = " ".join(call(*SMALL, "--beside", "tp=4,pp=2").stdout.split())
    assert f"Beside ranks {data['beside']['rank']:,} of the {data['layouts']['fitting']:,} that fit" in text


def test_a_layout_that_does_not_fit_is_told_so() -> None:
    on = ("plan", "llama-3.1-70b", "64xh100-sxm", "--beside", "tp=1,pp=1,zero_stage=1")
    assert not answer(*on)["beside"]["fits"]
    assert "it does not fit" in " ".join(call(*on).stdout.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tp", "each part is a degree and its value"),
        ("tq=3", "unknown key 'tq'"),
        ("tp=0", "at least 1"),
        ("tp=5", "tensor parallel divides the heads"),
        ("tp=2,tp=4", "twice"),
    ],
)
def test_a_layout_beside_that_cannot_be_read_is_refused(text: str, says: str) -> None:
    done = refused(*SMALL, "--beside", text)
    assert done.exit_code != 0
    assert says in " ".join(done.stderr.split())


def test_recipes_are_a_dimension_of_the_search() -> None:
    """The best of several is the best of each; counts add up."""
    both = answer(*SMALL, "--precision", "bf16,fp8")
    each = [answer(*SMALL, "--precision", name) for name in ("bf16", "fp8")]
    assert both["layouts"]["legal"] == sum(one["layouts"]["legal"] for one in each)
    assert both["layouts"]["fitting"] == sum(one["layouts"]["fitting"] for one in each)
    rows = sorted((row["step_s"], row["precision"]) for one in each for row in one["best"])
    assert [(row["step_s"], row["precision"]) for row in both["best"]] == rows[:5]
    usual = min((one["usual"]["step_s"], one["usual"]["precision"]) for one in each)
    assert (both["usual"]["step_s"], both["usual"]["precision"]) == usual
    assert both["question"]["precision"] == "bf16,fp8"


def test_any_recipe_is_every_one_that_the_chip_multiplies() -> None:
    searched = answer(*SMALL, "--precision", "any")["question"]["precision"].split(",")
    assert {"bf16", "fp8"} <= set(searched)
    assert not {"nvfp4", "mxfp8"} & set(searched)
    lines = call(*SMALL, "--precision", "any").stdout.splitlines()
    assert max(map(len, lines)) <= 80


def test_an_unknown_recipe_among_several_is_refused() -> None:
    done = refused(*SMALL, "--precision", "bf16,fp9")
    assert done.exit_code == 2
    assert "fp9" in done.stderr


def test_memory_is_filled_to_the_share_that_is_asked_for() -> None:
    data = answer(*SMALL, "--fill", "50%")
    assert data["memory_bytes_per_device"] == 40 * 2**30
    assert all(row["memory_bytes"]["total"] <= 40 * 2**30 for row in data["best"])
    for share in ("0%", "120%", "many"):
        assert refused(*SMALL, "--fill", share).exit_code == 2


@pytest.mark.parametrize(
    ("options", "row"),
    [
        (("mixtral-8x7b", "64xh100-sxm", "--tp", "2", "--etp", "2", "--ep", "4"), {"etp": 2}),
        (("llama-3.1-8b", "64xh100-sxm", "--tp", "1", "--pp", "1", "--cp", "1", "--shard", "8"), {"shard": 8}),
        (("llama-3.1-8b", "64xh100-sxm", "--cp", "4", "--cp-exchange", "all-gather"), {"cp_exchange": "all-gather"}),
        (("llama-3.1-8b", "64xh100-sxm", "--pp", "4", "--stages", "balanced"), {"stages": "balanced"}),
        (
            ("llama-3.1-8b", "64xh100-sxm", "--pp", "4", "--last-stage-layers", "7"),
            {"stages": "even", "last_stage_layers": 7},
        ),
    ],
)
def test_what_is_not_searched_is_in_every_layout(options: tuple[str, ...], row: dict[str, object]) -> None:
    data = answer("plan", *options)
    assert all(row.items() <= one["layout"].items() for one in data["best"])


def test_what_experts_drop_and_documents_attend_to_is_said() -> None:
    data = answer(
        "plan",
        "mixtral-8x7b",
        "64xh100-sxm",
        "--tp",
        "2",
        "--pp",
        "1",
        "--capacity",
        "0.8",
        "--documents",
        "600 tokens",
    )
    assert data["capacity"] == {"factor": 0.8, "dropped": pytest.approx(0.2)}
    assert data["attended_tokens"] == 600


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("mixtral-8x7b", "64xh100-sxm", "--etp", "3"), "expert tensor parallel divides the inner width"),
        (("llama-3.1-8b", "64xh100-sxm", "--etp", "2"), "expert tensor parallel divides the inner width"),
        (("llama-3.1-8b", "64xh100-sxm", "--shard", "7"), "hybrid sharding splits over a part"),
        (("llama-3.1-8b", "64xh100-sxm", "--shard", "8", "--zero-stage", "0"), "hybrid sharding splits over a part"),
        (("llama-3.1-8b", "64xh100-sxm", "--pp", "4", "--first-stage-layers", "40"), "leave each stage between them"),
        (("llama-3.1-8b", "64xh100-sxm", "--stages", "even", "--schedule", "zb-v"), "stages of unequal layers"),
        (("nemotron-3-nano-30b", "64xh100-sxm", "--tp", "16"), "divides"),
        (("llama-3.1-8b", "64xh100-sxm", "--capacity", "1.2"), "the model has none"),
        (("llama-3.1-8b", "64xh100-sxm", "--cp-exchange", "tree"), "ring"),
    ],
)
def test_what_is_not_legal_names_its_rule(options: tuple[str, ...], said: str) -> None:
    result = call("plan", *options)
    assert result.exit_code in (2, 4)
    assert said in result.stderr
