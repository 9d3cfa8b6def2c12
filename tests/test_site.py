"""The site: pages made from the code name everything that there is. `make docs` builds it, warnings as errors."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from sim.cli.commands import COMMANDS
from sim.cli.explain_field import EXIT_CODES, every_field
from sim.cli.rows import names_of

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site() -> ModuleType:
    specification = importlib.util.spec_from_file_location("site_build", ROOT / "docs" / "build.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_command_has_its_help(site: ModuleType) -> None:
    page = site.commands()
    for command in COMMANDS:
        assert f"## sim {command.name}\n" in page
    assert page.count("Usage: sim") == len(COMMANDS)


def test_every_field_has_its_meaning(site: ModuleType) -> None:
    page = site.fields()
    known = every_field()
    assert {"cluster.failure_rate", "training.batch", "seed", "policy.schedule"} <= set(known)
    for name in known:
        assert f"`{name}`" in page
    assert "(no description)" not in page


def test_every_exit_code_is_explained(site: ModuleType) -> None:
    page = site.errors()
    assert all(f"| {code} |" in page for code in EXIT_CODES)
    assert "`InfeasibleError` | 4 |" in page


def test_the_catalogue_has_every_entry(site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "KINDS", ("fabrics", "engines"))
    site.catalogue(tmp_path)
    for kind in ("fabrics", "engines"):
        page = (tmp_path / f"{kind}.md").read_text(encoding="utf-8")
        assert all(f"## {name}\n" in page for name in names_of(kind))
    assert "fabrics" in (tmp_path / "index.md").read_text(encoding="utf-8")
