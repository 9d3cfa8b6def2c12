"""The resolved scenario: every default filled in, every value with its origin, the same scenario when it is read."""

from pathlib import Path

import pytest

from sim.spec.load import load_document, read_scenario
from sim.spec.origins import origins, resolved
from sim.spec.yaml import loads

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "scenarios").rglob("*.yaml"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_resolved_scenario_reads_back_as_the_same(name: str) -> None:
    document = load_document(ROOT / name)
    scenario = read_scenario(document)
    text = resolved(scenario, origins(scenario, document))
    again = read_scenario(loads(text, "resolved"))
    assert again.model_dump() == scenario.model_dump()
    assert resolved(again).count("\n") == text.count("\n")


def test_origins_name_lines_options_and_sources_of_defaults(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "schema_version: 1\nname: a\ncluster:\n  accelerator: h100-sxm\n  count: 64\n"
        "workloads:\n- training: {budget: 1e22 FLOP}\n"
    )
    document = load_document(file, ["cluster.restart=5 min"])
    rows = {row.path: row for row in origins(read_scenario(document), document)}
    assert rows["cluster.count"].where == f"{file}:5:10"
    assert rows["cluster.restart"].where == "--set cluster.restart"
    assert (rows["cluster.restart"].given_by, rows["cluster.restart"].text) == ("user", "300 s")
    assert rows["cluster.failure_rate"].given_by == "default"
    assert "Llama 3" in rows["cluster.failure_rate"].where
    assert rows["workloads.0.training.budget.flop"].text == "1e22 FLOP"


def test_hostile_names_stay_in_their_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        'schema_version: 1\nname: "# not a comment: {x"\ncluster: 64xh100-sxm\n'
        "workloads: [{training: {budget: 1e22 FLOP}}]\n"
    )
    scenario = read_scenario(load_document(file))
    assert read_scenario(loads(resolved(scenario), "x")).name == "# not a comment: {x"
