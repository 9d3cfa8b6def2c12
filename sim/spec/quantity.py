"""Types of the fields in every file a user writes: quantities with units, numbers with a source, frozen records.

A field is declared `memory_bytes: Bytes` and holds SI; in a file it is written '80 GiB'. A number without a unit is
an error in a file (`validate` asks for that), and SI where Python code builds the object itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from sim.errors import UnitError
from sim.spec.docstrings import field_docstrings
from sim.units import DIMENSIONS, parse, parse_any, show

UNITS_REQUIRED = "units_required"
"""Key of pydantic's validation context: true where the values come from a file or from --set."""
DOCUMENT = "document"
"""Key of pydantic's validation context: the document that is validated, and the path in it that is."""


class FrozenModel(BaseModel):
    """Base of everything read from a file: immutable, and closed to keys it does not know.

    Defaults are taken as they are written in Python, in SI, and are not validated again.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        # Protects names such as model_name from a warning; `model` is a noun of this project.
        protected_namespaces=(),
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe each field by the text below it."""
        found = handler(schema)
        record = handler.resolve_ref_schema(found)
        texts = field_docstrings(cls)
        for name, field in record.get("properties", {}).items():
            if name in texts:
                field["description"] = texts[name]
        return found


def refusal(rule: str, value: object = "", mend: str = "") -> PydanticCustomError:
    """Build the error that a validator raises, so that the report keeps rule and mend apart."""
    return PydanticCustomError("refusal", "{rule}", {"rule": rule, "value": str(value), "mend": mend})


def refuse_truth(value: object) -> object:
    """Refuse true and false where a number stands: pydantic takes them for 1 and 0."""
    if isinstance(value, bool):
        raise refusal("must be a number", str(value).lower())
    return value


@dataclass(frozen=True, slots=True)
class Quantity:
    """Mark a float field as a quantity: `Annotated[float, Quantity("byte")]`."""

    dimension: str
    """A name of `sim.units.DIMENSIONS`."""
    positive: bool = False
    """Whether zero is refused too."""
    at_most: float | None = None
    """The largest value allowed, in SI."""

    def read(self, value: object, *, units_required: bool = True) -> float:
        """Give the SI value of a text or number.

        Raises:
            UnitError: it is not a quantity of this dimension, or out of bounds.
        """
        shape = DIMENSIONS[self.dimension]
        mend = f"write it like '{shape.example}'"
        bare = isinstance(value, (int, float)) and not isinstance(value, bool)
        dimension = "count" if bare and not units_required else self.dimension
        si = parse(cast("str | float", value), dimension)  # parse refuses anything else
        if self.positive and si == 0:
            raise UnitError(f"{shape.noun} must be more than zero here", str(value), mend=mend)
        if self.at_most is not None and si > self.at_most:
            most = show(self.at_most, self.dimension)
            raise UnitError(f"{shape.noun} must be at most {most} here", str(value), mend=mend)
        return si

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let pydantic read the field with `read`."""
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell an editor what may stand here, in which unit, with an example."""
        shape = DIMENSIONS[self.dimension]
        bounds: dict[str, float] = {"exclusiveMinimum" if self.positive else "minimum": 0}
        if self.at_most is not None:
            bounds["maximum"] = self.at_most
        return {"type": ["string", "number"], **bounds, "x-unit": shape.unit or "1", "examples": [shape.example]}

    def _validate(self, value: object, info: core_schema.ValidationInfo) -> float:
        try:
            return self.read(value, units_required=_units_required(info))
        except UnitError as error:
            raise refusal(error.rule, error.value, error.mend) from None


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity that may be of several dimensions, and the one that it is of."""

    value: float
    """The number, in SI."""
    dimension: str
    """A name of `sim.units.DIMENSIONS`."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Mark an `Amount` field with the dimensions it may have: `Annotated[Amount, AnyOf(("flop", "token"))]`."""

    dimensions: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let the unit decide; a bare number is always refused."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell an editor what may stand here."""
        shapes = [DIMENSIONS[dimension] for dimension in self.dimensions]
        unit = " or ".join(shape.unit for shape in shapes)
        return {"type": "string", "x-unit": unit, "examples": [shape.example for shape in shapes]}

    def _read(self, value: object) -> Amount:
        if isinstance(value, Amount) and value.dimension in self.dimensions:
            return value
        try:
            dimension, number = parse_any(cast("str | float", value), self.dimensions)
        except UnitError as error:
            raise refusal(error.rule, error.value, error.mend) from None
        return Amount(number, dimension)


