"""`sim schema`: what editors and scripts rely on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sim.spec import catalog, yaml
from sim.spec.reserved import NOT_YET
from tests.helpers.command import call

# The object of contracts.md, "JSON of an answer".
PROMISED = {
    "schema_version", "question", "sentence", "answer", "utilization", "parts", "flop", "energy_j", "cost_usd",
    "co2_kg", "expected_loss", "rule_of_thumb_s", "model", "plan", "levers", "assumptions", "thresholds", "next",
    "provenance",
}  # fmt: skip

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "number": int | float,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def schema(what: str) -> dict[str, Any]:
    outcome = call("schema", what)
    assert outcome.exit_code == 0, outcome.stderr
    data: dict[str, Any] = json.loads(outcome.stdout)
    return data


def references(node: Any) -> set[str]:
    """Every definition that a schema points to."""
    if isinstance(node, dict):
        here = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return here.union(*(references(value) for value in node.values()))
    return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("what", ["scenario", "hardware", "result"])
def test_every_reference_is_defined(what: str) -> None:
    data = schema(what)
    assert data["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert references(data) <= {f"#/$defs/{name}" for name in data.get("$defs", {})}


def test_scenario_describes_every_field() -> None:
    data = schema("scenario")
    assert {"schema_version", "name", "workloads"} == set(data["required"])
    assert data["oneOf"] == [{"required": ["cluster"]}, {"required": ["clusters"]}]
    for name, field in data["properties"].items():
        assert field.get("description"), name


def test_reserved_keys_may_stand_in_a_scenario() -> None:
    assert set(NOT_YET) <= set(schema("scenario")["properties"])


def test_quantities_carry_unit_and_example() -> None:
    memory = schema("hardware")["$defs"]["Node"]["properties"]["scale_up_bandwidth_bytes_per_s"]
    bare = memory["anyOf"][0]
    assert (bare["x-unit"], bare["type"]) == ("B/s", ["string", "number"])
    assert bare["examples"]


def test_hardware_knows_every_key_of_the_catalogue() -> None:
    data = schema("hardware")
    assert set(data["properties"]) == set(catalog.KINDS)
    for kind in catalog.KINDS:
        entry = data["$defs"][data["properties"][kind]["additionalProperties"]["$ref"].removeprefix("#/$defs/")]
        for name in catalog.names(kind):
            written = yaml.load(catalog.path(kind, name)).data
            assert set(entry["required"]) <= set(written) <= set(entry["properties"]), f"{kind}/{name}"


def test_result_holds_what_the_contract_promises() -> None:
    data = schema("result")
    assert set(data["required"]) == PROMISED
    assert set(data["properties"]["utilization"]["required"]) >= {
        "allocated", "busy", "ettr", "mfu_step", "mfu_run", "hfu_run",
    }  # fmt: skip
    assert set(data["properties"]["answer"]["properties"]["wall_clock_s"]["required"]) == {
        "expected", "p10", "p50", "p90",
    }  # fmt: skip


def complaints(value: Any, expected: dict[str, Any], place: str = "answer") -> Iterator[str]:
    """What keeps a value from a schema, as far as the schema of an answer goes."""
    kinds = expected.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, TYPES[kind]) for kind in kinds):
        yield f"{place} is {value!r}"
    elif isinstance(value, dict):
        yield from (f"{place} lacks {name}" for name in expected.get("required", ()) if name not in value)
        for name, item in value.items():
            inner = expected.get("properties", {}).get(name, expected.get("additionalProperties", {}))
            yield from complaints(item, inner, f"{place}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from complaints(item, expected.get("items", {}), f"{place}[{index}]")
    elif value not in expected.get("enum", [value]) or not within(value, expected):
        yield f"{place} is {value!r}"


def within(value: Any, expected: dict[str, Any]) -> bool:
    bounds = [expected.get(bound, value) for bound in ("minimum", "maximum")]
    return not isinstance(value, int | float) or bounds[0] <= value <= bounds[1]


@pytest.mark.parametrize(
    "question", ["howlong 1e24 1024xh100-sxm", "howmany 1e24 90d h100-sxm", "howmuch 30d 1024xh100-sxm"]
)
def test_answers_keep_to_the_schema(question: str) -> None:
    outcome = call(*question.split(), "--json")
    assert outcome.exit_code == 0, outcome.stderr
    answer, expected = json.loads(outcome.stdout), schema("result")
    assert list(complaints(answer, expected)) == []
    assert set(answer) <= set(expected["properties"])


def test_an_unknown_schema_is_named() -> None:
    outcome = call("schema", "scenrio")
    assert outcome.exit_code == 2
    assert "did you mean scenario?" in outcome.stderr
