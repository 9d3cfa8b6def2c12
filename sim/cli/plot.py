"""`sim plot`: one picture of a record as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sim.cli import output


def plot(
    record: Annotated[Path, typer.Argument(help="Folder of sim run --out.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The picture; nothing lists those there are.", show_default=False)] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File: .svg, .png or .pdf.", show_default="NAME.svg")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light on dark.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Make one picture of a record, as SVG, PNG or PDF.

    No browser and no network are needed; PNG and PDF need the extra report: pip install vl-convert-python.
    """
    from sim.cli.files import check_writable, write_whole_bytes
    from sim.results.charts.chart import file_kind
    from sim.results.charts.gallery import chart, charts
    from sim.results.record import read

    found = read(record)
    if not name:
        drawn = charts(found)
        for each in drawn.values():
            output.write(f"{each.name:<{max(len(name) for name in drawn)}}  {each.title}")
        return
    target = out or Path(f"{name}.svg")
    kind = file_kind(str(target))
    picture = chart(found, name)
    check_writable(target, force=force)
    write_whole_bytes(target, picture.save(kind, theme="dark" if dark else "light"), force=force)
    output.write(f"{target}: {picture.label}")
