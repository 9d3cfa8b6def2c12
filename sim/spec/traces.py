"""Recorded requests as they come: one reader for every format, in chunks, so that the length of a file costs no memory.

A line that is wrong is an error with its number. Times are given in s from the beginning of the trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import ScenarioError
from sim.spec.document import brief, printable
from sim.spec.traces_csv import FORMATS as CSV_FORMATS
from sim.spec.traces_jsonl import FORMATS as JSONL_FORMATS
from sim.spec.traces_rows import BadLineError, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from numpy.typing import NDArray

    from sim.spec.traces_csv import CsvFormat
    from sim.spec.traces_jsonl import JsonlFormat

    Parser = Callable[[list[str]], Rows]

_FORMATS: dict[str, CsvFormat | JsonlFormat] = {**CSV_FORMATS, **JSONL_FORMATS}
FORMATS: tuple[str, ...] = tuple(_FORMATS)
"""Names of the formats."""
CHUNK_CHARACTERS = 1 << 20
"""Text that is read at once."""
LONGEST_LINE = 1 << 24
"""Characters of a line at most."""
_SHOWN = 60


@dataclass(slots=True)
class Trace:
    """A file of recorded requests that is read from its beginning with each `chunks`."""

    path: Path
    format: str
    """One of `FORMATS`."""
    left_out: int = 0
    """Requests that failed when they were recorded; counted while chunks are read."""
    lines: int = field(default=0)
    """Lines read so far, the header included."""

    def chunks(self) -> Iterator[Rows]:
        """Read the requests in the order of their arrival, some ten thousand at a time.

        Raises:
            ScenarioError: a line breaks a rule of the format; names file and line.
        """
        self.left_out = 0
        with _open(self.path) as file:
            header = "" if self.format in JSONL_FORMATS else file.readline()
            parse, first = _parser(self.format, header), 2 if header else 1
            self.lines = first - 1
            start_s, last_s = None, -np.inf
            for number, lines in _blocks(file, self.path, first):
                rows = self._parse(parse, lines, number)
                if rows.from_first:
                    start_s = rows.arrival_s[0] if start_s is None and len(rows) else start_s
                    rows.arrival_s -= start_s or 0.0
                if self.format != "agentic" and len(rows):
                    self._in_order(rows, last_s, number, rows.lines)
                    last_s = rows.arrival_s[-1]
                self.left_out += rows.left_out
                self.lines = number + len(lines) - 1
                if len(rows):
                    yield rows

    def _parse(self, parse: Parser, lines: list[str], number: int) -> Rows:
        """Read a block; where that fails, look for the first line that is wrong."""
        try:
            return parse(lines)
        except BadLineError as error:
            wrong, low = error, 0
        high = len(lines)  # the first `high` lines fail, the first `low` do not
        while high - low > 1:
            middle = (low + high) // 2
            try:
                parse(lines[low:middle])
                low = middle
            except BadLineError as error:
                wrong, high = error, middle
        try:
            parse(lines[low:high])
        except BadLineError as error:
            wrong = error
        raise self.problem(number + low, wrong.rule, wrong.value or lines[low], wrong.mend)

    def _in_order(self, rows: Rows, last_s: float, number: int, lines: NDArray[np.int64] | None) -> None:
        steps = np.diff(rows.arrival_s, prepend=last_s)
        if (steps < 0).any():
            at = int(np.argmax(steps < 0))
            line = number + (at if lines is None else int(lines[at]))
            given = f"{rows.arrival_s[at]:.9g} s after {rows.arrival_s[at - 1] if at else last_s:.9g} s"
            raise self.problem(line, "requests stand in the order of their arrival", given, "sort the file by time")

    def problem(self, line: int, rule: str, value: str = "", mend: str = "") -> ScenarioError:
        """Build the error of one line."""
        shown = printable(value.strip())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        return ScenarioError(
            f"{rule} (a line of a trace in the format {self.format})", shown, f"{self.path}:{line}", mend
        )


def open_trace(path: str | Path, kind: str = "auto") -> Trace:
    """Find a trace and, under ``auto``, what format its header or first line has; reads nothing else.

    Raises:
        ScenarioError: there is no such file, it cannot be read, or its format is none of ours.
    """
    file = Path(path).expanduser()
    if kind != "auto" and kind not in FORMATS:
        raise ScenarioError("there is no such format of traces", kind, str(file), f"one of auto, {', '.join(FORMATS)}")
    with _open(file) as stream:
        first = stream.readline(LONGEST_LINE)
    if not first.strip():
        raise ScenarioError("a trace begins with a header or a request", "an empty line", f"{file}:1")
    if kind == "auto":
        kind = next((name for name, test in _FORMATS.items() if test.begins(first)), "")
    if not kind:
        known = "; ".join(f"{name}: {test.example}" for name, test in _FORMATS.items())
        raise ScenarioError("the first line belongs to no known format of traces", brief(first), f"{file}:1", known)
    trace = Trace(file, kind)
    if kind in CSV_FORMATS:
        try:
            _parser(kind, first)
        except BadLineError as error:
            raise trace.problem(1, error.rule, error.value or first, error.mend) from None
    return trace


def read_trace(path: str | Path, kind: str = "auto") -> Rows:
    """Read a whole trace at once.

    Raises:
        ScenarioError: as `open_trace` and `Trace.chunks`.
    """
    return Rows.join(list(open_trace(path, kind).chunks()))


def _parser(kind: str, header: str) -> Parser:
    return _FORMATS[kind].parser(header)


def _open(path: Path) -> TextIO:
    try:
        # What is no UTF-8 is kept as it is, so that the error names the line it stands in.
        return path.open(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        rule = f"cannot read this trace: {error.strerror or error}"
        raise ScenarioError(rule, str(path), "trace", "paths begin at the folder of the scenario") from None
    except ValueError:
        raise ScenarioError("this is no path of a file", printable(str(path)), "trace") from None


def _blocks(file: TextIO, path: Path, first: int) -> Iterator[tuple[int, list[str]]]:
    """Give the lines in blocks, each with the number of its first; empty lines at the end of the file are left out."""
    number, empty = first, 0
    for _ in count():
        text = file.read(CHUNK_CHARACTERS)
        if not text:
            return
        if not text.endswith("\n"):
            rest = file.readline(LONGEST_LINE)
            if len(rest) == LONGEST_LINE and not rest.endswith("\n"):
                where = f"{path}:{number + empty + text.count(chr(10))}"
                raise ScenarioError(f"a line has at most {LONGEST_LINE:,} characters", "", where)
            text += rest
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        if empty:
            lines, empty = [""] * empty + lines, 0
        while lines and not lines[-1].strip():
            lines.pop()
            empty += 1
        if lines:
            yield number, lines
            number += len(lines)
