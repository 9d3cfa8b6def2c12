"""A picture of predictions against measurements: both axes logarithmic, one colour for each source."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.validate.report import Report
    from sim.validate.score import Verdict

SIDE, LEFT, TOP, LEGEND = 560, 70, 50, 250
"""Pixels of the square, of the margins left and above, and of the list of sources."""
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000",
    "#882255", "#44aa99", "#999933", "#cc6677", "#117733", "#88ccee", "#ddcc77", "#332288",
)  # fmt: skip
"""Told apart also by readers who see few colours."""
BAND = 0.2
"""The band round the diagonal: 20 % either way."""


def svg(report: Report) -> str:
    """Draw the rows of the main metric that have a prediction; each dot tells its row and its error when pointed at."""
    rows = [row for row in report.of() if row.ratio is not None and row.measured and row.predicted]
    groups = sorted({row.group for row in rows})
    low, high = _decades(rows)
    place = _Place(low, high)
    width, height = LEFT + SIDE + LEGEND, TOP + SIDE + 60
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f"<title>Predicted against measured {escape(report.metric)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_frame(report, place),
        *(_dot(row, COLOURS[groups.index(row.group) % len(COLOURS)], place) for row in rows),
        *_legend(report, groups),
        "</svg>",
        "",
    ]
    return "\n".join(lines)


class _Place:
    """Where a value stands in the square."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def across(self, value: float) -> float:
        return LEFT + SIDE * (log10(value) - self.low) / (self.high - self.low)

    def up(self, value: float) -> float:
        return TOP + SIDE - SIDE * (log10(value) - self.low) / (self.high - self.low)


def _decades(rows: Iterable[Verdict]) -> tuple[int, int]:
    values = [value for row in rows for value in (row.measured, row.predicted) if value] or [1.0, 10.0]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _frame(report: Report, place: _Place) -> list[str]:
    """Draw the diagonal with its band, and a line for each decade."""
    low, high = 10.0**place.low, 10.0**place.high
    shift = SIDE * log10(1 + BAND) / (place.high - place.low)
    corners = (
        f"{LEFT},{TOP + SIDE} {LEFT + shift:.1f},{TOP + SIDE} {LEFT + SIDE},{TOP + shift:.1f} "
        f"{LEFT + SIDE},{TOP} {LEFT + SIDE - shift:.1f},{TOP} {LEFT},{TOP + SIDE - shift:.1f}"
    )
    lines = [f'<polygon points="{corners}" fill="#eeeeee"/>']
    for power in range(place.low, place.high + 1):
        x, y = place.across(10.0**power), place.up(10.0**power)
        label = f"{10.0**power:g}"
        lines += [
            f'<path d="M{x:.1f} {TOP}V{TOP + SIDE}M{LEFT} {y:.1f}H{LEFT + SIDE}" stroke="#dddddd" fill="none"/>',
            f'<text x="{x:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">{label}</text>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>',
        ]
    diagonal = f"M{place.across(low):.1f} {place.up(low):.1f}L{place.across(high):.1f} {place.up(high):.1f}"
    middle = LEFT + SIDE / 2
    return [
        *lines,
        f'<path d="{diagonal}" stroke="#555555" fill="none"/>',
        f'<text x="{middle}" y="{TOP + SIDE + 42}" text-anchor="middle">measured {escape(report.metric)}</text>',
        f'<text transform="translate(18 {TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">predicted</text>',
    ]


def _dot(row: Verdict, colour: str, place: _Place) -> str:
    assert row.measured is not None
    assert row.predicted is not None
    assert row.ratio is not None
    told = escape(f"{row.id}: {row.predicted:.4g} against {row.measured:.4g}, {100 * (row.ratio - 1):+.1f} %")
    x, y = place.across(row.measured), place.up(row.predicted)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity="0.7"><title>{told}</title></circle>'


def _legend(report: Report, groups: list[str]) -> list[str]:
    total, by_group = report.score(), report.by("group")
    head = f"{total.n} rows" + (
        f", median error {100 * total.median_ape:.1f} %, 90th percentile {100 * total.p90_ape:.1f} %"
        if total.median_ape is not None and total.p90_ape is not None
        else ""
    )
    lines = [f'<text x="{LEFT}" y="24" font-size="15">{head}; grey: within {100 * BAND:.0f} %</text>']
    for index, group in enumerate(groups):
        y, part = TOP + 14 + 20 * index, by_group[group]
        error = "" if part.median_ape is None else f" ({part.n}; {100 * part.median_ape:.1f} %)"
        colour, x = COLOURS[index % len(COLOURS)], LEFT + SIDE + 20
        lines.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>')
        lines.append(f'<text x="{x + 10}" y="{y}">{escape(group[:26])}{error}</text>')
    return lines