class Sourced(FrozenModel):
    """A number of the catalogue, and where it comes from."""

    value: float
    """The number, in SI."""
    dimension: str
    """What kind of quantity it is; a name of `sim.units.DIMENSIONS`."""
    source: str = Field(min_length=1)
    """Document, table or file that it was read from."""
    status: Literal["read", "derived", "memory", "preliminary", "given"]
    """How it was come by: read in the source, derived from it, remembered, announced, or given by the user."""
    date: str | None = Field(default=None, pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$")
    """Day (or month, or year) of the source; a price means little without it."""
    note: str | None = None
    """What a reader should know about it."""


def given(value: str | float, dimension: str) -> Sourced:
    """Make a sourced number of a quantity that the user states without a source.

    Raises:
        UnitError: it is not a quantity of this dimension.

    >>> given("80 GiB", "byte").value
    85899345920.0
    """
    return Sourced(value=sourced(dimension).quantity.read(value), dimension=dimension, **GIVEN)


GIVEN: dict[str, Any] = {"source": "given in the scenario", "status": "given"}


@dataclass(frozen=True, slots=True)
class SourcedQuantity:
    """Mark a `Sourced` field with its dimension; in a file it is a mapping with a source, or a bare quantity."""

    quantity: Quantity

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Read the value with its unit first, then the rest as any record."""
        return core_schema.with_info_before_validator_function(self._prepare, handler(Sourced))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell an editor both forms."""
        bare = self.quantity.__get_pydantic_json_schema__(schema, handler)
        record = Sourced.model_json_schema()  # a reference to it cannot be followed while others are being made
        fields = {name: field for name, field in record["properties"].items() if name != "dimension"}
        required = [name for name in record["required"] if name != "dimension"]
        return {"anyOf": [bare, record | {"properties": fields | {"value": bare}, "required": required}]}

    def _prepare(self, value: object, info: core_schema.ValidationInfo) -> object:
        """Give what the record is made of, its value in SI."""
        dimension = self.quantity.dimension
        if isinstance(value, Sourced):
            if value.dimension != dimension:
                nouns = DIMENSIONS[value.dimension].noun, DIMENSIONS[dimension].noun
                raise refusal(f"this is {nouns[0]}; {nouns[1]} is needed here", show(value.value, value.dimension))
            return value
        if not isinstance(value, dict):
            return {"value": self.quantity._validate(value, info), "dimension": dimension, **GIVEN}  # noqa: SLF001
        if value.get("dimension", dimension) != dimension:
            raise refusal(f"the dimension here is {dimension}", value["dimension"], "leave dimension out")
        ready = value | {"dimension": dimension}
        if "value" in value:
            try:
                ready["value"] = self.quantity._validate(value["value"], info)  # noqa: SLF001
            except PydanticCustomError as error:
                # Raised with its own place, so that the message points at the value and not at the record.
                line = InitErrorDetails(type=error, loc=("value",), input=value["value"])
                raise ValidationError.from_exception_data("Sourced", [line]) from None
        return ready


def sourced(dimension: str) -> SourcedQuantity:
    """Mark a field as a number with a source of this dimension; the common ones have names below."""
    return SourcedQuantity(_BOUNDED.get(dimension, Quantity(dimension)))


def _units_required(info: core_schema.ValidationInfo) -> bool:
    return info.context is not None and bool(info.context.get(UNITS_REQUIRED))


def _whole(value: object, least: int) -> int:
    """Read a whole number, also written 1e5 or '24576'."""
    try:
        number = parse(cast("str | float", value), "count")  # parse refuses anything else
    except UnitError as error:
        raise refusal(error.rule, error.value, error.mend) from None
    if number != int(number) or number < least or number > MAX_COUNT:
        rule = f"'{value}' is not a whole number from {least:,} to {MAX_COUNT:,}"
        raise refusal(rule, value, f"write it like '{DIMENSIONS['count'].example}'")
    return int(number)


def read_devices(value: object) -> float:
    """Read whole devices, or the share of one that a job asks for: 8, or 0.25."""
    try:
        number = parse(cast("str | float", value), "count")
    except UnitError as error:
        raise refusal(error.rule, error.value, error.mend) from None
    if not 0 < number < 1:
        return _whole(value, 1)
    refuse_odd_share(number, value)
    return number


def refuse_odd_share(number: float, value: object) -> None:
    """Refuse a share of a device that is not counted in thousandths."""
    milli = number * 1000
    if round(milli) < 1 or abs(milli - round(milli)) > _ROUNDING or number > 1:
        rule = "a job asks for whole devices, or for a share of one in thousandths"
        raise refusal(rule, value, "write it like 8, or 0.25")


_ROUNDING = 1e-9
MAX_COUNT = 10**12
"""No count in a file is larger: a thousand times the accelerators of the world."""

_BOUNDED = {
    "flop_per_s": Quantity("flop_per_s", positive=True),
    "byte_per_s": Quantity("byte_per_s", positive=True),
    "hertz": Quantity("hertz", positive=True),
    "fraction": Quantity("fraction", at_most=1.0),
}
"""Times are divided by rates, so no rate is zero; a share is at most the whole."""

Flop = Annotated[float, Quantity("flop")]
FlopPerSecond = Annotated[float, _BOUNDED["flop_per_s"]]
Bytes = Annotated[float, Quantity("byte")]
BytesPerSecond = Annotated[float, _BOUNDED["byte_per_s"]]
Seconds = Annotated[float, Quantity("second")]
Watts = Annotated[float, Quantity("watt")]
Joules = Annotated[float, Quantity("joule")]
Usd = Annotated[float, Quantity("usd")]
UsdPerSecond = Annotated[float, Quantity("usd_per_s")]
UsdPerJoule = Annotated[float, Quantity("usd_per_j")]
UsdPerToken = Annotated[float, Quantity("usd_per_token")]
PerSecond = Annotated[float, Quantity("per_s")]
KgPerJoule = Annotated[float, Quantity("kg_per_j")]
Tokens = Annotated[float, Quantity("token")]
TokensPerSecond = Annotated[float, Quantity("token_per_s")]
Hertz = Annotated[float, _BOUNDED["hertz"]]
Fraction = Annotated[float, _BOUNDED["fraction"]]
Budget = Annotated[Amount, AnyOf(("flop", "token"))]
PositiveCount = Annotated[
    int,
    BeforeValidator(partial(_whole, least=1)),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "x-unit": "1", "examples": [24576]}),
]
WholeOrShare = Annotated[
    int | float,
    BeforeValidator(read_devices),
    WithJsonSchema({"type": ["number", "string"], "exclusiveMinimum": 0, "x-unit": "1", "examples": [8, 0.25]}),
]
Count = Annotated[
    int,
    BeforeValidator(partial(_whole, least=0)),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0, "x-unit": "1", "examples": [0, 64]}),
]

