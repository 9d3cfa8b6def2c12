"""What a page says, as a reader meets it: headings, pictures in words, captions and tables, in order.

`pytest --accept` takes the present text. Every number stands as 0, since the results of runs are golden elsewhere; and
pictures themselves are looked at by people, here stands what they are said to show.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sim.results.page import page
from sim.spec.load import load_document, read_scenario
from sim.study.curves import with_curve
from sim.study.scenarios import run_scenario

pytest.importorskip("jinja2", reason="jinja2 is not installed")
ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "pages"
PAGES = {
    "training": ("training/gpt3-175b-spares", []),
    "service": ("serving/chat", ["workloads.0.requests.duration=40 s", "workloads.0.requests.warm_up=5 s"]),
    "tasks": ("graphs/best-of-n", ["workloads.0.tasks.count=8", "workloads.1.requests.count=20"]),
    "jobs": ("clusters/two-trainings-one-spine", []),
}
SKIPPED = ("style", "script", "nav", "pre")
NUMBER = re.compile(r"(?<![A-Za-z_.\d])[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")
ROWS = 12
"""Rows of a table that are kept; the results of runs are golden elsewhere."""


class Text(HTMLParser):
    """The text of a page, a line for each heading, picture, caption and row."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._open: list[str] = []
        self._row: list[str] = []
        self._rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "svg" and "narrow" not in (given.get("class") or ""):
            self.lines.append(f"[picture: {given['aria-label']}]")
        if tag == "table":
            self._rows = 0
        if tag in ("tr", "h1", "h2", "h3", "p", "figcaption", "div", "summary"):
            self._row = []
        if tag not in ("meta", "link", "br", "img", "input", "hr"):
            self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and not {*SKIPPED, "svg"} & set(self._open):
            self._row.append(" ".join(data.split()))

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()
        if tag not in ("tr", "h1", "h2", "h3", "p", "figcaption", "div", "summary") or not self._row:
            return
        self._rows += tag == "tr"
        if tag != "tr" or self._rows <= ROWS + 1:
            mark = {"h1": "# ", "h2": "## ", "h3": "### "}.get(tag, "")
            self.lines.append(mark + " | ".join(self._row))
        self._row = []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_said(name: str, accept: bool) -> None:
    file, changes = PAGES[name]
    document = load_document(ROOT / "scenarios" / f"{file}.yaml", changes)
    scenario = read_scenario(document)
    text = Text()
    text.feed(page(with_curve(run_scenario(scenario, document=document), scenario).record))
    now = "\n".join(text.lines).replace(str(ROOT), "")
    now = re.sub(r"(version|sha256|python|numpy)[^\n]*", r"\1", now) + "\n"
    now = NUMBER.sub("0", now)
    golden = FOLDER / f"{name}.txt"
    if accept:
        FOLDER.mkdir(exist_ok=True)
        golden.write_text(now, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == now, "If this change is meant: make accept"
