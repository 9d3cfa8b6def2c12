"""The wheel: built from the source archive, installed elsewhere with its declared dependencies only, and asked."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def check_run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from this repository's environment and give its stdout."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the source archive so that a file missing there shows."""
    folder = tmp_path_factory.mktemp("dist")
    check_run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that holds the wheel and what it declares to need, nothing else."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    link_dependencies("flopclock", packages)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    check_run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    return home


def link_dependencies(distribution: str, folder: Path) -> None:
    """Link every declared dependency of a distribution, and theirs, from this environment into a folder."""
    seen: set[str] = set()
    waiting = required_by(distribution, "")
    while waiting:
        name, extras = waiting.pop()
        key = f"{name}[{extras}]".lower()
        if key in seen:
            continue
        seen.add(key)
        found = metadata.distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}
        for top in sorted(tops):
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
        waiting += [pair for extra in ("", *extras.split(",")) for pair in required_by(name, extra)]


def required_by(distribution: str, extra: str) -> list[tuple[str, str]]:
    """Name and extras of what a distribution requires on this machine, for one of its extras ("" for none)."""
    needs = [Requirement(text) for text in metadata.requires(distribution) or ()]
    return [
        (need.name, ",".join(sorted(need.extras)))
        for need in needs
        if need.marker is None or need.marker.evaluate({"extra": extra})
    ]


def test_wheel_carries_catalogue_scenarios_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "sim/py.typed" in names
    for folder in ("hardware_specs", "scenarios"):
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            assert f"sim/_data/{path.relative_to(ROOT).as_posix()}" in names
    assert any(name.startswith("sim/_data/hardware_specs/accelerators/") for name in names)
    assert any(name.startswith("sim/_data/scenarios/") for name in names)


def test_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {re.sub(r"-.*\.dist-info", ".dist-info", top) for top in tops} == {"sim", "flopclock.dist-info"}


def test_command_answers_from_another_folder(installed: Path, tmp_path: Path) -> None:
    output = check_run(installed / "bin" / "sim", "howlong", "1e26", "24576xh100-sxm", "--json", cwd=tmp_path)
    answer = json.loads(output)
    assert answer["answer"]["wall_clock_s"]["expected"] > 0
    assert list(tmp_path.iterdir()) == [], "a question leaves no file behind"


def test_it_is_the_wheel_that_answered(installed: Path, tmp_path: Path) -> None:
    where = check_run(installed / "bin" / "python", "-c", "import sim; print(sim.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed)


def test_optional_libraries_are_not_needed(installed: Path, tmp_path: Path) -> None:
    code = "from importlib.util import find_spec; print([n for n in ('scipy', 'pyarrow', 'pint') if find_spec(n)])"
    assert check_run(installed / "bin" / "python", "-c", code, cwd=tmp_path).strip() == "[]"


def test_version_is_the_declared_one() -> None:
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared
    assert metadata.version("flopclock") == declared[1]
