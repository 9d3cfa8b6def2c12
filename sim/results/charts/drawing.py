"""Draw on one SVG: places in pixels, colours as names of a theme, every text of a user escaped."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from sim.results.words import amount
from sim.units import DIMENSIONS, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE, NARROW = 880, 360
"""Widths in which every chart is drawn: for screens and paper, and for phones."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Okabe and Ito's palette, which people with any colour blindness tell apart, adapted to both backgrounds.
LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f24", "dim": "#59636e", "grid": "#e3e7ec", "panel": "#f5f7f9", "line": "#c9d1d9",
    "c0": "#0072b2", "c1": "#e69f00", "c2": "#009e73", "c3": "#cc79a7", "c4": "#56b4e9", "c5": "#d55e00",
    "c6": "#b3a600", "c7": "#6e7781", "c8": "#8250df", "c9": "#a0522d", "idle": "#c5ccd3", "accent": "#0072b2",
    "bad": "#b35900", "good": "#00795a",
}  # fmt: skip
DARK = {
    "paper": "#0f1419", "ink": "#e6edf3", "dim": "#9aa7b4", "grid": "#26303a", "panel": "#171d24", "line": "#36414c",
    "c0": "#4aa3df", "c1": "#f0b429", "c2": "#2fbf97", "c3": "#dd9dc0", "c4": "#8fd0f5", "c5": "#f08045",
    "c6": "#d9cf45", "c7": "#98a4af", "c8": "#b18cf5", "c9": "#cf8a62", "idle": "#4a5561", "accent": "#4aa3df",
    "bad": "#f29a4d", "good": "#3fc79f",
}  # fmt: skip
THEMES = {"light": LIGHT, "dark": DARK}
_VARIABLE = re.compile(r"var\(--([a-z0-9]+)\)")


def colour(name: str) -> str:
    """Name a colour of the theme."""
    return f"var(--{name})"


def painted(svg: str, theme: str) -> str:
    """Put the colours of a theme into a drawing, for programs that know no variables."""
    palette = THEMES[theme]
    return _VARIABLE.sub(lambda match: palette[match[1]], svg)


@dataclass(slots=True)
class Drawing:
    """One picture that grows downwards; call `svg` at the end."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)
    plot: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Left, right, top and bottom of what a cursor moves over."""

    def text(
        self, x: float, y: float, text: str, *, size: float = 12, fill: str = "ink", anchor: str = "start",
        bold: bool = False, halo: bool = False,
    ) -> None:  # fmt: skip
        """Write text with its baseline at y; a halo keeps it readable over lines."""
        weight = ' font-weight="600"' if bold else ""
        ring = f' stroke="{colour("paper")}" stroke-width="3" paint-order="stroke"' if halo else ""
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}" fill="{colour(fill)}" '
            f'text-anchor="{anchor}"{weight}{ring}>{escape(text)}</text>'
        )

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str, *, title: str = "", opacity: float = 1,
        radius: float = 0,
    ) -> None:  # fmt: skip
        """Fill a rectangle; its title shows under the pointer and is read aloud."""
        round_ = f' rx="{number(radius)}"' if radius else ""
        clear = f' opacity="{number(opacity)}"' if opacity < 1 else ""
        body = f"<title>{escape(title)}</title></rect>" if title else "</rect>"
        self.parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(width, 0))}" height="{number(height)}" '
            f'fill="{colour(fill)}"{round_}{clear}>{body}'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str = "grid", width: float = 1, dash: str = ""
    ) -> None:
        """Draw a straight line."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
            f'stroke="{colour(stroke)}" stroke-width="{number(width)}"{dashes}/>'
        )

    def path(
        self, points: Sequence[tuple[float, float]], stroke: str, *, width: float = 2, dash: str = "", title: str = ""
    ) -> None:
        """Draw a line through points."""
        if not points:
            return
        data = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        body = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(
            f'<path d="{data}" fill="none" stroke="{colour(stroke)}" stroke-width="{number(width)}" '
            f'stroke-linejoin="round"{dashes}>{body}</path>'
        )

    def area(self, points: Sequence[tuple[float, float]], fill: str, *, title: str = "", opacity: float = 1) -> None:
        """Fill a polygon."""
        if not points:
            return
        data = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) + "Z"
        clear = f' opacity="{number(opacity)}"' if opacity < 1 else ""
        self.parts.append(f'<path d="{data}" fill="{colour(fill)}"{clear}><title>{escape(title)}</title></path>')

    def dot(self, x: float, y: float, fill: str, radius: float = 4, title: str = "") -> None:
        """Mark a point."""
        self.parts.append(
            f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" fill="{colour(fill)}" '
            f'stroke="{colour("paper")}" stroke-width="1.5"><title>{escape(title)}</title></circle>'
        )

    def svg(self, label: str, css: str = "", data: str = "") -> str:
        """Give the picture; the label is what a screen reader says."""
        classes = f' class="{css}"' if css else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(self.width)} {number(self.height)}" '
            f'width="{number(self.width)}" height="{number(self.height)}" font-family="{FONT}" role="img" '
            f'aria-label="{escape(label)}"{classes}{data}>{"".join(self.parts)}</svg>'
        )


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels, and where its ticks stand."""

    low: float
    high: float
    start: float
    end: float
    """Pixels of low and high."""
    is_log: bool = False

    def at(self, value: float) -> float:
        """Give the pixel of a value."""
        low, high, given = self.low, self.high, value
        if self.is_log:
            low, high, given = math.log10(low), math.log10(high), math.log10(max(value, low * 1e-9 or 1e-300))
        share = (given - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Give round values inside the axis."""
        if not self.is_log:
            return ticks(self.low, self.high, most)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / most))
        decades = [10.0**power for power in range(first, last + 1, step)]
        if len(decades) < 3:
            more = [digit * 10.0**power for power in range(first - 1, last + 1) for digit in (1, 2, 5)]
            decades = [value for value in more if self.low <= value * (1 + 1e-9) and value <= self.high * (1 + 1e-9)]
        return decades


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Give round values from low to high.

    >>> ticks(0, 67.7, 5)
    [0.0, 20.0, 40.0, 60.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / max(most - 1, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(step * index, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def scale(dimension: str, largest: float) -> tuple[float, str]:
    """Give the unit in which values up to the largest read best: its size in SI, and its name.

    >>> scale("second", 3 * 86400.0)
    (86400.0, 'd')
    >>> scale("count", 3.0)
    (1.0, '')
    """
    shape = DIMENSIONS.get(dimension)
    if dimension == "fraction":
        return 0.01, "%"
    if shape is None or not shape.unit:
        return 1.0, ""
    if largest >= 1e21 and dimension in ("flop", "token"):
        return 1.0, shape.unit
    found = (1.0, shape.unit)
    for unit in shape.ladder.split():
        size = parse(f"1{unit}" if unit.startswith("/") else f"1 {unit}", dimension)
        if unit in ("d", "years") and largest < 2 * size:
            continue
        if largest >= size * (1 - 1e-9):
            found = (size, unit)
    return found


def tick_text(value: float) -> str:
    """Write the value of a tick.

    >>> tick_text(20.0), tick_text(0.25), tick_text(2e26)
    ('20', '0.25', '2e26')
    """
    return amount(value)


def number(value: float) -> str:
    """Write a place in a drawing: a tenth of a pixel is enough.

    >>> number(3.0), number(2.345)
    ('3', '2.3')
    """
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def shortened(text: str, most: int) -> str:
    """Cut a long text."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
