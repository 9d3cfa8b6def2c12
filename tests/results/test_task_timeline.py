"""One task of a record: every run of it, in order, with a bar that lies where it ran."""

from pathlib import Path

import numpy as np
import pytest

from sim.errors import UsageError
from sim.results.record import Record
from sim.results.task_timeline import BAR, timeline
from tests.helpers.command import call

TABLES = {
    "tasks": {
        "serial": np.array([0, 1]),
        "number": np.array([0, 1]),
        "arrival_s": np.array([1.0, 5.0]),
        "finish_s": np.array([11.0, 6.0]),
        "solved": np.array([1, 0]),
    },
    "calls": {
        "task": np.array([0, 0, 1, 0]),
        "node": np.array(["g.draft", "g.check", "g.draft", "g.draft"]),
        "kind": np.array(["model", "model", "model", "model"]),
        "ready_s": np.array([1.0, 6.0, 5.0, 1.0]),
        "end_s": np.array([6.0, 11.0, 6.0, 8.0]),
        "state": np.array(["ok", "ok", "ok", "cancelled"]),
    },
}


def test_the_runs_of_one_task_in_order() -> None:
    found = timeline(Record({"kind": "run", "name": "a"}, TABLES), "task.0")
    assert found.title == "Task 0: 10 seconds, solved"
    assert [row[0] for row in found.rows] == ["g.draft", "g.draft", "g.check"]
    assert [row[2:5] for row in found.rows] == [(0.0, 5.0, "ok"), (0.0, 7.0, "cancelled"), (5.0, 5.0, "ok")]
    bars = [str(row[5]) for row in found.rows]
    assert {len(bar) for bar in bars} == {BAR}
    assert bars[0].rstrip() == "█" * (BAR // 2)
    assert bars[2] == " " * (BAR // 2) + "█" * (BAR // 2)
    assert timeline(Record({"kind": "run", "name": "a"}, TABLES), "task.1").title.endswith("not solved")


@pytest.mark.parametrize(("name", "rule"), [("task.2", "no such task"), ("task.x", "no such task")])
def test_a_task_that_is_not_there(name: str, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        timeline(Record({"kind": "run", "name": "a"}, TABLES), name)
    with pytest.raises(UsageError, match="no tasks"):
        timeline(Record({"kind": "run", "name": "a"}), "task.0")


def test_the_command_shows_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    scenario = "scenarios/graphs/debate.yaml"
    assert call("run", scenario, "--out", str(tmp_path / "r"), "--tables", "csv", "--brief").exit_code == 0
    done = call("explain", str(tmp_path / "r"), "task.0")
    assert done.exit_code == 0, done.stderr
    assert "Task 0: " in done.stdout
    assert "█" in done.stdout


def test_a_task_without_its_number_is_asked_for(tmp_path: Path) -> None:
    Record({"kind": "run", "name": "a", "sentence": ""}, TABLES).write(tmp_path / "r", tables="csv")
    outcome = call("explain", str(tmp_path / "r"), "task")
    assert outcome.exit_code == 2
    assert "task.0" in outcome.stderr
