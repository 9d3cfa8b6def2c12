"""Max-min fair shares of links, by progressive filling over classes of flows.

A class is all flows of one collective: they keep step with each other, so one rate describes them. A class loads a
link by its rate times a weight, which is how many of its flows cross the link (a fraction, where they take turns).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.cost.memory import Floats

FULL = 1e-12
"""A link counts as full when this share of its capacity, or less, is left: sums of floats leave as much."""


@dataclass(frozen=True, slots=True)
class Loads:
    """What classes put on links, as triples: a class, a link, and the bytes per s there for each B/s of its rate."""

    flow_class: npt.NDArray[np.int64]
    link: npt.NDArray[np.int64]
    weight: Floats


def max_min_rates(capacity_bytes_per_s: Floats, loads: Loads, limit_bytes_per_s: Floats) -> Floats:
    """Give each class the max-min fair rate of its flows, in B/s: none can rise without lowering a slower one.

    All rates rise together; a class stops at its own limit, or when a link that it loads is full. Each round stops at
    least one class, and a round is a few operations on arrays.

    Args:
        capacity_bytes_per_s: of each link.
        loads: what each class puts on each link; weights above 0.
        limit_bytes_per_s: what a class reaches alone, finite.

    Source: Bertsekas and Gallager, Data Networks (2nd ed., 1992), section 6.5.2, with weights on links.
    Valid for: fluid flows, no latency; rates that follow at once when the set of flows changes.

    >>> two = Loads(np.array([0, 1]), np.array([0, 0]), np.array([1.0, 1.0]))
    >>> max_min_rates(np.array([10.0]), two, np.array([2.0, 100.0])).tolist()
    [2.0, 8.0]
    """
    rates = np.array(limit_bytes_per_s, dtype=np.float64)
    capacity = np.asarray(capacity_bytes_per_s, dtype=np.float64)
    wanted = np.bincount(loads.link, loads.weight * rates[loads.flow_class], len(capacity))
    # A link that can carry every class at its limit never stops one.
    is_short = wanted > capacity * (1 + FULL)
    keep = is_short[loads.link]
    of_class, weight = loads.flow_class[keep], loads.weight[keep]
    links, left = int(is_short.sum()), capacity[is_short]
    link = (np.cumsum(is_short) - 1)[loads.link[keep]]
    rises = np.zeros(len(rates), dtype=bool)
    rises[of_class] = True
    while len(of_class):
        density = np.bincount(link, weight, links)
        # What is left counts down the classes that stopped, so that the others rise from 0 each round.
        level = left / np.where(density > 0, density, np.nan)
        lowest_link = np.nanmin(level)
        first_limit = rates[rises].min()
        if first_limit <= lowest_link:
            stops = rises & (rates <= lowest_link)
        else:
            stops = np.zeros(len(rates), dtype=bool)
            stops[of_class[(level <= lowest_link * (1 + FULL))[link]]] = True
            rates[stops] = np.minimum(lowest_link, rates[stops])
        rises &= ~stops
        leaving = stops[of_class]
        taken = weight[leaving] * rates[of_class[leaving]]
        left = np.maximum(left - np.bincount(link[leaving], taken, links), 0.0)
        of_class, link, weight = of_class[~leaving], link[~leaving], weight[~leaving]
    return rates
