"""Quantities: the closed list of units against pint, what is read, what is refused and how, what people see."""

import math
import subprocess
import sys

import pint
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sim import units
from sim.errors import SimError, UnitError
from sim.units import DIMENSIONS, parse, parse_any, show, unit_of, unit_table

NUMBERS = st.floats(min_value=1e-9, max_value=1e30)
NAMES = st.sampled_from(sorted(unit_table()))
DIMENSION_NAMES = st.sampled_from(sorted(DIMENSIONS))
# Texts near to quantities find more than texts of any letters.
NEAR_QUANTITIES = st.text(alphabet="0123456789.eE+-_, /%kMGTiBbsdhW$*^x\t\n\x00µπ", max_size=80)


@pytest.fixture(scope="module")
def registry(root) -> pint.UnitRegistry:
    return pint.UnitRegistry(str(root / "sim" / "units.txt"), cache_folder=None)


def test_every_unit_is_worth_what_pint_says(registry):
    differing = []
    for name, unit in unit_table().items():
        theirs = registry.Quantity(1.0, name).to_base_units()
        powers = {part: int(power) for part, power in theirs.dimensionality.items()}
        if not math.isclose(theirs.magnitude, unit.factor, rel_tol=1e-15) or powers != dict(unit.powers):
            differing.append(name)
    assert not differing
    assert len(unit_table()) > 500


def test_every_unit_can_be_typed():
    assert [name for name in unit_table() if not units.QUANTITY.fullmatch(f"1 {name}")] == []


@given(number=NUMBERS, above=NAMES, below=NAMES)
def test_random_quantities_are_worth_what_pint_says(registry, number, above, below):
    text = f"{number!r} {above}/{below}"
    unit = unit_of(f"{above}/{below}")
    theirs = registry.Quantity(number, f"{above}/{below}").to_base_units()
    fitting = [name for name, shape in DIMENSIONS.items() if shape.unit and units._needed(shape).powers == unit.powers]
    if "%" in text or not fitting:
        with pytest.raises(UnitError):
            parse(text, "watt")
        return
    needed = units._needed(DIMENSIONS[fitting[0]]).factor
    assert parse(text, fitting[0]) == pytest.approx(theirs.magnitude / needed, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "dimension", "si"),
    [
        ("80 GB", "byte", 80e9),
        ("80 GiB", "byte", 80 * 2**30),
        ("80GB", "byte", 80e9),
        ("  1e3  kB ", "byte", 1e6),
        ("1 EB", "byte", 1e18),
        ("1EB", "byte", 1e18),
        ("8 bit", "byte", 1.0),
        ("400 Gbit/s", "byte_per_s", 50e9),
        ("3.35 TB / s", "byte_per_s", 3.35e12),
        ("1 GB/h", "byte_per_s", 1e9 / 3600),
        ("1e26 FLOP", "flop", 1e26),
        ("1e26flop", "flop", 1e26),
        ("989.4 TFLOP/s", "flop_per_s", 989.4e12),
        ("3 d", "second", 259_200.0),
        ("1 year", "second", 31_557_600.0),
        ("12 months", "second", 31_557_600.0),
        ("2 weeks", "second", 1_209_600.0),
        ("5 min", "second", 300.0),
        ("5 us", "second", 5e-6),
        ("5 µs", "second", 5e-6),
        ("5 μs", "second", 5e-6),
        ("2.95 USD/h", "usd_per_s", 2.95 / 3600),
        ("19.7e-6/h", "per_s", 19.7e-6 / 3600),
        ("5/s", "per_s", 5.0),
        ("369 g/kWh", "kg_per_j", 0.369 / 3.6e6),
        ("0.07 USD/kWh", "usd_per_j", 0.07 / 3.6e6),
        ("0.5 USD/Mtoken", "usd_per_token", 0.5e-6),
        ("1 kWh", "joule", 3.6e6),
        ("1 t", "kg", 1000.0),
        ("15.6e12 tokens", "token", 15.6e12),
        ("15.6e12", "token", 15.6e12),
        ("1.83 GHz", "hertz", 1.83e9),
        ("38 %", "fraction", 0.38),
        ("0.38", "fraction", 0.38),
        (".5", "fraction", 0.5),
        ("5.", "count", 5.0),
        (24576, "count", 24576.0),
        (0, "second", 0.0),
        ("0", "second", 0.0),
        ("-0.0", "count", 0.0),
    ],
)
def test_reads(text, dimension, si):
    assert parse(text, dimension) == pytest.approx(si, rel=1e-15)
    assert math.copysign(1.0, parse(text, dimension)) == 1.0


