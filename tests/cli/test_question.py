"""The three questions on the command line: text that fits the screen, JSON, CSV, tables, dates, files."""

import csv
import hashlib
import io
import json
import re
from pathlib import Path

import pytest

from sim.study.question_scenario import OPTIONS
from tests.helpers.command import call, printed, spawn

SMALL = ("1e22", "256xh100-sxm", "--seeds", "2")
WIDTH, HEIGHT = 80, 40
ESCAPE = "\x1b"
QUESTIONS = [
    ("howlong", "1e26", "24576xh100-sxm"),
    ("howmany", "1e26", "90d", "h100-sxm"),
    ("howmuch", "90d", "24576xh100-sxm"),
    ("howlong", "1e27", "100000xgb300", "--start", "2026-12-01"),
    ("howlong", "5e25", "humanity"),
    ("howlong", "15.6e12 tokens", "meta-16k-llama3", "--model", "llama-3.1-405b", "--start", "2026-12-01"),
    ("howlong", "1e24", "1040xa100-80gb-sxm", "--spares", "2", "--model", "gpt3-175b", "--threshold", "5e23"),
    ("howlong", "1e26", "100000xascend-910c", "--threshold", "a-very-long-name-of-a-threshold-of-mine=5e25",
     "--threshold", "another-long-name-of-a-threshold=6e25", "--start", "2026-12-01", "--failure-rate", "1e-4/h"),
    ("howlong", "1e24", "1024xh100-sxm", "--failure-rate", "1/h"),
    ("howlong", "1e20", "8xh100-sxm", "--no-failures", "--mfu", "0.4"),
    ("howmuch", "1h", "8xh100-sxm"),
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_an_answer_fits_the_screen(question: tuple[str, ...]) -> None:
    outcome = call(*question, "--seeds", "2")
    assert outcome.exit_code == 0, outcome.stderr
    lines = outcome.stdout.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < HEIGHT  # one line is left for the prompt
    assert ESCAPE not in outcome.stdout
    assert outcome.stderr == ""
    assert not any(line != line.rstrip() for line in lines)
    for heading in ("Where the time goes", "Utilization", "FLOP", "In all", "Crosses", "Model", "Layout", "Assumed",
                    "Rule of thumb", "Next"):  # fmt: skip
        assert any(line.startswith(heading) for line in lines), heading


def test_order_of_an_answer() -> None:
    text = call("howlong", *SMALL).stdout
    wanted = ["Where the time goes", "Utilization", "FLOP", "In all", "Crosses", "Model", "Layout", "Levers",
              "Assumed", "Rule of thumb", "Next"]  # fmt: skip
    places = [text.index("takes about"), *(text.index(f"\n{heading}") for heading in wanted)]
    assert places == sorted(places)


def test_the_waterfall_sums_to_the_whole() -> None:
    text = call("howlong", "1e26", "24576xh100-sxm", "--seeds", "2").stdout
    rows = re.findall(r"^  (\S[a-z -]+?)\s+([0-9.]+)\s+([0-9.]+)%", text, re.MULTILINE)
    *parts, (name, total, share) = rows
    assert (name, share) == ("wall-clock", "100.0")
    assert sum(float(value) for _, value, _ in parts) == pytest.approx(float(total), abs=0.05 * len(parts))
    assert sum(float(value) for *_, value in parts) == pytest.approx(100, abs=0.05 * len(parts))
    assert len(parts) >= 8


def test_all_shows_every_assumption_with_its_source() -> None:
    text = " ".join(call("howlong", *SMALL, "--all").stdout.split())
    for row in printed("howlong", *SMALL)["assumptions"]:
        assert row["path"].removeprefix("training.").removeprefix("cluster.") in text
        assert row["source"] in text, row["source"]
    assert "--all" not in text


def test_no_colour_in_a_pipe_nor_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")
    plain = call("howlong", *SMALL).stdout
    assert ESCAPE not in plain
    monkeypatch.setattr("sim.cli.output._has_colour", lambda _: True)
    coloured = call("howlong", *SMALL).stdout
    assert ESCAPE in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_narrow_and_wide_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, call("howlong", *SMALL).stdout.split("\n"))) <= 200
    monkeypatch.setenv("COLUMNS", "40")
    assert call("howlong", *SMALL).exit_code == 0


