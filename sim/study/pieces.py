"""A question cut into typed pieces: amounts with their units, names, verbs, and what nobody has a meaning for."""

from __future__ import annotations

from datetime import date as calendar_date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from sim.errors import UsageError
from sim.study import phrasebook
from sim.study.numerals import Atom, atoms, normalise, numeral
from sim.study.vocabulary import CATALOGUE, Entry, Unit, longest, phrases, units

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_QUESTION = 500
"""Longest question, in characters."""
NOTHING = Decimal(0)


class Piece(NamedTuple):
    """One piece of a question."""

    kind: str
    """number, date, unknown, or the kind of an entry of the vocabulary."""
    start: int
    end: int
    value: str = ""
    """The name or choice; for a time, its unit."""
    meaning: str = ""
    number: Decimal = NOTHING
    dimension: str = ""
    """What a number counts; empty where no unit stands behind it."""


def cut(question: str) -> tuple[str, list[Piece]]:
    """Give a question as it is shown, and its pieces in order, without words that say nothing.

    Raises:
        UsageError: it is too long, or a number in it is beyond what this program can hold.

    >>> [(piece.kind, piece.value) for piece in cut("how many B200s?")[1]]
    [('ask', 'howmany'), ('chip', 'b200-sxm')]
    """
    if len(question) > MAX_QUESTION:
        shown = f"{question[:40]}..."
        raise UsageError(
            f"a question has at most {MAX_QUESTION} characters", shown, "the question", "ask for one thing at a time"
        )
    text = normalise(question)
    run = atoms(text)
    found: list[Piece] = []
    index = 0
    while index < len(run):
        piece, index = _next(run, index, found)
        if piece.kind == "unknown" and found and found[-1].kind == "unknown":
            piece = piece._replace(start=found.pop().start)
        if piece.kind != "filler":
            found.append(piece)
    return text, found


def _next(run: Sequence[Atom], index: int, before: Sequence[Piece]) -> tuple[Piece, int]:
    """Take the longest piece that begins at an atom; of equals, a name rather than a number."""
    date = _date(run, index)
    if date is not None:
        return date
    named = _phrase(run, index, before)
    counted = _number(run, index) or _one(run, index, before)
    if named is not None and (counted is None or named[1] >= counted[1]):
        return named
    if counted is not None:
        return counted
    if run[index].kind == "comma":
        return Piece("elsewhere", run[index].start, run[index].end, phrasebook.DECIMAL_COMMA), index + 1
    end = index + 1
    while end < len(run) and run[end].gap in {"", "-"}:
        end += 1
    return Piece("unknown", run[index].start, run[end - 1].end), end


def _phrase(run: Sequence[Atom], index: int, before: Sequence[Piece]) -> tuple[Piece, int] | None:
    """Find the longest known phrase; names may be in the plural."""
    key, found = "", None
    for end in range(index + 1, min(index + longest(), len(run)) + 1):
        atom = run[end - 1]
        if end - 1 > index and (atom.gap == "," or (end - 2 == index and _parts(run[index], atom))):
            break
        key += atom.text
        entry = _entry(key) if _is_boundary(run, end) else None
        if entry is not None and not (key.isdigit() and not _counted(before)):
            piece = Piece(entry.kind, run[index].start, atom.end, entry.value, entry.meaning)
            found = (piece, end)
    return found


def _entry(key: str) -> Entry | None:
    known = phrases()
    if key in known or not key.endswith("s"):
        return known.get(key)
    entry = known.get(key[:-1])
    return entry if entry is not None and entry.kind in CATALOGUE else None


def _parts(left: Atom, right: Atom) -> bool:
    """Tell whether a blank keeps the first two atoms apart: `a 100 day run` has no A100 in it."""
    return right.gap == " " and right.kind == "number" and len(left.text) == 1 and left.kind == "word"


def _counted(before: Sequence[Piece]) -> bool:
    """Tell whether a bare 4090 is a card here: something counts it."""
    last = before[-1] if before else None
    is_number = last is not None and last.kind == "number" and not last.dimension
    return is_number or (last is not None and last.kind in {"times", "article", "ask", "hint", "device"})


