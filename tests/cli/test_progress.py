"""Progress: nothing for short work, lines where there is no terminal, and a clean end by Ctrl-C."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sim.cli import progress as module
from sim.cli.progress import Progress
from sim.engine.watch import watched_by, watcher
from sim.engine.world import World
from tests.helpers.command import SIM, call

ROOT = Path(__file__).resolve().parents[2]
LONG = ("run", "scenarios/training/llama-3.1-405b.yaml", "--seeds", "100000")


def busy(events: int = 5000) -> World:
    """Play a world of so many wake-ups, one a second."""
    world = World(1, 0)
    world.horizon_s = float(events)

    def tick() -> None:
        world.after(1.0, tick)

    tick()
    world.run_until(lambda: world.now_s >= events)
    return world


def test_lines_tell_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.0)
    with Progress(line_every_s=0.0):
        busy()
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert lines[-2].startswith("simulated 68.3 minutes of about 83.3 minutes (82 %), 4,096 events")
    assert "left" in lines[-2]
    assert lines[-1].startswith("simulated 83.3 minutes of about 83.3 minutes (100 %), 5,000 events")


def test_short_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress():
        busy()
    assert capsys.readouterr().err == ""
    outcome = call("run", str(ROOT / "scenarios" / "quickstart" / "howlong-1e26.yaml"))
    assert outcome.stderr == ""


def test_watching_changes_nothing() -> None:
    plain = busy()
    with watched_by(Progress()):
        watched = busy()
    assert (plain.now_s, plain.events) == (watched.now_s, watched.events)
    assert watcher() is None


def has_used(process: "subprocess.Popen[str] | subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait until a process has used so much time of the processor, however loaded the machine is."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") >= seconds:
            return True
        time.sleep(0.1)
    return False


def test_ctrl_c_ends_cleanly() -> None:
    running = subprocess.Popen(
        [SIM, *LONG],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert has_used(running, 3.0)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=20)
    assert running.returncode == 130
    assert stdout == ""
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "interrupted"
    assert "nothing was written" in stderr


def test_on_a_terminal_there_is_a_bar() -> None:
    parent, child = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI")}
    running = subprocess.Popen(
        [SIM, *LONG],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=child,
        env=environment | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
    )
    os.close(child)
    assert has_used(running, 5.0)
    running.send_signal(signal.SIGINT)
    running.wait(timeout=20)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert "simulated" in shown.decode()
    assert "\x1b[" in shown.decode()
    assert running.returncode == 130
