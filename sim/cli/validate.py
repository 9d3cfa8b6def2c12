"""`sim validate`: predictions beside the measurements of a table, and how far they are apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output
from sim.cli.columns import Columns
from sim.cli.files import check_writable, write_whole
from sim.errors import UsageError

if TYPE_CHECKING:
    from sim.validate.report import Report
    from sim.validate.score import Score

WORST = 5
"""Rows with the largest errors that text shows."""
HEADINGS = ("n", "skipped", "median %", "p90 %", "mean %", "bias %")
TITLES = {
    "plan": "layout",
    "kind": "kind",
    "precision": "precision",
    "gpu": "accelerator",
    "profile": "software profile",
    "group": "source",
}
SOURCE = "group"
LONGEST = 30
"""Characters of a name from a table."""
ABOUT = {"training": "training steps", "collectives": "collectives", "runs": "whole runs"}


def validate(
    what: Annotated[str, typer.Argument(help="training, collectives, runs, serving or layouts.")],
    table: Annotated[
        Path | None,
        typer.Option(help="CSV file with what was run and what was measured.", show_default=False),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option("--runs", help="serving: folder of runs with the times of every request.", show_default=False),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Only rows of this source (column source_group, gpu or family).", show_default=False),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="One software profile for all rows; none for operators alone.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="SVG file for a picture: predicted against measured, by source.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with every row.")] = False,
) -> None:
    """Put predictions beside measurements.

    Every row of the table is predicted from what was run, without its measured values, or the reason is told. The
    columns are described in docs/validation.md.
    """
    if what == "layouts":
        _layouts(table or requests or plot, group or profile, json=json)
        return
    if requests is not None or what == "serving":
        _serving(what, table, requests, group, profile, json=json)
        return
    if table is None:
        raise UsageError("a table of measurements is needed", where="--table", mend="--table FILE.csv")
    if plot is not None:
        if plot.suffix != ".svg":
            raise UsageError("a picture is an SVG file", str(plot), "--plot", "name it like errors.svg")
        check_writable(plot, force=True)
    report = _report(what, table, group, profile)
    if plot is not None:
        from sim.validate.picture import svg

        write_whole(plot, svg(report), force=True)
    if json:
        output.write_json(report.to_dict())
    else:
        _draw(report)


def _report(what: str, table: Path, group: str | None, profile: str | None) -> Report:
    if what == "training":
        from sim.validate.steps import training

        return training(table, group, profile)
    if what == "runs":
        from sim.validate.runs import runs

        return runs(table, group, profile)
    if what != "collectives":
        raise UsageError(
            "sim validate compares training, collectives, runs, serving or layouts",
            what,
            "sim validate",
            "name one of the five",
        )
    if profile is not None:
        raise UsageError("collectives do not depend on a software profile", profile, "--profile", "leave it out")
    from sim.validate.collectives import collectives

    return collectives(table, group)


def _layouts(file: Path | None, choice: str | None, *, json: bool) -> None:
    """Rank the published layouts that come with the program."""
    if file is not None or choice is not None:
        raise UsageError(
            "published layouts come with the program: sim/validate/layouts.yaml",
            str(file or choice),
            "sim validate layouts",
            "leave the options out; sim plan MODEL ON --beside ranks a layout of your own",
        )
    from sim.cli.validate_layouts import draw
    from sim.validate.layouts import ranked

    rows = ranked()
    if json:
        output.write_json({"question": {"what": "layouts"}, "rows": [row.to_dict() for row in rows]})
    else:
        draw(rows)


def _serving(
    what: str, table: Path | None, requests: Path | None, group: str | None, profile: str | None, *, json: bool
) -> None:
    if what != "serving":
        raise UsageError("runs with the times of every request are of serving", what, "--runs", "sim validate serving")
    if profile is not None:
        raise UsageError("the engine profile of a row follows from its engine", profile, "--profile", "leave it out")
    if (table is None) == (requests is None):
        raise UsageError("serving is validated on a table, or on runs", where="--table", mend="give one of the two")
    if requests is not None:
        from sim.cli.validate_serving import draw_runs
        from sim.validate.serving_runs import serving_runs

        runs = serving_runs(requests)
        if json:
            output.write_json(runs.to_dict())
        else:
            draw_runs(runs)
    elif table is not None:
        from sim.cli.validate_serving import draw
        from sim.validate.serving import serving

        report = serving(table, group)
        if json:
            output.write_json(report.to_dict())
        else:
            draw(report)


def _draw(report: Report) -> None:
    total = report.score()
    rows = total.n + total.skipped + total.infeasible
    missed = f", {total.skipped} skipped" if total.skipped else ""
    missed += f", {total.infeasible} without a layout that fits" if total.infeasible else ""
    output.write(output.wrapped(f"{total.n} of {rows} rows of {ABOUT[report.what]} predicted{missed}.", ""))
    output.write(output.wrapped("Error = |predicted / measured - 1|; bias = median of predicted / measured - 1.", ""))
    output.write("")
    for metric in report.metrics:
        _draw_scores(report, metric)
    if report.called_too_big is not None and report.called_too_big[1]:
        too_big, of = report.called_too_big
        text = f"{too_big} of {of} given layouts need more memory than the chip has, by the model; they ran."
        output.write(output.wrapped(text, ""))
        output.write("")
    _draw_reasons(report)
    _draw_worst(report)


def _draw_scores(report: Report, metric: str) -> None:
    """Print errors of one metric over all rows, and apart by what text can tell apart.

    Parts of which nothing was predicted are left out; of a metric beside the main one only sources stand apart.
    """
    drawing = Columns()
    drawing.add_column(metric)
    for heading in HEADINGS:
        drawing.add_column(heading, justify="right")
    drawing.add_row("all", *_cells(report.score(metric)))
    shown: list[set[str]] = []
    for dimension, title in TITLES.items() if metric == report.metric else ((SOURCE, TITLES[SOURCE]),):
        parts = {name: part for name, part in report.by(dimension, metric).items() if part.n}
        if len(parts) < 2 or set(parts) in shown:  # noqa: PLR2004 - one part is the whole
            continue
        shown.append(set(parts))
        drawing.add_row("")
        drawing.add_row(title, bold=True)
        for name, part in parts.items():
            drawing.add_row(f"  {output.printable(name)[:LONGEST]}", *_cells(part))
    drawing.draw()
    output.write("")


def _cells(score: Score) -> tuple[str, ...]:
    shares = (score.median_ape, score.p90_ape, score.mean_ape)
    errors = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
    bias = "-" if score.bias is None else f"{100 * score.bias:+.1f}"
    return (str(score.n), str(score.skipped + score.infeasible), *errors, bias)


def _draw_reasons(report: Report) -> None:
    if not report.reasons:
        return
    output.write("Not predicted, by reason:")
    for reason, count in report.reasons.items():
        output.write(output.wrapped(reason, f"{count:6d}  "))
    output.write("")


def _draw_worst(report: Report) -> None:
    worst = report.worst(WORST)
    if not worst:
        return
    output.write("Largest errors (predicted / measured):")
    for verdict in worst:
        ratio = f"{verdict.ratio:.2f}" if verdict.ratio is not None else ""
        values = f"{verdict.predicted:.4g} / {verdict.measured:.4g}"
        output.write(output.printable(f"{ratio:>8}  {verdict.id[:LONGEST]}, {verdict.group[:LONGEST]}: {values}"))
