"""Turn '80 GB', '400 Gbit/s', '1e26 FLOP', '3 d' into SI floats and back; the units are the closed list of units.txt.

Inside the simulator every number is in SI: FLOP, byte, second, watt, joule, USD, token, kilogram. A quantity is
`NUMBER`, `NUMBER UNIT`, `NUMBER UNIT/UNIT`, `NUMBER/UNIT` or `NUMBER %`, and nothing else.

units.txt is in pint's own format, but pint takes 0.38 s to import, as much as the whole `sim check` may take. The
hundred lines at the end read the file instead; tests/test_units.py reads it with pint and asserts that both agree.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import UnitError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT = 64
"""Longest text taken for a quantity, in characters: nobody types more, and a hostile file may hold megabytes."""

NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NAME = r"[A-Za-zµμ]+"
QUANTITY = re.compile(rf"({NUMBER})\s*(%|(?:{NAME})?\s*/\s*{NAME}|{NAME}|)")


class Dimension(NamedTuple):
    """Say what one kind of quantity is, how it is typed and how it is shown.

    A named tuple, not a dataclass: importing `dataclasses` takes longer than all the work of this module.
    """

    noun: str
    """What people call it, with its article: 'a time'."""
    unit: str
    """The SI unit in which the simulator holds it."""
    example: str
    """A value written right."""
    ladder: str
    """The units in which it is shown, the smallest first."""
    bare: bool = False
    """Whether a number may stand without a unit."""


DIMENSIONS: Mapping[str, Dimension] = {
    "flop": Dimension("an amount of arithmetic", "FLOP", "1e26 FLOP", "FLOP kFLOP MFLOP GFLOP TFLOP PFLOP EFLOP"),
    "flop_per_s": Dimension(
        "a rate of arithmetic",
        "FLOP/s",
        "989.4 TFLOP/s",
        "FLOP/s kFLOP/s MFLOP/s GFLOP/s TFLOP/s PFLOP/s EFLOP/s ZFLOP/s YFLOP/s",
    ),
    "byte": Dimension("an amount of data", "B", "80 GB", "B kB MB GB TB PB EB"),
    "byte_per_s": Dimension("a bandwidth", "B/s", "3.35 TB/s", "B/s kB/s MB/s GB/s TB/s PB/s EB/s"),
    "second": Dimension("a time", "s", "3 d", "ns us ms s min h d years"),
    "watt": Dimension("a power", "W", "700 W", "mW W kW MW GW"),
    "joule": Dimension("an energy", "J", "5 MWh", "mJ J kJ kWh MWh GWh TWh"),
    "kg": Dimension("a mass", "kg", "12 t", "g kg t kt Mt"),
    "usd": Dimension("an amount of money", "USD", "30000 USD", "USD kUSD MUSD GUSD"),
    "usd_per_s": Dimension("a price per time", "USD/s", "2.95 USD/h", "USD/h kUSD/h MUSD/h"),
    "usd_per_j": Dimension("a price of energy", "USD/J", "0.07 USD/kWh", "USD/kWh"),
    "usd_per_token": Dimension("a price per token", "USD/token", "0.5 USD/Mtoken", "USD/Mtoken"),
    "kg_per_j": Dimension("an emission per energy", "kg/J", "369 g/kWh", "g/kWh kg/kWh"),
    "per_s": Dimension("a rate (a number per time)", "1/s", "19.7e-6/h", "/year /d /h /s"),
    "token": Dimension(
        "a number of tokens", "token", "15.6e12 tokens", "tokens ktokens Mtokens Gtokens Ttokens", bare=True
    ),
    "token_per_s": Dimension("a rate of tokens", "token/s", "5000 token/s", "token/s ktoken/s Mtoken/s Gtoken/s"),
    "hertz": Dimension("a frequency", "Hz", "1.83 GHz", "Hz kHz MHz GHz THz"),
    "fraction": Dimension("a share", "", "38 %", "%", bare=True),
    "count": Dimension("a number without a unit", "", "24576", "", bare=True),
}
"""Every kind of quantity, by the name that `parse` and `show` take."""


def parse(text: str | float, dimension: str) -> float:
    """Read one quantity of the named dimension and give it in SI.

    A bare zero is taken for any dimension: no time is no time in any unit.

    Raises:
        UnitError: not a quantity, a wrong or missing unit, negative, or beyond what a float holds.

    >>> parse("80 GiB", "byte"), parse("400 Gbit/s", "byte_per_s"), parse("38 %", "fraction")
    (85899345920.0, 50000000000.0, 0.38)
    >>> parse("12 GB", "second")
    Traceback (most recent call last):
    sim.errors.UnitError: '12 GB' is an amount of data; a time is needed here
      given: 12 GB
      mend:  write it like '3 d'
    """
    wanted = DIMENSIONS[dimension]
    number, unit_text, unit = _take_apart(text, wanted)
    if unit is None:
        if not wanted.bare and number != 0:
            raise _refusal(text, f"has no unit; {wanted.noun} is needed here", wanted)
        return _finite(number, 1.0, text, wanted)
    needed = _needed(wanted)
    if unit.powers != needed.powers or (unit_text == "%") != (dimension == "fraction"):
        raise _refusal(text, f"is {_noun(unit, unit_text)}; {wanted.noun} is needed here", wanted)
    return _finite(number, unit.factor / needed.factor, text, wanted)


def parse_any(text: str | float, dimensions: tuple[str, ...]) -> tuple[str, float]:
    """Read a quantity that may be of several dimensions; give the dimension it has and its SI value.

    A bare number is refused where there is a choice.

    Raises:
        UnitError: it is of none of them.

    >>> parse_any("15.6e12 tokens", ("flop", "token"))
    ('token', 15600000000000.0)
    """
    error: UnitError | None = None
    for dimension in dimensions:
        try:
            _, _, unit = _take_apart(text, DIMENSIONS[dimension])
            if unit is not None or len(dimensions) == 1:
                return dimension, parse(text, dimension)
            # Bare, it could be any of them; the first one's message asks for the unit.
            raise _refusal(text, "has no unit", DIMENSIONS[dimension])
        except UnitError as refused:
            error = error or refused
    if error is None:
        raise ValueError("parse_any needs at least one dimension")
    nouns, examples = zip(
        *((DIMENSIONS[name].noun, f"'{DIMENSIONS[name].example}'") for name in dimensions), strict=True
    )
    rule = f"{error.rule.partition(';')[0]}; {' or '.join(nouns)} is needed here"
    raise UnitError(rule, error.value, error.where, f"write it like {' or '.join(examples)}")


def show(value: float, dimension: str) -> str:
    """Write an SI value for people: the unit that suits its size, three digits, or four where those are exact.

    >>> show(989.4e12, "flop_per_s"), show(80 * 2**30, "byte"), show(94.2857 * 86400, "second"), show(1e26, "flop")
    ('989.4 TFLOP/s', '80 GiB', '94.3 d', '1e26 FLOP')
    >>> show(2.95 / 3600, "usd_per_s"), show(0.38, "fraction"), show(24576, "count"), show(19.7e-6 / 3600, "per_s")
    ('2.95 USD/h', '38 %', '24,576', '0.173/year')
    """
    if not math.isfinite(value):
        raise ValueError(f"cannot show {value!r} as {dimension}")
    shape = DIMENSIONS[dimension]
    if dimension == "count":
        return f"{value:,.0f}" if value == int(value) and abs(value) < _LONG else _digits(value)
    if value < 0:
        return f"-{show(-value, dimension)}"
    units = [(unit, _in_si(unit, shape)) for unit in shape.ladder.split()]
    name, factor = next((pair for pair in reversed(units) if _at_least_one(value / pair[1])), units[0])
    if dimension == "flop" and _at_least_one(value / _PLAIN_FLOP_FROM):
        name, factor = units[0]
    elif value == 0 and shape.unit in shape.ladder.split():
        name, factor = shape.unit, 1.0
    elif dimension == "byte":
        name, factor = _binary_if_exact(value, name, factor)
    joint = "" if name.startswith("/") else " "
    return f"{_digits(value / factor)}{joint}{name}"


_PLAIN_FLOP_FROM = 1e21
"""Training budgets are written 3.8e25 FLOP; the prefixes zetta and yotta are not read by people."""
_MANY = 1e5
_LONG = 1e15
_EXACT = 1e-12


def _take_apart(text: str | float, wanted: Dimension) -> tuple[float, str, Unit | None]:
    """Give number, unit as typed, and unit (None for a bare number)."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise _refusal(text, f"is not a quantity; {wanted.noun} is needed here", wanted)
    if not isinstance(text, str):
        if text != text:  # noqa: PLR0124 - math.isnan cannot take a large int
            raise _refusal(text, f"is not a number; {wanted.noun} is needed here", wanted)
        try:
            return float(text), "", None
        except OverflowError:
            raise _refusal(text, "is larger than this program can hold", wanted) from None
    match = QUANTITY.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    if match is None:
        raise _refusal(text, f"is not a quantity; {wanted.noun} is needed here", wanted, _hint(text))
    number, unit_text = match.groups()
    if not unit_text:
        return float(number), "", None
    unit = unit_of(unit_text)
    if unit is None:
        raise _refusal(text, f"has an unknown unit {_unknown(unit_text)!r}", wanted, _unit_hint(unit_text, wanted))
    # A text like '1e-400 s' would silently become zero.
    if float(number) == 0 and re.search(r"[1-9]", re.split("[eE]", number)[0]):
        raise _refusal(text, "is smaller than this program can hold", wanted)
    return float(number), unit_text, unit


