"""Tables that are never cut: on a narrow terminal, or in a pipe, their lines are longer.

rich can draw them too, but its import and its layout take longer than checking a scenario.
"""

from __future__ import annotations

import unicodedata
from itertools import zip_longest
from typing import Literal

from sim.cli import output

BETWEEN = "  "


class Columns:
    """A rule below the heading, two blanks between columns, each as wide as its widest cell."""

    def __init__(self) -> None:
        """Begin with no column."""
        self._right: list[bool] = []
        self._least: list[int] = []
        self._rows: list[tuple[list[str], bool]] = [([], True)]

    def add_column(self, heading: str, justify: Literal["left", "right"] = "left", min_width: int = 0) -> None:
        """Add a column; all of them come before the first row."""
        self._least.append(min_width)
        self._rows[0][0].append(heading)
        self._right.append(justify == "right")

    def add_row(self, *cells: str, bold: bool = False) -> None:
        """Add a row; cells that are left out at its end are empty."""
        self._rows.append(([*cells, *[""] * (len(self._right) - len(cells))], bold))

    @property
    def empty(self) -> bool:
        """Tell whether there is no row yet."""
        return len(self._rows) == 1

    @property
    def width(self) -> int:
        """Give the columns of a terminal that it takes."""
        return sum(self._widths()) + len(BETWEEN) * (len(self._right) - 1)

    def draw(self) -> None:
        """Print the table, without blanks at the ends of lines."""
        widths = self._widths()
        for place, (cells, bold) in enumerate(self._rows):
            for parts in zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""):
                line = BETWEEN.join(map(_padded, parts, widths, self._right)).rstrip()
                output.write(output.styled(line, output.BOLD) if bold and line else line)
            if not place:
                output.write("─" * self.width)

    def _widths(self) -> list[int]:
        columns = zip(*(cells for cells, _ in self._rows), strict=True)
        return [
            max(least, *(_width(line) for cell in column for line in cell.split("\n")))
            for least, column in zip(self._least, columns, strict=True)
        ]


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """Give the columns of a terminal that a text takes.

    >>> _width("a"), _width("µs"), _width("日本")
    (1, 2, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in {"W", "F"}) for each in text
    )
