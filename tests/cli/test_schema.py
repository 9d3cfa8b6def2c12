"""`sim schema`: what editors and scripts rely on."""

import json
from typing import Any

import pytest

from sim.spec import catalog, yaml
from sim.spec.scenario import NOT_YET
from tests.helpers.command import call

# The object of contracts.md, "JSON of an answer".
PROMISED = {
    "schema_version", "question", "sentence", "answer", "utilization", "parts", "flop", "energy_j", "cost_usd",
    "co2_kg", "expected_loss", "rule_of_thumb_s", "model", "plan", "levers", "assumptions", "thresholds", "next",
    "provenance",
}  # fmt: skip


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
    assert {"schema_version", "name", "cluster", "workloads"} == set(data["required"])
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


def test_an_unknown_schema_is_named() -> None:
    outcome = call("schema", "scenrio")
    assert outcome.exit_code == 2
    assert "did you mean scenario?" in outcome.stderr
