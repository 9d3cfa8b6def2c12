"""`sim report`: one page from a record, without simulating again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sim.cli import output
from sim.cli.files import write_whole


def report(
    record: Annotated[Path, typer.Argument(help="Folder of sim run --out.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page, an HTML file.")] = Path("report.html"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Make one page of a record.

    The page needs no network: send it to anybody, print it, open it on a phone. Nothing is simulated again.
    """
    from sim.cli.files import check_writable
    from sim.results.page import page
    from sim.results.record import read

    check_writable(out, force=force)
    text = page(read(record))
    write_whole(out, text, force=force)
    output.write(f"{out}: {len(text.encode()) / 1e3:,.0f} kB")
