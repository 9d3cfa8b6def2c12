"""`sim ask`: a question in words, the command that it stands for, and the answer of that command."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from json import loads
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.study.understand import Understood

LABEL = 14
"""Columns of the labels on the left, as in an answer."""


def ask(
    question: Annotated[
        list[str], typer.Argument(help='In quotes: "how long would 1e26 FLOP take on 24,576 H100s"', show_default=False)
    ],
    seeds: Annotated[
        int | None, typer.Option(help="Simulated runs behind the interval (16).", min=1, show_default=False)
    ] = None,
    emit: Annotated[
        str | None, typer.Option(help="Write the scenario that the question stands for.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --emit replace a file.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show every assumption with its source.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a table as CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Ask in words: how long, how many, how much.

    Prints how the question was understood and the command that it stands for, then the answer of that command:

    sim ask "how many B200s to do 3e25 FLOP in 100 days"

    sim ask "compare 1e26 on 24,576 H100s and 8,192 GB200s, in fp8"

    sim ask "train Llama 3.1 70B on 15T tokens with 2k MI300X at 40% MFU"
    """
    from sim.study.understand import understand

    text = " ".join(question)
    understood = understand(text)
    if seeds is not None:
        understood = replace(understood, options={**understood.options, "seeds": str(seeds)})
    flags = {"--force": force, "--all": everything, "--csv": csv, "--json": json}
    given = [*understood.arguments, *(flag for flag, wanted in flags.items() if wanted)]
    given += [] if emit is None else ["--emit", emit]
    if json:
        return _answer_json(text, understood, given)
    # A table for a program is not mixed with words.
    for line in _lines(understood):
        (output.say if csv else output.write)(line)
    return _answer(given)


def _answer(arguments: Sequence[str]) -> int:
    """Answer as the command itself does: the same words, the same errors, the same exit code."""
    from sim.cli.main import main

    output.flush()
    return main(arguments)


def _answer_json(text: str, understood: Understood, arguments: Sequence[str]) -> int:
    """Print the JSON object of the command, with the question as it was put and understood."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = _answer(arguments)
    if printed.getvalue():
        data = loads(printed.getvalue())
        words = {
            "text": text,
            "command": understood.command,
            "understood": [{"phrase": phrase, "meaning": meaning} for phrase, meaning in understood.understood],
        }
        output.write_json(data | {"question": {**data.get("question", {}), "words": words}})
    return code


def _lines(understood: Understood) -> Iterator[str]:
    """Say how a question was understood, phrase by phrase, and the command."""
    width = max(len(phrase) for phrase, _ in understood.understood)
    width = min(width, output.terminal_width() // 2)
    for index, (phrase, meaning) in enumerate(understood.understood):
        label = "" if index else "Understood"
        head = f"{label:<{LABEL}}{output.printable(phrase):<{width}}  "
        first, *more = output.wrapped(meaning, " " * len(head)).splitlines()
        yield _bold(label) + head[len(label) :] + first[len(head) :]
        yield from more
    yield f"{_bold('Command')}{'':<{LABEL - 7}}{output.styled(understood.command, output.CYAN)}"
    yield ""


def _bold(text: str) -> str:
    return output.styled(text, output.BOLD) if text else ""