@pytest.mark.parametrize(
    ("text", "dimension", "rule", "mend"),
    [
        ("12 GB", "second", "'12 GB' is an amount of data; a time is needed here", "3 d"),
        ("1e26", "flop", "has no unit; an amount of arithmetic is needed", "1e26 FLOP"),
        (1e26, "flop", "'1e26' has no unit", "1e26 FLOP"),
        ("400 Gb/s", "byte_per_s", "unknown unit 'Gb'", "Gbit/s for bits, GB/s for bytes"),
        ("400 Gbps", "byte_per_s", "unknown unit 'Gbps'", "Gbit/s for bits, GB/s for bytes"),
        ("80 GIB", "byte", "unknown unit 'GIB'", "did you mean 'GiB'?"),
        ("80 mB", "byte", "unknown unit 'mB'", "did you mean 'MB'?"),
        ("80 KB", "byte", "unknown unit 'KB'", "did you mean 'kB'?"),
        ("5 dys", "second", "unknown unit 'dys'", "did you mean 'days'?"),
        ("3 md", "second", "unknown unit 'md'", "3 d"),
        ("4k", "count", "unknown unit 'k'", "24576"),
        ("989 TFLOPS", "flop_per_s", "unknown unit 'TFLOPS'", "write TFLOP/s"),
        ("989 TFLOPS", "flop", "unknown unit 'TFLOPS'", "write TFLOP ("),
        ("1,000 GB", "byte", "is not a quantity", "without separators"),
        ("1_000", "count", "is not a quantity", "without separators"),
        ("1,5 GB", "byte", "is not a quantity", "decimal sign is a point"),
        ("$5", "usd", "is not a quantity", "USD after the number"),
        ("10^26 FLOP", "flop", "is not a quantity", "1e26"),
        ("3 x 10^26 FLOP", "flop", "is not a quantity", "1e26"),
        ("12:30:00", "second", "is not a quantity", "3 d"),
        ("3 d 12 h", "second", "is not a quantity", "3 d"),
        ("3 m*s", "second", "is not a quantity", "3 d"),
        ("1 GB/s/s", "byte_per_s", "is not a quantity", "TB/s"),
        ("38 %", "count", "is a share", "24576"),
        ("0.5 %", "per_s", "is a share", "/h"),
        ("38", "watt", "has no unit", "700 W"),
        ("", "second", "is not a quantity", "3 d"),
        ("0x10", "count", "is not a quantity", "24576"),
        ("\uff11\uff12 GB", "byte", "is not a quantity", "80 GB"),
        ("nan", "count", "is not a quantity", "24576"),
        ("inf s", "second", "is not a quantity", "3 d"),
        (math.nan, "count", "is not a number", "24576"),
        (math.inf, "count", "larger than this program can hold", "24576"),
        (10**400, "count", "larger than this program can hold", "24576"),
        ("1e400 s", "second", "larger than this program can hold", "3 d"),
        ("1e308 EB", "byte", "larger than this program can hold", "80 GB"),
        ("1e-400 s", "second", "smaller than this program can hold", "3 d"),
        ("1e-320 ns", "second", "smaller than this program can hold", "3 d"),
        ("-3 d", "second", "negative; a time cannot be", "3 d"),
        (-1, "count", "negative", "24576"),
        (True, "count", "'True' is not a quantity", "24576"),
        (None, "count", "is not a quantity", "24576"),
        ([1], "count", "'a list' is not a quantity", "24576"),
    ],
)
def test_refuses_with_rule_value_and_mend(text, dimension, rule, mend):
    with pytest.raises(UnitError) as caught:
        parse(text, dimension)
    assert rule in caught.value.rule
    assert mend in caught.value.mend
    assert caught.value.value or text == ""


def test_error_of_a_huge_text_is_short():
    for hostile in ("x" * 10_000_000, "9" * 10_000_000, "1 " + "k" * 10_000_000, 10**100_000):
        with pytest.raises(UnitError) as caught:
            parse(hostile, "byte")
        assert len(str(caught.value)) < 400


@given(text=st.one_of(st.text(max_size=200), NEAR_QUANTITIES), dimension=DIMENSION_NAMES)
@example(text="1e", dimension="byte")
@example(text="1/", dimension="per_s")
@example(text="/s", dimension="per_s")
@example(text="5 %/s", dimension="fraction")
def test_any_text_is_a_finite_amount_or_a_unit_error(text, dimension):
    refused, value = None, 0.0
    try:
        value = parse(text, dimension)
    except SimError as error:
        refused = error
    assert math.isfinite(value)
    assert value >= 0
    if refused is not None:
        assert refused.rule
        assert refused.mend
        assert all(line.isprintable() for line in str(refused).splitlines())