def _is_boundary(run: Sequence[Atom], end: int) -> bool:
    """Tell whether a word ends here."""
    return end == len(run) or bool(run[end].gap) or run[end].kind == "symbol" or run[end - 1].kind == "symbol"


def _number(run: Sequence[Atom], index: int) -> tuple[Piece, int] | None:
    """Read a number with its unit."""
    start, money = index, run[index].text == "$"
    read = numeral(run, index + 1 if money else index)
    if read is None:
        return None
    value, index = read
    if money:
        return Piece("number", run[start].start, run[index - 1].end, number=value, dimension="usd"), index
    at = index
    while at < len(run) and run[at].text in phrasebook.BETWEEN and run[at].gap != ",":
        at += 1
    unit = _unit(run, at)
    if unit is not None:
        measured, index = unit
        number = value * measured.factor
        dimension, index = _rate(run, index, measured.dimension)
        return Piece("number", run[start].start, run[index - 1].end, measured.written, "", number, dimension), index
    if not _is_boundary(run, index) and _phrase(run, index, ()) is None:
        return None  # 100th and 54dd are no numbers
    return Piece("number", run[start].start, run[index - 1].end, number=value), index


def _one(run: Sequence[Atom], index: int, before: Sequence[Piece]) -> tuple[Piece, int] | None:
    """Read 'a week'; but in '$2 an hour' the hour has no number."""
    if run[index].text not in {"a", "an"} or (before and before[-1].dimension == "usd"):
        return None
    unit = _unit(run, index + 1)
    if unit is None or unit[0].dimension != "second":
        return None
    measured, end = unit
    return Piece("number", run[index].start, run[end - 1].end, measured.written, "", measured.factor, "second"), end


def _rate(run: Sequence[Atom], index: int, dimension: str) -> tuple[str, int]:
    """Tell FLOP from FLOP/s."""
    if dimension == "flop" and index < len(run) and run[index].text in {"/", "per"}:
        below = _unit(run, index + 1)
        if below is not None and below[0].dimension == "second":
            return "flop_per_s", below[1]
    return dimension, index


def _unit(run: Sequence[Atom], index: int) -> tuple[Unit, int] | None:
    """Find the longest unit that begins at an atom."""
    key, found = "", None
    for end in range(index + 1, min(index + longest(), len(run)) + 1):
        if run[end - 1].gap == ",":
            break
        key += run[end - 1].text
        if key in units() and _is_boundary(run, end):
            found = (units()[key], end)
    return found


def _date(run: Sequence[Atom], index: int) -> tuple[Piece, int] | None:
    """Read 2026-12-01, 1 December 2026 or December 1, 2026."""
    atom = run[index]
    if atom.kind == "date":
        return _day(run, index, index + 1, *atom.text.split("-"))
    words = [each.text for each in run[index : index + 3]]
    if len(words) < 3 or run[index + 2].kind != "number":  # noqa: PLR2004 - day, month and year
        return None
    if _month(words[1]) and run[index + 1].gap == " ":
        return _day(run, index, index + 3, words[2], _month(words[1]), words[0])
    if _month(words[0]) and run[index + 1].kind == "number":
        return _day(run, index, index + 3, words[2], _month(words[0]), words[1])
    return None


def _month(word: str) -> str:
    """Give the number of a month, by its name or its first three letters; nothing where it is none."""
    for number, month in enumerate(phrasebook.MONTHS.split(), 1):
        if word in {month, month[:3]}:
            return str(number)
    return ""


def _day(run: Sequence[Atom], start: int, end: int, *parts: str) -> tuple[Piece, int] | None:
    if not all(part.isdigit() and len(part) <= 4 for part in parts):  # noqa: PLR2004 - a year has four digits
        return None
    year, month, day = (int(part) for part in parts)
    try:
        date = calendar_date(year, month, day)
    except ValueError:
        return None
    return Piece("date", run[start].start, run[end - 1].end, date.isoformat()), end