def test_json_is_one_sorted_object() -> None:
    outcome = call("howlong", *SMALL, "--json")
    data = json.loads(outcome.stdout)
    assert outcome.stdout == json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert data["schema_version"] == "1.0"
    assert data["question"] == {
        "budget": "1e22 FLOP", "kind": "howlong", "on": "256xh100-sxm", "options": {}, "start": None, "time": None,
    }  # fmt: skip
    assert outcome.stderr == ""


def test_errors_are_json_too() -> None:
    outcome = call("howlong", "1e26", "8xh100-sxm", "--json")
    assert (outcome.exit_code, outcome.stderr) == (4, "")
    error = json.loads(outcome.stdout)
    assert error["error"] == "InfeasibleError"
    assert error["exit_code"] == 4
    assert all(error[key] for key in ("rule", "value", "where", "mend"))


CLUSTERS = ("256xh100-sxm", "512xa100-80gb-sxm", "meta-16k-llama3")


def test_several_clusters_make_one_table() -> None:
    outcome = call("howlong", "1e22", *CLUSTERS, "--seeds", "2")
    lines = outcome.stdout.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= WIDTH
    head, _rule, *rows = lines[: lines.index("")]
    for heading in ("cluster", "hours", "80 % interval", "MFU", "energy", "cost"):
        assert heading in head
    assert [row.split()[0] for row in rows] == ["256xh100-sxm", "512xa100-80gb-sxm", "16,384xh100-sxm"]
    assert outcome.stdout.count("takes about") == 3
    data = printed("howlong", "1e22", *CLUSTERS, "--seeds", "2")
    assert [each["question"]["on"] for each in data["answers"]] == list(CLUSTERS)
    assert data["answers"][0] == printed("howlong", "1e22", CLUSTERS[0], "--seeds", "2")


def test_budget_and_clusters_in_any_order() -> None:
    assert printed("howlong", "256xh100-sxm", "1e22", "--seeds", "2") == printed("howlong", *SMALL)


@pytest.mark.parametrize(
    "question",
    [
        ("howlong", "1e22", *CLUSTERS),
        ("howmany", "1e22", "10d", "h100-sxm", "a100-80gb-sxm"),
        ("howmuch", "10d", "256xh100-sxm"),
    ],
)
def test_csv_holds_the_numbers_of_the_json(question: tuple[str, ...]) -> None:
    rows = list(csv.DictReader(io.StringIO(call(*question, "--seeds", "2", "--csv").stdout)))
    data = printed(*question, "--seeds", "2")
    answers = data.get("answers", [data])
    assert len(rows) == len(answers)
    for row, answer in zip(rows, answers, strict=True):
        assert row["on"] == answer["question"]["on"]
        assert int(row["devices"]) == answer["plan"]["devices"]
        assert float(row["wall_clock_s"]) == answer["answer"]["wall_clock_s"]["expected"]
        assert float(row["model_flop"]) == answer["flop"]["model"]["operations"]
        assert row["cost_usd"] == ("" if answer["cost_usd"] is None else str(answer["cost_usd"]))
        for part in answer["parts"]:
            assert float(row[f"{part['name']} s"]) == part["seconds"]
        total_s = sum(float(value) for name, value in row.items() if name.endswith(" s"))
        assert total_s == pytest.approx(float(row["wall_clock_s"]), rel=1e-9)


def test_dates() -> None:
    text = call("howlong", *SMALL, "--start", "2026-12-01").stdout
    found = re.search(r"^From 2026-12-01 to (\S+) \(80 % interval (\S+) to (\S+)\)\.$", text, re.MULTILINE)
    assert found
    expected, low, high = found.groups()
    assert "2026-12-01" <= low <= expected <= high
    data = printed("howlong", *SMALL, "--start", "2026-12-01")
    assert data["answer"]["dates"]["expected"] == expected
    assert data["question"]["start"] == "2026-12-01"