def _finite(number: float, factor: float, text: str | float, wanted: Dimension) -> float:
    """Give number x factor, or refuse what is no amount."""
    value = number * factor
    if math.isinf(value):
        raise _refusal(text, "is larger than this program can hold", wanted)
    if value < 0:
        raise _refusal(text, f"is negative; {wanted.noun} cannot be", wanted)
    if value == 0 and number != 0:
        raise _refusal(text, "is smaller than this program can hold", wanted)
    return value + 0.0  # makes -0.0 a plain zero


def _refusal(text: object, rule: str, wanted: Dimension, hint: str = "") -> UnitError:
    """Build the error for one quantity; long or odd texts are cut."""
    given = text if isinstance(text, str) else str(text) if isinstance(text, (bool, float)) else _short_repr(text)
    given = given.replace("e+", "e") if isinstance(text, float) else given
    if len(given) > MAX_TEXT:
        given = f"{given[:MAX_TEXT]}..."
    given = given.encode("unicode_escape").decode() if not given.isprintable() else given
    mend = f"write it like '{wanted.example}'"
    return UnitError(
        f"'{given}' {rule}", value=given, mend=f"{hint} (a right value: '{wanted.example}')" if hint else mend
    )


def _short_repr(value: object) -> str:
    """Show an int of any size, or name the kind of anything else, without building a long text."""
    if isinstance(value, int):
        return str(value) if value.bit_length() < 4 * MAX_TEXT else f"an integer of {value.bit_length()} bits"
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), f"a {type(value).__name__}")


