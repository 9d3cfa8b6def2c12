"""Devices that fail: an interruption stops the job that holds the device, and may take its node away for a repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sim.engine.cluster.books import DOWN
from sim.engine.ledger import FREE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.cluster.books import Books
    from sim.engine.cluster.job import Devices
    from sim.engine.cluster.places import Places
    from sim.engine.cluster.rules import Faults, Pool
    from sim.engine.cluster.run import Run
    from sim.engine.world import World


class Failing(Protocol):
    """A cluster whose devices fail."""

    world: World
    now_s: float
    pools: tuple[Pool, ...]
    kinds: tuple[str, ...]
    capacity: int
    free: Devices
    free_by_kind: dict[str, Devices]
    down_by_kind: dict[str, Devices]
    places: Places | None
    runs: dict[int, Run]
    books: Books
    events: list[tuple[float, str, str]]

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Call the action at this time."""

    def interrupt(self, run: Run) -> None:
        """Stop a job whose device failed."""


class FaultProcess:
    """Failures of all devices as one Poisson process; which device it is, is drawn each time by the rates of its pool.

    Free devices fail too: nobody notices unless the node is lost. So no decision of a policy changes when the next
    failure comes.
    """

    def __init__(self, scheduler: Failing, faults: Faults) -> None:
        """Begin to wait for the first failure, if there are any."""
        self._scheduler = scheduler
        self._faults = [faults if pool.faults is None else pool.faults for pool in scheduler.pools]
        self._highest_per_s = max(each.rate_per_s for each in self._faults)
        self._weights = [each.rate_per_s / self._highest_per_s if self._highest_per_s else 0.0 for each in self._faults]
        """Of a device of each pool, over one of the pool that fails most."""
        self._weight = sum(weight * pool.devices for weight, pool in zip(self._weights, scheduler.pools, strict=True))
        streams = scheduler.world.streams
        self._gaps = streams.exponential("cluster: failures")
        self._devices = streams.uniform("cluster: failing devices")
        self._losses = streams.uniform("cluster: lost nodes")
        self._open: dict[int, tuple[str, Devices, float]] = {}
        self._losses_so_far = 0
        self._wait()

    def still_down(self) -> None:
        """Enter, at the end, how long nodes have been out of order that were never repaired."""
        for kind, devices, since_s in self._open.values():
            self._scheduler.books.were_down(kind, devices, self._scheduler.now_s - since_s)

    def _wait(self) -> None:
        rate_per_s = self._highest_per_s * self._weight
        if rate_per_s:
            self._scheduler.at(self._scheduler.now_s + next(self._gaps) / rate_per_s, self._strike)

    def _strike(self) -> None:
        scheduler = self._scheduler
        pool, device = self._struck(next(self._devices) * self._weight)
        is_lost = next(self._losses) < self._faults[pool].node_loss_share
        if scheduler.places is not None:
            before = sum(each.devices for each in scheduler.pools[:pool])
            self._strike_node(pool, scheduler.places.node_of_device(before + device), is_lost=is_lost)
        else:
            self._strike_count(pool, device, is_lost=is_lost)
        self._wait()

    def _struck(self, drawn: float) -> tuple[int, int]:
        """Give the pool, and the device in it, at a point on the line of all devices, each as long as its weight."""
        for pool, weight in enumerate(self._weights):
            length = weight * self._scheduler.pools[pool].devices
            if drawn < length:
                return pool, min(int(drawn / weight), self._scheduler.pools[pool].devices - 1)
            drawn -= length
        last = max(pool for pool, weight in enumerate(self._weights) if weight)
        return last, self._scheduler.pools[last].devices - 1

    def _strike_node(self, pool: int, node: int, *, is_lost: bool) -> None:
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
            self._take_down(pool, int(places.state.map.capacity[node]), node)

    def _strike_count(self, pool: int, device: Devices, *, is_lost: bool) -> None:
        """Strike one of the devices that have no place: those that run come first, then those that are free."""
        scheduler, kind = self._scheduler, self._scheduler.kinds[pool]
        victim: Run | None = None
        for run in scheduler.runs.values():
            if run.kind != kind:
                continue
            if device < run.devices:
                victim = run
                break
            device -= run.devices
        if victim is None and device >= scheduler.free_by_kind[kind]:
            return  # It is down already.
        self._interrupt([] if victim is None else [victim])
        if is_lost:
            self._take_down(pool, min(scheduler.pools[pool].node_devices, scheduler.free_by_kind[kind]), None)

    def _interrupt(self, runs: list[Run]) -> None:
        for run in runs:
            self._scheduler.events.append((self._scheduler.now_s, "failure", f"job {run.job.number} loses its devices"))
            self._scheduler.interrupt(run)

    def _take_down(self, pool: int, devices: Devices, node: int | None) -> None:
        scheduler, kind = self._scheduler, self._scheduler.kinds[pool]
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

        scheduler.at(since_s + self._faults[pool].repair_s, repair)
