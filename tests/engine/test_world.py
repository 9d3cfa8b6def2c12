from __future__ import annotations

import pytest

from sim.engine.ledger import ConservationError
from sim.engine.world import Alarm, World
from sim.errors import LimitError


def test_wake_ups_come_in_time_and_then_in_the_order_in_which_they_were_set() -> None:
    world, seen = World(1, seed=0), []
    for name, delay_s in (("late", 2.0), ("first", 1.0), ("second", 1.0)):
        world.after(delay_s, lambda name=name: seen.append((name, world.now_s)))
    world.run_until(lambda: len(seen) == 3)
    assert seen == [("first", 1.0), ("second", 1.0), ("late", 2.0)]
    assert world.events == 3


def test_an_alarm_that_is_moved_rings_once_at_its_new_time() -> None:
    world, seen = World(1, seed=0), []
    alarm = Alarm(world, lambda: seen.append(world.now_s))
    alarm.set(1.0)
    alarm.set(3.0)
    world.after(5.0, lambda: seen.append("end"))
    world.run_until(lambda: "end" in seen)
    assert seen == [3.0, "end"]
    assert world.events == 3


def test_an_alarm_that_is_cleared_does_not_ring() -> None:
    world, seen = World(1, seed=0), []
    alarm = Alarm(world, lambda: seen.append("rang"))
    alarm.set(1.0)
    alarm.clear()
    world.after(2.0, lambda: seen.append("end"))
    world.run_until(lambda: bool(seen))
    assert seen == ["end"]


def test_a_world_without_end_stops_at_its_limit() -> None:
    world = World(1, seed=0, max_events=10)
    alarm = Alarm(world, lambda: alarm.set(1.0))
    alarm.set(1.0)
    with pytest.raises(LimitError, match="limit of events") as caught:
        world.run_until(lambda: False)
    assert "10 events after 10 simulated seconds" in caught.value.value


def test_a_world_where_nothing_is_left_is_our_bug() -> None:
    with pytest.raises(ConservationError, match=r"nothing left to happen at 0.0 s"):
        World(1, seed=0).run_until(lambda: False)


def test_errors_of_an_action_come_through_as_they_are() -> None:
    world = World(1, seed=0)
    world.after(1.0, lambda: {}["missing"])
    with pytest.raises(KeyError, match="missing"):
        world.run_until(lambda: False)
