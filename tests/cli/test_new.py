"""sim new: the file says what the schema says, and runs as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.cli.new import KINDS, MODELINE, template
from sim.cli.schema import schema_text
from sim.spec.annotate import annotate, is_absent_record, write_default
from sim.spec.cluster import ClusterSpec
from sim.spec.defaults import DEFAULTS
from sim.spec.docstrings import field_docstrings
from sim.spec.hardware import Accelerator, Fabric, FabricLevel, Node
from sim.spec.quantity import FrozenModel
from sim.spec.requests import RequestsSpec
from sim.spec.scenario import Scenario
from sim.spec.service import ServiceSpec
from sim.spec.tasks import TasksSpec
from sim.spec.tool import ToolSpec
from sim.spec.workload import CheckpointSpec, TrainingSpec
from sim.spec.yaml import loads, validate
from sim.units import parse
from tests.helpers.command import call, spawn

RECORDS: dict[str, tuple[type[FrozenModel], ...]] = {
    "training": (Scenario, ClusterSpec, TrainingSpec, CheckpointSpec),
    "cluster": (Scenario, ClusterSpec, TrainingSpec, CheckpointSpec, Accelerator, Node, Fabric, FabricLevel),
    "serving": (Scenario, ClusterSpec, ServiceSpec, RequestsSpec),
    "graph": (Scenario, ClusterSpec, ServiceSpec, ToolSpec, TasksSpec),
}
DEFAULTED = {
    "training": {"failure_rate", "restart", "spares", "batch", "sequence", "checkpoint", "plan", "seed"},
    "cluster": {"failure_rate", "restart", "spares", "batch", "sequence", "checkpoint", "plan", "seed"},
    "serving": {"failure_rate", "precision", "engine", "router", "plan", "storage", "warm_up", "priority", "seed"},
    "graph": {"failure_rate", "fails", "price_per_call", "at", "priority", "router", "seed"},
}
"""Keys that every file has to offer with their defaults."""
OFF = re.compile(r"^( *)#(\w+):(.*)$")


def scenario(text: str) -> dict[str, Any]:
    return validate(Scenario, loads(text)).model_dump()


UNLIKE_THE_REST = {"dimensions"}
"""Fields that only another file could have: the dimensions of a torus."""


def switched_on(text: str) -> Iterator[tuple[str, str]]:
    """Each default of a file, and the file in which its mark is taken away."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        found = OFF.match(line)
        if found is None:
            continue
        end = index + 1
        while not found[3] and lines[end].startswith(f"{found[1]}#  "):
            end += 1
        block = [each.replace("#", "", 1) for each in lines[index:end]]
        yield found[2], "\n".join([*lines[:index], *block, *lines[end:]])


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_stands_in_it_with_its_meaning(kind: str) -> None:
    text = template(kind)
    words = " ".join(text.replace("#", " ").split())
    for record in RECORDS[kind]:
        for key, meaning in field_docstrings(record).items():
            if key in record.model_fields and not is_absent_record(record.model_fields[key]):
                assert re.search(rf"^[ #-]*{key}:", text, re.MULTILINE), f"{record.__name__}.{key}"
                assert meaning in words, f"{record.__name__}.{key}"


@pytest.mark.parametrize("kind", KINDS)
def test_taking_the_mark_away_changes_nothing(kind: str) -> None:
    text = template(kind)
    before = scenario(text)
    checked = set()
    for key, changed in switched_on(text):
        after = scenario(changed)
        fields = [record.model_fields[key] for record in RECORDS[kind] if key in record.model_fields]
        if any(field.default is not None and not field.is_required() for field in fields):
            assert after == before, key
            checked.add(key)
        else:
            changes = key not in UNLIKE_THE_REST
            assert (after != before) is changes, f"{key} has no default, so its example changes something"
    assert DEFAULTED[kind] <= checked


@pytest.mark.parametrize("kind", KINDS)
def test_sources_of_defaults_are_told(kind: str) -> None:
    words = " ".join(template(kind).replace("#", " ").split())
    for path, default in DEFAULTS.items():
        if kind in {"serving", "graph"} and not path.startswith("cluster."):
            continue
        assert f"Source of the default: {default.source}." in words, path


@pytest.mark.parametrize("kind", KINDS)
def test_lines_fit_a_screen(kind: str) -> None:
    assert max(map(len, template(kind).splitlines())) <= 120


@pytest.mark.parametrize(("path", "default"), DEFAULTS.items())
def test_defaults_are_written_without_loss(path: str, default: Any) -> None:
    if default.dimension in {"name", "ratio"}:
        assert write_default(default.value, "") == str(default.value)
    else:
        text = write_default(default.value, default.dimension)
        assert parse(text, default.dimension) == pytest.approx(default.value, rel=1e-12)


