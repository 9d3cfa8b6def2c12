"""Which replica a request goes to."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from sim.engine.serving.contents import each

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from sim.engine.random import Streams
    from sim.engine.serving.options import RouterName
    from sim.engine.serving.request import Request

AWAY = 1 << 60
"""Added to the load of a replica that takes no requests: it is down, starting or leaving."""
REMEMBERED = 1 << 20
"""Blocks and sessions whose replica a prefix-aware router remembers; the oldest are forgotten."""
IMBALANCE_REQUESTS = 64
"""A prefix-aware router balances the load instead where the replica it would choose has so many more requests than the
least loaded, and 1.5 times as many (SGLang's router: balance_abs_threshold 64, balance_rel_threshold 1.5)."""
IMBALANCE_RATIO = 1.5


class Router(Protocol):
    """Chooses by the outstanding requests of each replica; one that is away has AWAY or more."""

    def choose(self, request: Request, loads: list[int]) -> int:
        """Give the place of a replica that is not away; there is one."""


def make_router(name: RouterName, streams: Streams, service: str) -> Router | None:
    """Make a router by its name; None for the shared queue, from which replicas take for themselves."""
    makers: dict[str, Callable[[], Router]] = {
        "round-robin": RoundRobin,
        "least-outstanding": LeastOutstanding,
        "power-of-two": lambda: PowerOfTwo(streams.uniform(f"router {service}")),
        "prefix-aware": PrefixAware,
    }
    return None if name == "shared-queue" else makers[name]()


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, request: Request, loads: list[int]) -> int:  # noqa: ARG002 - every router is asked alike
        """Give the next replica that is not away."""
        place = self._next
        while loads[place := place % len(loads)] >= AWAY:
            place += 1
        self._next = place + 1
        return place


class LeastOutstanding:
    """The one with the fewest outstanding requests, the first of several."""

    def choose(self, request: Request, loads: list[int]) -> int:  # noqa: ARG002 - as above
        """Give the least loaded."""
        return loads.index(min(loads))


class PowerOfTwo:
    """The less loaded of two that are drawn."""

    def __init__(self, uniform: Iterator[float]) -> None:
        """Take a stream of numbers in [0, 1)."""
        self._uniform = uniform

    def choose(self, request: Request, loads: list[int]) -> int:  # noqa: ARG002 - as above
        """Draw two different replicas and give the less loaded, the first one if they are equal."""
        here = [place for place, load in enumerate(loads) if load < AWAY]
        first = int(next(self._uniform) * len(here))
        if len(here) == 1:
            return here[0]
        second = int(next(self._uniform) * (len(here) - 1))
        second += second >= first
        one, other = here[first], here[second]
        return one if loads[one] <= loads[other] else other


class PrefixAware:
    """Where the session went before, or the longest known head of the prompt; balanced where that overloads one."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, int] = OrderedDict()

    def choose(self, request: Request, loads: list[int]) -> int:
        """Give the replica that most likely has the head of the prompt in its cache."""
        least = min(loads)
        place = self._affine(request)
        if place is None or (loads[place] > least + IMBALANCE_REQUESTS and loads[place] > least * IMBALANCE_RATIO):
            place = loads.index(least)
        self._remember(request, place)
        return place

    def _affine(self, request: Request) -> int | None:
        known = self._known
        if request.session is not None:
            place = known.get(("session", request.session))
            if place is not None:
                return place
        place = None
        for content in each(request.blocks):
            found = known.get(content)
            if found is None:
                break
            place = found
        return place

    def _remember(self, request: Request, place: int) -> None:
        known = self._known
        if request.session is not None:
            key: Hashable = ("session", request.session)
            known[key] = place
            known.move_to_end(key)
        for content in each(request.blocks):
            known[content] = place
            known.move_to_end(content)
        while len(known) > REMEMBERED:
            known.popitem(last=False)
