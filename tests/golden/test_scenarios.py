"""Every scenario file runs, says what it shows, and gives the accepted numbers and the accepted text."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import call, spawn
from tests.helpers.golden import Golden

ROOT = Path(__file__).resolve().parent.parent.parent
SCENARIOS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "scenarios").rglob("*.yaml"))
FOLDER = "scenarios"


def test_there_are_scenarios() -> None:
    assert SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_first_line_says_what_it_shows(scenario: str) -> None:
    first = (ROOT / scenario).read_text(encoding="utf-8").split("\n", 1)[0]
    assert first.startswith("# ")
    assert len(first.removeprefix("# ").split()) >= 4, (
        f"{scenario}: the first line is a comment that says what it shows"
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_numbers(scenario: str, golden: Golden, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    outcome = call("run", scenario, "--json")
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    result = json.loads(outcome.stdout)
    result.get("provenance", {}).pop("version", None)  # a release alone moves no number
    golden.check_json(scenario.removesuffix(".yaml"), result)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_text(scenario: str, golden: Golden, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    outcome = call("run", scenario)
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    golden.check_text(scenario.removesuffix(".yaml"), outcome.stdout)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fresh_process_gives_the_same_bytes(scenario: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ran before in the process, and whatever the hash seed, the result is the same."""
    monkeypatch.chdir(root)
    here = call("run", scenario, "--json").stdout
    assert spawn("run", scenario, "--json", cwd=root, environment={"PYTHONHASHSEED": "1"}).stdout == here


def test_every_golden_file_has_its_scenario(golden: Golden) -> None:
    names = {scenario.removesuffix(".yaml") for scenario in SCENARIOS}
    stale = [
        path.relative_to(golden.folder).as_posix()
        for path in sorted((golden.folder / FOLDER).rglob("*.*"))
        if path.relative_to(golden.folder).with_suffix("").as_posix() not in names
    ]
    assert not stale, f"no scenario is left for {stale}: remove them"
