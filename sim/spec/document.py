"""A file that was read: plain data, and for every piece of it the line and column where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from sim.errors import ScenarioError, SimError

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands in the data: ('workloads', 0, 'training', 'budget')."""

VALUE_WIDTH = 60
"""Characters of a wrong value that a message repeats."""
SNIPPET_WIDTH = 88
"""Characters of a source line that a message shows around the place."""
# What YAML counts as the end of a line.
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class Source:
    """A text and what it is called in messages."""

    name: str
    text: str
    has_lines: bool = True
    """False for a command-line argument, where a line number would mean nothing."""

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return _LINE_END.split(self.text)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, counted from 1 as editors do; line 0 means the whole of it."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Write the place so that editors and terminals make a link of it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


LINE = 2**32
"""A place in a text is one integer, line x LINE + column, both counted from 0: a file may hold 200,000 of them."""


@dataclass(slots=True)
class Node:
    """Where one value stands, and where its parts do."""

    source: Source
    place: int
    children: dict[str, Node | int] | list[Node | int] | None = None
    """The parts of a collection, by key or index; of a scalar only its place in the same source."""
    keys: dict[str, int] | None = None
    """The place of each key of a mapping."""
    size: int = 1
    """Values and keys in it, each alias counted as what it stands for."""
    height: int = 0
    """Collections inside each other, itself included."""

    def child(self, step: str | int) -> Node | None:
        """Give the part under a key or index; None where there is none."""
        part: Node | int | None = None
        if isinstance(self.children, dict) and isinstance(step, str):
            part = self.children.get(step)
        elif isinstance(self.children, list) and isinstance(step, int) and 0 <= step < len(self.children):
            part = self.children[step]
        return Node(self.source, part) if isinstance(part, int) else part


class FileError(SimError):
    """One wrong place in a file, shown with its line and a caret below it."""

    def __init__(self, rule: str, value: str = "", where: str = "", mend: str = "", snippet: str = "") -> None:
        """Keep the four parts and the lines to show."""
        super().__init__(rule, value, where, mend)
        self.args = (rule, value, where, mend, snippet)
        self.snippet = snippet

    def __str__(self) -> str:
        """Show the place in its line; the value is repeated only where the line does not show it."""
        if not self.snippet:
            return super().__str__()
        given = [f"  given: {self.value}"] if self.value and self.value not in self.snippet else []
        mend = [f"  mend:  {self.mend}"] if self.mend else []
        return "\n".join([f"{self.where}: {self.rule}", self.snippet, *given, *mend])


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None), with the place of each part."""

    data: object
    root: Node

    @property
    def name(self) -> str:
        """What the file is called in messages."""
        return self.root.source.name

    def position(self, path: Path = (), *, key: bool = False) -> Position:
        """Give the place of a value, or of its key; of the nearest part around it where it is not in the file."""
        return _position(*self._place(path, key=key))

    def snippet(self, path: Path = (), *, key: bool = False) -> str:
        """Show the source line of a value with a caret below its place; empty for a command-line argument."""
        return caret_snippet(*self._place(path, key=key))

    def problem(self, path: Path, rule: str, *, value: object = "", mend: str = "", key: bool = False) -> ScenarioError:
        """Build the error for one wrong value of the file."""
        return problem_at(*self._place(path, key=key), rule, value=value, mend=mend)

    def source(self, path: Path = ()) -> Source:
        """Give the text that a value stands in: the file, or an argument of the command line."""
        return self._place(path, key=False)[0]

    def _place(self, path: Path, *, key: bool) -> tuple[Source, int]:
        node, place = self.root, self.root.place
        for depth, step in enumerate(path, start=1):
            inner = node.child(step)
            if inner is None:
                break
            place = inner.place
            # Where --set replaced a value, its key stands in the file: then both are shown as the argument.
            if key and depth == len(path) and inner.source is node.source and node.keys and isinstance(step, str):
                place = node.keys[step]
            node = inner
        return node.source, place


def problem_at(source: Source, place: int, rule: str, *, value: object = "", mend: str = "") -> ScenarioError:
    """Build the error for a place in a text."""
    where = str(_position(source, place))
    problem = FileError(rule, brief(value), where, mend, caret_snippet(source, place))
    return ScenarioError(problem.rule, problem.value, problem.where, problem.mend, (problem,))


def _position(source: Source, place: int) -> Position:
    line, column = divmod(place, LINE)
    return Position(source.name, line + 1, column + 1) if source.has_lines else Position(source.name)


def caret_snippet(source: Source, place: int) -> str:
    """Show one line of a text, cut to a window, with a caret below one of its columns."""
    line, column = divmod(place, LINE)
    if not source.has_lines or line >= len(source.lines):
        return ""
    text = source.lines[line]
    start = max(0, column - SNIPPET_WIDTH // 2) if len(text) > SNIPPET_WIDTH else 0
    shown = printable(text[start : start + SNIPPET_WIDTH])
    before = "..." if start else ""
    after = "..." if start + SNIPPET_WIDTH < len(text) else ""
    number = f"{line + 1:>5}"
    caret = " " * (len(before) + column - start) + "^"
    return f"{number} | {before}{shown}{after}\n{' ' * len(number)} | {caret}"


def brief(value: object) -> str:
    """Write a wrong value on one line, cut where it is long; a collection by its kind alone."""
    if isinstance(value, (dict, list, tuple)):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind} of {len(value)}"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float):
        text = text.replace("e+", "e")
    return printable(text if len(text) <= VALUE_WIDTH else f"{text[:VALUE_WIDTH]}...")


def printable(text: str) -> str:
    """Replace what would move the cursor or colour the terminal."""
    return "".join(character if character.isprintable() else " " if character == "\t" else "?" for character in text)
