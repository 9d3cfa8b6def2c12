"""How `sim validate serving` shows itself as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cli import output
from sim.cli.columns import Columns

if TYPE_CHECKING:
    from sim.validate.score import Score
    from sim.validate.serving import ServingReport
    from sim.validate.serving_runs import RunsReport

WORST = 5
"""Rows with the largest errors that text shows."""
LONGEST = 44
"""Characters of a name from a table."""
HEADINGS = ("n", "skipped", "median %", "p90 %", "mean %", "bias %")
TITLES = {
    ("kind",): "kind",
    ("metric",): "metric",
    ("trust",): "trust",
    ("experts",): "model",
    ("degree",): "layout",
    ("precision",): "precision",
    ("gpu",): "accelerator",
    ("profile",): "engine profile",
    ("group", "experts", "metric"): "source",
}


def draw(report: ServingReport) -> None:
    """Print errors over all rows and by part, why rows were left out, and the largest errors."""
    total = report.score
    rows = total.n + total.skipped + total.infeasible
    missed = f", {total.skipped} skipped" if total.skipped else ""
    missed += f", {total.infeasible} that do not fit" if total.infeasible else ""
    output.write(output.wrapped(f"{total.n} of {rows} metrics of served models predicted{missed}.", ""))
    output.write(output.wrapped("Error = |predicted / measured - 1|; bias = median of predicted / measured - 1.", ""))
    output.write("")
    drawing = Columns()
    drawing.add_column("all metrics")
    for heading in HEADINGS:
        drawing.add_column(heading, justify="right")
    drawing.add_row("all", *_cells(total))
    for dimensions, title in TITLES.items():
        parts = {name: part for name, part in report.by(*dimensions).items() if part.n}
        if not parts:
            continue
        drawing.add_row("")
        drawing.add_row(title, bold=True)
        for name, part in parts.items():
            drawing.add_row(f"  {output.printable(name)[:LONGEST]}", *_cells(part))
    drawing.draw()
    output.write("")
    _draw_rest(report)


def draw_runs(report: RunsReport) -> None:
    """Print the means of each run, and how far single requests are apart."""
    drawing = Columns()
    for heading in ("run", "from", "metric"):
        drawing.add_column(heading)
    for heading in ("measured s", "predicted s", "error %", "of requests: median %", "p90 %"):
        drawing.add_column(heading, justify="right")
    for each in report.verdicts:
        drawing.add_row(
            output.printable(each.run)[:LONGEST],
            each.source,
            each.metric.removesuffix("_s"),
            f"{each.measured:.4g}",
            f"{each.predicted:.4g}",
            f"{100 * (each.ratio - 1.0):+.1f}",
            f"{100 * each.request_median_ape:.1f}",
            f"{100 * each.request_p90_ape:.1f}",
        )
    drawing.draw()
    output.write(output.wrapped("Error: mean over requests, predicted / measured - 1.", ""))


def _draw_rest(report: ServingReport) -> None:
    if report.reasons:
        output.write("Not predicted, by reason:")
        for reason, count in report.reasons.items():
            output.write(output.wrapped(output.printable(reason), f"{count:6d}  "))
        output.write("")
    worst = report.worst(WORST)
    if worst:
        output.write("Largest errors (predicted / measured):")
    for verdict in worst:
        values = f"{verdict.metric} {verdict.predicted:.4g} / {verdict.measured:.4g}"
        output.write(output.printable(f"{verdict.ratio:8.2f}  {verdict.id[:LONGEST]}: {values}"))


def _cells(score: Score) -> tuple[str, ...]:
    shares = (score.median_ape, score.p90_ape, score.mean_ape)
    errors = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
    bias = "-" if score.bias is None else f"{100 * score.bias:+.1f}"
    return (str(score.n), str(score.skipped + score.infeasible), *errors, bias)
