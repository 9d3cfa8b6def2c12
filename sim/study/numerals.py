"""Numbers as people write and say them: 1e26, 10^26, 10²⁶, 1 x 10^26, 24,576, 16k, 1.5 trillion, a hundred septillion.

A text is first cut into atoms (numbers, words, symbols); a numeral is then read from a run of them. Values are
decimal, so that a hundred times 1e24 is 1e26 and not its neighbour.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_EXPONENT = 300
"""Largest power of ten, of either sign: what a float holds, with room."""
MAX_BASE_EXPONENT = 1000
"""Largest power of any other base."""


class Atom(NamedTuple):
    """A number, a word, a date or a symbol of a text.

    A named tuple, not a dataclass: there is one for every word.
    """

    kind: str
    text: str
    """In lower case, thousands separators removed."""
    start: int
    end: int
    gap: str
    """What stands before it: nothing, a hyphen, a blank (or bracket), or a comma (or another mark that divides)."""


def normalise(text: str) -> str:
    """Give a text with one way of writing for what has several: powers as ^26, times as x, no odd blanks.

    >>> normalise("1 × 10²⁶ on 24'576xH100")
    '1  x  10^26 on 24576 x H100'
    """
    text = _SUPERSCRIPTS.sub(lambda match: "^" + match[0].translate(_PLAIN), text)
    text = _THIN_SEPARATOR.sub("", text)
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    text = "".join(_REPLACED.get(c, c) if c.isprintable() else " " for c in text)
    return _COUNTED.sub(r"\1 x ", text)


def atoms(text: str) -> list[Atom]:
    """Cut a normalised text into atoms.

    >>> [atom.text for atom in atoms("24,576xH100-SXM at 40%?")]
    ['24576', 'xh', '100', 'sxm', 'at', '40', '%']
    """
    lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    found: list[Atom] = []
    gap, end = ",", 0
    for match in _ATOM.finditer(lowered):
        kind = match.lastgroup or ""
        if kind == "gap":
            joins = "-" if match[0] == "-" and not gap else " "
            gap = "," if gap == "," or match[0] not in _JOINING else joins
            continue
        if match.start() > end and not gap:
            gap = " "
        written = match[0].replace(",", "").replace("_", "") if kind == "number" else match[0]
        found.append(Atom(kind, written, match.start(), match.end(), gap))
        gap, end = "", match.end()
    return found


def squash(text: str) -> str:
    """Give the atoms of a name without what joins them: the key under which a name is known.

    >>> squash("Llama 3.1 405B") == squash("llama-3.1-405b")
    True
    """
    return "".join(atom.text for atom in atoms(normalise(text)))


def numeral(run: Sequence[Atom], index: int) -> tuple[Decimal, int] | None:
    """Read the number that begins at an atom; give it with the index of the atom behind it, None where there is none.

    Raises:
        UsageError: it is larger or smaller than this program can hold.

    >>> numeral(atoms("10^26 FLOP"), 0)
    (Decimal('1E+26'), 3)
    >>> numeral(atoms("a hundred septillion"), 0)
    (Decimal('100000000000000000000000000'), 3)
    """
    if index >= len(run):
        return None
    read = _digits(run, index) if run[index].kind == "number" else _words(run, index)
    if read is None:
        return None
    value, index = read
    if value and not -MAX_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        raise _too_large(run, index - 1)
    return value, index


def plain(value: Decimal) -> str:
    """Write a number as a command takes it: shortest, without separators.

    >>> plain(Decimal("1.00E+26")), plain(Decimal("24576")), plain(Decimal("15.60E12")), plain(Decimal("0.40"))
    ('1e26', '24576', '1.56e13', '0.4')
    """
    value = value.normalize()
    if -4 <= value.adjusted() < _FROM_HERE_E:  # noqa: PLR2004 - 0.0001 still reads as it stands
        return f"{value:f}"
    return str(value).replace("E+", "e").replace("E", "e")


_FROM_HERE_E = 6
_SUPERSCRIPT_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_PLAIN = str.maketrans(_SUPERSCRIPT_DIGITS, "0123456789-")
_SUPERSCRIPTS = re.compile(rf"(?<=[0-9])[{_SUPERSCRIPT_DIGITS}]+")
_THIN_SEPARATOR = re.compile(r"(?<=[0-9])[\u00a0\u202f\u2009'\u2019](?=[0-9]{3}(?![0-9]))")
_REPLACED = {"×": " x ", "·": " x ", "⋅": " x ", "\u2212": "-", "\u2010": "-"}
# 24576xH100: the x is no letter of the name. MI300Xs and 8x7B stay as they are.
_COUNTED = re.compile(r"(?<![a-zA-Z0-9.])([0-9][0-9,_.]*(?:[eE][0-9]+)?[kKmM]?)[xX](?=[a-zA-Z])")
_ATOM = re.compile(
    r"(?P<date>(?<![a-z0-9.-])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9a-z-]))"
    # 1,5 or 1,0000: a comma that divides no thousands.
    r"|(?P<comma>(?<![a-z0-9])(?![0-9]{1,3}(?:,[0-9]{3})+(?![0-9]|,[0-9]))[0-9]+,[0-9][0-9,.]*(?:e[0-9]+)?)"
    r"|(?P<number>(?:(?:(?<![0-9])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+(?:_[0-9]+)*)(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+)"
    # A letter before the digits makes it a name: TPU v5e-50 is no power of ten.
    r"(?:(?<![a-z][0-9])(?<![a-z][0-9]{2})e[+-]?[0-9]+)?)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)"
    # A hyphen joins words; before a number that stands alone, and in a power, it is a minus.
    r"|(?P<gap>[\s()\[\]{}_'\"`,.;:?!…–—&#]|(?<=[^\s^*])-|-(?![0-9.]))"
    r"|(?P<symbol>.)"
)
_JOINING = " -()[]{}_\"'`"
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
_ONES += "seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: Decimal(value) for value, word in enumerate(_ONES.split())}
_SMALL |= {word: Decimal(10 * value) for value, word in enumerate(_TENS.split(), 2)}
_SMALL["single"] = Decimal(1)
_SHORT_SCALE = "thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion"
_SCALES = {word: Decimal(f"1e{3 * power}") for power, word in enumerate(_SHORT_SCALE.split(), 1)}
_SCALES |= {"hundred": Decimal(100), "dozen": Decimal(12)}
_SCALES |= {f"{word}s": value for word, value in _SCALES.items()}
_LETTERS = {"k": 3, "m": 6, "mn": 6, "mln": 6, "b": 9, "bn": 9, "t": 12, "tn": 12, "trn": 12}
_ARTICLES = {"a", "an", "the"}


def _text(run: Sequence[Atom], index: int) -> str:
    return run[index].text if 0 <= index < len(run) else ""


def _digits(run: Sequence[Atom], index: int) -> tuple[Decimal, int]:
    """Read digits, a power behind them, a product with a power, and a scale."""
    value, index = _powered(run, index)
    if _text(run, index) in {"x", "*", "times"} and _text(run, index + 1) == "10" and _is_power(run, index + 2):
        factor, index = _powered(run, index + 1)
        value *= factor
    letter = _text(run, index)
    if letter in _LETTERS and _ends_word(run, index) and run[index].gap != ",":
        value, index = value.scaleb(_LETTERS[letter]), index + 1
    return _scaled(run, index, value)


def _powered(run: Sequence[Atom], index: int) -> tuple[Decimal, int]:
    mantissa, _, exponent = run[index].text.partition("e")
    value = Decimal(mantissa).scaleb(_exponent(run, index, exponent)) if exponent else Decimal(mantissa)
    behind = _is_power(run, index + 1)
    if not behind:
        return value, index + 1
    sign = -1 if _text(run, behind) == "-" else 1
    at = behind + (sign < 0)
    power = sign * _exponent(run, at, run[at].text)
    index = at + 1
    if _text(run, index) == "th":
        index += 1
    if value == 10:  # noqa: PLR2004 - the base that needs no multiplication
        return Decimal(1).scaleb(power), index
    if abs(power) > MAX_BASE_EXPONENT or value.adjusted() * abs(power) > MAX_EXPONENT or (value == 0 and power <= 0):
        raise _too_large(run, at)
    return value**power, index


def _is_power(run: Sequence[Atom], index: int) -> int:
    """Give the index of the exponent where a power sign begins here; 0 where none does."""
    for sign in _POWER_SIGNS:
        at = index + len(sign)
        if all(_text(run, index + place) == part for place, part in enumerate(sign)):
            digits = at + 1 if _text(run, at) == "-" else at
            if digits < len(run) and run[digits].kind == "number" and run[digits].text.isdigit():
                return at
    return 0


_POWER_SIGNS = (("^",), ("*", "*"), ("to", "the", "power", "of"), ("to", "the", "power"), ("to", "the"))


def _exponent(run: Sequence[Atom], index: int, text: str) -> int:
    digits = text.lstrip("+-").lstrip("0") or "0"
    if not digits.isdigit() or len(digits) > len(str(MAX_BASE_EXPONENT)) or int(digits) > MAX_BASE_EXPONENT:
        raise _too_large(run, index)
    return -int(digits) if text.startswith("-") else int(digits)


def _words(run: Sequence[Atom], index: int) -> tuple[Decimal, int] | None:
    """Read 'twenty-five thousand', 'a hundred septillion', 'half a million', 'trillion'."""
    first = _text(run, index)
    if first == "half":
        behind = index + 2 if _text(run, index + 1) in _ARTICLES else index + 1
        return _scaled(run, behind, Decimal("0.5"))
    if first in _ARTICLES - {"the"} and _text(run, index + 1) in _SCALES:
        index += 1
    elif first not in _SMALL and first not in _SCALES:
        return None
    if _text(run, index) == "ten" and _is_power(run, index + 1):
        return _powered([*run[:index], run[index]._replace(kind="number", text="10"), *run[index + 1 :]], index)
    return _said(run, index)


def _said(run: Sequence[Atom], index: int) -> tuple[Decimal, int]:
    """Add up number words: 'two hundred and five million' is (2 x 100 + 5) x 1e6."""
    total, current, largest = Decimal(0), Decimal(0), Decimal(0)
    begun = False
    while index < len(run):
        word = run[index].text
        if begun and run[index].gap == ",":
            break
        if word in _SMALL:
            current += _SMALL[word]
        elif word in _SCALES and _SCALES[word] <= 100:  # noqa: PLR2004 - a hundred or a dozen, inside a group
            current = (current or Decimal(1)) * _SCALES[word]
        elif word in _SCALES:
            scale = _SCALES[word]
            if largest and scale >= largest:
                total = (total + current) * scale
            else:
                total += (current or Decimal(1)) * scale
            current, largest = Decimal(0), max(largest, scale)
        elif not (word == "and" and begun and _text(run, index - 1) in _SCALES and _text(run, index + 1) in _SMALL):
            break
        index, begun = index + 1, True
    return total + current, index


def _scaled(run: Sequence[Atom], index: int, value: Decimal) -> tuple[Decimal, int]:
    """Multiply by the scale words that follow a number: '1.5 trillion', '3 hundred thousand'."""
    while index < len(run) and run[index].text in _SCALES and run[index].gap != ",":
        value, index = value * _SCALES[run[index].text], index + 1
    return value, index


def _ends_word(run: Sequence[Atom], index: int) -> bool:
    return index + 1 >= len(run) or bool(run[index + 1].gap) or run[index + 1].kind == "symbol"


def _too_large(run: Sequence[Atom], index: int) -> UsageError:
    return UsageError(
        "this number is larger or smaller than this program can hold",
        value="".join(atom.text for atom in run[max(index - 3, 0) : index + 1])[:40],
        where="the question",
        mend="write it like 1e26",
    )
