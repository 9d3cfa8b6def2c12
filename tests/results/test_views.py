"""What a report does with itself: pictures for notebooks and files, a page, a folder."""

import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from sim.errors import UsageError
from sim.results.charts.drawing import DARK, LIGHT, Axis, ticks
from sim.results.charts.gallery import charts
from sim.results.charts.over_time import binned_steps
from sim.results.record import read
from sim.results.report import Report
from sim.results.run_report import RunReport
from sim.spec.load import load_scenario
from sim.study.scenarios import run_scenario
from tests.helpers.command import call
from tests.helpers.records import everything, training_record

ROOT = Path(__file__).resolve().parents[2]


@cache
def report() -> Report | RunReport:
    return run_scenario(load_scenario(ROOT / "scenarios" / "quickstart" / "howlong-1e26.yaml"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("record", [training_record(), everything()], ids=["training", "run"])
def test_every_picture_is_an_svg_that_stands_alone(record: object, theme: str) -> None:
    for chart in charts(record).values():  # type: ignore[arg-type]
        svg = chart.svg(theme=theme)
        root = ET.fromstring(svg)
        assert root.get("aria-label") == chart.label != ""
        assert "var(--" not in svg
        width, height = float(root.get("width") or 0), float(root.get("height") or 0)
        assert 300 < width < 1000
        assert 40 < height < 1500


def test_pictures_become_files_without_a_browser(tmp_path: Path) -> None:
    everything(50).write(tmp_path / "r")
    for ending, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<svg")):
        outcome = call("plot", str(tmp_path / "r"), "waterfall", "-o", str(tmp_path / f"x.{ending}"))
        assert outcome.exit_code == 0, outcome.stderr
        assert (tmp_path / f"x.{ending}").read_bytes().startswith(magic)
    assert "latency-ttft" in call("plot", str(tmp_path / "r")).stdout
    assert call("plot", str(tmp_path / "r"), "waterfall", "-o", str(tmp_path / "x.gif")).exit_code == 2
    unknown = call("plot", str(tmp_path / "r"), "waterfal", "-o", str(tmp_path / "y.svg"))
    assert "did you mean waterfall?" in unknown.stderr


def test_without_the_extra_a_page_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything(50).write(tmp_path / "r", tables="csv")
    for name in ("jinja2", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
    for arguments in (("report", str(tmp_path / "r")), ("plot", str(tmp_path / "r"), "waterfall", "-o", "x.png")):
        outcome = call(*arguments)
        assert outcome.exit_code == 2
        assert "(the extra report has it)" in outcome.stderr
        assert "pip install " in outcome.stderr
    # SVG needs nothing.
    assert call("plot", str(tmp_path / "r"), "waterfall", "-o", str(tmp_path / "x.svg")).exit_code == 0


def test_in_a_notebook(tmp_path: Path) -> None:
    shown = report()._repr_html_()
    assert "<svg" in shown
    assert "takes about" in shown
    assert report().plot("waterfall")._repr_svg_().startswith("<svg")
    with pytest.raises(UsageError, match="no such picture"):
        report().plot("rainbow")
    assert report().to_html().startswith("<!doctype html>")
    report().write(tmp_path / "r")
    assert read(tmp_path / "r").result == report().record.result


def test_bins_keep_the_integral() -> None:
    draws = np.random.default_rng(3)
    times = np.concatenate([[0.0], np.sort(draws.uniform(0, 50, 400))])
    values = draws.uniform(0, 9, 401)
    binned = binned_steps(times, values, 60.0, 37)
    whole = float((values * np.diff(np.append(times, 60.0))).sum())
    assert float(binned.sum()) * 60.0 / 37 == pytest.approx(whole, rel=1e-12)


def test_ticks_are_round_and_inside() -> None:
    for low, high in ((0.0, 1.0), (0.0, 67.7), (3.0, 3.1), (0.0, 1e-9), (0.0, 1e26)):
        found = ticks(low, high, 6)
        assert 2 <= len(found) <= 8
        assert all(low - 1e-12 <= each <= high * (1 + 1e-9) for each in found)
    log = Axis(0.02, 700.0, 0.0, 100.0, is_log=True)
    assert all(0.02 <= each <= 700.0 for each in log.ticks(5))
    assert log.at(0.02) == pytest.approx(0)
    assert log.at(700.0) == pytest.approx(100)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_from_its_background(theme: dict[str, str]) -> None:
    """WCAG 2.2: 4.5 for text, 3 would do for large text; marks stand out by 2 at least and are named beside."""
    paper = _luminance(theme["paper"])

    def contrast(name: str) -> float:
        one, two = sorted((paper, _luminance(theme[name])))
        return (two + 0.05) / (one + 0.05)

    assert contrast("ink") > 10
    assert contrast("dim") >= 4.5
    assert all(contrast(f"c{place}") > 2 for place in range(10))
