"""Ask one question of one cluster or several, and print what comes back: text, a table, CSV or JSON."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sim import units
from sim.cli import output
from sim.cli.answer import draw, time_unit
from sim.cli.columns import Columns
from sim.errors import InfeasibleError, SimError, UsageError
from sim.results.thresholds import Threshold
from sim.results.words import amount
from sim.study.question_scenario import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.results.answer import Answer


_THRESHOLD_MEND = "write it like --threshold 5e25, or mine=5e25"
DISPENSABLE = ("ETTR", "M device-h", "energy", "MFU")
"""Columns of a table that are left out where it is too wide, in this order; JSON and CSV have all."""
Settings: TypeAlias = dict[str, Any]
"""Keyword arguments of the Python questions."""


@dataclass(frozen=True, slots=True)
class Request:
    """What stands beside the question: options of the scenario, and how the answer is wanted."""

    options: Mapping[str, object]
    thresholds: tuple[Threshold, ...]
    start: dt.date | None
    seeds: int
    seed: int
    emit: str | None
    force: bool
    everything: bool
    csv: bool
    json: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Request:
        """Read the options of a command.

        Raises:
            UsageError: two options contradict each other, or one cannot be read.

        """
        options = {name: given[name] for name in OPTIONS if given.get(name) is not None}
        if given["no_failures"]:
            if "failure_rate" in options:
                raise UsageError("--no-failures and --failure-rate contradict each other", mend="give one of them")
            options["failure_rate"] = "0/h"
        if given["csv"] and given["json"]:
            raise UsageError("--csv and --json are two forms of one answer", mend="give one of them")
        return cls(
            options=options,
            thresholds=tuple(_threshold(text) for text in given["threshold"] or ()),
            start=_date(given["start"]),
            seeds=given["seeds"],
            seed=given["seed"],
            emit=given["emit"],
            force=given["force"],
            everything=given["everything"],
            csv=given["csv"],
            json=given["json"],
        )

    @property
    def settings(self) -> Settings:
        """Give the keyword arguments of the Python questions."""
        return {
            "seeds": self.seeds,
            "seed": self.seed,
            "thresholds": self.thresholds,
            "start": self.start,
            "flags": True,
            **self.options,
        }


def answer_all(request: Request, machines: Sequence[str], ask: Callable[[str, Settings], Answer]) -> None:
    """Ask the question of each machine and print one answer, or one table of several.

    Of several machines, those that cannot do it say why beside the others' answers.

    Raises:
        InfeasibleError: no machine can do it.

    """
    target = _emit_target(request, machines)
    found = [_answer_or_refusal(ask, machine, request) for machine in machines]
    answers = [each for each in found if not isinstance(each, InfeasibleError)]
    refusals = [each for each in found if isinstance(each, InfeasibleError)]
    if not answers:
        raise refusals[0]
    if target is not None:
        from sim.cli.files import write_whole

        write_whole(target, answers[0].scenario_text, force=request.force)
        output.say(f"scenario written to {target}")
    if request.json:
        # An answer says itself which machine it is about; a refusal does not.
        every = [
            {"on": on} | each.to_dict() if isinstance(each, InfeasibleError) else each.to_dict()
            for on, each in zip(machines, found, strict=True)
        ]
        output.write_json(found[0].to_dict() if len(found) == 1 else {"answers": every})
    elif request.csv:
        output.write(_csv([on for on, each in zip(machines, found, strict=True) if each in answers], answers))
    elif len(found) == 1:
        draw(answers[0], everything=request.everything)
    else:
        _draw_table(answers)
    if not request.json:
        for refusal in refusals:
            say = output.say if request.csv else output.write
            say(output.printable(str(refusal)))


def _answer_or_refusal(
    ask: Callable[[str, Settings], Answer], machine: str, request: Request
) -> Answer | InfeasibleError:
    try:
        return ask(machine, request.settings)
    except InfeasibleError as error:
        return error


def _draw_table(answers: Sequence[Answer]) -> None:
    """Print several answers side by side, then the sentence of each; a narrow terminal shows fewer columns."""
    columns = _columns(answers)
    drawing = _table(columns)
    for heading in DISPENSABLE:
        if drawing.width <= output.terminal_width():
            break
        del columns[heading]
        drawing = _table(columns)
    drawing.draw()
    output.write("")
    for answer in answers:
        output.write(output.wrapped(answer.sentence, ""))


def _columns(answers: Sequence[Answer]) -> dict[str, list[str]]:
    unit_s, unit = time_unit(max(answer.wall_clock_s.expected for answer in answers))
    walls = [answer.wall_clock_s for answer in answers]
    return {
        "cluster": [f"{answer.plan['devices']:,}x{answer.cluster}" for answer in answers],
        unit: [amount(wall.expected / unit_s) for wall in walls],
        "80 % interval": [f"{amount(wall.p10 / unit_s)}-{amount(wall.p90 / unit_s)}" for wall in walls],
        "MFU": [f"{answer.utilization.mfu_run:.0%}" for answer in answers],
        "ETTR": [f"{answer.utilization.ettr:.0%}" for answer in answers],
        "M device-h": [amount(answer.device_hours / 1e6) for answer in answers],
        "energy": [_shown(answer.energy_j, "joule") for answer in answers],
        "cost": [_shown(answer.cost_usd, "usd") for answer in answers],
    }


def _table(columns: Mapping[str, list[str]]) -> Columns:
    drawing = Columns()
    for index, heading in enumerate(columns):
        drawing.add_column(heading, justify="right" if index else "left")
    for row in zip(*columns.values(), strict=True):
        drawing.add_row(*row)
    return drawing


def _shown(value: float | None, dimension: str) -> str:
    return "-" if value is None else units.show(value, dimension)


def _csv(machines: Sequence[str], answers: Sequence[Answer]) -> str:
    """Give one line for each machine, in SI, with the seconds of each part."""
    import csv
    import io

    names = list(dict.fromkeys(name for answer in answers for name, _ in answer.parts))
    head = ["on", "devices", "wall_clock_s", "p10_s", "p50_s", "p90_s", "model_flop", "device_hours", "energy_j"]
    head += ["cost_usd", "mfu_step", "mfu_run", "ettr", *(f"{name} s" for name in names)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for machine, answer in zip(machines, answers, strict=True):
        wall, use, parts = answer.wall_clock_s, answer.utilization, dict(answer.parts)
        row: list[object] = [machine, answer.plan["devices"], wall.expected, wall.p10, wall.p50, wall.p90]
        row += [answer.flop["model"].operations, answer.device_hours, answer.energy_j, answer.cost_usd]
        row += [use.mfu_step, use.mfu_run, use.ettr, *(parts.get(name, 0.0) for name in names)]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue().rstrip("\n")


def _emit_target(request: Request, machines: Sequence[str]) -> Path | None:
    """Check before the work that the scenario can be written."""
    if request.emit is None:
        return None
    if len(machines) > 1:
        raise UsageError("--emit writes one scenario", value=", ".join(machines), mend="ask for one cluster")
    from sim.cli.files import check_writable

    target = Path(request.emit)
    check_writable(target, force=request.force)
    return target


def _threshold(text: str) -> Threshold:
    name, equals, number = text.rpartition("=")
    try:
        flop = units.parse(number if "FLOP" in number else f"{number} FLOP", "flop")
    except SimError as error:
        raise UsageError(error.rule, text, "--threshold", _THRESHOLD_MEND) from None
    if flop <= 0 or (equals and not name.strip()):
        rule = "a threshold is an amount above 0" if flop <= 0 else "a threshold has a name before its ="
        raise UsageError(rule, text, "--threshold", _THRESHOLD_MEND)
    return Threshold(name.strip() if equals else "your threshold", flop, "given by you")


def _date(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError("a date is year-month-day", text, "--start", "write it like --start 2026-12-01") from None
