"""YAML by the 1.2 core rules: what values become, where they stand, what is refused and what the message says."""

import json
import os
import pickle

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ScenarioError, SimError
from sim.spec import compose, document
from sim.spec.document import Position
from sim.spec.yaml import load, loads

# Characters that YAML allows in a file and does not take for the end of a line.
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff")
TEXTS = st.text(CHARACTERS, max_size=20)
NUMBERS = st.one_of(st.integers(-(10**60), 10**60), st.floats(allow_nan=False, allow_infinity=False))
PLAIN_DATA = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS.filter(lambda key: key != ""), inner, max_size=4)
    ),
    max_leaves=20,
)


def refused(text):
    with pytest.raises(ScenarioError) as caught:
        loads(text, "a.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e26", 1e26),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-12", -12),
        ("+12", 12),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0", 0),
        ("-0.0", 0.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("tRue", "tRue"),
        ("12:30:00", "12:30:00"),
        ("2025-12-01", "2025-12-01"),
        ("1_000", "1_000"),
        ("24,576", "24,576"),
        ("80 GiB", "80 GiB"),
        ("19.7e-6/h", "19.7e-6/h"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1.2.3", "1.2.3"),
        ("0b1", "0b1"),
        ("=", "="),
        ("'1e26'", "1e26"),
        ('"true"', "true"),
        ("'~'", "~"),
        ("''", ""),
        ("h100-sxm", "h100-sxm"),
        ("- 1", [1]),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("|\n   two\n   lines\n", "two\nlines\n"),
        (">\n   one\n   line\n", "one line\n"),
    ],
)
def test_values_follow_the_core_schema(text, value):
    read = loads(f"a:\n  {text}").data
    assert read == {"a": value}
    assert type(read["a"]) is type(value)
    assert repr(read["a"]) == repr(value)


@pytest.mark.parametrize("key", ["no", "1", "1.0", "true", "~", "2025-01-01", "'<<'"])
def test_keys_are_the_text_that_stands_there(key):
    assert loads(f"{key}: 1").data == {key.strip("'"): 1}


@given(data=PLAIN_DATA)
def test_json_reads_as_json(data):
    assert loads(json.dumps(data, ensure_ascii=False)).data == data


@given(data=st.dictionaries(TEXTS.filter(lambda key: key != ""), PLAIN_DATA, min_size=1, max_size=5))
def test_positions_point_at_keys_and_values(data):
    text = json.dumps(data, ensure_ascii=False, indent=1)
    read = loads(text)
    for key, value in data.items():
        at_key, at_value = read.position((key,), key=True), read.position((key,))
        written = json.dumps(key, ensure_ascii=False)
        assert text.split("\n")[at_key.line - 1][at_key.column - 1 :].startswith(written)
        first = json.dumps(value, ensure_ascii=False)[0]
        assert text.split("\n")[at_value.line - 1][at_value.column - 1] == first


def test_position_and_snippet_of_nested_values():
    read = loads("cluster:\n  count: 24576\nlist: [a, {b: 1}]\n", "a.yaml")
    assert str(read.position(("cluster", "count"))) == "a.yaml:2:10"
    assert read.position(("cluster", "count"), key=True) == Position("a.yaml", 2, 3)
    assert read.position(("list", 1, "b")) == Position("a.yaml", 3, 15)
    assert read.position(("cluster", "absent", "deeper")) == read.position(("cluster",))
    assert read.position(("list", 7)) == read.position(("list",))
    assert read.snippet(("cluster", "count")) == "    2 |   count: 24576\n      |          ^"
    assert read.name == "a.yaml"


def test_snippet_of_a_long_line_is_a_window_around_the_place():
    read = loads("{" + ", ".join(f"k{index}: {index}" for index in range(1000)) + "}")
    lines = read.snippet(("k700",)).split("\n")
    assert len(lines[0]) < 120
    assert lines[0][lines[1].index("^") :].startswith("700")