def _noun(unit: Unit, unit_text: str) -> str:
    """Say in words what a unit measures."""
    if unit_text == "%":
        return "a share"
    named = (shape.noun for shape in DIMENSIONS.values() if shape.unit and _needed(shape).powers == unit.powers)
    return next(named, f"a quantity in {unit_text.strip()}")


def _hint(text: str) -> str:
    """Name the usual slips in something that does not even look like a quantity."""
    stripped = text.strip()[:MAX_TEXT]
    if re.fullmatch(r"[0-9]{1,3}([,_ ][0-9]{3})+(\.[0-9]+)?\s*\S*", stripped):
        return "write the digits without separators"
    if re.match(r"[0-9]+(\.[0-9]+)?\s*[x*×]?\s*10\s*(\^|\*\*)|10\s*(\^|\*\*)", stripped):
        return "write a power of ten as 1e26"
    if re.match(r"[0-9]+,[0-9]", stripped):
        return "the decimal sign is a point"
    if "$" in stripped:
        return "write USD after the number"
    return ""


def _unknown(unit_text: str) -> str:
    """Give the first name of a unit that is not in the list."""
    names = [part.strip() for part in unit_text.split("/")]
    return next(name for name in names if name and name not in unit_table())


def _unit_hint(unit_text: str, wanted: Dimension) -> str:
    """Suggest what was meant by a unit that is not in the list."""
    name = _unknown(unit_text)
    if rate := re.fullmatch(r"([kMGTPEZY]?)(?:FLOPs|FLOPS|flops|Flops)", name):
        is_rate = "/" not in unit_text and wanted.unit == "FLOP/s"
        return f"write {rate[1]}FLOP{'/s' if is_rate else ''}"
    if bits := re.fullmatch(r"([kKMGTP]i?)(b|bps|Bps)(/s)?", name):
        prefix = bits[1].replace("K", "k") if len(bits[1]) == 1 else bits[1]
        rate_mark = "/s" if "ps" in bits[2] or "/" in unit_text else ""
        return f"write {prefix}bit{rate_mark} for bits, {prefix}B{rate_mark} for bytes"
    same_letters = [unit for unit in unit_table() if unit.lower() == name.lower()]
    fitting = [unit for unit in same_letters if unit_table()[unit].powers == _needed(wanted).powers]
    if fitting or same_letters:
        return f"did you mean {' or '.join(repr(unit) for unit in (fitting or same_letters)[:3])}?"
    from difflib import get_close_matches  # noqa: PLC0415 - only an error needs it, and it is slow to import

    close = get_close_matches(name, unit_table(), n=3, cutoff=0.7)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""


def _in_si(unit_text: str, shape: Dimension) -> float:
    """Give the worth of a unit of the ladder in the SI unit of its dimension."""
    unit = unit_of(unit_text)
    if unit is None:
        raise ValueError(f"{unit_text} of a ladder is not in units.txt")
    return unit.factor / _needed(shape).factor


