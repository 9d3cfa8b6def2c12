"""Run the `sim` command as a user does: in this process (fast) or in one of its own (honest)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

SIM = Path(sys.executable).parent / "sim"
"""The command that the package installs beside this Python."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command left: exit code, stdout, stderr."""

    exit_code: int
    stdout: str
    stderr: str


def call(*arguments: str) -> Outcome:
    """Run ``sim`` in this process; an exception that reaches the top is our bug and is passed on."""
    from sim.cli.main import main

    command: Callable[[], object] = main
    stdout, stderr = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["sim", *arguments]),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            code = command()
        except SystemExit as exit_request:
            code = exit_request.code
    if isinstance(code, str):  # sys.exit("text") prints the text and exits with 1
        stderr.write(code)
    return Outcome(code if isinstance(code, int) else int(code is not None), stdout.getvalue(), stderr.getvalue())


def printed(*arguments: str) -> dict[str, Any]:
    """Give what a command prints with --json; fails when it fails."""
    outcome = call(*arguments, "--json")
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    data: dict[str, Any] = json.loads(outcome.stdout)
    return data


def spawn(*arguments: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> Outcome:
    """Run the installed ``sim`` in a process of its own, without a terminal and without standard input."""
    done = subprocess.run(
        [SIM, *arguments],
        cwd=cwd,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def python(code: str, *flags: str) -> str:
    """Run ``code`` in a fresh Python and give what it printed; fails when it fails."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
