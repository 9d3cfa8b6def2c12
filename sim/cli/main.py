"""The `sim` command: import the one command that was asked for, run it, and turn its end into an exit code.

typer takes 0.08 s to import and its help 0.2 s more, against a budget of 0.15 s for `sim --help`; so the list of
commands is drawn from `sim.cli.commands`, and typer is imported when a command runs.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, cast

from sim.cli import output
from sim.cli.commands import COMMANDS, Command, find
from sim.errors import LimitError, SimError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED, CLOSED_PIPE, BUG = 130, 141, 1
HELP = ("--help", "-h")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What the system answers where the disk, and not this program, is at its end."""
COLLECT_AFTER = 50_000
"""New objects between two collections of garbage; Python's 700 costs a tenth of every start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``sim`` with these arguments, those of the process where none are given; give the exit code.

    >>> main(["--version"])
    sim 0.1.0
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _prepare_process()
    try:
        code = _dispatch(arguments)
        output.flush()
    except SimError as error:
        code = _report(error, arguments)
    except KeyboardInterrupt:
        output.say("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        code = CLOSED_PIPE
    except MemoryError:
        code = _report(LimitError("this computer has too little memory for it", mend="ask for less"), arguments)
    except OSError as error:
        code = _report(_no_room(error), arguments) if error.errno in NO_ROOM else _report_bug(error, arguments)
    except Exception as error:  # noqa: BLE001 - whatever gets here is our bug, and is reported as one
        code = _report_bug(error, arguments)
    return code


def _dispatch(arguments: list[str]) -> int:
    """Answer what stands before the commands, or run one."""
    first = arguments[0] if arguments else "--help"
    if first == "help" and len(arguments) > 1:
        return _dispatch([arguments[1], "--help"])
    if first in {*HELP, "help"}:
        from sim.cli.overview import overview

        output.write(overview())
        return 0
    if first == "--version":
        from importlib.metadata import version

        output.write(f"sim {version('flopclock')}")
        return 0
    command = find(first)
    if command is None:
        raise _unknown(first)
    return _run(command, arguments[1:])


def _run(command: Command, arguments: list[str]) -> int:
    """Run one command by typer; what is wrong with its arguments becomes a UsageError."""
    from importlib import import_module

    import typer

    module, _, function = command.target.partition(":")
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(context_settings={"help_option_names": list(HELP)})(getattr(import_module(module), function))
    # Where typer keeps the base of its usage errors has moved between its versions; their family has not.
    typer_error = cast("type[Exception]", typer.BadParameter.__mro__[2])
    try:
        code = typer.main.get_command(app).main(arguments, prog_name=f"sim {command.name}", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit:
        # What typer makes of a closed pipe.
        raise BrokenPipeError from None
    except typer_error as error:
        raise _usage(error, command) from None
    if code == INTERRUPTED:
        raise KeyboardInterrupt  # typer has made a code of it
    return code if isinstance(code, int) else 0


def _usage(error: BaseException, command: Command) -> UsageError:
    """Say what typer found wrong with the arguments of a command, in our four parts."""
    help_line = f"sim {command.name} --help shows what it takes"
    option = getattr(error, "option_name", None)
    near = sorted(getattr(error, "possibilities", None) or ())
    if option is not None and hasattr(error, "possibilities"):
        mend = f"did you mean {output.either(near)}?" if near else help_line
        return UsageError(f"sim {command.name} has no such option", value=option, mend=mend)
    message = str(getattr(error, "format_message", lambda: error)()).strip().rstrip(".")
    message = message[:1].lower() + message[1:]
    return UsageError(message, where=f"sim {command.name}", mend=help_line)


def _unknown(name: str) -> UsageError:
    """Say that there is no such command, and which one was meant."""
    if name.startswith("-"):
        return UsageError("sim has no such option", value=name, mend="options stand behind a command: sim list --json")
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), [command.name for command in COMMANDS], n=3, cutoff=0.5)
    mend = (
        f"did you mean {output.either([f'sim {each}' for each in near])}?" if near else "sim --help lists the commands"
    )
    return UsageError("sim has no such command", value=name, mend=mend)


def _report(error: SimError, arguments: list[str]) -> int:
    """Tell the user what to mend: on stderr, or as the one JSON object on stdout."""
    try:
        if "--json" in arguments:
            output.write_json(error.to_dict())
        else:
            output.write_error(error)
        output.flush()
    except OSError:
        _drop_output()
    return error.exit_code


def _report_bug(error: Exception, arguments: list[str]) -> int:
    """Keep the traceback in a file and say where; a user can do nothing with it on the screen."""
    import platform
    import tempfile
    import traceback

    lines = [f"sim {' '.join(arguments)}\n", f"Python {platform.python_version()} on {platform.platform()}\n"]
    lines += traceback.format_exception(error)
    with tempfile.NamedTemporaryFile(
        "w", prefix="sim-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.writelines(lines)
    report = _BugError(
        "this is a bug in flopclock, not in what you typed",
        value=f"{type(error).__name__}: {error}",
        mend=f"report it with {file.name}",
    )
    return _report(report, arguments)


class _BugError(SimError):
    """Ours to mend; never raised, only reported."""

    exit_code = BUG

    def to_dict(self) -> dict[str, object]:
        return super().to_dict() | {"error": "Bug"}


def _no_room(error: OSError) -> LimitError:
    """Say that the system could not take what was written."""
    return LimitError(
        f"the system refused to write: {error.strerror}",
        where=str(error.filename or "standard output"),
        mend="make room, or write elsewhere",
    )


def _prepare_process() -> None:
    """Set what must stand before the first heavy import."""
    # No linear algebra here is large enough for threads, and starting them takes half of numpy's import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Looking for plugins, pydantic reads the metadata of every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    import gc

    gc.set_threshold(COLLECT_AFTER, 20, 20)
    output.tolerate_any_encoding()


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain about the closed pipe at its end."""
    # typer wraps the stream when its pipe is closed.
    stream = getattr(sys.stdout, "wrapped", sys.stdout)
    if stream is sys.__stdout__ and stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
