"""Read a table of measurements: CSV with one header line, every error with its file, line and column."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import LimitError, ScenarioError, UsageError
from sim.spec.validate import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_BYTES = 64 * 2**20
"""A table is read whole; the largest of the project's own is a tenth of this."""
MAX_FIELD = 100_000
"""Characters of one field."""
MAX_COUNT = 10_000_000
"""No count of a table is larger: ten times the longest sequence in use."""
MAX_SHOWN = 60
"""Characters of a wrong field that an error shows."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: where it stands and what its columns hold, as text; blanks are left out."""

    file: str
    number: int
    """Line of the file, from 1, on which the row ends."""
    header: tuple[str, ...]
    values: Mapping[str, str]

    def text(self, column: str) -> str:
        """Give the text of a column; empty where it is blank."""
        return self.values.get(column, "")

    def count(self, column: str, most: int = MAX_COUNT) -> int | None:
        """Give a whole number from 0 to ``most``, also written 8.0 or 2e3; none where it is blank.

        Raises:
            ScenarioError: the field is something else.

        """
        value = self.number_of(column)
        if value is None:
            return None
        if value != int(value):
            raise self.wrong(column, "must be a whole number")
        if value > most:
            raise self.wrong(column, f"must be at most {most:,}")
        return int(value)

    def number_of(self, column: str) -> float | None:
        """Give a number of at least 0; none where it is blank.

        Raises:
            ScenarioError: the field is something else.

        """
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise self.wrong(column, "must be a number") from None
        if not math.isfinite(value) or value < 0:
            raise self.wrong(column, "must be a finite number, not below 0")
        return value

    def wrong(self, column: str, rule: str) -> ScenarioError:
        """Say that a field is wrong, and where it stands."""
        place = self.header.index(column) + 1 if column in self.header else 1
        value = self.text(column)
        return ScenarioError(
            f"{column} {rule}",
            value if len(value) < MAX_SHOWN else f"{value[:MAX_SHOWN]}...",
            f"{self.file}:{self.number}:{place}",
            "mend the field, or leave it blank; the third number counts the columns of the table",
        )


def read(path: Path, known: Sequence[str], required: Sequence[str]) -> tuple[Line, ...]:
    """Read the rows of a table whose columns are among the known ones.

    Args:
        path: the CSV file, UTF-8.
        known: columns that a table of this kind may have.
        required: columns that it must have; the others are blank where they are absent.

    Raises:
        UsageError: there is no such file.
        LimitError: it is too large.
        ScenarioError: it is not a CSV table of this kind; names the line and the column.

    """
    name, text = str(path), _text(path)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = tuple(cell.strip() for cell in next(reader, []))
        _check_header(name, header, known, required)
        lines = tuple(
            _line(name, reader.line_num, header, cells) for cells in reader if any(cell.strip() for cell in cells)
        )
    except csv.Error as error:
        raise ScenarioError(
            f"this is not CSV: {error}", "", f"{name}:{reader.line_num}:1", "close every quotation mark"
        ) from None
    if not lines:
        raise ScenarioError("a table has at least one row below its header", "", f"{name}:2:1", "add a row")
    return lines


def _text(path: Path) -> str:
    name = str(path)
    if not path.is_file():
        raise UsageError("a table of measurements must exist, and be a file", name, "--table", "check the path")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise LimitError(f"a table may have {MAX_BYTES // 2**20} MiB", f"{size} bytes", name, "split the table")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the table cannot be read: {error.strerror}", name, "--table", "check its rights") from None
    binary = content.find(b"\0")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(name, content, error.start) from None
    if binary >= 0:
        raise _not_text(name, content, binary)
    return text


def _not_text(name: str, content: bytes, at: int) -> ScenarioError:
    line = content.count(b"\n", 0, at) + 1
    column = at - content.rfind(b"\n", 0, at)
    return ScenarioError(
        "a table is CSV text in UTF-8", f"byte 0x{content[at]:02x}", f"{name}:{line}:{column}", "export it as CSV UTF-8"
    )


def _check_header(name: str, header: tuple[str, ...], known: Sequence[str], required: Sequence[str]) -> None:
    if not any(header):
        raise ScenarioError(
            "a table begins with the names of its columns", "", f"{name}:1:1", f"such as {', '.join(required)}"
        )
    for place, column in enumerate(header, start=1):
        where = f"{name}:1:{place}"
        shown = column[:MAX_SHOWN]
        if column not in known:
            mend = suggestion(shown, list(known)) or f"one of {', '.join(known)}"
            raise ScenarioError("the table has an unknown column", shown, where, mend)
        if header.index(column) != place - 1:
            raise ScenarioError("a column stands in the table once", shown, where, "take one of them away")
    missing = [column for column in required if column not in header]
    if missing:
        raise ScenarioError(
            "the table lacks a column that every row needs",
            ", ".join(missing),
            f"{name}:1:1",
            f"add it; a table has at least {', '.join(required)}",
        )


def _line(name: str, number: int, header: tuple[str, ...], cells: list[str]) -> Line:
    if len(cells) != len(header):
        raise ScenarioError(
            "a row has as many fields as the header has columns",
            f"{len(cells)} instead of {len(header)}",
            f"{name}:{number}:{min(len(cells), len(header))}",
            "put quotation marks round text that holds a comma",
        )
    long = next((place for place, cell in enumerate(cells, start=1) if len(cell) > MAX_FIELD), None)
    if long is not None:
        raise ScenarioError(f"a field has at most {MAX_FIELD} characters", "", f"{name}:{number}:{long}", "shorten it")
    values = {column: cell.strip() for column, cell in zip(header, cells, strict=True) if cell.strip()}
    return Line(name, number, header, values)
