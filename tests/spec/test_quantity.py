"""Fields with units, sources and bounds; what an editor is told about them."""

import json
import pickle
from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from sim.errors import UnitError
from sim.spec import quantity
from sim.spec.quantity import (
    UNITS_REQUIRED,
    Amount,
    Budget,
    Bytes,
    Count,
    Flop,
    FlopPerSecond,
    Fraction,
    FrozenModel,
    PositiveCount,
    Seconds,
    Sourced,
    SourcedBytes,
    SourcedFlopPerSecond,
    given,
    sourced,
)
from sim.units import DIMENSIONS

FROM_FILE = {UNITS_REQUIRED: True}
PEAK = {"value": "989.4 TFLOP/s", "source": "datasheet", "status": "read", "date": "2023-03"}


class Chip(FrozenModel):
    """A record with each kind of field."""

    memory: SourcedBytes | None = None
    """Memory."""
    peaks: dict[str, SourcedFlopPerSecond] = Field(default_factory=dict)
    """Peaks."""
    latency_s: Seconds = 5e-6
    """Latency."""
    count: PositiveCount = 1
    """How many."""


def read(kind, value, context=FROM_FILE):
    return TypeAdapter(kind).validate_python(value, context=context)


def refused(kind, value, context=FROM_FILE):
    with pytest.raises(ValidationError) as caught:
        read(kind, value, context)
    return [(error["loc"], error["type"], error.get("ctx", {})) for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("kind", "text", "si"),
    [
        (Bytes, "80 GiB", 80 * 2**30),
        (Flop, "1e26 FLOP", 1e26),
        (Fraction, "38 %", 0.38),
        (Fraction, 0.38, 0.38),
        (Fraction, 1, 1.0),
        (Seconds, 0, 0.0),
        (Budget, "1e26 FLOP", Amount(1e26, "flop")),
        (Budget, "15e12 tokens", Amount(15e12, "token")),
        (PositiveCount, 24576, 24576),
        (PositiveCount, 1e5, 100_000),
        (PositiveCount, "24576", 24576),
        (Count, 0, 0),
    ],
)
def test_reads_from_a_file(kind, text, si):
    assert read(kind, text) == si
    assert type(read(kind, text)) is type(si) or isinstance(si, int)


def test_counts_are_ints():
    assert isinstance(read(PositiveCount, 1e5), int)


@pytest.mark.parametrize(
    ("kind", "value", "rule", "mend"),
    [
        (Bytes, 80, "'80' has no unit", "80 GB"),
        (Bytes, "3 d", "'3 d' is a time", "80 GB"),
        (FlopPerSecond, "0 FLOP/s", "a rate of arithmetic must be more than zero", "989.4 TFLOP/s"),
        (Fraction, "120 %", "a share must be at most 100 %", "38 %"),
        (Fraction, 1.0000001, "a share must be at most 100 %", "38 %"),
        (Budget, 1e26, "'1e26' has no unit; an amount of arithmetic or a number of tokens", "1e26 FLOP"),
        (Budget, Amount(1.0, "second"), "is not a quantity", "1e26 FLOP"),
        (PositiveCount, 0, "'0' is not a whole number from 1", "24576"),
        (PositiveCount, 1.5, "'1.5' is not a whole number", "24576"),
        (PositiveCount, 10**13, "to 1,000,000,000,000", "24576"),
        (PositiveCount, True, "'True' is not a quantity", "24576"),
        (PositiveCount, -1, "negative", "24576"),
        (Count, -1, "negative", "24576"),
        (Seconds, float("nan"), "not a number", "3 d"),
        (Seconds, None, "is not a quantity", "3 d"),
        (Seconds, {"a": 1}, "'a mapping' is not a quantity", "3 d"),
    ],
)
def test_refusals_carry_rule_and_mend(kind, value, rule, mend):
    [(_, error_type, context)] = refused(kind, value)
    assert error_type == "refusal"
    assert rule in context["rule"]
    assert mend in context["mend"]


def test_python_code_gives_si_without_units():
    chip = Chip(latency_s=1e-6, memory=given("80 GB", "byte"))
    assert chip.latency_s == 1e-6
    assert read(Bytes, 80, context=None) == 80.0
    # Bounds hold there too.
    assert refused(Fraction, 2, context=None)