def test_no_failures_is_a_rate_of_zero() -> None:
    none, zero = printed("howlong", *SMALL, "--no-failures"), printed("howlong", *SMALL, "--failure-rate", "0/h")
    assert none["answer"] == zero["answer"]
    assert none["events"]["interruptions"] == 0


def test_every_option_of_a_scenario_is_an_option_of_every_question() -> None:
    for question in ("howlong", "howmany", "howmuch"):
        help_text = call(question, "--help").stdout
        for name in (*OPTIONS, "no_failures", "threshold", "start", "seeds", "seed", "emit", "force", "all", "csv"):
            assert f"--{name.replace('_', '-')}" in help_text


def test_emit_writes_the_scenario_and_run_gives_the_answer(tmp_path: Path) -> None:
    for index, question in enumerate(
        (
            ("howlong", "1e22", "256xh100-sxm", "--precision", "fp8", "--batch", "4e6"),
            ("howmany", "1e22", "10d", "h100-sxm"),
            ("howmuch", "10d", "256xh100-sxm", "--seed", "3"),
        )
    ):
        file = tmp_path / f"{index}.yaml"
        outcome = call(*question, "--emit", str(file), "--json")
        assert outcome.stderr == f"scenario written to {file}\n"
        answer, again = json.loads(outcome.stdout), printed("run", str(file))
        assert again["answer"]["wall_clock_s"] == answer["answer"]["wall_clock_s"]
        assert again["provenance"] == answer["provenance"]
        assert file.read_text(encoding="utf-8").startswith(f"# {answer['sentence']}")


def test_emit_keeps_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    outcome = call("howlong", *SMALL, "--emit", str(file))
    assert outcome.exit_code == 2
    assert "exists already" in outcome.stderr
    assert (outcome.stdout, file.read_text()) == ("", "mine")
    assert call("howlong", *SMALL, "--emit", str(file), "--force").exit_code == 0
    assert "schema_version: 1" in file.read_text()


def test_the_next_command_runs() -> None:
    (following,) = printed("howlong", *SMALL, "--price", "2.5 USD/h")["next"]
    import shlex

    command, *arguments = shlex.split(following)
    assert command == "sim"
    assert call(*arguments).exit_code == 0


def test_same_bytes_in_fresh_processes_and_after_other_questions() -> None:
    question = ("howlong", *SMALL, "--failure-rate", "1e-3/h", "--json")
    seen = set()
    for seed in ("0", "1", "random"):
        outcome = spawn(*question, environment={"PYTHONHASHSEED": seed})
        assert outcome.exit_code == 0, outcome.stderr
        seen.add(hashlib.sha256(outcome.stdout.encode()).hexdigest())
    call("howmuch", "3d", "64xa100-80gb-sxm", "--seeds", "3")
    seen.add(hashlib.sha256(call(*question).stdout.encode()).hexdigest())
    assert len(seen) == 1


def test_a_machine_that_cannot_do_it_says_so_beside_the_others() -> None:
    """One infeasible cluster of several is part of the answer; only when none can do it is the question refused."""
    both = ("howlong", "1e23", "1024xh100-sxm", "16xh100-sxm", "--model", "llama-3.1-405b", "--seeds", "2")
    text = call(*both)
    assert text.exit_code == 0
    assert "1,024xh100-sxm" in text.stdout
    assert "does not fit on 16 x h100-sxm" in text.stdout
    answered, refused = json.loads(call(*both, "--json").stdout)["answers"]
    assert (answered["question"]["on"], refused["on"]) == ("1024xh100-sxm", "16xh100-sxm")
    assert "wall_clock_s" in answered["answer"]
    assert refused["exit_code"] == 4
    table = call(*both, "--csv")
    assert len(table.stdout.splitlines()) == 2
    assert "does not fit" in table.stderr
    none = call("howlong", "1e23", "8xh100-sxm", "16xh100-sxm", "--model", "llama-3.1-405b", "--seeds", "2")
    assert none.exit_code == 4
