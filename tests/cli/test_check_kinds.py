"""`sim check` on scenarios of every kind: what they resolve to, and nothing simulated."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import call

ROOT = Path(__file__).resolve().parents[2]
SHARED = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("serving", "clusters", "graphs")
    for path in (ROOT / "scenarios" / folder).glob("*.yaml")
)


@pytest.mark.parametrize("scenario", SHARED)
def test_every_scenario_that_shares_a_cluster_is_checked(
    scenario: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    done = call("check", scenario)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split("\n")[0].endswith(": valid")
    data = json.loads(call("check", scenario, "--json").stdout)
    assert data["valid"] is True
    assert all(section["rows"] for section in data["sections"].values())


def test_a_service_that_does_not_fit_is_told_without_simulating(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    done = call("check", "scenarios/serving/chat.yaml", "--set", "cluster=1xh100-sxm")
    assert done.exit_code == 4
    assert "devices" in done.stderr
