"""A table is read whole or refused with the place of its first fault."""

from pathlib import Path

import pytest

from sim.errors import LimitError, ScenarioError, SimError, UsageError
from sim.validate import table
from sim.validate.table import read

KNOWN = ("id", "gpus", "step_time_s")
REQUIRED = ("id", "gpus")


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_keep_their_line_and_leave_blanks_out(tmp_path: Path) -> None:
    first, second = read(written(tmp_path, '\ufeffid,gpus\r\n\r\n"a, b",8\r\nc,\r\n'), KNOWN, REQUIRED)
    assert (first.number, first.text("id"), first.count("gpus")) == (3, "a, b", 8)
    assert (second.number, second.text("gpus"), second.count("gpus")) == (4, "", None)
    assert second.number_of("step_time_s") is None


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ("", ":1:1", "begins with the names"),
        ("id,gpus\n", ":2:1", "at least one row"),
        ("id,gpus,step_time\na,8,1\n", ":1:3", "unknown column"),
        ("id,gpus,id\na,8,b\n", ":1:3", "once"),
        ("id,step_time_s\na,1\n", ":1:1", "lacks a column"),
        ("id,gpus\na,8,9\n", ":2:2", "as many fields"),
        ("id,gpus\na\n", ":2:1", "as many fields"),
        ('id,gpus\na,"8\n', ":2:1", "not CSV"),
        (b"id,gpus\na,\xff\n", ":2:3", "UTF-8"),
        (b"\x7fELF\x02\x00\x00", ":1:6", "UTF-8"),
        ("id,gpus\n" + "a" * (table.MAX_FIELD + 1) + ",8\n", ":2:1", "at most"),
    ],
)
def test_the_first_fault_is_named_with_line_and_column(
    content: str | bytes, place: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as refused:
        read(written(tmp_path, content), KNOWN, REQUIRED)
    assert refused.value.where.endswith(f"table.csv{place}")
    assert words in refused.value.rule
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("field", "words"),
    [("eight", "number"), ("8.5", "whole"), ("-1", "below 0"), ("nan", "finite"), ("2e7", "at most")],
)
def test_a_field_that_is_no_count_names_its_place(field: str, words: str, tmp_path: Path) -> None:
    (line,) = read(written(tmp_path, f"id,gpus\na,{field}\n"), KNOWN, REQUIRED)
    with pytest.raises(ScenarioError, match=words) as refused:
        line.count("gpus")
    assert refused.value.where.endswith("table.csv:2:2")


def test_an_unknown_column_is_answered_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refused:
        read(written(tmp_path, "id,gpus,step_time\na,8,1\n"), KNOWN, REQUIRED)
    assert "'step_time_s'" in refused.value.mend


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(UsageError):
            read(path, KNOWN, REQUIRED)
    monkeypatch.setattr(table, "MAX_BYTES", 8)
    with pytest.raises(LimitError) as refused:
        read(written(tmp_path, "id,gpus\na,8\n"), KNOWN, REQUIRED)
    assert isinstance(refused.value, SimError)
    assert refused.value.exit_code == 5
