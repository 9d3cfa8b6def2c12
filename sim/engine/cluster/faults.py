"""Devices that fail: an interruption stops the job that holds the device, and may take its node away for a repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.cluster.books import DOWN
from sim.engine.ledger import FREE

if TYPE_CHECKING:
    from sim.engine.cluster.rules import Faults
    from sim.engine.cluster.run import Run
    from sim.engine.cluster.scheduler import Scheduler


class FaultProcess:
    """Failures of all devices as one Poisson process; which device it is, is drawn each time.

    Free devices fail too: nobody notices unless the node is lost. So no decision of a policy changes when the next
    failure comes.
    """

    def __init__(self, scheduler: Scheduler, faults: Faults) -> None:
        """Begin to wait for the first failure, if there are any."""
        self._scheduler, self._faults = scheduler, faults
        streams = scheduler.world.streams
        self._gaps = streams.exponential("cluster: failures")
        self._devices = streams.uniform("cluster: failing devices")
        self._losses = streams.uniform("cluster: lost nodes")
        self._open: dict[int, tuple[str, int, float]] = {}
        self._losses_so_far = 0
        self._wait()

    def still_down(self) -> None:
        """Enter, at the end, how long nodes have been out of order that were never repaired."""
        for kind, devices, since_s in self._open.values():
            self._scheduler.books.were_down(kind, devices, self._scheduler.now_s - since_s)

    def _wait(self) -> None:
        rate_per_s = self._faults.rate_per_s * self._scheduler.capacity
        if rate_per_s:
            self._scheduler.at(self._scheduler.now_s + next(self._gaps) / rate_per_s, self._strike)

    def _strike(self) -> None:
        scheduler = self._scheduler
        device = int(next(self._devices) * scheduler.capacity)
        is_lost = next(self._losses) < self._faults.node_loss_share
        if scheduler.places is not None:
            self._strike_node(scheduler.places.node_of_device(device), is_lost=is_lost)
        else:
            self._strike_count(device, is_lost=is_lost)
        self._wait()

    def _strike_node(self, node: int, *, is_lost: bool) -> None:
        """Strike a node that has a place: all jobs on it stop."""
        scheduler, places = self._scheduler, self._scheduler.places
        assert places is not None
        if places.state.is_down[node]:
            return
        hit = places.on_node(iter(scheduler.runs.values()), node)
        if is_lost:
            places.state.fail(node)
        self._interrupt(hit)
        if is_lost:
            kind = places.state.map.pools[int(places.state.map.pool_of[node])].name
            devices = int(places.state.map.capacity[node])
            self._take_down(kind, devices, node)

    def _strike_count(self, device: int, *, is_lost: bool) -> None:
        """Strike one of the devices that have no place: those that run come first, then those that are free."""
        scheduler = self._scheduler
        victim: Run | None = None
        for run in scheduler.runs.values():
            if device < run.devices:
                victim = run
                break
            device -= run.devices
        if victim is None and device >= scheduler.free:
            return  # It is down already.
        kind = (
            victim.kind
            if victim is not None
            else next(kind for kind in scheduler.kinds if scheduler.free_by_kind[kind])
        )
        self._interrupt([] if victim is None else [victim])
        if is_lost:
            pool = scheduler.pools[scheduler.kinds.index(kind)]
            self._take_down(kind, min(pool.node_devices, scheduler.free_by_kind[kind]), None)

    def _interrupt(self, runs: list[Run]) -> None:
        for run in runs:
            self._scheduler.events.append((self._scheduler.now_s, "failure", f"job {run.job.number} loses its devices"))
            self._scheduler.interrupt(run)

    def _take_down(self, kind: str, devices: int, node: int | None) -> None:
        scheduler = self._scheduler
        since_s = scheduler.now_s
        scheduler.free -= devices
        scheduler.free_by_kind[kind] -= devices
        scheduler.world.ledger.move(since_s, FREE, DOWN, devices)
        scheduler.down_by_kind[kind] += devices
        self._losses_so_far += 1
        loss = self._losses_so_far
        self._open[loss] = (kind, devices, since_s)
        where = f"{devices} devices of {kind}" + ("" if node is None else f", node {node}")
        scheduler.events.append((since_s, "node lost", where))

        def repair() -> None:
            if node is not None:
                assert scheduler.places is not None
                scheduler.places.state.repair(node)
            scheduler.free += devices
            scheduler.free_by_kind[kind] += devices
            scheduler.down_by_kind[kind] -= devices
            del self._open[loss]
            scheduler.books.were_down(kind, devices, scheduler.now_s - since_s)
            scheduler.world.ledger.move(scheduler.now_s, DOWN, FREE, devices)
            scheduler.events.append((scheduler.now_s, "node repaired", where))

        scheduler.at(since_s + self._faults.repair_s, repair)
