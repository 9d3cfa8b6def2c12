"""The command as a whole: help, exit codes, errors on the right stream, and bugs that leave no traceback."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sim.cli import commands, main, output
from sim.errors import InfeasibleError, LimitError, ScenarioError, SimError, UnitError, UsageError
from tests.helpers.command import SIM, call, python, spawn

BUILT = [command for command in commands.COMMANDS if find_spec(command.target.partition(":")[0])]
BROKEN = """
import sys
import sim.cli.list
def broken(kind: str = ""):
    raise {error}
sim.cli.list.list_ = broken
from sim.cli.main import main
sys.exit(main(["list", *{arguments}]))
"""


def ending(error: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sim list` in a process of its own, with a list command that raises."""
    code = BROKEN.format(error=error, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_command_within_80_columns(arguments: tuple[str, ...]) -> None:
    outcome = call(*arguments)
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    lines = outcome.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for command in commands.COMMANDS:
        assert any(line.split()[1:2] == [command.name] and command.summary in line for line in lines)


def test_boxes_of_the_help_are_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    boxed = [line for line in call("--help").stdout.splitlines() if line[:1] in set("╭│╰")]
    assert boxed
    assert {len(line) for line in boxed} == {60}


@pytest.mark.parametrize("command", BUILT, ids=lambda command: command.name)
def test_each_command_has_a_help_that_begins_with_its_line(command: commands.Command) -> None:
    outcome = call(command.name, "--help")
    assert outcome.exit_code == 0
    text = " ".join(outcome.stdout.split())
    assert f"Usage: sim {command.name} " in text
    assert f"{command.summary}." in text or f"{command.summary}?" in text
    assert call("help", command.name).stdout == outcome.stdout


def test_version_is_one_line() -> None:
    assert call("--version").stdout.split()[0] == "sim"


@pytest.mark.parametrize(
    ("arguments", "given", "mend"),
    [
        (["lst"], "lst", "did you mean sim list or sim plot?"),
        (["xyzzy"], "xyzzy", "sim --help lists the commands"),
        (["--json"], "--json", "options stand behind a command"),
        (["list", "--jsno"], "--jsno", "did you mean --json?"),
        (["list", "--xyzzy"], "--xyzzy", "sim list --help shows what it takes"),
        (["list", "nodes", "fabrics"], "", "sim list --help shows what it takes"),
        (["show"], "", "sim show --help shows what it takes"),
        ([""], "", "sim --help lists the commands"),
    ],
)
def test_bad_usage_is_an_error_of_2_that_says_what_to_type(arguments: list[str], given: str, mend: str) -> None:
    outcome = call(*arguments)
    assert outcome.exit_code == 2
    if "--json" in arguments:
        assert outcome.stderr == ""
        assert mend in json.loads(outcome.stdout)["mend"]
        return
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("error: ")
    assert f"mend:  {mend}" in outcome.stderr
    assert not given or f"given: {given}" in outcome.stderr


def test_json_errors_are_one_object_on_stdout() -> None:
    outcome = call("show", "no-such-chip", "--json")
    assert outcome.exit_code == 2
    assert outcome.stderr == ""
    error = json.loads(outcome.stdout)
    assert error["error"] == "CatalogError"
    assert error["exit_code"] == 2
    assert error["schema_version"] == output.SCHEMA_VERSION
    assert list(error) == sorted(error)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a"), 2),
        (UnitError("a"), 2),
        (ScenarioError("a", problems=(SimError("first"), SimError("second"))), 2),
        (InfeasibleError("a"), 4),
        (LimitError("a"), 5),
    ],
)
def test_an_error_ends_with_the_code_of_its_class(error: SimError, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(main, "_dispatch", refuse)
    outcome = call("list")
    assert (outcome.exit_code, outcome.stdout) == (code, "")
    assert outcome.stderr == f"error: {error}\n"


def test_the_result_of_a_command_is_the_exit_code() -> None:
    code = BROKEN.replace("raise {error}", "return 3").format(arguments=[])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 3


def test_a_bug_leaves_its_traceback_in_a_file() -> None:
    done = ending("ZeroDivisionError('oh')")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "this is a bug in flopclock" in done.stderr
    assert "ZeroDivisionError: oh" in done.stderr
    report = Path(done.stderr.split("report it with ")[1].strip())
    text = report.read_text(encoding="utf-8")
    report.unlink()
    assert text.startswith("sim list\n")
    assert "Traceback" in text
    assert "ZeroDivisionError: oh" in text


def test_interruption_is_130() -> None:
    done = ending("KeyboardInterrupt")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_too_little_memory_is_a_limit() -> None:
    done = ending("MemoryError")
    assert done.returncode == 5
    assert "memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{SIM}' schema hardware | head -c 1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, "{", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "list", "schema scenario"])
def test_a_full_disk_is_told(arguments: str) -> None:
    done = subprocess.run(
        f"'{SIM}' {arguments} > /dev/full", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert done.stderr.startswith("error: standard output: the system refused to write: No space left")
    assert "Traceback" not in done.stderr


def test_control_characters_of_the_user_do_not_reach_the_terminal() -> None:
    outcome = call("show", "h100\x1b[2J\x07")
    assert "\x1b" not in outcome.stderr
    assert r"h100\x1b[2J\x07" in outcome.stderr


def test_an_old_terminal_gets_escapes_instead_of_an_error() -> None:
    outcome = spawn("--help", environment={"PYTHONIOENCODING": "ascii"})
    assert outcome.exit_code == 0
    assert outcome.stdout.isascii()


def test_threads_are_off_before_numpy_is_imported() -> None:
    code = "import os; from sim.cli.main import main; main(['--version']); print(os.environ['OPENBLAS_NUM_THREADS'])"
    assert python(code).split()[-1] == "1"


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output.styled("a", output.CYAN) == "a", "NO_COLOR is set by the fixture"
    monkeypatch.delenv("NO_COLOR")
    assert output.styled("a", output.CYAN) == "a", "TERM is dumb"
    monkeypatch.setenv("TERM", "xterm")
    assert output.styled("a", output.CYAN) == "\033[1;36ma\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.styled("a", output.CYAN) == "a"


def test_json_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.to_json({"a": float("nan")})
    with pytest.raises(TypeError, match="set has no place"):
        output.to_json({"a": {1}})


def test_json_takes_numbers_of_numpy() -> None:
    import numpy as np

    assert json.loads(output.to_json({"a": np.float64(1.5), "b": np.arange(2), "c": np.int64(3)})) == {
        "a": 1.5,
        "b": [0, 1],
        "c": 3,
    }
