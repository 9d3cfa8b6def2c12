"""`import sim` gives the promised names, lazily; `sim --help` imports nothing heavy."""

import json

import pytest

import sim
from tests.helpers.command import python

# The list of contracts.md. A name is added here on the day it is built, and never leaves without a major version.
PROMISED = {
    "Answer",
    "Report",
    "Scenario",
    "SimError",
    "howlong",
    "howmany",
    "howmuch",
    "load",
    "run",
    "sweep",
}
NOT_BUILT_YET = {"sweep"}

HELP = """
import sys
sys.argv = ["sim", "--help"]
import contextlib, io
from sim.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    try:
        main()
    except SystemExit:
        pass
"""
MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def imported_by(code: str) -> set[str]:
    """Top-level modules that a fresh Python holds after running ``code``."""
    return {name.partition(".")[0] for name in json.loads(python(f"{code}\n{MODULES}"))}


def test_public_names_are_the_promised_ones() -> None:
    assert list(sim.__all__) == sorted(PROMISED - NOT_BUILT_YET)


def test_every_public_name_is_there() -> None:
    for name in sim.__all__:
        assert getattr(sim, name) is not None
    assert set(sim.__all__) <= set(dir(sim))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sim.no_such_name


def test_import_is_lazy() -> None:
    heavy = {"numpy", "pydantic", "simpy", "networkx", "yaml", "typer", "rich", "scipy", "pint"}
    assert not imported_by("import sim") & heavy


def test_help_imports_nothing_heavy() -> None:
    heavy = {"numpy", "simpy", "networkx", "pint", "scipy", "pandas", "pyarrow", "pydantic"}
    assert not imported_by(HELP) & heavy
