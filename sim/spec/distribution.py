"""A quantity that may vary: a number, or what it is drawn from.

In a file: `1500 tokens`, `{uniform: [3, 8]}`, `{lognormal: {median: 800 ms, p95: 3 s}}`, `{exponential: 2 s}` (its
mean) or `{empirical: [120, 480, 2048]}` (each as likely as the others). How one is drawn says `sim.cost.distributions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from sim.errors import UnitError
from sim.spec.quantity import UNITS_REQUIRED, Quantity, refusal, refuse_odd_share
from sim.units import DIMENSIONS

Kind = Literal["fixed", "uniform", "lognormal", "exponential", "empirical"]

MAX_VALUES = 100_000
"""Most values of an empirical distribution."""
MOST_WHOLE = 1e12
"""Largest whole number that is drawn."""
_FORMS: dict[str, tuple[str, ...]] = {
    "uniform": ("least", "most"),
    "lognormal": ("median", "p95"),
    "exponential": ("mean",),
}
"""The numbers of each kind that has names for them, in the order in which they are kept."""
_KINDS = (*_FORMS, "empirical")
_ONE_BY_ONE: tuple[tuple[str, ...], ...] = ((), ("empirical",))
"""Where the values stand that are drawn as they are given."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a quantity is drawn from, in SI."""

    kind: Kind
    values: tuple[float, ...]
    """(value,), (least, most), (median, p95), (mean,); of an empirical one all values, sorted."""
    dimension: str
    """A name of `sim.units.DIMENSIONS`."""
    whole: bool = False
    """Whether draws are whole numbers: tokens, copies."""

    @property
    def is_fixed(self) -> bool:
        """Whether every draw gives the same value."""
        return self.kind == "fixed"


def fixed(value: float, dimension: str, *, whole: bool = False) -> Distribution:
    """Give the distribution that is always this value, in SI.

    >>> fixed(0.5, "second").values
    (0.5,)
    """
    return Distribution("fixed", (value,), dimension, whole)


