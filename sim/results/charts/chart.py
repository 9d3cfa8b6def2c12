"""A picture of a record: drawn in the width that is asked for, for the page, a notebook or a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sim.errors import UsageError
from sim.results.charts.drawing import NARROW, WIDE, Drawing, number, painted
from sim.results.extras import load_extra

if TYPE_CHECKING:
    from collections.abc import Callable

FileKind = Literal["svg", "png", "pdf"]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture, ready to be drawn."""

    name: str
    """Slug: "waterfall"."""
    title: str
    draw: Callable[[float], Drawing]
    """Draw it in a width of so many pixels."""
    label: str
    """What it shows, for those who cannot see it."""
    note: str = ""
    cursor: dict[str, Any] = field(default_factory=dict)
    """Of a picture over time: its times and lines, so that a cursor can read them."""

    def svg(self, *, theme: str = "light", width: float = WIDE) -> str:
        """Give a picture that stands alone, on its background and with its title."""
        inner = self.draw(width)
        whole = Drawing(width + 32, inner.height + 60)
        whole.rect(0, 0, whole.width, whole.height, "paper")
        whole.text(16, 28, self.title, size=15, bold=True)
        body = f'<g transform="translate(16 44)">{"".join(inner.parts)}</g>'
        whole.parts.append(body)
        return painted(whole.svg(self.label), theme)

    def save(self, kind: FileKind, *, theme: str = "light") -> bytes:
        """Give the bytes of a file; PNG and PDF are made by vl-convert, without a browser.

        Raises:
            UsageError: the extra `report` is not installed.

        """
        svg = self.svg(theme=theme)
        if kind == "svg":
            return svg.encode()
        converter = load_extra("vl_convert", f"a picture as {kind.upper()}")
        made = converter.svg_to_png(svg, scale=2) if kind == "png" else converter.svg_to_pdf(svg)
        return bytes(made)

    def _repr_svg_(self) -> str:
        """Show it in a notebook."""
        return self.svg()

    def for_page(self) -> str:
        """Give both widths; the style sheet shows the one that fits."""
        return self._on_page(WIDE, "wide") + self._on_page(NARROW, "narrow")

    def _on_page(self, width: float, css: str) -> str:
        drawing = self.draw(width)
        if not self.cursor:
            return drawing.svg(self.label, css)
        left, right, top, bottom = (number(place) for place in drawing.plot)
        mark = f' data-chart="{self.name}" data-plot="{left} {right} {top} {bottom}"'
        return drawing.svg(self.label, css, mark)


def file_kind(path: str) -> FileKind:
    """Tell from the name of a file which picture belongs in it.

    Raises:
        UsageError: it ends in something else.

    >>> file_kind("x.png")
    'png'
    """
    kinds: dict[str, FileKind] = {"svg": "svg", "png": "png", "pdf": "pdf"}
    kind = kinds.get(path.rpartition(".")[2].lower())
    if kind is None:
        raise UsageError("a picture is an .svg, .png or .pdf", value=path, mend="sim plot DIR waterfall -o x.svg")
    return kind
