"""What `sim --help` prints: the commands in boxes like those of typer, drawn without importing it."""

from __future__ import annotations

import sys
import textwrap

from sim.cli import output
from sim.cli.commands import COMMANDS, EXAMPLES

BOX, ASCII_BOX = tuple("╭─╮│╰╯"), tuple("+-+|++")
TITLE = "How long compute takes on which hardware, and where every device-second goes."


def overview() -> str:
    """Give the help of the whole program, as wide as the terminal and at most 100 columns."""
    width = min(output.terminal_width(), output.WIDEST_TEXT)
    name_width = max(len(command.name) for command in COMMANDS)
    parts = [
        "",
        f" {output.styled('Usage:', output.YELLOW)} sim COMMAND [ARGUMENTS]   (sim COMMAND --help for each)",
        "",
    ]
    parts += [f" {line}" for line in textwrap.wrap(TITLE, width - 2)]
    parts += [""]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        rows = [(command.name, command.summary) for command in COMMANDS if command.group == group]
        parts += _box(group, [line for row in rows for line in _row(*row, name_width, width)], width)
    parts += _box("Examples", [(example, output.styled(example, output.CYAN)) for example in EXAMPLES], width)
    return "\n".join(parts)


def _row(name: str, summary: str, name_width: int, width: int) -> list[tuple[str, str]]:
    """Give the lines of one command, plain and styled; the summary is broken to fit beside the name."""
    texts = textwrap.wrap(summary, max(width - name_width - 6, 20))
    heads = [name.ljust(name_width), *[" " * name_width] * (len(texts) - 1)]
    return [
        (f"{head}  {text}", f"{output.styled(head, output.CYAN)}  {text}")
        for head, text in zip(heads, texts, strict=True)
    ]


def _box(title: str, lines: list[tuple[str, str]], width: int) -> list[str]:
    """Draw a box with a title round lines, each given plain (for its length) and styled."""
    corner, line, corner_right, side, bottom, bottom_right = _characters()
    top = f"{corner}{line} {title} {line * (width - len(title) - 5)}{corner_right}"
    inner = [f"{side} {styled}{' ' * (width - 4 - len(plain))} {side}" for plain, styled in lines]
    return [top, *inner, f"{bottom}{line * (width - 2)}{bottom_right}"]


def _characters() -> tuple[str, ...]:
    """Give the characters of a box that the output can show."""
    try:
        "".join(BOX).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BOX
    return BOX