def test_defaults_are_si_even_when_files_need_units():
    assert read(Chip, {}).latency_s == 5e-6


def test_sourced_takes_a_record_or_a_bare_quantity():
    chip = read(Chip, {"memory": "80 GiB", "peaks": {"bf16": PEAK}})
    assert chip.memory == Sourced(
        value=80 * 2**30, dimension="byte", source="given in the scenario", status="given", date=None, note=None
    )
    assert chip.peaks["bf16"].value == 989.4e12
    assert chip.peaks["bf16"].date == "2023-03"
    assert chip.memory == given("80 GiB", "byte")


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (PEAK | {"value": "80 GB"}, ("peaks", "bf16", "value")),
        (PEAK | {"value": 989.4e12}, ("peaks", "bf16", "value")),
        (PEAK | {"value": "0 FLOP/s"}, ("peaks", "bf16", "value")),
        ({key: text for key, text in PEAK.items() if key != "value"}, ("peaks", "bf16", "value")),
        ({key: text for key, text in PEAK.items() if key != "source"}, ("peaks", "bf16", "source")),
        (PEAK | {"source": ""}, ("peaks", "bf16", "source")),
        (PEAK | {"status": "guessed"}, ("peaks", "bf16", "status")),
        (PEAK | {"date": "March 2023"}, ("peaks", "bf16", "date")),
        (PEAK | {"sauce": "x"}, ("peaks", "bf16", "sauce")),
        (PEAK | {"dimension": "byte"}, ("peaks", "bf16")),
        (given("1 GB", "byte"), ("peaks", "bf16")),
        ([1], ("peaks", "bf16")),
    ],
)
def test_sourced_errors_point_at_the_part_that_is_wrong(record, place):
    assert [error[0] for error in refused(Chip, {"peaks": {"bf16": record}})] == [place]


def test_given_refuses_what_is_out_of_bounds():
    with pytest.raises(UnitError, match="at most 100 %"):
        given("120 %", "fraction")


def test_records_are_frozen_hashable_and_survive_pickle_and_json():
    chip = read(Chip, {"memory": "80 GiB", "peaks": {"bf16": PEAK}})
    with pytest.raises(ValidationError, match="frozen"):
        chip.count = 2
    assert hash(chip.memory) == hash(given("80 GiB", "byte"))
    assert pickle.loads(pickle.dumps(chip)) == chip
    assert Chip.model_validate(json.loads(chip.model_dump_json())) == chip


def test_schema_tells_unit_example_and_description():
    schema = Chip.model_json_schema()
    latency = schema["properties"]["latency_s"]
    assert latency["type"] == ["string", "number"]
    assert latency["x-unit"] == "s"
    assert latency["description"] == "Latency."
    bare, record, _ = schema["properties"]["memory"]["anyOf"]
    assert bare["examples"] == ["80 GB"]
    assert record["properties"]["value"]["x-unit"] == "B"
    assert "dimension" not in record["properties"]
    assert TypeAdapter(Fraction).json_schema()["maximum"] == 1.0
    assert TypeAdapter(FlopPerSecond).json_schema()["exclusiveMinimum"] == 0
    assert TypeAdapter(Budget).json_schema()["examples"] == ["1e26 FLOP", "15.6e12 tokens"]
    assert TypeAdapter(PositiveCount).json_schema()["minimum"] == 1


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_dimension_can_be_sourced(dimension):
    example = DIMENSIONS[dimension].example
    assert read(Annotated[Sourced, sourced(dimension)], example).dimension == dimension


def test_named_types_have_the_dimension_that_their_name_says():
    names = {name: getattr(quantity, name) for name in dir(quantity) if name.startswith("Sourced")}
    marks = {name: kind.__metadata__[0].quantity for name, kind in names.items() if hasattr(kind, "__metadata__")}
    plain = {name: getattr(quantity, name.removeprefix("Sourced")) for name in marks if name != "SourcedCount"}
    assert len(plain) > 10
    assert all(kind.__metadata__[0] == marks[name] for name, kind in plain.items() if name != "SourcedCount")
