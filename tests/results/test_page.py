"""The page: one file that needs no network, opens at once, and shows what the record holds and nothing else."""

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sim.results import tidy
from sim.results.charts.gallery import charts
from sim.results.page import fragment, page
from sim.results.record import Record
from tests.helpers.browser import opened
from tests.helpers.records import everything, training_record

ORDER = (
    "time", "targets", "curve", "results", "timeline", "heat", "latency", "path", "levers", "accounts", "thresholds",
    "plan", "events", "assumptions", "scenario",
)  # fmt: skip
MAX_BYTES = 3_000_000
HOSTILE = '</title><script>alert("x")</script><img src=x onerror=alert(1)>\'"&{{ 7*7 }}'


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="([a-z]+)"', html)


class Elements(HTMLParser):
    """Every element of a page, and whether each is closed."""

    VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.mark.parametrize("record", [training_record(), everything()], ids=["training", "run"])
def test_sections_stand_in_order_and_only_with_content(record: Record) -> None:
    found = sections(page(record))
    assert found == [name for name in ORDER if name in found]
    assert {"time", "timeline", "assumptions", "scenario"} <= set(found)
    assert ("levers" in found) is record.is_training
    assert ("latency" in found) is not record.is_training


@pytest.mark.parametrize("record", [training_record(), everything()], ids=["training", "run"])
def test_it_is_well_formed_and_asks_nothing_of_the_network(record: Record) -> None:
    elements = Elements(page(record))
    assert elements.open == []
    for tag, attributes in elements.found:
        for name in ("src", "href"):
            assert not (attributes.get(name) or "").startswith(("http", "//")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    pictures = [attributes for tag, attributes in elements.found if tag == "svg"]
    assert all(attributes["aria-label"] for attributes in pictures)


def test_the_question_is_answered_before_the_tables() -> None:
    html = page(everything(50))
    assert html.index('id="time"') < html.index('id="curve"') < html.index('id="results"') < html.index('id="heat"')
    assert "500 to 2,000 requests each" in html
    assert "From 8 on more come than are answered" in html
    assert "how it is counted" in html


def test_a_line_over_time_ends_with_its_table() -> None:
    """What a service did in its last second does not go on while jobs run for an hour more."""
    table = {"time_s": np.arange(3.0), "service": ["chat"] * 3, "running": np.array([4.0, 4.0, 4.0])}
    found = tidy.series(Record({"kind": "run", "name": "x", "wall_clock_s": 100.0}, {"timeline": table}))
    assert found is not None
    assert (found["time_s"][-1], found["value"][-1]) == (3.0, 0.0)


def test_names_of_users_are_text_and_nothing_else() -> None:
    html = page(everything(50, name=HOSTILE))
    plain = Elements(page(everything(50)))
    elements = Elements(html)
    assert [tag for tag, _ in elements.found] == [tag for tag, _ in plain.found]
    assert "alert(" not in re.sub(r"&lt;script&gt;.*?&lt;/script&gt;|onerror=alert\(1\)&gt;", "", html)
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", html)[0]
    assert "<script>alert" not in fragment(everything(50, name=HOSTILE))
    for chart in charts(everything(50, name=HOSTILE)).values():
        assert "<script" not in chart.svg()


def test_a_hundred_thousand_requests_make_a_small_page_soon() -> None:
    record = everything(100_000)
    began = time.process_time()
    html = page(record)
    assert time.process_time() - began < 5
    assert len(html.encode()) < MAX_BYTES


def test_in_a_browser_it_opens_at_once_and_works(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(everything(100_000)), encoding="utf-8")
    with opened(file, tmp_path / "profile") as tab:
        assert tab.problems == []
        assert tab.loaded_s is not None
        assert tab.loaded_s < 2
        # The cursor: moved over one picture, it stands in every picture over time, and the values are told.
        shown = (
            "[...document.querySelectorAll('svg.wide .cursor')].filter(line => line.style.display !== 'none').length"
        )
        assert tab.value(shown) == 0
        box = tab.value(
            "(() => { const s = document.querySelector('svg.wide[data-chart]');"
            " s.scrollIntoView({behavior: 'instant', block: 'center'});"
            " const b = s.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
        over_time = tab.value("document.querySelectorAll('svg.wide[data-chart]').length")
        assert over_time >= 4
        assert tab.value(shown) == over_time
        assert "at " in tab.value("document.querySelector('[data-reading]').textContent")
        # The curve that answers the question, with the point of this run; and how full each part was.
        assert "this run: 500 ms" in tab.value("document.querySelector('#curve svg.wide').textContent")
        assert tab.value("document.querySelectorAll('#heat svg.wide image').length") == 1
        # The same by keyboard.
        tab.value("document.querySelector('[data-figure]').focus()")
        before = tab.value("document.querySelector('[data-reading]').textContent")
        tab.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
        assert tab.value("document.querySelector('[data-reading]').textContent") != before
        # Tables: numbers are sorted as numbers, the largest first, then the other way round.
        column = "[...document.querySelectorAll('.table-services tbody tr')].map(row => row.cells[1].textContent)"
        head = "document.querySelectorAll('.table-services th button')[1].click()"
        tab.value(head)
        assert tab.value(column) == ["1e5", "70", "7"] or tab.value(column)[1:] == ["70", "7"]
        tab.value(head)
        assert tab.value(column)[:2] == ["7", "70"]
        assert tab.problems == []


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("record", [training_record(), everything()], ids=["training", "run"])
def test_nothing_is_wider_than_the_screen(tmp_path: Path, width: int, record: Record) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(record), encoding="utf-8")
    with opened(file, tmp_path / "profile", width=width) as tab:
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.problems == []
        # What is drawn is large enough to be read.
        smallest = tab.value(
            "Math.min(...[...document.querySelectorAll('svg text')].filter(t => t.getClientRects().length)"
            ".map(t => t.getBoundingClientRect().height))"
        )
        assert smallest >= 9
