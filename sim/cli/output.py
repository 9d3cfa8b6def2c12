"""Where every command prints: text and JSON on stdout, errors and remarks on stderr, colour only where wanted.

stdout is the answer alone. rich is imported by the functions that draw with it: a JSON answer does not need it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from sim.errors import SimError

SCHEMA_VERSION = "1.0"
"""Version of everything that ``--json`` prints."""
RED, YELLOW, CYAN, DIM = "1;31", "33", "1;36", "2"
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


def console(*, stderr: bool = False) -> Console:
    """Give a console that draws tables and panels; texts are taken as they stand, without markup.

    Its width is that of the terminal or of COLUMNS, and 80 where neither is known; NO_COLOR is honoured.
    """
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


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


def _plain(value: object) -> object:
    """Give a number or an array of numpy as plain Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