def _needed(shape: Dimension) -> Unit:
    """Give the SI unit of a dimension; a kilogram is a thousand of the base unit gram."""
    unit = unit_of(shape.unit.removeprefix("1")) if shape.unit else ONE
    if unit is None:
        raise ValueError(f"{shape.unit} is not in units.txt")
    return unit


def _digits(number: float) -> str:
    """Write three significant digits, or four where those are the exact value: 989.4, 94.3, 3.8e25."""
    four = f"{number:.4g}"
    text = four if math.isclose(float(four), number, rel_tol=_EXACT) else f"{number:.3g}"
    mantissa, exponent_mark, exponent = text.partition("e")
    if not exponent_mark:
        return text
    if abs(float(text)) < _MANY and float(text) == int(float(text)):
        return f"{float(text):.0f}"
    return f"{mantissa}e{int(exponent)}"


def _at_least_one(number: float) -> bool:
    """Tell whether a number is at least 1 once rounded as it will be shown (999.96 is 1000)."""
    return float(f"{number:.3g}") >= 1


def _binary_if_exact(value: float, name: str, factor: float) -> tuple[str, float]:
    """Prefer GiB where the value is a round number of them and not of GB."""

    def is_round(number: float) -> bool:
        return math.isclose(float(f"{number:.4g}"), number, rel_tol=_EXACT)

    if is_round(value / factor):
        return name, factor
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        binary = _in_si(unit, DIMENSIONS["byte"])
        if value >= binary:
            return (unit, binary) if is_round(value / binary) else (name, factor)
    return name, factor


class Unit(NamedTuple):
    """Hold the worth of one unit in base units, and the powers of the base quantities in it."""

    factor: float
    powers: tuple[tuple[str, int], ...]

    def times(self, other: Unit, power: int = 1) -> Unit:
        """Multiply by another unit raised to +1 or -1."""
        powers = dict(self.powers)
        for name, exponent in other.powers:
            powers[name] = powers.get(name, 0) + power * exponent
        kept = tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))
        return Unit(self.factor * other.factor if power > 0 else self.factor / other.factor, kept)


ONE = Unit(1.0, ())


@cache
def unit_of(text: str) -> Unit | None:
    """Read 'UNIT', 'UNIT/UNIT' or '/UNIT'; None when a name is not in the list.

    >>> unit_of("TFLOP/s")
    Unit(factor=1000000000000.0, powers=(('[computation]', 1), ('[time]', -1)))
    """
    table = unit_table()
    above, slash, below = (part.strip() for part in text.partition("/"))
    top = table.get(above) if above else ONE
    if top is None or not slash:
        return top
    bottom = table.get(below)
    return None if bottom is None else top.times(bottom, -1)


@cache
def unit_table() -> Mapping[str, Unit]:
    """Give every unit that can be typed, with and without a prefix ('GB', 'GiB', 'ms', 'h', '%').

    >>> unit_table()["GiB"].factor
    1073741824.0
    >>> "md" in unit_table()
    False
    """
    prefixes: dict[str, float] = {}
    binary: dict[str, float] = {}
    plain: dict[str, Unit] = {}
    prefixed: dict[str, Unit] = {}
    group = ""
    for raw in Path(__file__).with_name("units.txt").read_text(encoding="utf-8").splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("@"):
            group = line.removeprefix("@group").strip() if line.startswith("@group") else ""
        elif line:
            first, definition, *aliases = (part.strip() for part in line.split("="))
            names = [first, *aliases]
            if first.endswith("-"):
                values = {name.removesuffix("-"): float(definition) for name in names}
                (binary if first.endswith("bi-") else prefixes).update(values)
                continue
            unit = _evaluate(definition, plain)
            plain |= dict.fromkeys(names, unit)
            if group != "calendar":
                fitting = {key: value for key, value in prefixes.items() if value > 1 or group != "whole"}
                fitting |= binary if unit.powers == (("[information]", 1),) else {}
                prefixed |= {p + n: Unit(f * unit.factor, unit.powers) for p, f in fitting.items() for n in names}
    # A plain name wins over a prefixed reading of the same letters ('min' is a minute).
    return prefixed | plain


def _evaluate(definition: str, known: Mapping[str, Unit]) -> Unit:
    """Work out '[time]', '0.01', '60 * second' or 'byte / 8'."""
    if definition.startswith("["):
        return Unit(1.0, ((definition, 1),))
    result, power = ONE, 1
    for term in definition.split():
        if term in {"*", "/"}:
            power = 1 if term == "*" else -1
        else:
            result = result.times(known[term] if term in known else Unit(float(term), ()), power)
    return result
