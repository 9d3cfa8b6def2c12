"""Traces as comma-separated values: the common benchmark, the Azure LLM inference traces, BurstGPT."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.spec.traces_rows import BadLineError, Rows, times, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How the header of a format looks, and how its lines are read."""

    columns: tuple[str, ...]
    """Names that the header has to have, in any order and case: arrival, input, output."""
    read: Callable[[list[str], tuple[int, ...], int], Rows]

    @property
    def example(self) -> str:
        """Give the header."""
        return ",".join(self.columns)

    def begins(self, line: str) -> bool:
        """Tell whether a first line is a header of this format."""
        return set(self.columns) <= set(_names(line))

    def parser(self, header: str) -> Callable[[list[str]], Rows]:
        """Give the function that reads lines below this header.

        Raises:
            BadLineError: a column is missing.
        """
        names = _names(header)
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise BadLineError(f"the header has no column {missing[0]}", header, f"{self.example}")
        places = tuple(names.index(name) for name in self.columns)
        return lambda lines: self.read(lines, places, len(names))


def _names(header: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in header.split(",")]


def _numbers(lines: list[str], places: tuple[int, ...], width: int) -> NDArray[np.float64]:
    """Read columns of numbers at the speed of numpy's reader.

    Raises:
        BadLineError: a line is empty, too short or too long, or a value is no number.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = np.loadtxt(lines, delimiter=",", comments=None, usecols=places, ndmin=2, quotechar='"')
    except (ValueError, OverflowError, UserWarning) as error:
        if len(lines) == 1:
            _explain(lines[0], places, width)
        raise BadLineError("a line is not what the header says", "", str(error)) from None
    if len(found) != len(lines):
        raise BadLineError("a line is empty", "an empty line", "take it out")
    if {line.count(",") for line in lines} != {width - 1} and not any('"' in line for line in lines):
        if len(lines) == 1:
            _explain(lines[0], places, width)
        raise BadLineError(f"a line has {width} values, as the header has")
    return found


def _explain(line: str, places: tuple[int, ...], width: int) -> None:
    """Say what is wrong with one line."""
    if not line.strip():
        raise BadLineError("a line is empty", "an empty line", "take it out")
    cells = line.split(",")
    if len(cells) != width and '"' not in line:
        raise BadLineError(f"a line has {width} values, as the header has", f"{len(cells)}: {line.strip()}")
    for place in places:
        try:
            float(cells[place].strip().strip('"'))
        except (ValueError, IndexError):
            value = cells[place] if place < len(cells) else line
            raise BadLineError("a number stands here", value.strip() or "nothing") from None


def _common(lines: list[str], places: tuple[int, ...], width: int) -> Rows:
    found = _numbers(lines, places, width)
    arrival_s = times(np.ascontiguousarray(found[:, 0]), "arrived_at")
    return Rows(arrival_s, tokens(found[:, 1], "num_prefill_tokens"), tokens(found[:, 2], "num_decode_tokens"))


def _burstgpt(lines: list[str], places: tuple[int, ...], width: int) -> Rows:
    """Read lines; those without an answer are requests that failed when they were recorded."""
    found = _numbers(lines, places, width)
    arrival_s = times(np.ascontiguousarray(found[:, 0]), "timestamp")
    asked, answered = tokens(found[:, 1], "request tokens", 0), tokens(found[:, 2], "response tokens", 0)
    good = (asked > 0) & (answered > 0)
    kept = np.flatnonzero(good)
    left_out = len(lines) - len(kept)
    return Rows(arrival_s[good], asked[good], answered[good], left_out=left_out, lines=kept if left_out else None)


def _azure(lines: list[str], places: tuple[int, ...], width: int) -> Rows:
    """Read lines whose times are dates: 2023-11-16 18:17:03.9799600."""
    columns = list(zip(*(line.split(",") for line in lines), strict=False))
    if len(columns) != width or any(line.count(",") != width - 1 for line in lines):
        raise BadLineError(f"a line has {width} values, as the header has", lines[0] if len(lines) == 1 else "")
    try:
        stamps = np.array([_date(text) for text in columns[places[0]]], dtype="datetime64[ns]")
        arrival_s = stamps.astype(np.int64).astype(np.float64) * 1e-9
    except (ValueError, OverflowError):
        rule = "TIMESTAMP is a date with a time, as 2023-11-16 18:17:03.9799600"
        raise BadLineError(rule, columns[places[0]][0]) from None
    if np.isnat(stamps).any():
        raise BadLineError("TIMESTAMP is a date with a time, as 2023-11-16 18:17:03.9799600", columns[places[0]][0])
    try:
        asked, answered = (np.array(columns[place], dtype=np.float64) for place in places[1:])
    except ValueError:
        raise BadLineError("ContextTokens and GeneratedTokens are numbers", ",".join(c[0] for c in columns)) from None
    input_tokens, output_tokens = tokens(asked, "ContextTokens"), tokens(answered, "GeneratedTokens")
    return Rows(arrival_s, input_tokens, output_tokens, from_first=True)


def _date(text: str) -> str:
    """Take the zone off: the Azure traces are all in UTC."""
    return text.strip().removesuffix("+00:00").removesuffix("Z")


FORMATS: dict[str, CsvFormat] = {
    "common": CsvFormat(("arrived_at", "num_prefill_tokens", "num_decode_tokens"), _common),
    "azure": CsvFormat(("timestamp", "contexttokens", "generatedtokens"), _azure),
    "burstgpt": CsvFormat(("timestamp", "request tokens", "response tokens"), _burstgpt),
}
"""Formats by name."""
