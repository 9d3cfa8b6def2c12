"""Play a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output
from sim.cli.keep import Keep
from sim.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.report import Report


MISSED = 3
"""Exit code of a run that missed a target of its scenario."""


def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario file.", show_default=False)],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: cluster.count=4096.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="First seed instead of the file's.", min=0, show_default=False)
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds to play.", min=1, max=100_000)] = 1,
    everything: Annotated[bool, typer.Option("--all", help="Show every assumption.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Print the sentence alone.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder to keep the record in: result.json, tables, scenario.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="File for one page with everything in it.")] = None,
    trace: Annotated[Path | None, typer.Option(help="File for a timeline that Perfetto opens: run.pftrace.")] = None,
    tables: Annotated[str, typer.Option(help="Form of the tables in the record: parquet, csv or none.")] = "parquet",
    curve: Annotated[
        bool, typer.Option("--curve/--no-curve", help="Keep what other loads or other counts of devices would give.")
    ] = True,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the policy that the scenario brings (policy.python).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
) -> int:
    """Play a scenario file event by event.

    A training run shows the expected answer and, beside it, what the simulated seeds did. Ends with exit code 3
    where a target of the scenario was missed.
    """
    from sim.cli.run_report import draw, target_lines
    from sim.results.run_report import RunReport
    from sim.spec.load import load_document, read_scenario
    from sim.study.scenarios import run_scenario

    keep = Keep(out, html, trace, tables, force, curve)
    keep.check()
    changes = [*(changes or ()), *([] if seed is None else [f"seed={seed}"])]
    document = load_document(scenario, changes)
    loaded = read_scenario(document)
    with Progress(seeds):
        report = run_scenario(loaded, None, seeds, document=document, allow_code=allow_code)
    keep.write(report, loaded)
    if json:
        output.write_json(report.to_dict())
    elif brief:
        output.write(output.wrapped(report.sentence, ""))
    elif isinstance(report, RunReport):
        draw(report, everything=everything)
    else:
        for line in lines(report, everything=everything):
            output.write(line)
        for line in target_lines(report.targets):
            output.write(line)
    return MISSED if report.missed else 0


def lines(report: Report, *, everything: bool) -> Iterator[str]:
    """Give the report line by line: the simulated runs, then the expected answer."""
    from sim.cli import answer as drawing
    from sim.results.words import amount, duration

    spread, count = report.wall_clock_spread_s, len(report.recordings)
    unit_s, unit = drawing.time_unit(spread.expected)
    yield output.styled(report.name, "1")
    if count == 1:
        head = f"Simulated with seed {report.recordings[0].seed}: {duration(spread.expected)}"
    else:
        first, last = report.recordings[0].seed, report.recordings[-1].seed
        head = (
            f"Simulated with seeds {first} to {last}: mean {duration(spread.expected)}, p10 {duration(spread.p10)}, "
            f"p90 {duration(spread.p90)}"
        )
    against = "the mean of 16 seeds or more is" if report.by_simulation else "the closed form is"
    off = report.answer.wall_clock_s.expected / spread.expected - 1
    interruptions, checkpoints = amount(report.outcome.interruptions), amount(report.outcome.checkpoints)
    text = f"{head}; {interruptions} interruptions, {checkpoints} checkpoints; {against} {off:+.2%} off."
    yield from output.wrapped(text, "").splitlines()
    yield output.styled(f"{'':<40}{'simulated':>10}{'expected':>10} {unit}", "1")
    expected = dict(report.answer.parts)
    names = dict.fromkeys([*(name for name, _ in report.outcome.parts), *expected])
    simulated = dict(report.outcome.parts)
    total = spread.expected / unit_s
    for name in names:
        pair = (simulated.get(name, 0.0), expected.get(name, 0.0))
        shown = "".join(f"{drawing.column(seconds / unit_s, total):>10}" for seconds in pair)
        yield f"  {name:<38}{shown}"
    pair = (spread.expected, report.answer.wall_clock_s.expected)
    yield f"  {'wall-clock':<38}" + "".join(f"{drawing.column(seconds / unit_s, total):>10}" for seconds in pair)
    yield ""
    yield from drawing.lines(report.answer, everything=everything)
