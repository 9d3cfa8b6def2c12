"""A record: the same bytes every time, whole or not at all, read back as it was."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sim.errors import UsageError
from sim.results import tables
from sim.results.record import Record, canonical, read
from sim.results.tables import Format
from tests.helpers.command import call
from tests.helpers.records import SCENARIO, everything, training_record

ROOT = Path(__file__).resolve().parents[2]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_reads_back_what_was_written(tmp_path: Path, format_: Format) -> None:
    whole = everything(50)
    whole.write(tmp_path / "r", tables=format_)
    again = read(tmp_path / "r")
    assert again.result == whole.result
    assert again.scenario == whole.scenario
    assert set(again.tables) == set(whole.tables)
    for name, table in whole.tables.items():
        for column, values in tables.columns_of(table).items():
            found = again.tables[name][column]
            if values.dtype.kind in "OU":
                assert [str(value) for value in found] == [str(value) for value in values]
            else:
                np.testing.assert_allclose(found.astype(float), values.astype(float), rtol=1e-12)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("a", "b"):
        outcome = call("run", SCENARIO, "--out", str(tmp_path / name))
        assert outcome.exit_code == 0, outcome.stderr
    first, second = digests(tmp_path / "a"), digests(tmp_path / "b")
    assert first == second
    assert {"result.json", "scenario.yaml", "tables/events.parquet", "tables/series.parquet"} <= set(first)


def test_the_resolved_scenario_plays_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    call("run", SCENARIO, "--out", str(tmp_path / "a"), "--tables", "none")
    outcome = call("run", str(tmp_path / "a" / "scenario.yaml"), "--out", str(tmp_path / "b"), "--tables", "none")
    assert outcome.exit_code == 0, outcome.stderr
    one, two = read(tmp_path / "a").result, read(tmp_path / "b").result
    assert one["simulated"] == two["simulated"]
    assert one["answer"] == two["answer"]


def test_a_place_that_is_taken_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    outcome = call("run", SCENARIO, "--out", str(tmp_path / "mine"), "--force")
    assert outcome.exit_code == 2
    assert "something else" in outcome.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    training_record().write(tmp_path / "r", tables="none")
    with pytest.raises(UsageError, match="a record already"):
        training_record().write(tmp_path / "r", tables="none")
    training_record().write(tmp_path / "r", tables="none", force=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_without_duckdb_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UsageError) as caught:
        everything(5).write(tmp_path / "r")
    assert "pip install duckdb" in str(caught.value)
    assert "--tables csv" in str(caught.value)
    everything(5).write(tmp_path / "r", tables="csv")
    assert read(tmp_path / "r").tables["requests"]["ttft_s"].dtype == np.float64


WRITER = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.helpers.records import everything
record = everything(20000)
print("ready", flush=True)
for index in range(1000):
    record.write(Path(sys.argv[1]) / f"r{{index}}", tables="csv")
"""


@pytest.mark.parametrize("wait_s", [0.0, 0.013, 0.031, 0.057, 0.091, 0.14])
def test_killed_at_any_moment_it_leaves_nothing_or_a_whole_record(tmp_path: Path, wait_s: float) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER.format(root=str(ROOT)), str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    time.sleep(wait_s)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    whole = canonical(everything(20000).result)
    for folder in tmp_path.iterdir():
        if folder.name.startswith("."):
            continue  # what was being written; nobody reads it
        found = read(folder)
        assert (folder / "result.json").read_text(encoding="utf-8") == whole
        assert set(found.tables) == set(everything(5).tables)
        assert len(found.tables["requests"]["id"]) == 20000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no JSON"),
        ("[1]", "not a result"),
        ("{}", "not a result"),
        ('{"sentence": "", "record_version": "9.0"}', "version"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UsageError, match=says):
        read(tmp_path)
    assert call("report", str(tmp_path / "nowhere")).exit_code == 2


def test_query_answers_in_sql(tmp_path: Path) -> None:
    everything(300).write(tmp_path / "r")
    sql = "select service, count(*) as n from requests group by service order by service"
    outcome = call("query", str(tmp_path / "r"), sql, "--csv")
    head, *rows = outcome.stdout.splitlines()
    assert head == "service,n"
    assert sum(int(row.split(",")[1]) for row in rows) == 300
    wrong = call("query", str(tmp_path / "r"), "select nothing from nowhere")
    assert wrong.exit_code == 2
    assert "the tables are" in wrong.stderr
    assert "requests" in call("query", str(tmp_path / "r")).stdout


def test_a_record_knows_what_it_is() -> None:
    assert training_record().is_training
    assert not everything(5).is_training
    assert isinstance(training_record(), Record)
    origins = {row["path"]: row for row in training_record().result["origins"]}
    assert origins["cluster.spares"]["given_by"] == "user"
    assert origins["cluster.spares"]["where"].endswith("gpt3-175b-spares.yaml:6:60")
    assert origins["cluster.restart"]["given_by"] == "default"