@pytest.mark.parametrize(
    "value",
    ["yes: no", "1e3", "null", "it's", '"', "a # b", "- a", "", "\\", True, None, 7, 0.1, [1, "a, b"], {"a": "["}],
)
def test_any_value_is_read_back(value: object) -> None:
    class Record(FrozenModel):
        """A record."""

        value: object
        """A value."""

    assert loads(annotate(Record, {"value": value}, {})).data == {"value": value}


TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "null": type(None),
    "boolean": bool,
}


def test_a_list_of_records_that_is_a_default_is_written_out() -> None:
    text = annotate(Fabric, {"name": "x", "link_bandwidth_bytes_per_s": "1 GB/s"}, {})
    changed = dict(switched_on(text))["levels"]
    assert validate(Fabric, loads(changed)) == validate(Fabric, loads(text))


def accepts(schema: dict[str, Any], value: object, root: dict[str, Any]) -> bool:
    """Tell whether a value keeps to a JSON Schema, by the words that our schemas use."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)
    if "anyOf" in schema:
        return any(accepts(branch, value, root) for branch in schema["anyOf"])
    kinds = schema.get("type", list(TYPES))
    fits = any(isinstance(value, TYPES[kind]) for kind in ([kinds] if isinstance(kinds, str) else kinds))
    if not fits or value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return all(accepts(schema.get("items", {}), item, root) for item in value)
    return not isinstance(value, dict) or accepts_mapping(schema, value, root)


def accepts_mapping(schema: dict[str, Any], value: dict[str, object], root: dict[str, Any]) -> bool:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not set(schema.get("required", ())) <= set(value) or (rest is False and not set(value) <= set(known)):
        return False
    others = rest if isinstance(rest, dict) else {}
    return all(accepts(known.get(key, others), item, root) for key, item in value.items())


@pytest.mark.parametrize("kind", KINDS)
def test_editors_accept_the_file_and_every_default_of_it(kind: str) -> None:
    schema = json.loads(schema_text("scenario"))
    text = template(kind)
    assert accepts(schema, loads(text).data, schema)
    for key, changed in switched_on(text):
        assert accepts(schema, loads(changed).data, schema), key
    assert not accepts(schema, loads(text.replace("count:", "cuont:")).data, schema)


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_as_it_stands(kind: str, tmp_path: Path) -> None:
    made = spawn("new", kind, "-o", "x.yaml", cwd=tmp_path)
    assert (made.exit_code, made.stderr) == (0, "")
    assert "next: sim check x.yaml\nnext: sim run x.yaml" in made.stdout
    checked = spawn("check", "x.yaml", cwd=tmp_path)
    assert (checked.exit_code, checked.stderr) == (0, "")
    played = spawn("run", "x.yaml", "--json", cwd=tmp_path)
    assert played.exit_code == 0, played.stderr
    result = json.loads(played.stdout)
    assert result.get("wall_clock_s", 0) or result["answer"]["wall_clock_s"]["expected"] > 0


def test_the_schema_lies_where_the_file_says(tmp_path: Path) -> None:
    assert call("new", "training", "-o", str(tmp_path / "x.yaml")).exit_code == 0
    text = (tmp_path / "x.yaml").read_text(encoding="utf-8")
    assert text == template("training")
    first = text.splitlines()[0]
    assert first == MODELINE
    schema = tmp_path / first.partition("$schema=")[2]
    assert json.loads(schema.read_text(encoding="utf-8")) == json.loads(call("schema", "scenario").stdout)


def test_a_file_is_never_replaced_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training.yaml").write_text("mine", encoding="utf-8")
    refused = call("new", "training")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "add --force" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training.yaml"]
    assert (tmp_path / "training.yaml").read_text(encoding="utf-8") == "mine"
    assert call("new", "training", "--force").exit_code == 0
    assert (tmp_path / "training.yaml").read_text(encoding="utf-8") == template("training")


def test_stdout_takes_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new", "cluster", "-o", "-").stdout == template("cluster")
    assert list(tmp_path.iterdir()) == []


def test_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = json.loads(call("new", "training", "-o", "a b.yaml", "--json").stdout)
    assert said["written"] == ["a b.yaml", ".flopclock/scenario.schema.json"]
    assert said["next"] == ["sim check 'a b.yaml'", "sim run 'a b.yaml'"]


def test_slips_and_places_that_do_not_take_a_file(tmp_path: Path) -> None:
    assert "did you mean training?" in call("new", "trainig").stderr
    assert "one of training, cluster, serving, graph or policy" in call("new", "zzz").stderr
    assert "no such folder" in call("new", "training", "-o", str(tmp_path / "no" / "x.yaml")).stderr
    (tmp_path / ".flopclock").write_text("a file", encoding="utf-8")
    refused = call("new", "training", "-o", str(tmp_path / "x.yaml"))
    assert refused.exit_code == 2
    assert "cannot make the folder" in refused.stderr
    assert not (tmp_path / "x.yaml").exists()
