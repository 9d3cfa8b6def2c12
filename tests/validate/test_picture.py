"""The picture of predictions against measurements."""

from pathlib import Path
from xml.etree import ElementTree as ET

from sim.validate.picture import svg
from sim.validate.report import Report
from sim.validate.score import Verdict
from sim.validate.steps import training
from tests.helpers.command import call

TABLE = Path(__file__).parent / "tables" / "training.csv"
SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, measured: float, predicted: float, group: str = "g") -> Verdict:
    return Verdict(name, group, "step_time_s", "ok", measured=measured, predicted=predicted)


def dots(text: str) -> list[ET.Element]:
    return [dot for dot in ET.fromstring(text).iter(f"{SVG}circle") if dot.get("r") == "3"]


def test_every_predicted_row_is_a_dot_on_its_place() -> None:
    report = Report("training", "step_time_s", (row("a", 1.0, 1.0), row("b", 10.0, 1.0), row("c", 1.0, 10.0)))
    places = [(float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in dots(svg(report))]
    assert places == [(70.0, 610.0), (630.0, 610.0), (70.0, 50.0)]


def test_names_of_a_table_cannot_break_the_picture() -> None:
    report = Report("training", "step_time_s", (row("<script>&\"'", 2.0, 3.0, "<b>&"),))
    (dot,) = dots(svg(report))
    title = dot.find(f"{SVG}title")
    assert title is not None
    assert title.text == "<script>&\"': 3 against 2, +50.0 %"


def test_the_command_writes_it(tmp_path: Path) -> None:
    target = tmp_path / "errors.svg"
    assert call("validate", "training", "--table", str(TABLE), "--plot", str(target)).exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert text == svg(training(TABLE))
    assert len(dots(text)) == training(TABLE).score().n
    refused = call("validate", "training", "--table", str(TABLE), "--plot", str(tmp_path / "errors.png"))
    assert refused.exit_code == 2
    assert "SVG" in refused.stderr
