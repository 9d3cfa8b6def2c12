"""`sim query`: SQL over the tables of a record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ROWS = 200
"""Rows that are drawn on the terminal."""


def query(
    record: Annotated[Path, typer.Argument(help="Folder of sim run --out.", show_default=False)],
    sql: Annotated[
        str, typer.Argument(help="What to select, in DuckDB's SQL; nothing lists the tables.", show_default=False)
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Ask the tables of a record in SQL.

    Example: sim query DIR "select kind, count(*) from events group by kind"
    """
    from sim.results.record import TABLES, read
    from sim.results.stored import query as ask

    read(record)  # says what is wrong with a folder that holds no record
    names, rows = ask(record / TABLES, sql or _LISTING)
    if json:
        output.write_json({"columns": list(names), "rows": [[_plain(value) for value in row] for row in rows]})
    elif csv:
        import csv as format_
        import sys

        writer = format_.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        _draw(names, rows)


_LISTING = (
    'select table_name as "table", count(*) as columns, '
    "string_agg(column_name, ', ' order by ordinal_position) as names "
    "from information_schema.columns group by table_name order by table_name"
)


def _draw(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = output.table()
    for place, name in enumerate(names):
        numeric = any(isinstance(row[place], int | float) for row in rows[:MOST_ROWS])
        table.add_column(output.printable(name), justify="right" if numeric else "left")
    for row in rows[:MOST_ROWS]:
        table.add_row(*(output.printable(_text(value)) for value in row))
    output.draw(table)
    if len(rows) > MOST_ROWS:
        output.say(f"the first {MOST_ROWS} of {len(rows):,} rows; --csv and --json give all")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    """Give what JSON can hold; numbers that are none are left empty."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return None
    return value if isinstance(value, int | float | str | bool | None) else str(value)
