"""The comparison itself: it sees what moved, and nothing else."""

from pathlib import Path

import pytest

from tests.helpers.golden import Golden, differences, rounded


def test_equal_to_nine_digits_is_equal() -> None:
    assert list(differences({"a": [1.23456789]}, {"a": [1.2345678901]})) == []


@pytest.mark.parametrize(
    ("accepted", "actual", "line"),
    [
        ({"a": 2.0}, {"a": 2.5}, "  a: 2.0 -> 2.5 (+25.000%)"),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "  a.b[1]: 2 -> 3 (+50.000%)"),
        ({"a": 1, "b": 1}, {"a": 1}, "  b: is gone"),
        ({"a": 1}, {"a": 1, "b": 1}, "  b: is new"),
        ({"a": "x"}, {"a": "y"}, "  a: 'x' -> 'y'"),
        ({"a": 1}, {"a": True}, "  a: 1 -> True"),
        ({"a": 0.0}, {"a": 1e-12}, "  a: 0.0 -> 1e-12"),
        ({"a": 1.0}, {"a": None}, "  a: 1.0 -> None"),
        ([1, 2], [1], "  : [1, 2] -> [1]"),
    ],
)
def test_each_change_is_named(accepted: object, actual: object, line: str) -> None:
    assert list(differences(accepted, actual)) == [line]


def test_floats_are_written_with_nine_digits() -> None:
    assert rounded({"a": [1 / 3, 1e26 / 3, 7, "x"]}) == {"a": [0.333333333, 3.33333333e25, 7, "x"]}


def test_accepting_writes_what_comparing_reads(tmp_path: Path) -> None:
    value = {"third": 1 / 3, "name": "Ångström"}
    Golden(tmp_path, accept=True).check_json("folder/case", value)
    Golden(tmp_path, accept=False).check_json("folder/case", value)
    with pytest.raises(AssertionError, match=r"third: 0.333333333 -> 0.34 \(\+2.000%\)"):
        Golden(tmp_path, accept=False).check_json("folder/case", value | {"third": 0.34})


def test_text_is_compared_by_line(tmp_path: Path) -> None:
    Golden(tmp_path, accept=True).check_text("case", "one  \ntwo\n\n")
    Golden(tmp_path, accept=False).check_text("case", "one\ntwo")
    with pytest.raises(AssertionError, match=r"-two\n\+three"):
        Golden(tmp_path, accept=False).check_text("case", "one\nthree")


def test_a_result_without_golden_file_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="does not exist"):
        Golden(tmp_path, accept=False).check_json("case", {})
