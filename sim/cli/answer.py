"""Draw an answer on the terminal: 80 columns and 40 lines, from the sentence down to the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.cli import output
from sim.results.words import amount, duration
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.answer import Answer

LABEL = 14
BAR = 20
HEIGHT = 39
"""Lines of a screen of 40, with one for the prompt."""


class Detail(NamedTuple):
    """How much of an answer is drawn."""

    smallest_share: float
    """Parts below it are drawn as one line, "other"; JSON has each."""
    levers: int
    assumptions: int


DETAILS = (
    Detail(0.004, 5, 8),
    Detail(0.006, 4, 8),
    Detail(0.012, 3, 3),
    Detail(0.018, 2, 3),
    Detail(0.025, 2, 2),
    Detail(0.05, 1, 1),
)
"""The first one with which the answer fits on the screen is taken."""
LARGE = 1e6
"""From here on columns are written with exponents."""
FIRST_ASSUMPTIONS = (
    "training.batch",
    "training.plan",
    "training.profile.kernel_slowdown",
    "cluster.failure_rate",
    "cluster.spares",
    "training.mfu",
    "training.step_time",
    "cluster.accelerator",
)
"""Shown without ``--all``: what shapes the answer most and people most often differ in."""


def draw(answer: Answer, *, everything: bool = False) -> None:
    """Print an answer; with ``everything``, also each assumption with its source."""
    for line in lines(answer, everything=everything):
        output.write(line)


def lines(answer: Answer, *, everything: bool = False) -> list[str]:
    """Give the answer line by line: with less detail where it would not fit on the screen, unless all is wanted."""
    for detail in DETAILS:
        drawn = list(_lines(answer, detail, everything=everything))
        if everything or len(drawn) <= HEIGHT:
            break
    return drawn


def _lines(answer: Answer, detail: Detail, *, everything: bool) -> Iterator[str]:
    yield from _folded(answer.sentence, "", output.CYAN)
    yield from _folded(answer.width, "", output.DIM)
    yield from _dates(answer)
    yield ""
    yield from _waterfall(answer, detail.smallest_share)
    yield from _labelled("Utilization", _utilization(answer))
    yield from _flop(answer)
    yield from _labelled("In all", _totals(answer))
    yield from _labelled("Crosses", _crossings(answer))
    yield from _labelled("Model", _model(answer))
    yield from _labelled("Layout", _layout(answer))
    yield from _levers(answer, detail.levers)
    yield from _assumptions(answer, detail.assumptions, everything=everything)
    thumb = f"6ND over peak x 0.4 says {duration(answer.rule_of_thumb_s)}"
    yield from _labelled("Rule of thumb", thumb)
    for command in answer.next:
        yield from _labelled("Next", command)


def _dates(answer: Answer) -> Iterator[str]:
    dates = answer.answer.get("dates")
    if dates is not None:
        text = f"From {dates['start']} to {dates['expected']} (80 % interval {dates['p10']} to {dates['p90']})."
        yield from _folded(text, "", output.CYAN)


def _waterfall(answer: Answer, smallest_share: float) -> Iterator[str]:
    total_s = answer.wall_clock_s.expected
    unit_s, unit = time_unit(total_s)
    shown = [(name, seconds) for name, seconds in answer.parts if seconds >= smallest_share * total_s]
    if len(shown) < len(answer.parts):
        shown.append(("other", total_s - sum(seconds for _, seconds in shown)))
    yield _bold(f"{'Where the time goes':<40}{unit:>10}{'share':>8}")
    largest_s = max(seconds for _, seconds in shown)
    for name, seconds in shown:
        bar = "█" * max(round(BAR * seconds / largest_s), 0)
        yield f"  {name:<38}{column(seconds / unit_s, total_s / unit_s):>10}{seconds / total_s:>8.1%}  {bar}".rstrip()
    yield f"  {'wall-clock':<38}{column(total_s / unit_s, total_s / unit_s):>10}{1:>8.1%}"


def column(value: float, total: float) -> str:
    """Write one entry of a column with as many decimals as give its total four digits.

    >>> column(0.63, 115.6), column(3.2e8, 9.7e8)
    ('0.6', '3.2e8')
    """
    if total >= LARGE:
        return amount(value)
    return f"{value:,.{max(3 - len(str(int(total))) + 1, 0)}f}"


def time_unit(seconds: float) -> tuple[float, str]:
    """Give the unit in which a column of times reads best."""
    for size, name in ((365.25 * 86400.0, "years"), (86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return size, name
    return 1.0, "seconds"


def _utilization(answer: Answer) -> str:
    use = answer.utilization
    return (
        f"allocated {use.allocated:.1%}, busy {use.busy:.1%}, ETTR {use.ettr:.1%}; MFU {use.mfu_step:.1%} of a step, "
        f"{use.mfu_run:.1%} of the run; HFU {use.hfu_run:.1%} (dense {use.peak_precision} peak)"
    )


def _flop(answer: Answer) -> Iterator[str]:
    yield _bold(f"{'FLOP':<{LABEL}}{'operations':>14}{'in 16 bit':>14}{'device time, 16 bit':>22}")
    for name, weighted in answer.flop.items():
        yield (
            f"  {name:<{LABEL - 2}}{amount(weighted.operations):>14}{amount(weighted.bits16):>14}"
            f"{amount(weighted.device_time16):>22}"
        )


def _totals(answer: Answer) -> str:
    parts = [f"{large(answer.device_hours)} device-hours"]
    if answer.energy_j is not None:
        parts.append(show(answer.energy_j, "joule"))
    if answer.cost_usd is not None:
        parts.append(show(answer.cost_usd, "usd"))
    if answer.co2_kg is not None:
        parts.append(f"{show(answer.co2_kg, 'kg')} CO2")
    events = answer.events
    parts.append(f"{amount(events['interruptions'])} interruptions, {amount(events['checkpoints'])} checkpoints")
    return "; ".join([*parts, *answer.missing])


def large(value: float) -> str:
    """Write a number of things: in millions and billions where it is that large.

    >>> large(6.82e7), large(1343.0)
    ('68.2 million', '1,343')
    """
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if size <= value < 1e6 * size:
            return f"{amount(value / size)} {name}"
    return amount(value)


def _crossings(answer: Answer) -> str:
    unit_s, unit = time_unit(answer.wall_clock_s.expected)
    crossed = [crossing for crossing in answer.crossings if crossing.executed_crossed_at_s is not None]
    day = unit.removesuffix("s")
    texts = [
        f"{amount(crossing.threshold.flop)} on {day} {amount(crossing.executed_crossed_at_s / unit_s)} "
        f"({crossing.threshold.name})"
        for crossing in crossed
        if crossing.executed_crossed_at_s is not None
    ]
    if not texts:
        return "no threshold"
    model = [
        "never" if crossing.model_crossed_at_s is None else amount(crossing.model_crossed_at_s / unit_s)
        for crossing in crossed
    ]
    return f"{', '.join(texts)}; model FLOP alone on {day} {', '.join(model)}"


def _model(answer: Answer) -> str:
    model, loss = answer.model, answer.expected_loss
    outside = "" if loss.in_range else ", outside the fit's range"
    return (
        f"{model['name']}: {amount(model['parameters'])} parameters ({model['layers']} layers x {model['hidden']}), "
        f"{amount(model['tokens'])} tokens of {model['sequence']}-token sequences; expected loss {loss.value:.2f} "
        f"({loss.p10:.2f} to {loss.p90:.2f}{outside})"
    )


def _layout(answer: Answer) -> str:
    plan = answer.plan
    if plan["layout"] is None:
        given = {"mfu": "MFU given", "step_time": "step time given", "ideal": "ideal machine: arithmetic at peak"}
        return f"{given[plan['step_given_by']]}; {show(plan['step_s'], 'second')} a step"
    names = {"virtual_stages": "virtual stages", "micro_batch": "micro-batch", "zero_stage": "ZeRO"}
    layout = {name: value for name, value in plan["layout"].items() if name != "sequence_parallel"}
    degrees = ", ".join(f"{names.get(name, name)} {value}" for name, value in layout.items())
    if plan["layout"]["sequence_parallel"]:
        degrees += ", sequence parallel"
    memory_gib = plan["memory_bytes"]["total"] / 2**30
    return (
        f"{degrees}: {plan['active_devices']:,} devices, {amount(plan['step_s'])} s a step of "
        f"{plan['global_batch']:,} sequences, {memory_gib:.1f} GiB a device"
    )


def _levers(answer: Answer, most: int) -> Iterator[str]:
    total_s = answer.wall_clock_s.expected
    texts = [
        f"{lever.wall_clock_s / total_s - 1:+.0%} ({duration(lever.wall_clock_s)}): {lever.name} {lever.before} "
        f"-> {lever.after}"
        for lever in answer.levers[:most]
    ]
    for index, text in enumerate(texts):
        yield from _labelled("Levers" if index == 0 else "", text)


def _assumptions(answer: Answer, most: int, *, everything: bool) -> Iterator[str]:
    shown = [row for row in answer.assumptions if everything or row.path in FIRST_ASSUMPTIONS]
    shown = [row for row in shown if everything or row.path != "training.plan"]
    shown = shown if everything else shown[:most]
    hidden = len(answer.assumptions) - len(shown)
    for index, row in enumerate(shown):
        label = "Assumed" if index == 0 else ""
        text = f"{row.path.split('.', 1)[-1]} {row.shown} ({row.given_by}: {row.source})"
        yield from _labelled(label, text, cut=not everything)
    if hidden:
        yield f"{'':<{LABEL}}{hidden} more with their sources: --all"


def _labelled(label: str, text: str, *, cut: bool = False) -> Iterator[str]:
    head = f"{label:<{LABEL}}"
    if cut:
        width = output.terminal_width()
        whole = output.printable(text)
        short = whole if len(whole) <= width - LABEL else whole[: width - LABEL - 3].rstrip() + "..."
        yield _bold(head[: len(label)]) + head[len(label) :] + short
        return
    for index, line in enumerate(output.wrapped(text, " " * LABEL).splitlines()):
        yield _bold(label) + line[len(label) :] if index == 0 else line


def _folded(text: str, head: str, style: str) -> Iterator[str]:
    for line in output.wrapped(text, head).splitlines():
        yield output.styled(line, style)


def _bold(text: str) -> str:
    return output.styled(text, "1") if text.strip() else text
