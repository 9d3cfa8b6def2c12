"""The schema that editors find beside the scenarios is the one that `sim schema scenario` prints."""

from pathlib import Path

import pytest

from tests.helpers.command import call

SCHEMA = "scenarios/scenario.schema.json"
POINTER = "# yaml-language-server: $schema=../scenario.schema.json"


def test_the_schema_file_is_up_to_date(root: Path, accept: bool) -> None:
    printed = call("schema", "scenario").stdout
    if accept:
        (root / SCHEMA).write_text(printed, encoding="utf-8")
    assert (root / SCHEMA).read_text(encoding="utf-8") == printed, "make accept writes it anew"


@pytest.mark.parametrize("folder", ["quickstart", "training"])
def test_every_scenario_points_at_it(root: Path, folder: str) -> None:
    files = sorted((root / "scenarios" / folder).glob("*.yaml"))
    assert files
    for file in files:
        assert POINTER in file.read_text(encoding="utf-8").splitlines(), file
