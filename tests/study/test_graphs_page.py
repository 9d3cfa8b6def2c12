"""The example of docs/graphs.md is a scenario that runs."""

import re
from pathlib import Path

from sim.results.run_report import RunReport
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.scenarios import run_scenario

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_of_the_page_runs() -> None:
    page = (ROOT / "docs" / "graphs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        head = "schema_version: 1\nname: docs\ncluster: 16xh100-sxm\n"
        report = run_scenario(read_scenario(loads(head + block.replace("count: 60", "count: 5"), "docs/graphs.md")))
        assert isinstance(report, RunReport)
        assert report.values["solve.tasks"].value == 5


def test_every_figure_that_the_page_names_is_one() -> None:
    page = (ROOT / "docs" / "graphs.md").read_text(encoding="utf-8")
    named = re.findall(r"`(solve(?:\.[a-z0-9_]+)+)`", page)
    text = (ROOT / "scenarios/graphs/generate-check-synthesize.yaml").read_text(encoding="utf-8")
    report = run_scenario(read_scenario(loads(text.replace("count: 60", "count: 4"), "a.yaml")))
    assert isinstance(report, RunReport)
    assert named
    assert set(named) <= set(report.values)
