"""`sim validate` as people use it."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import call

TABLES = Path(__file__).parent.parent / "validate" / "tables"
TRAINING = str(TABLES / "training.csv")


def test_json_has_every_row_and_the_summary() -> None:
    done = call("validate", "training", "--table", TRAINING, "--json")
    assert done.exit_code == 0
    assert done.stderr == ""
    data = json.loads(done.stdout)
    keys = {"id", "group", "metric", "measured", "predicted", "ratio", "status", "reason", "plan"}
    assert all(keys <= row.keys() for row in data["rows"])
    summary = data["summary"]
    assert {"n", "skipped", "median_ape", "mean_ape", "p90_ape", "bias", "by_group"} <= summary.keys()
    steps = [row for row in data["rows"] if row["metric"] == "step_time_s"]
    ok = [row for row in steps if row["status"] == "ok"]
    assert len(ok) == summary["n"]
    assert summary["n"] + summary["skipped"] + summary["infeasible"] == len(steps) == 18
    assert all(row["ratio"] == pytest.approx(row["predicted"] / row["measured"]) for row in ok)
    assert set(summary["by_plan"]) == {"given", "searched"}
    assert summary["other_metrics"]["peak_mem_gib"]["n"] == 1
    assert sum(summary["reasons"].values()) == summary["skipped"] + summary["infeasible"]


@pytest.mark.parametrize("what", ["training", "collectives", "runs"])
def test_text_fits_eighty_columns(what: str) -> None:
    done = call("validate", what, "--table", str(TABLES / f"{what}.csv"))
    assert done.exit_code == 0
    assert done.stderr == ""
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "Not predicted, by reason:" in done.stdout
    assert "Largest errors" in done.stdout


def test_two_runs_print_the_same() -> None:
    first, second = (call("validate", "training", "--table", TRAINING, "--json").stdout for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("training", "--table", "absent.csv"), "must exist"),
        (("trainings", "--table", TRAINING), "training, collectives, runs, serving or layouts"),
        (("collectives", "--table", TRAINING), "unknown column"),
        (("training", "--table", TRAINING, "--group", "nobody"), "no rows of this group"),
        (("training", "--table", TRAINING, "--profile", "nothing"), "no such name"),
        (("collectives", "--table", str(TABLES / "collectives.csv"), "--profile", "fsdp"), "do not depend"),
    ],
)
def test_what_cannot_be_answered_is_refused(arguments: tuple[str, ...], words: str) -> None:
    done = call("validate", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    data = json.loads(call("validate", *arguments, "--json").stdout)
    assert data["exit_code"] == 2


def test_a_wrong_field_names_file_line_and_column(tmp_path: Path) -> None:
    table = tmp_path / "wrong.csv"
    table.write_text("id,model,gpu,gpus\na,Llama-3.1-8B,H100,eight\n", encoding="utf-8")
    done = call("validate", "training", "--table", str(table))
    assert done.exit_code == 2
    assert f"{table}:2:4: gpus must be a number" in done.stderr


@pytest.mark.parametrize("field", ["1e30", "1000000000000", "99999999999999999999", "0"])
def test_absurd_sizes_are_refused_or_skipped(field: str, tmp_path: Path) -> None:
    table = tmp_path / "absurd.csv"
    columns = (
        "gpus",
        "layers",
        "hidden",
        "heads",
        "vocab",
        "seq_len",
        "global_batch",
        "micro_batch",
        "tp",
        "dp",
        "vpp",
    )
    usual = dict.fromkeys(columns, "8") | {"hidden": "1024", "vocab": "32000", "tp": "1", "seq_len": "64", "vpp": "1"}
    rows = [usual | {column: field} for column in columns]
    lines = [",".join(("id", "model", "gpu", "pp", "precision", "step_time_s", *columns))]
    lines += [",".join((f"r-{n}", "Own", "H100", "1", "bf16", "1", *row.values())) for n, row in enumerate(rows)]
    table.write_text("\n".join(lines), encoding="utf-8")
    done = call("validate", "training", "--table", str(table), "--json")
    assert done.exit_code in (0, 2)
    json.loads(done.stdout)


def test_names_of_a_table_cannot_drive_the_terminal(tmp_path: Path) -> None:
    table = tmp_path / "hostile.csv"
    table.write_text("id,model,gpu,gpus,source_group\n\x1b[2Ja,Llama-3.1-8B,\x1b[31mH100,8,\x1b[2J\n", encoding="utf-8")
    done = call("validate", "training", "--table", str(table))
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout


def test_serving_is_summed_by_what_was_run() -> None:
    table = str(TABLES / "serving.csv")
    done = call("validate", "serving", "--table", table)
    assert done.exit_code == 0
    assert "8 of 13 metrics of served models predicted" in done.stdout
    assert "static batch" in done.stdout
    data = json.loads(call("validate", "serving", "--table", table, "--json").stdout)
    assert data["summary"]["n"] == 8
    assert len(data["rows"]) == 13


def test_serving_needs_a_table_or_runs() -> None:
    done = call("validate", "serving")
    assert done.exit_code == 2
    assert "give one of the two" in done.stderr
