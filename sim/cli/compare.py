"""`sim compare`: two results, what changed in what was said and in what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output

if TYPE_CHECKING:
    from sim.results.compare import Comparison, OutputChange
    from sim.study.attribution import Attribution

MOST_OUTPUTS, MOST_INPUTS = 16, 24
SMALLEST = 0.001
"""Share of the whole below which a part is not drawn."""


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of sim run --out, or a result.json.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="The other one.", show_default=False)],
    attribute: Annotated[
        bool, typer.Option("--attribute", help="Play again with one changed input at a time, to say what did it.")
    ] = False,
    of: Annotated[str, typer.Option(help="Figure to attribute.", show_default=False)] = "",
    everything: Annotated[bool, typer.Option("--all", help="Show every figure that changed.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="File for one page with both results beside each other.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Compare two results: inputs and outputs that changed.

    Sorted by effect. Nothing is simulated again, but with --attribute: then each changed input is swapped alone, in
    both directions.
    """
    from sim.results.compare import compare as look
    from sim.results.record import read

    if html is not None:
        from sim.cli.files import check_writable

        check_writable(html, force=force)
    records = read(first), read(second)
    found = look(*records)
    if html is not None:
        from sim.cli.files import write_whole
        from sim.results.compare_page import compare_page

        write_whole(html, compare_page(found, *records), force=force)
        output.say(f"page: {html}")
    done: Attribution | None = None
    if attribute or of:
        from sim.study.attribution import attribute as swap

        done = swap(*records, of)
    if json:
        output.write_json(found.to_dict() | ({} if done is None else {"attribution": done.to_dict()}))
        return
    _draw(found, everything=everything)
    if done is not None:
        _draw_attribution(done)
    elif len(found.inputs) > 1:
        output.write(output.wrapped(f"sim compare {first} {second} --attribute says which input did what", "next: "))


def _draw(found: Comparison, *, everything: bool) -> None:
    for mark, name, sentence in zip("AB", found.names, found.sentences, strict=True):
        output.write(output.wrapped(f"{name}: {sentence}", f"{mark}  "))
    output.write("")
    if not found.inputs and not found.outputs:
        output.write("Nothing changed.")
        return
    output.write(output.styled("Inputs that changed", output.BOLD))
    for each in found.inputs[: None if everything else MOST_INPUTS]:
        place = f"  ({each.where})" if each.where else ""
        output.write(output.wrapped(f"{each.path}: {each.before or 'none'} -> {each.after or 'none'}{place}", "  "))
    if not found.inputs:
        output.write("  none: another seed or another version")
    _table("Figures that changed: those of the sentences, then by effect", found.outputs, everything=everything)
    whole = sum(each.after - each.before for each in found.parts)
    if found.parts:
        _table(f"Where the {_seconds(whole)} come from", found.parts, everything=everything, is_difference=True)


def _table(title: str, changes: tuple[OutputChange, ...], *, everything: bool, is_difference: bool = False) -> None:
    from sim.results.explain import say

    output.write("")
    output.write(output.styled(title, output.BOLD))
    largest = max((abs(each.after - each.before) for each in changes), default=0.0)
    shown = [
        each
        for each in changes
        if everything or not is_difference or abs(each.after - each.before) > SMALLEST * largest
    ]
    shown = shown if everything else shown[:MOST_OUTPUTS]
    table = output.table()
    for heading in ("", "A", "B", "change"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=bool(heading))
    for each in shown:
        change = _seconds(each.after - each.before) if is_difference else each.shown
        cells = (
            each.path.removeprefix("parts."),
            say(each.before, each.dimension),
            say(each.after, each.dimension),
            change,
        )
        table.add_row(*(output.printable(cell) for cell in cells))
    output.draw(table)
    if len(shown) < len(changes):
        output.write(f"{len(changes) - len(shown)} more: --all")


def _draw_attribution(done: Attribution) -> None:
    from sim.results.dimensions import dimension_of

    dimension = dimension_of(done.figure)

    def say(change: float | None) -> str:
        if change is None:
            return "cannot be planned"
        from sim.results.explain import say as plain

        return f"{'-' if change < 0 else '+'}{plain(abs(change), dimension)}"

    output.write("")
    output.write(output.styled(f"Each changed input alone: its effect on {done.figure}", output.BOLD))
    table = output.table()
    for heading in ("", "from A", "towards B"):
        table.add_column(heading, justify="left" if not heading else "right")
    for each in done.effects:
        cells = (f"{each.path}: {each.before} -> {each.after}", say(each.on_first), say(each.on_second))
        table.add_row(*(output.printable(cell) for cell in cells))
    table.add_row("what they do only together", say(done.together), "")
    table.add_row("the whole difference", say(done.second - done.first), "")
    output.draw(table)


def _seconds(change: float) -> str:
    from sim.results.words import duration

    return f"{'-' if change < 0 else '+'}{duration(abs(change))}"