SourcedFlop = Annotated[Sourced, sourced("flop")]
SourcedFlopPerSecond = Annotated[Sourced, sourced("flop_per_s")]
SourcedBytes = Annotated[Sourced, sourced("byte")]
SourcedBytesPerSecond = Annotated[Sourced, sourced("byte_per_s")]
SourcedSeconds = Annotated[Sourced, sourced("second")]
SourcedWatts = Annotated[Sourced, sourced("watt")]
SourcedJoules = Annotated[Sourced, sourced("joule")]
SourcedUsd = Annotated[Sourced, sourced("usd")]
SourcedUsdPerSecond = Annotated[Sourced, sourced("usd_per_s")]
SourcedUsdPerJoule = Annotated[Sourced, sourced("usd_per_j")]
SourcedPerSecond = Annotated[Sourced, sourced("per_s")]
SourcedKgPerJoule = Annotated[Sourced, sourced("kg_per_j")]
SourcedTokens = Annotated[Sourced, sourced("token")]
SourcedTokensPerSecond = Annotated[Sourced, sourced("token_per_s")]
SourcedHertz = Annotated[Sourced, sourced("hertz")]
SourcedFraction = Annotated[Sourced, sourced("fraction")]
SourcedCount = Annotated[Sourced, sourced("count")]
