"""Where every command prints: text and JSON on stdout, errors and remarks on stderr, colour only where wanted.

stdout is the answer alone. rich is imported by the functions that draw with it: a JSON answer does not need it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType
    from rich.table import Table

    from sim.errors import SimError

SCHEMA_VERSION = "1.0"
"""Version of everything that ``--json`` prints."""
WIDEST_TEXT = 100
"""Longer lines of running text are hard to read."""
WIDEST = 1000
"""Columns that no table needs."""
RED, YELLOW, CYAN, BOLD, DIM = "1;31", "33", "1;36", "1", "2"
"""Styles for `styled`."""


def write(text: str) -> None:
    """Print text as it stands to stdout, with a line end."""
    print(text)


def write_json(data: Mapping[str, Any]) -> None:
    """Print the one JSON object of an answer or an error: sorted keys, SI numbers, with ``schema_version``.

    >>> write_json({"b": 1, "a": "x"})
    {
      "a": "x",
      "b": 1,
      "schema_version": "1.0"
    }
    """
    print(to_json({"schema_version": SCHEMA_VERSION} | dict(data)))


def to_json(data: Mapping[str, Any]) -> str:
    r"""Write data as canonical JSON: sorted keys, two spaces, no NaN; numbers of numpy are taken as plain ones.

    >>> to_json({"b": 1e26, "a": [1, 2]}).replace("\n", "")
    '{  "a": [    1,    2  ],  "b": 1e+26}'
    """
    return json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)


def write_error(error: SimError) -> None:
    """Print an error of the user to stderr, in the words of its four parts."""
    say(f"{styled('error:', RED, sys.stderr)} {printable(str(error))}")


def say(remark: str) -> None:
    """Print a remark to stderr, where it does not mix with the answer."""
    print(remark, file=sys.stderr)


def console(width: int | None = None) -> Console:
    """Give a console on stdout that takes texts as they stand, without markup.

    Its width is the one given, else that of the terminal or of COLUMNS, else 80; NO_COLOR is honoured.
    """
    from rich.console import Console

    return Console(width=width, markup=False, highlight=False, emoji=False)


def table() -> Table:
    """Give an empty table in the style of all of ours: a rule below the heading, two spaces between columns."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")


def fits(drawing: Table) -> bool:
    """Tell whether a table stands on the terminal without being cut."""
    return _natural_width(drawing) <= console().width


def draw(drawing: RenderableType, *, folds: bool = True) -> None:
    """Print what rich can draw, without blanks at the ends of lines.

    A table that does not fold its cells is never cut: on a narrow terminal, or in a pipe, its lines are longer.
    """
    width = console().width if folds else max(console().width, _natural_width(drawing))
    ready = console(width)
    with ready.capture() as capture:
        ready.print(drawing)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def wrapped(text: str, head: str) -> str:
    r"""Give text broken to the width of the terminal, its lines indented below the first, which begins with head.

    >>> print(wrapped("sources are long, longer than a terminal is wide; so they go on in the next line", "[1] "))
    [1] sources are long, longer than a terminal is wide; so they go on in the next
        line
    """
    import textwrap

    width = max(min(terminal_width(), WIDEST_TEXT), len(head) + 20)
    return textwrap.fill(
        printable(text), width, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def terminal_width() -> int:
    """Give the columns of the terminal or of COLUMNS; 80 where neither is known."""
    import shutil

    return shutil.get_terminal_size((80, 45)).columns


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Give text in one of the styles above where the stream (stdout by default) shows colours, else as it is.

    >>> styled("plain", CYAN)
    'plain'
    """
    return f"\033[{style}m{text}\033[0m" if _has_colour(stream or sys.stdout) else text


def printable(text: str) -> str:
    r"""Give text whose control characters are spelled out, so that a hostile file cannot drive the terminal.

    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\nb'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def either(choices: Sequence[str]) -> str:
    """Give choices as words.

    >>> either(["h100-nvl", "h100-pcie", "h100-sxm"])
    'h100-nvl, h100-pcie or h100-sxm'
    """
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last


def flush() -> None:
    """Bring everything out now, so that a full disk or a closed pipe shows while it can still be told."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def tolerate_any_encoding() -> None:
    """Let characters that the terminal cannot show become escapes instead of an error."""
    import io

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _has_colour(stream: TextIO | None) -> bool:
    unwanted = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return stream is not None and stream.isatty() and not unwanted


def _natural_width(drawing: RenderableType) -> int:
    """Give the columns that a drawing takes where nothing limits it."""
    from rich.measure import Measurement

    unlimited = console(WIDEST)
    return Measurement.get(unlimited, unlimited.options, drawing).maximum


def _plain(value: object) -> object:
    """Give a number or an array of numpy as plain Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