@given(value=st.floats(min_value=1e-15, max_value=1e35), dimension=DIMENSION_NAMES)
@example(value=999.96, dimension="second")
@example(value=59.99, dimension="second")
@example(value=9.9999e20, dimension="flop")
def test_what_is_shown_reads_back_within_its_digits(value, dimension):
    text = show(value, dimension)
    assert parse(text.replace(",", ""), dimension) == pytest.approx(value, rel=5.001e-3)
    assert "e+" not in text


@given(value=st.floats(min_value=1e-3, max_value=1e15), dimension=DIMENSION_NAMES)
def test_what_is_shown_has_at_most_four_digits(value, dimension):
    assume(dimension != "count")
    mantissa = show(value, dimension).split()[0].split("/")[0].split("e")[0]
    assert len(mantissa.replace(".", "").strip("0")) <= 4


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (989.4e12, "flop_per_s", "989.4 TFLOP/s"),
        (3.35e12, "byte_per_s", "3.35 TB/s"),
        (80 * 2**30, "byte", "80 GiB"),
        (80e9, "byte", "80 GB"),
        (85.9123e9, "byte", "85.9 GB"),
        (141e9, "byte", "141 GB"),
        (50 * 2**20, "byte", "50 MiB"),
        (94.2857 * 86400, "second", "94.3 d"),
        (999.96, "second", "16.7 min"),
        (59.999, "second", "1 min"),
        (8.4, "second", "8.4 s"),
        (5e-6, "second", "5 us"),
        (1e-12, "second", "0.001 ns"),
        (3 * 31_557_600, "second", "3 years"),
        (1e26, "flop", "1e26 FLOP"),
        (3.8e25, "flop", "3.8e25 FLOP"),
        (2.5e18, "flop", "2.5 EFLOP"),
        (9.9999e20, "flop", "1e21 FLOP"),
        (2.95 / 3600, "usd_per_s", "2.95 USD/h"),
        (123_456_789, "usd", "123 MUSD"),
        (19.7e-6 / 3600, "per_s", "0.173/year"),
        (5.0, "per_s", "5/s"),
        (0.369 / 3.6e6, "kg_per_j", "369 g/kWh"),
        (0.07 / 3.6e6, "usd_per_j", "0.07 USD/kWh"),
        (0.5e-6, "usd_per_token", "0.5 USD/Mtoken"),
        (15.6e12, "token", "15.6 Ttokens"),
        (8192, "token", "8.192 ktokens"),
        (700, "watt", "700 W"),
        (3.6e9, "joule", "1 MWh"),
        (12_345, "kg", "12.3 t"),
        (1.83e9, "hertz", "1.83 GHz"),
        (0.413, "fraction", "41.3 %"),
        (1.0, "fraction", "100 %"),
        (24576, "count", "24,576"),
        (5.5, "count", "5.5"),
        (1e20, "count", "1e20"),
        (0, "byte", "0 B"),
        (0, "second", "0 s"),
        (0, "usd_per_s", "0 USD/h"),
        (0, "per_s", "0/year"),
        (-5.2, "second", "-5.2 s"),
    ],
)
def test_shows(value, dimension, text):
    assert show(value, dimension) == text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_showing_what_is_not_finite_is_our_bug(value):
    with pytest.raises(ValueError, match="cannot show"):
        show(value, "second")


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_example_of_a_dimension_is_right(dimension):
    shape = DIMENSIONS[dimension]
    assert parse(shape.example, dimension) > 0
    for unit in shape.ladder.split():
        assert parse(f"1{unit}" if unit.startswith("/") else f"1 {unit}", dimension) > 0


def test_a_choice_of_dimensions_goes_by_the_unit():
    assert parse_any("1e26 FLOP", ("flop", "token")) == ("flop", 1e26)
    assert parse_any("15e12 tokens", ("flop", "token")) == ("token", 15e12)
    assert parse_any("5", ("count",)) == ("count", 5.0)


@pytest.mark.parametrize("text", ["1e26", "3 d", "x", 5, True])
def test_a_choice_of_dimensions_refuses_the_rest_and_names_all(text):
    with pytest.raises(UnitError) as caught:
        parse_any(text, ("flop", "token"))
    assert "an amount of arithmetic or a number of tokens is needed here" in caught.value.rule
    assert caught.value.mend == "write it like '1e26 FLOP' or '15.6e12 tokens'"


def test_a_choice_of_nothing_is_our_bug():
    with pytest.raises(ValueError, match="at least one dimension"):
        parse_any("1 s", ())


def test_nothing_heavy_is_imported():
    """Reading a quantity costs 5 ms; any of these alone costs more."""
    code = "import sys, sim.units; sim.units.parse('80 GB', 'byte'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pint", "numpy", "pydantic", "dataclasses", "difflib"} & set(done.stdout.split())
