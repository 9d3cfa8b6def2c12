"""`sim list`: one table per kind of entry, with the few numbers that people compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output
from sim.cli.rows import KINDS, Column, Kind, Row, names_of, rows_of
from sim.errors import NotYetError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

NOT_YET: tuple[str, ...] = ()


def list_(
    kind: Annotated[
        str, typer.Argument(help=f"{', '.join(KINDS)}. Without it: how many there are of each.", show_default=False)
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object, in SI units.")] = False,
) -> None:
    """List what the catalogue knows, with the numbers people compare.

    Peaks are dense, links per device and direction. sim show NAME gives all numbers of an entry, with their sources.
    """
    if not kind:
        _overview(json=json)
        return
    chosen = _kind(kind)
    rows = rows_of(chosen)
    if json:
        output.write_json({"kind": chosen, "entries": [_plain(row) for row in rows]})
    else:
        _draw(KINDS[chosen], rows)


def _kind(text: str) -> str:
    """Give the kind that was typed, in singular or plural."""
    name = text.lower()
    known = next((kind for kind in KINDS if name in {kind, kind.removesuffix("s")}), None)
    if known is not None:
        return known
    if name in NOT_YET:
        raise NotYetError(f"sim list {name} is not built yet", mend=f"one of {', '.join(KINDS)}")
    from difflib import get_close_matches

    near = get_close_matches(name, KINDS, n=2, cutoff=0.5)
    mend = f"did you mean {output.either(near)}?" if near else f"one of {', '.join(KINDS)}"
    raise UsageError("the catalogue has no such kind", value=text, where="sim list", mend=mend)


def _overview(*, json: bool) -> None:
    """Say how many entries there are of each kind, without reading them."""
    counts = {kind: len(names_of(kind)) for kind in KINDS}
    if json:
        output.write_json({"kinds": counts})
        return
    rows = [{"kind": kind, "count": count, "about": KINDS[kind].about} for kind, count in counts.items()]
    _draw(_OVERVIEW, rows)


def _plain(row: Row) -> Row:
    return {key: value for key, value in row.items() if not key.startswith("_")}


def _draw(kind: Kind, rows: list[Row]) -> None:
    """Draw the table of one kind, with the wide columns where the terminal has room, then what its numbers mean."""
    columns = kind.columns
    if not output.fits(_table(kind, columns, rows)):
        columns = tuple(column for column in columns if not column.wide)
    output.draw(_table(kind, columns, rows), folds=any(column.folds for column in columns))
    output.write(f"\n{output.styled(kind.legend, output.DIM)}")


def _table(kind: Kind, columns: tuple[Column, ...], rows: list[Row]) -> Table:
    """Build a table with a heading for every group of rows."""
    from rich.text import Text

    table = output.table()
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            vertical="bottom",
            no_wrap=not column.folds,
            style="cyan" if column is columns[0] else "",
        )
    group = None
    for row in rows:
        if kind.group and row[kind.group] != group:
            if group is not None:
                table.add_row()
            group = row[kind.group]
            table.add_row(Text(output.printable(str(group)), style="bold"))
        table.add_row(*(_cell(column, row) for column in columns))
    return table


def _cell(column: Column, row: Row) -> str:
    value = row[column.key]
    return "" if value is None else output.printable(column.show(value))


_OVERVIEW = Kind(
    "",
    (
        Column("kind", "kind", right=False),
        Column("entries", "count"),
        Column("", "about", right=False, folds=True),
    ),
    "sim list KIND lists them; sim show NAME shows one.",
)
