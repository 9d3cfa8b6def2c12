"""Play a training run: steps, checkpoints, interruptions, restarts and repairs on a simulated clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.engine.admission import MAX_INTERRUPTIONS, admit, too_many_interruptions
from sim.engine.ledger import FREE, Accounts
from sim.engine.recording import EventColumns, Recording, RunClock, Segments, Stretches
from sim.engine.world import MAX_EVENTS, Alarm, World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.plan.run import TrainingRun

CHECKPOINT = "checkpoint"
LOST = "lost work"
RESTART = "restart"
WAITING = "waiting for repair"
IDLE = "allocated idle"
DOWN = "down"
_RUNNING = "running"
_STEPPING = "stepping"


def play(
    run: TrainingRun, seed: int, *, max_interruptions: int = MAX_INTERRUPTIONS, max_events: int = MAX_EVENTS
) -> Recording:
    """Simulate the run once and give what happened; run and seed decide every byte of it.

    Progress is fluid: between two interruptions there is one wake-up, and what was saved in between is arithmetic.
    Interruptions come at the run's hazard while it restarts, steps or writes, and lose what no finished checkpoint
    holds; while it waits for a repair none strike. A checkpoint closes the last interval, however short.
    With spare nodes, an interruption takes a node away with ``node_loss_share``; the node comes back after
    ``repair_s``, and while no spare is ready the run waits.

    Raises:
        ScenarioError: the numbers of the run contradict each other.
        InfeasibleError: interruptions would keep the run from ever finishing.
        LimitError: more interruptions or events than the limits allow.
    """
    admit(run, max_interruptions)
    world = World(run.devices, seed, max_events)
    training = _Training(world, run, max_interruptions)
    training.begin()
    world.run_until(training.has_finished)
    return training.record()


def play_many(run: TrainingRun, seeds: Iterable[int], *, max_interruptions: int = MAX_INTERRUPTIONS) -> list[Recording]:
    """Play the run once for each seed, as `play` does."""
    return [play(run, seed, max_interruptions=max_interruptions) for seed in seeds]


class _Training:
    """The state of one run between its wake-ups."""

    def __init__(self, world: World, run: TrainingRun, max_interruptions: int) -> None:
        self._world, self._run, self._max_interruptions = world, run, max_interruptions
        self._ledger = world.ledger
        self._segments = _segments(run)
        self._gaps = world.streams.exponential(f"training/{run.name}/interruptions")
        self._losses = world.streams.uniform(f"training/{run.name}/node losses")
        self._alarm = Alarm(world, self._stretch_ends)
        self._node_devices = min(run.devices_per_node, run.active_devices)
        self._ready_nodes = run.spare_nodes
        self._saved = 0
        self._restarting_s = self._gap_s = self._waiting_since_s = 0.0
        self._is_waiting = self._finished = False
        self._interruptions = self._nodes_lost = 0
        self._spent_s = dict.fromkeys((_STEPPING, CHECKPOINT, "lost compute", "lost write", RESTART, WAITING), 0.0)
        self._events: list[tuple[float, str, str]] = []
        self._stretches: list[tuple[float, int, int, float]] = []

    def begin(self) -> None:
        run, now_s = self._run, self._world.now_s
        self._world.horizon_s = self._segments.duration_s(0)
        self._ledger.move(now_s, FREE, _RUNNING, run.active_devices)
        idle = run.devices - run.active_devices - run.spare_nodes * run.devices_per_node
        self._ledger.move(now_s, FREE, IDLE, idle)
        self._note("start", f"{run.active_devices} of {run.devices} devices, {run.spare_nodes} spare nodes")
        self._run_on(0.0)

    def has_finished(self) -> bool:
        return self._finished

    def _run_on(self, restarting_s: float) -> None:
        """Restart, then step until the next interruption or the end, whichever the one wake-up finds first."""
        hazard = self._run.hazard_per_s
        self._restarting_s = restarting_s
        self._gap_s = next(self._gaps) / hazard if hazard else math.inf
        self._alarm.set(min(self._gap_s, restarting_s + self._segments.duration_s(self._saved)))

    def _stretch_ends(self) -> None:
        if self._gap_s >= self._restarting_s + self._segments.duration_s(self._saved):
            stepping_s = self._segments.duration_s(self._saved)
            self._settle(self._restarting_s, stepping_s, self._segments.count - self._saved)
            self._finished = True
            self._note("finish", f"{self._segments.count} checkpoints, {self._interruptions} interruptions")
            return
        stepping_s = max(self._gap_s - self._restarting_s, 0.0)
        full_s = self._segments.interval_s + self._segments.write_s
        # The last segment may be short, so at most all but one are saved when an interruption comes first.
        saving = min(int(stepping_s // full_s), self._segments.count - 1 - self._saved)
        self._settle(min(self._gap_s, self._restarting_s), stepping_s, saving)
        self._interrupted()

    def _settle(self, restarting_s: float, stepping_s: float, saving: int) -> None:
        """Divide the stretch that just ended: what it saved stays, the rest is lost."""
        run, segments, first = self._run, self._segments, self._saved
        last = first + saving
        kept_s = segments.useful_until_s(last) - segments.useful_until_s(first)
        writing_s = saving * segments.write_s
        unsaved_s = max(stepping_s - kept_s - writing_s, 0.0) if last < segments.count else 0.0
        lost_compute_s = min(unsaved_s, segments.length_s(last)) if unsaved_s else 0.0
        lost_write_s = unsaved_s - lost_compute_s
        if stepping_s:
            self._stretches.append((self._world.now_s - stepping_s, first, saving, lost_compute_s))
        self._saved = last
        spent_s, lost_s, active = self._spent_s, lost_compute_s + lost_write_s, run.active_devices
        spent_s[_STEPPING] += kept_s
        spent_s[CHECKPOINT] += writing_s
        spent_s["lost compute"] += lost_compute_s
        spent_s["lost write"] += lost_write_s
        spent_s[RESTART] += restarting_s
        parts = {_STEPPING: active * kept_s, CHECKPOINT: active * writing_s}
        parts |= {LOST: active * lost_s, RESTART: active * restarting_s}
        self._ledger.settle(self._world.now_s, _RUNNING, parts)
        computing_steps = (stepping_s - writing_s - lost_write_s) / run.step_s
        self._ledger.supply("flop", computing_steps * run.hardware_flop_per_step)
        self._ledger.supply("tokens", computing_steps * run.tokens_per_step)

    def _interrupted(self) -> None:
        run = self._run
        self._interruptions += 1
        if self._interruptions > self._max_interruptions:
            raise too_many_interruptions(run, "more than", self._max_interruptions, self._max_interruptions)
        self._note("interruption", self._loss_in_words())
        if run.spare_nodes and next(self._losses) < run.node_loss_share:
            self._lose_node()
        else:
            self._run_on(run.restart_s)

    def _loss_in_words(self) -> str:
        if self._gap_s <= self._restarting_s:
            return "during a restart; nothing more lost"
        _, _, saving, lost_compute_s = self._stretches[-1]
        during = "writing a checkpoint" if self._was_writing(lost_compute_s) else "stepping"
        return f"while {during}; {lost_compute_s:.1f} s of steps lost, {saving} checkpoints since the last restart"

    def _was_writing(self, lost_compute_s: float) -> bool:
        return lost_compute_s >= self._segments.length_s(self._saved)

    def _lose_node(self) -> None:
        self._nodes_lost += 1
        self._ledger.move(self._world.now_s, _RUNNING, DOWN, self._node_devices)
        self._world.after(self._run.repair_s, self._node_returns)
        if self._ready_nodes:
            self._note("node lost", "replaced by a spare")
            self._replace_node()
        else:
            self._note("node lost", "no spare is ready: the run waits for a repair")
            self._is_waiting, self._waiting_since_s = True, self._world.now_s
            self._ledger.move(self._world.now_s, _RUNNING, WAITING, self._run.active_devices - self._node_devices)

    def _replace_node(self) -> None:
        self._ready_nodes -= 1
        self._ledger.move(self._world.now_s, FREE, _RUNNING, self._node_devices)
        self._run_on(self._run.restart_s)

    def _node_returns(self) -> None:
        now_s = self._world.now_s
        self._ready_nodes += 1
        self._ledger.move(now_s, DOWN, FREE, self._node_devices)
        self._note("node repaired", "the run goes on" if self._is_waiting else "a spare again")
        if self._is_waiting:
            self._is_waiting = False
            self._spent_s[WAITING] += now_s - self._waiting_since_s
            self._ledger.move(now_s, WAITING, _RUNNING, self._run.active_devices - self._node_devices)
            self._replace_node()

    def _note(self, kind: str, detail: str) -> None:
        self._events.append((self._world.now_s, kind, detail))

    def record(self) -> Recording:
        """Close the ledger, which asserts conservation, and give what happened."""
        run, spent_s = self._run, self._spent_s
        accounts = self._close()
        return Recording(
            name=run.name,
            seed=self._world.streams.seed,
            wall_clock_s=accounts.end_s,
            device_seconds=accounts.device_seconds,
            flop=accounts.amounts["flop"],
            tokens=accounts.amounts["tokens"],
            joules=accounts.amounts["joules"],
            clock=RunClock(
                useful_s=run.useful_s,
                checkpoint_s=spent_s[CHECKPOINT],
                lost_compute_s=spent_s["lost compute"],
                lost_write_s=spent_s["lost write"],
                restart_s=spent_s[RESTART],
                waiting_for_repair_s=spent_s[WAITING],
            ),
            interruptions=self._interruptions,
            checkpoints=self._saved,
            nodes_lost=self._nodes_lost,
            world_events=self._world.events,
            events=EventColumns(*zip(*self._events, strict=True)),
            segments=self._segments,
            stretches=Stretches(*zip(*self._stretches, strict=True)),
            model_flop_per_s=run.model_flop_per_step / run.step_s,
            hardware_flop_per_s=run.hardware_flop_per_step / run.step_s,
        )

    def _close(self) -> Accounts:
        run, ledger, end_s = self._run, self._ledger, self._world.now_s
        stepping = run.active_devices * self._spent_s[_STEPPING]
        whole_s = math.fsum(seconds for _, seconds in run.step_parts)
        parts: dict[str, float] = {}
        for account, seconds in run.step_parts:
            parts[account] = parts.get(account, 0.0) + stepping * (seconds / whole_s)
        ledger.settle(end_s, _STEPPING, parts)

        kept_steps = self._spent_s[_STEPPING] / run.step_s
        lost_steps = self._spent_s["lost compute"] / run.step_s
        ledger.post("flop", "model", kept_steps * run.model_flop_per_step)
        ledger.expect("flop", "model", run.steps * run.model_flop_per_step)
        overhead = run.hardware_flop_per_step - run.model_flop_per_step
        ledger.post("flop", "recompute and padding", kept_steps * overhead)
        ledger.post("flop", "lost and redone", lost_steps * run.hardware_flop_per_step)
        ledger.post("tokens", "trained", kept_steps * run.tokens_per_step)
        ledger.expect("tokens", "trained", run.steps * run.tokens_per_step)
        ledger.post("tokens", "lost", lost_steps * run.tokens_per_step)

        totals = ledger.device_seconds(end_s)
        powered = run.devices * end_s - totals.get(DOWN, 0.0)
        ledger.supply("joules", run.power_w_per_device * powered)
        for account, device_seconds in totals.items():
            if device_seconds and account not in (DOWN, _RUNNING, _STEPPING):
                ledger.post("joules", account, run.power_w_per_device * device_seconds)
        return ledger.close(end_s)


def _segments(run: TrainingRun) -> Segments:
    # A run of 3.0000000000000004 intervals has three: rounding is no reason for one more checkpoint.
    count = max(1, math.ceil(run.useful_s / run.interval_s * (1 - 1e-12)))
    return Segments(count, run.interval_s, run.useful_s - (count - 1) * run.interval_s, run.write_s)