def test_a_problem_can_be_raised_for_any_place_later():
    read = loads("cluster:\n  count: 24576\n", "a.yaml")
    error = read.problem(("cluster", "count"), "there are only 8", value=24576, mend="write 8")
    assert str(error) == ("a.yaml:2:10: there are only 8\n    2 |   count: 24576\n      |          ^\n  mend:  write 8")
    assert error.to_dict()["problems"][0]["value"] == "24576"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("text", "where", "rule", "mend"),
    [
        ("a: 1\na: 2", "a.yaml:2:1", "the key 'a' stands twice in one mapping; first in line 1", "remove one"),
        ("a: 1\n'a': 2", "a.yaml:2:1", "the key 'a' stands twice", "remove one"),
        ("a: *b", "a.yaml:1:4", "'*b' refers to nothing", "quote a text"),
        ("a: &b [*b]", "a.yaml:1:8", "refers to the collection that it stands in", ""),
        ("a: .inf", "a.yaml:1:4", "a number is finite", "leave the key out"),
        ("a: [1, -.INF]", "a.yaml:1:8", "a number is finite", "leave the key out"),
        ("a: .NaN", "a.yaml:1:4", "a number is finite", "leave the key out"),
        ("a: 1e400", "a.yaml:1:4", "larger than this program can hold", ""),
        ("a: -1e400", "a.yaml:1:4", "larger than this program can hold", ""),
        ("a: " + "9" * 65, "a.yaml:1:4", "a whole number has at most 64 digits", ""),
        ("a:\n\tb: 1", "a.yaml:2:1", "a tab cannot indent YAML", "spaces"),
        ("a: b: c", "a.yaml:1:5", "a second ':' in one line", "quote"),
        ("a: 1\n  b: 2", "a.yaml:2:4", "a second ':' in one line, or a line indented too far", "indentation"),
        ("a:\n  b: 1\n c: 2", "a.yaml:3:2", "a 'key: value' is expected here", "indentation"),
        ("a: [1, 2\nb: 3", "a.yaml:1:4", "opens here and is not closed", "close it"),
        ("a: 'x", "a.yaml:1:4", "opens here and is not closed", "close it"),
        ("a: {b: 1", "a.yaml:1:4", "opens here and is not closed", "close it"),
        ("a: @x", "a.yaml:1:4", "a plain text cannot begin with @", "quotes"),
        ("a: !!python/object:os.system x", "a.yaml:1:4", "tags are not used here", "quote"),
        ("a: !x [1]", "a.yaml:1:4", "tags are not used here", "quote"),
        ("<<: {a: 1}", "a.yaml:1:1", "merging with '<<' is not part of YAML 1.2", "write the keys out"),
        ("? \n: 1", "a.yaml:1:2", "a key is missing before ':'", ""),
        ("{: 1}", "a.yaml:1:2", "a value is expected here", "quotes"),
        ("a: [1, ", "a.yaml:1:4", "opens here and is not closed", "close it"),
        ("[a]: 1", "a.yaml:1:1", "a key is a single text", "quote it"),
        ("a: &x 1\n*x : 2", "a.yaml:2:1", "a key is a single text, not a reference", ""),
        ("&x a: 1", "a.yaml:1:1", "a key cannot be marked with &", "mark the value"),
        ("k" * 257 + ": 1", "a.yaml:1:1", "a key has at most 256 characters", ""),
        ("a: 1\n---\nb: 2", "a.yaml:2:1", "a file holds one document", "---"),
        ("", "a.yaml:1:1", "there is nothing in it", "sim new"),
        ("# only a comment\n", "a.yaml:1:1", "there is nothing in it", "sim new"),
        ("a: \x01", "a.yaml:1:4", "control characters are not allowed", "remove"),
        ("a: 1\nb: \x1b[31m", "a.yaml:2:4", "control characters are not allowed", "remove"),
    ],
)
def test_refuses_with_place_rule_and_mend(text, where, rule, mend):
    error = refused(text)
    assert error.where == where
    assert rule in error.rule
    assert mend in error.mend
    assert "^" in str(error) or not text


def test_depth_is_limited():
    deepest = "[" * compose.MAX_DEPTH + "]" * compose.MAX_DEPTH
    assert loads(deepest).data
    assert "at most 64 deep" in refused("[" * (compose.MAX_DEPTH + 1)).rule


def test_depth_counts_through_references():
    lines = ["a0: &a0 [1]", *(f"a{index}: &a{index} [*a{index - 1}]" for index in range(1, 70))]
    error = refused("\n".join(lines))
    assert "at most 64 deep" in error.rule
    # 62 lists stand in each other in a61; with the mapping around them one more still fits.
    assert error.where.startswith("a.yaml:64:")


