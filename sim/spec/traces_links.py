"""Requests of a trace that wait for one another: which row waits for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import ScenarioError

if TYPE_CHECKING:
    from sim.spec.traces_rows import Rows


def parents_of(rows: Rows, name: str) -> list[tuple[int, ...]]:
    """Give for each row of an agentic trace the rows that it waits for.

    Args:
        rows: the whole trace.
        name: of its file, for messages.

    Raises:
        ScenarioError: two rows have one id, a row waits for one that is not there, or rows wait in a circle.

    """
    assert rows.request_ids is not None
    assert rows.wait_for is not None
    places: dict[str, int] = {}
    for place, each in enumerate(rows.request_ids):
        if each in places:
            raise ScenarioError("two requests of a trace have different ids", each, f"{name}:{place + 1}")
        places[each] = place
    parents: list[tuple[int, ...]] = []
    for place, waits in enumerate(rows.wait_for):
        unknown = next((each for each in waits if each not in places), None)
        if unknown is not None:
            raise ScenarioError("a request waits for requests of the same trace", unknown, f"{name}:{place + 1}")
        parents.append(tuple(places[each] for each in dict.fromkeys(waits)))
    _refuse_circles(parents, rows.request_ids, name)
    return parents


def _refuse_circles(parents: list[tuple[int, ...]], ids: list[str], name: str) -> None:
    missing = [len(found) for found in parents]
    children: dict[int, list[int]] = {}
    for place, found in enumerate(parents):
        for parent in found:
            children.setdefault(parent, []).append(place)
    ready = [place for place, count in enumerate(missing) if not count]
    done = 0
    while ready:
        done += 1
        for child in children.get(ready.pop(), ()):
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
    if done < len(parents):
        place = next(place for place, count in enumerate(missing) if count)
        raise ScenarioError("requests do not wait for one another in a circle", ids[place], f"{name}:{place + 1}")
