"""Keep the columns of a play and its accounts: what each stretch did, kept and lost."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from sim.engine.cluster.contention import ACCOUNT as CONTENDED
from sim.engine.cluster.recording import KindAccounts, StretchColumns
from sim.engine.cluster.run import Piece
from sim.engine.ledger import FREE, TOLERANCE, ConservationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sim.engine.cluster.job import Devices, Pace, Workload
    from sim.engine.cluster.rules import Pool
    from sim.engine.cluster.run import Run
    from sim.engine.ledger import Ledger

RUNNING, DOWN = "running", "down"
SERVICES = "services"
APART = (DOWN, SERVICES)
"""Accounts of a kind that draw no power, or whose owners say how much."""
PURPOSES = ("model", "recompute and padding", "lost and redone")
"""What the operations of jobs are for."""
USEFUL, LOST, RESTART, CHECKPOINT = "useful compute", "lost work", "restart", "checkpoint"


class JobColumns(TypedDict):
    """Columns of a recording."""

    outcome: NDArray[np.int8]
    start_s: NDArray[np.float64]
    finish_s: NDArray[np.float64]
    preemptions: NDArray[np.int64]
    failures: NDArray[np.int64]
    stretches: StretchColumns


class Books:
    """Columns that grow while a cluster is played; an element of an `array` costs a third of one of numpy to write."""

    def __init__(self, workload: Workload, pools: Sequence[Pool]) -> None:
        """Begin with nothing known of any job."""
        count = len(workload.jobs)
        self.outcome = array("b", bytes(count))
        self.start_s = array("d", [math.nan]) * count
        self.finish_s = array("d", [math.nan]) * count
        self.preemptions = array("q", [0]) * count
        self.failures = array("q", [0]) * count
        self._kinds = {pool.kind: index for index, pool in enumerate(pools)}
        self._position, self._kind = array("q"), array("q")
        self._devices: array[Any] = array("q")
        self._began_s, self._ended_s = array("d"), array("d")
        self._work_s, self._lost_s = array("d"), array("d")
        self._pools = pools
        self._device_s: list[dict[str, float]] = [{USEFUL: 0.0} for _ in pools]
        self._down_s = [0.0] * len(pools)
        self._owned_s = [0.0] * len(pools)
        """Device-seconds that owners account for."""
        self._workload = workload
        self._flop = {"executed": 0.0, "model": 0.0, "recompute and padding": 0.0, "lost and redone": 0.0, "due": 0.0}

    def close_run(self, run: Run, now_s: float, done_s: float, safe_s: float) -> None:
        """Enter what a stretch did until now; what is beyond ``safe_s`` is lost."""
        kind = self._kinds[run.kind]
        if run.owner is not None:
            self._owned_s[kind] += run.devices * (now_s - run.start_s)
            self._row(run.position, run.start_s, now_s, run.devices, kind, 0.0, 0.0)
            return
        if (
            run.pieces is None
            and not run.pace.parts
            and safe_s == done_s
            and run.slowdown == 1
            and not self._workload.flop
        ):
            # Most stretches of most traces: nothing changed, nothing is lost.
            busy_s = now_s - run.start_s
            if run.ready_s > run.start_s:
                idle_s = min(run.ready_s - run.start_s, busy_s)
                busy_s -= idle_s
                self._add(kind, RESTART, run.devices * idle_s)
            self._device_s[kind][USEFUL] += run.devices * busy_s
            self._row(run.position, run.start_s, now_s, run.devices, kind, done_s - run.done_s, 0.0)
            return
        if run.is_stopping:
            self._add(kind, CHECKPOINT, run.devices * (now_s - run.since_s))
            pieces = [*(run.pieces or ()), Piece(run.since_s, now_s, run.devices, run.pace, 0.0, 0.0, 0.0)]
        else:
            run.close_piece(now_s, done_s)
            pieces = run.pieces or []
        lost_s, lost = done_s - safe_s, [0.0] * len(pieces)
        for index in range(len(pieces) - 1, -1, -1):
            lost[index] = min(lost_s, pieces[index].work_s)
            lost_s -= lost[index]
        for piece, lost_here_s in zip(pieces, lost, strict=True):
            share = lost_here_s / piece.work_s if piece.work_s > 0 else 0.0
            self._add(kind, RESTART, piece.devices * piece.idle_s)
            self._add(kind, LOST, piece.devices * piece.busy_s * share)
            kept = piece.devices * piece.busy_s * (1 - share)
            if piece.slowdown > 1:
                self._add(kind, CONTENDED, kept * (1 - 1 / piece.slowdown))
                kept /= piece.slowdown
            self._useful(kind, piece.pace, kept)
            self._post_flop(run.position, piece.pace, piece.work_s, lost_here_s)
            self._row(run.position, piece.start_s, piece.end_s, piece.devices, kind, piece.work_s, lost_here_s)

    def add_job(self) -> int:
        """Make room for a job that no list knew beforehand, and give its row."""
        self.outcome.append(0)
        self.start_s.append(math.nan)
        self.finish_s.append(math.nan)
        self.preemptions.append(0)
        self.failures.append(0)
        return len(self.outcome) - 1

    def finished_flop(self, position: int) -> None:
        """Note that all the operations of a job must have been done."""
        if self._workload.flop and self._workload.run_s[position]:
            self._flop["due"] += self._workload.flop[position]

    def columns(self) -> JobColumns:
        """Give the columns as arrays."""
        return {
            "outcome": np.frombuffer(self.outcome, np.int8),
            "start_s": np.frombuffer(self.start_s, np.float64),
            "finish_s": np.frombuffer(self.finish_s, np.float64),
            "preemptions": np.frombuffer(self.preemptions, np.int64),
            "failures": np.frombuffer(self.failures, np.int64),
            "stretches": StretchColumns(
                position=np.frombuffer(self._position, np.int64),
                start_s=np.frombuffer(self._began_s, np.float64),
                end_s=np.frombuffer(self._ended_s, np.float64),
                devices=np.frombuffer(self._devices, self._devices.typecode),
                kind=np.frombuffer(self._kind, np.int64),
                work_s=np.frombuffer(self._work_s, np.float64),
                lost_s=np.frombuffer(self._lost_s, np.float64),
            ),
        }

    def were_down(self, kind: str, devices: Devices, seconds: float) -> None:
        """Enter how long devices of a kind were out of order."""
        self._down_s[self._kinds[kind]] += devices * seconds

    def settle(self, ledger: Ledger, now_s: float) -> None:
        """Say in the ledger what devices did while they ran, what it cost and what it was for."""
        self._agree(now_s)
        together: dict[str, float] = {}
        joules: dict[str, float] = {}
        ours = zip(self._pools, self._device_s, self._down_s, self._owned_s, strict=True)
        for pool, accounts, down_s, owned_s in ours:
            our_s = pool.devices * now_s - down_s - owned_s
            ledger.supply("joules", pool.power_w * our_s)
            free_s = our_s - math.fsum(accounts.values())
            for account, device_s in accounts.items():
                together[account] = together.get(account, 0.0) + device_s
                joules[account] = joules.get(account, 0.0) + device_s * pool.power_w
            joules[FREE] = joules.get(FREE, 0.0) + max(free_s, 0.0) * pool.power_w
        ledger.settle(now_s, RUNNING, together)
        for account, amount in joules.items():
            if amount:
                ledger.post("joules", account, amount)
        if self._workload.flop:
            for purpose in PURPOSES:
                ledger.post("flop", purpose, self._flop[purpose])
            ledger.supply("flop", self._flop["executed"])
            ledger.expect("flop", "model", self._flop["due"])

    def by_kind(self, now_s: float) -> tuple[KindAccounts, ...]:
        """Give where the time and the energy of the devices of each kind went."""
        found = []
        of_kinds = zip(self._pools, self._device_s, self._down_s, self._owned_s, strict=True)
        for pool, accounts, down_s, owned_s in of_kinds:
            free_s = max(pool.devices * now_s - down_s - owned_s - math.fsum(accounts.values()), 0.0)
            whole = {**accounts, FREE: free_s, DOWN: down_s, SERVICES: owned_s}
            found.append(
                KindAccounts(
                    kind=pool.kind,
                    devices=pool.devices,
                    device_seconds={name: seconds for name, seconds in whole.items() if seconds},
                    energy_j=sum(seconds * pool.power_w for name, seconds in whole.items() if name not in APART),
                )
            )
        return tuple(found)

    def _agree(self, now_s: float) -> None:
        """Hold the accounts of each kind of device against the stretches on it, and against its capacity.

        Raises:
            ConservationError: a device of one kind was counted with another.

        """
        if len(self._pools) == 1:
            return  # The ledger has the same sums.
        held = np.frombuffer(self._devices, self._devices.typecode) * (
            np.frombuffer(self._ended_s, np.float64) - np.frombuffer(self._began_s, np.float64)
        )
        seen = np.bincount(np.frombuffer(self._kind, np.int64), weights=held, minlength=len(self._pools))
        of_kinds = zip(self._pools, self._device_s, self._down_s, self._owned_s, seen.tolist(), strict=True)
        for pool, accounts, down_s, owned_s, seen_s in of_kinds:
            held_s, whole_s = math.fsum(accounts.values()) + owned_s, pool.devices * now_s
            if abs(held_s - seen_s) > TOLERANCE * whole_s or held_s + down_s > whole_s * (1 + TOLERANCE):
                raise ConservationError(
                    f"{pool.kind}: {held_s!r} device-seconds in its accounts, {seen_s!r} held and {down_s!r} down of "
                    f"{whole_s!r}"
                )

    def _useful(self, kind: int, pace: Pace, device_s: float) -> None:
        if not pace.parts:
            self._device_s[kind][USEFUL] += device_s
        for account, share in pace.parts:
            self._add(kind, account, device_s * share)

    def _add(self, kind: int, account: str, device_s: float) -> None:
        if device_s:
            self._device_s[kind][account] = self._device_s[kind].get(account, 0.0) + device_s

    def _post_flop(self, position: int, pace: Pace, work_s: float, lost_s: float) -> None:
        if not self._workload.flop or not self._workload.run_s[position]:
            return
        flop_per_s = self._workload.flop[position] / self._workload.run_s[position]
        flop = self._flop
        flop["executed"] += work_s * flop_per_s * (1 + pace.overhead)
        flop["model"] += (work_s - lost_s) * flop_per_s
        flop["recompute and padding"] += (work_s - lost_s) * flop_per_s * pace.overhead
        flop["lost and redone"] += lost_s * flop_per_s * (1 + pace.overhead)

    def _row(
        self, position: int, began_s: float, ended_s: float, devices: Devices, kind: int, work_s: float, lost_s: float
    ) -> None:
        self._position.append(position)
        self._began_s.append(began_s)
        self._ended_s.append(ended_s)
        try:
            self._devices.append(devices)
        except TypeError:  # the first share of a device: whole numbers are kept as such where there is none
            self._devices = array("d", self._devices)
            self._devices.append(float(devices))
        self._kind.append(kind)
        self._work_s.append(work_s)
        self._lost_s.append(lost_s)