def test_values_are_limited_and_references_count_in_full(monkeypatch):
    monkeypatch.setattr(compose, "MAX_NODES", 100)
    assert len(loads("[" + "1," * 99 + "]").data) == 99
    assert "at most 100 values" in refused("[" + "1," * 100 + "]").rule
    # 1 + 1 key + list of 11 + 1 key + 8 x 11 in the second list: 103.
    ten = "a: &a [" + "1," * 10 + "]\nb: [" + "*a," * 8 + "]"
    assert "references counted as what they stand for" in refused(ten).rule


def test_references_are_limited(monkeypatch):
    monkeypatch.setattr(compose, "MAX_ALIASES", 3)
    assert loads("[&a 1, *a, *a, *a]").data == [1, 1, 1, 1]
    assert "at most 3 references" in refused("[&a 1, *a, *a, *a, *a]").rule


def test_references_share_the_place_where_the_value_stands():
    read = loads("a: &x {b: 1}\nc: *x\n")
    assert read.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert read.position(("c", "b")).line == 1


def test_windows_files_read_as_others(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: x\r\ncluster:\r\n  count: 5\r\n")
    read = load(file)
    assert read.data == {"name": "x", "cluster": {"count": 5}}
    assert read.position(("cluster", "count")) == Position(str(file), 3, 10)
    assert read.snippet(("cluster", "count")).startswith("    3 |   count: 5\n")


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "quickstart.yaml").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path / "quikstart.yml")
    assert caught.value.rule == "there is no such file"
    assert caught.value.mend == f"did you mean {tmp_path / 'quickstart.yaml'}?"
    with pytest.raises(ScenarioError, match=r"YAML files in it: quickstart\.yaml"):
        load(tmp_path / "zzz.yaml")
    with pytest.raises(ScenarioError, match="there is no folder"):
        load(tmp_path / "nowhere" / "a.yaml")
    with pytest.raises(ScenarioError, match="this is a folder, not a file"):
        load(tmp_path)


def test_a_relative_missing_file_looks_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "run.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScenarioError, match=r"did you mean run\.yaml\?"):
        load("runn.yaml")


@given(text=st.one_of(st.text(max_size=300), st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,\n \t\r0.~<", max_size=300)))
def test_any_text_is_data_or_a_scenario_error(text):
    problem = None
    try:
        loads(text)
    except SimError as error:
        problem = error
    if problem is not None:
        assert isinstance(problem, ScenarioError)
        assert problem.rule
        assert problem.where
        assert all(line.isprintable() for line in str(problem).split("\n"))


@given(content=st.binary(max_size=200))
def test_any_bytes_are_data_or_a_scenario_error(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / f"bytes-{os.getpid()}.yaml"
    file.write_bytes(content)
    try:
        data = load(file).data
    except ScenarioError as error:
        data = error.where
    assert data is not None or content.decode("utf-8-sig").split("#")[0].strip()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        (1e26, "1e26"),
        ({"a": 1}, "a mapping of 1"),
        ([1, 2], "a list of 2"),
        ("x" * 100, "x" * 60 + "..."),
        ("a\tb\x1b[31m", "a b?[31m"),
    ],
)
def test_values_are_repeated_on_one_short_line(value, text):
    assert document.brief(value) == text


@pytest.mark.parametrize("text", ["a: [1, {b: 1e26}]\nc: no", "a: 1\na: 2", "a:\n\tb: 1", "[" * 70, "a: 'x", "a: *b"])
def test_the_python_parser_serves_where_libyaml_is_absent(monkeypatch, text):
    def outcome():
        try:
            return loads(text).data
        except ScenarioError as error:
            return error.where

    with_libyaml = outcome()
    monkeypatch.setattr(compose, "_LOADER", yaml.SafeLoader)
    assert outcome() == with_libyaml


def test_a_scenario_that_comes_with_the_program_is_offered() -> None:
    with pytest.raises(ScenarioError) as caught:
        load("clusters/backfill")
    assert caught.value.mend == "it comes with the program: sim show clusters/backfill > backfill.yaml"
