"""The Python of docs/policies.md and the file of `sim new policy` do what they say."""

import importlib.util
import re
from pathlib import Path

import pytest

from sim.engine.cluster.registry import find_python
from sim.testing import check_policy
from tests.helpers.command import call

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_python_of_the_tutorial_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "tutorial"}
    for block in BLOCK.findall((root / "docs" / "policies.md").read_text(encoding="utf-8")):
        exec(compile(block, "docs/policies.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "the policy widest-first breaks a promise" in shown
    assert "workloads:" in shown


def test_a_new_policy_passes_its_own_test(tmp_path: Path) -> None:
    file = tmp_path / "brand_new.py"
    outcome = call("new", "policy", "-o", str(file))
    assert outcome.exit_code == 0, outcome.stderr
    assert "pytest" in outcome.stdout
    spec = importlib.util.spec_from_file_location("brand_new", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    check_policy(module.MyPolicy, examples=40)
    assert find_python("brand_new:MyPolicy", tmp_path).name == "my-policy"


def test_code_of_a_scenario_needs_leave(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new", "policy", "-o", "own_policy.py").exit_code == 0
    change = ("--set", "policy={python: own_policy:MyPolicy}", "--set", "workloads.0.jobs.count=20")
    scenario = str(root / "scenarios" / "clusters" / "backfill.yaml")
    refused = call("run", scenario, *change)
    assert refused.exit_code == 2
    assert "--allow-code" in refused.stderr
    allowed = call("run", scenario, *change, "--allow-code")
    assert allowed.exit_code == 0, allowed.stderr
    assert "my-policy" in allowed.stdout