@dataclass(frozen=True, slots=True)
class Varying:
    """Mark a field as a quantity or what it is drawn from: `Annotated[Distribution, Varying("second")]`."""

    dimension: str
    """A name of `sim.units.DIMENSIONS`."""
    positive: bool = False
    """Whether zero is refused too."""
    whole: bool = False
    """Whether draws are whole numbers."""
    shares: bool = False
    """Whether values that are given one by one may also be shares of a device, below one."""
    at_most: float | None = None
    """The largest value allowed, in SI; an unbounded distribution may still draw more."""

    def read(self, value: object, *, units_required: bool = True) -> Distribution:
        """Give the distribution that a file's value stands for.

        Raises:
            UnitError: a number in it is not a quantity of this dimension.
            PydanticCustomError: the form is wrong.
        """
        if isinstance(value, Distribution):
            return self._same_dimension(value)
        if not isinstance(value, dict):
            return Distribution(
                "fixed", (self._number(value, units_required=units_required),), self.dimension, self.whole
            )
        if len(value) != 1 or next(iter(value)) not in _KINDS:
            keys = ", ".join(str(key) for key in value)
            raise refusal(
                "a distribution has one key: its kind", keys, f"one of {', '.join(_KINDS)}; {self._example()}"
            )
        kind, content = next(iter(value.items()))
        numbers = self._empirical(content, units_required=units_required) if kind == "empirical" else None
        if numbers is None:
            numbers = self._named(kind, content, units_required=units_required)
        return Distribution(kind, numbers, self.dimension, self.whole)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let pydantic read the field with `read`."""
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell an editor the number and each of the distributions."""
        number = self._quantity().__get_pydantic_json_schema__(schema, handler)
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        many = {"type": "array", "items": number, "minItems": 1, "maxItems": MAX_VALUES}
        lognormal = _mapping({"median": number, "p95": number})
        mean = {"anyOf": [number, _mapping({"mean": number})]}
        forms = {"uniform": pair, "lognormal": lognormal, "exponential": mean, "empirical": many}
        return {"anyOf": [number, *(_mapping({kind: form}) for kind, form in forms.items())]}

    def _validate(self, value: object, info: core_schema.ValidationInfo) -> Distribution:
        units_required = info.context is not None and bool(info.context.get(UNITS_REQUIRED))
        try:
            return self.read(value, units_required=units_required)
        except UnitError as error:
            raise refusal(error.rule, error.value, error.mend) from None

    def _quantity(self) -> Quantity:
        most = MOST_WHOLE if self.whole and self.at_most is None else self.at_most
        return Quantity(self.dimension, positive=self.positive, at_most=most)

    def _same_dimension(self, value: Distribution) -> Distribution:
        if value.dimension != self.dimension:
            nouns = DIMENSIONS[value.dimension].noun, DIMENSIONS[self.dimension].noun
            raise refusal(f"this is {nouns[0]}; {nouns[1]} is needed here", value.kind)
        return value

    def _example(self) -> str:
        example = DIMENSIONS[self.dimension].example
        return f"write it like '{example}' or '{{uniform: [{example}, {example}]}}'"

    def _number(self, value: object, at: tuple[str | int, ...] = (), *, units_required: bool) -> float:
        try:
            number = self._quantity().read(value, units_required=units_required)
            if self.shares and number != int(number) and at[:1] in _ONE_BY_ONE:
                refuse_odd_share(number, value)
            elif self.whole and number != int(number):
                raise refusal(f"{DIMENSIONS[self.dimension].noun} must be whole here", value, self._example())
        except UnitError as error:
            raise _at(refusal(error.rule, error.value, error.mend), at, value) from None
        except PydanticCustomError as error:
            raise _at(error, at, value) from None
        return number

    def _empirical(self, content: object, *, units_required: bool) -> tuple[float, ...]:
        if not isinstance(content, (list, tuple)) or not 0 < len(content) <= MAX_VALUES:
            rule = f"an empirical distribution is a list of 1 to {MAX_VALUES:,} values"
            raise _at(refusal(rule, content, "{empirical: [120, 480, 2048]}"), ("empirical",), content)
        numbers = (
            self._number(item, ("empirical", index), units_required=units_required)
            for index, item in enumerate(content)
        )
        return tuple(sorted(numbers))

    def _named(self, kind: str, content: object, *, units_required: bool) -> tuple[float, ...]:
        names = _FORMS[kind]
        if kind == "uniform" and isinstance(content, (list, tuple)) and len(content) == len(names):
            steps: tuple[str | int, ...] = (0, 1)
            parts = list(content)
        elif kind == "exponential" and not isinstance(content, dict):
            return (self._number(content, (kind,), units_required=units_required),)
        elif kind != "uniform" and isinstance(content, dict) and set(content) == set(names):
            steps, parts = names, [content[name] for name in names]
        else:
            form = "[least, most]" if kind == "uniform" else f"{{{', '.join(f'{name}: ...' for name in names)}}}"
            raise _at(refusal(f"{kind} is written {{{kind}: {form}}}", content), (kind,), content)
        numbers = tuple(
            self._number(part, (kind, step), units_required=units_required)
            for step, part in zip(steps, parts, strict=True)
        )
        if kind == "lognormal" and numbers[0] == 0:
            raise _at(refusal("a median is more than zero", parts[0], self._example()), (kind, steps[0]), parts[0])
        if numbers[-1] < numbers[0]:
            rule = f"the {names[1]} is at least the {names[0]}"
            raise _at(refusal(rule, parts[-1], f"{names[0]} is {parts[0]}"), (kind, steps[-1]), parts[-1])
        return numbers


def _at(error: PydanticCustomError, at: tuple[str | int, ...], value: object) -> Exception:
    """Give the error its own place inside the value, so that the message points there."""
    if not at:
        return error
    line = InitErrorDetails(type=error, loc=at, input=value)
    return ValidationError.from_exception_data("Distribution", [line])


def _mapping(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
