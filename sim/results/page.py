"""One page that holds everything a record says, without a network: pictures, tables, sources, the scenario.

Pictures are drawn here as SVG, twice (wide, and narrow for phones), with colours as variables of the style sheet; so
the page is light or dark by itself, prints, and opens at once. A few kilobytes of script add the shared cursor and
the sorting of tables; without it the page shows the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.results.charts.drawing import DARK, LIGHT
from sim.results.charts.gallery import charts
from sim.results.charts.parts import waterfall
from sim.results.charts.spread import interval
from sim.results.dimensions import dimension_of, dimension_of_unit, shown
from sim.results.explain import dimension_at, formula_of
from sim.results.extras import load_extra
from sim.results.words import amount, duration
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sim.results.charts.chart import Chart
    from sim.results.record import Record

MOST_ROWS = 200
"""Rows of a table on the page; the record has all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what is shown, and what it is sorted by."""

    text: str
    sort: float | str


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table on the page."""

    slug: str
    title: str
    heads: tuple[tuple[str, bool], ...]
    """Heading, and whether its column holds numbers."""
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One section of the page."""

    slug: str
    title: str
    charts: tuple[Chart, ...] = ()
    tables: tuple[PageTable, ...] = ()
    text: str = ""
    is_folded: bool = False


def page(record: Record) -> str:
    """Give the page as HTML.

    Raises:
        UsageError: the extra `report` is not installed.

    """
    return render(
        record.name, str(record.result["sentence"]), list(_parts(record)), details=list(_details(record)),
        interval=interval(record), figures=list(_figures(record)), provenance=record.result.get("provenance", {}),
    )  # fmt: skip


def render(
    name: str, sentence: str, parts: Sequence[Part], *, details: Sequence[str] = (), interval: Chart | None = None,
    figures: Sequence[tuple[str, str]] = (), provenance: Mapping[str, object],
) -> str:  # fmt: skip
    """Put parts on a page.

    Raises:
        UsageError: the extra `report` is not installed.

    """
    jinja2 = load_extra("jinja2", "a report page")
    # The template is ours; whatever it is given is escaped, names of users above all.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sim.results", "html"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    cursors = {chart.name: chart.cursor for part in parts for chart in part.charts if chart.cursor}
    # "<" would end the script element that holds it.
    data = json.dumps(cursors, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
    text: str = environment.get_template("page.html").render(
        name=name, sentence=sentence, details=details, interval=interval, figures=figures, parts=parts, cursors=data,
        light=LIGHT, dark=DARK, provenance=provenance,
    )  # fmt: skip
    return text


def fragment(record: Record) -> str:
    """Give the sentence and the waterfall as HTML for a notebook; it needs no library and runs no script."""
    from html import escape  # noqa: PLC0415 - the page leaves escaping to jinja2

    picture = waterfall(record)
    drawn = picture.svg() if picture is not None else ""
    return f"<div><p><strong>{escape(record.name)}</strong><br>{escape(record.result['sentence'])}</p>{drawn}</div>"


def _parts(record: Record) -> Iterator[Part]:
    """Give the sections that have content, in the order of the page."""
    drawn = charts(record)

    def some(*names: str) -> tuple[Chart, ...]:
        found = [
            chart for name, chart in drawn.items() if any(name == each or name.startswith(f"{each}-") for each in names)
        ]
        return tuple(found)

    sections = record.result.get("sections") or {}
    shapes = (record.result.get("shown") or {}).get("sections") or [
        {"name": name, "columns": [[head, ""] for head in section["units"]]} for name, section in sections.items()
    ]
    tables = tuple(_section(shape, sections[shape["name"]]) for shape in shapes)
    candidates = [
        Part("time", "Where the device time goes", some("waterfall")),
        Part("targets", "Targets", tables=_maybe(_targets(record))),
        Part("curve", "The answer against what it depends on", some("curve", "solved")),
        Part("results", "Results", tables=tables + _maybe(_values(record))),
        Part("timeline", "The cluster over time", some("time", "jobs")),
        Part("heat", "How full each part was", some("heat")),
        Part("latency", "Latency", some("latency")),
        Part("path", "Critical path", some("path")),
        Part("levers", "What would change the answer most", some("levers")),
        Part("accounts", "Arithmetic and energy", some("flop", "energy"), _maybe(_flop(record))),
        Part("thresholds", "Amounts of compute that rules name", tables=_maybe(_thresholds(record))),
        Part("plan", "Model and layout", tables=_maybe(_plan(record))),
        Part("events", "Events", tables=_maybe(_events(record))),
        Part("assumptions", "What was assumed", tables=_maybe(_assumptions(record))),
        Part("scenario", "The scenario, every default filled in", text=record.scenario, is_folded=True),
    ]
    return (part for part in candidates if part.charts or part.tables or part.text)


def _maybe(table: PageTable | None) -> tuple[PageTable, ...]:
    return () if table is None or not table.rows else (table,)


def _details(record: Record) -> Iterator[str]:
    result = record.result
    dates = result.get("answer", {}).get("dates")
    if dates:
        yield f"From {dates['start']} to {dates['expected']} (80 % interval {dates['p10']} to {dates['p90']})."
    if result.get("interval"):
        yield str(result["interval"])
    simulated = result.get("simulated")
    if simulated:
        said = simulated["wall_clock_s"]
        seeds = "one seed" if simulated["seeds"] == 1 else f"{simulated['seeds']} seeds"
        yield (
            f"Simulated with {seeds}: {duration(said['expected'])}, {amount(simulated['interruptions'])} "
            f"interruptions, {amount(simulated['checkpoints'])} checkpoints; the expected time is "
            f"{simulated['expected_over_simulated'] - 1:+.2%} off."
        )
    for reason in result.get("missing", ()):
        yield str(reason)


def _figures(record: Record) -> Iterator[tuple[str, str]]:
    """Give the few figures that stand at the head."""
    result = record.result
    if record.is_training:
        yield "expected", shown(float(result["answer"]["wall_clock_s"]["expected"]), "second")
        yield "device-hours", amount(float(result["answer"]["device_hours"]))
        use = result["utilization"]
        yield "MFU of the run", f"{use['mfu_run']:.1%}"
        yield "MFU of a step", f"{use['mfu_step']:.1%}"
        yield "productive time", f"{use['ettr']:.1%}"
    else:
        yield "simulated", shown(float(result.get("wall_clock_s") or 0.0), "second")
        if result.get("devices"):
            yield "devices", f"{result['devices']:,}"
        for name, tokens in (result.get("tokens") or {}).items():
            yield f"tokens {name}", amount(float(tokens))
    for key, label, dimension in (
        ("energy_j", "energy", "joule"),
        ("cost_usd", "cost", "usd"),
        ("co2_kg", "CO₂", "kg"),
    ):
        if result.get(key) is not None:
            yield label, show(float(result[key]), dimension)


def _section(shape: dict[str, Any], section: dict[str, Any]) -> PageTable:
    units, rows, name = section["units"], section["rows"], shape["name"]
    heads = [head for head, _ in shape["columns"]]
    dimensions = {
        head: given or (dimension_of_unit(units[head]) if units[head] else dimension_of(head))
        for head, given in shape["columns"]
    }
    numeric = {head: any(isinstance(row[head], int | float) for row in rows) for head in heads}
    made = tuple(tuple(cell(row[head], dimensions[head]) for head in heads) for row in rows[:MOST_ROWS])
    note = section.get("note", "")
    if len(rows) > MOST_ROWS:
        note += f" The first {MOST_ROWS} of {len(rows):,} rows; the record has all."
    return PageTable(
        name, section["title"], tuple((head.replace("_", " "), numeric[head]) for head in heads), made, note
    )


def _values(record: Record) -> PageTable | None:
    values = record.result.get("values") or {}
    order = [name for name, _ in (record.result.get("shown") or {}).get("values") or ()] or list(values)
    rows = tuple(
        (Cell(name, name), cell(values[name]["value"], dimension_at(record, name)), _counted(record, name))
        for name in order
    )
    heads = (("figure", False), ("value", True), ("how it is counted", False))
    note = "sim explain DIR FIGURE gives the query that counts it again from the tables of the record."
    return PageTable("values", "Every figure", heads, rows, note)


def _counted(record: Record, name: str) -> Cell:
    rule = formula_of(record, name)[0].text
    return Cell(rule, rule)


def _targets(record: Record) -> PageTable | None:
    rows = tuple(
        (
            Cell(target["name"], target["name"]),
            cell(target["limit"], dimension_at(record, target["name"])),
            cell(target["value"], dimension_at(record, target["name"])),
            Cell("met" if target["met"] else "missed", str(target["met"])),
        )
        for target in record.result.get("targets") or ()
    )
    return PageTable(
        "targets", "Targets of the scenario", (("figure", False), ("limit", True), ("value", True), ("", False)), rows
    )


def _flop(record: Record) -> PageTable | None:
    accounts = record.result.get("flop") or {}
    scales = ("operations", "bits16", "device_time16")
    rows = tuple(
        (Cell(name, name), *(Cell(amount(float(each[scale])), float(each[scale])) for scale in scales))
        for name, each in _in_order(accounts)
    )
    heads = (("counted", False), ("operations", True), ("in 16 bit", True), ("device time, 16 bit", True))
    note = "In 16 bit: operations x bits / 16. Device time: what the chip could have done at 16 bit in the same time."
    return PageTable("flop", "FLOP on three scales", heads, rows, note)


def _in_order(accounts: dict[str, Any]) -> list[tuple[str, Any]]:
    """Give accounts of FLOP in the order in which one contains the other."""
    order = ("model", "hardware", "executed")
    return sorted(accounts.items(), key=lambda each: order.index(each[0]) if each[0] in order else len(order))


def _thresholds(record: Record) -> PageTable | None:
    def when(seconds: float | None) -> Cell:
        return (
            Cell("never", float("1e300"))
            if seconds is None
            else Cell(f"after {duration(float(seconds))}", float(seconds))
        )

    rows = tuple(
        (
            Cell(each["name"], each["name"]), Cell(amount(float(each["flop"])), float(each["flop"])),
            when(each["model_crossed_at_s"]), when(each["executed_crossed_at_s"]), Cell(each["source"], each["source"]),
        )
        for each in record.result.get("thresholds") or ()
    )  # fmt: skip
    heads = (
        ("rule", False),
        ("FLOP", True),
        ("model operations", True),
        ("executed operations", True),
        ("source", False),
    )
    return PageTable("thresholds", "When the run crosses them", heads, rows)


def _plan(record: Record) -> PageTable | None:
    rows: list[tuple[Cell, Cell]] = []
    for group in ("model", "plan"):
        for name, value in _flat(record.result.get(group) or {}):
            rows.append((Cell(name.replace("_", " "), name), cell(value, dimension_of(name))))
    return PageTable("plan", "Model and layout", (("", False), ("value", True)), tuple(rows))


def _flat(data: dict[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{head}{name}.")
        elif not isinstance(value, list) and value is not None:
            yield f"{head}{name}", value


def _events(record: Record) -> PageTable | None:
    table = record.tables.get("events")
    if table is None or "time_s" not in table:
        return None
    names = [name for name in ("kind", "where", "detail") if name in table]
    count = len(table["time_s"])
    rows = tuple(
        (
            Cell(shown(float(table["time_s"][place]), "second"), float(table["time_s"][place])),
            *(cell(table[name][place], "name") for name in names),
        )
        for place in range(min(count, MOST_ROWS))
    )
    note = f"The first {MOST_ROWS} of {count:,}; the record has all." if count > MOST_ROWS else ""
    return PageTable("events", "What happened", (("time", True), *((name, False) for name in names)), rows, note)


def _assumptions(record: Record) -> PageTable | None:
    rows = tuple(
        (
            Cell(row["path"], row["path"]),
            cell(row["value"], dimension_of_unit(row["unit"])),
            Cell(row["given_by"], row["given_by"]), Cell(row["source"], row["source"]),
        )
        for row in record.result.get("assumptions") or ()
    )  # fmt: skip
    heads = (("value of", False), ("value", True), ("given by", False), ("source", False))
    return PageTable("assumptions", "Every value that shaped the answer", heads, rows, "Click a heading to sort.")


def cell(value: object, dimension: str) -> Cell:
    """Make a cell of a value."""
    if value is None:
        return Cell("", "")
    if isinstance(value, bool):
        return Cell("yes" if value else "no", str(value))
    if isinstance(value, int | float):
        number = float(value)
        return Cell("–", -1e300) if math.isnan(number) else Cell(shown(number, dimension), number)
    return Cell(str(value), str(value))
