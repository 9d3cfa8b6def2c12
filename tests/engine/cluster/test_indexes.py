"""What policies keep beside the queue, against the plainest way to do the same."""

import math

from hypothesis import given
from hypothesis import strategies as st

from sim.engine.cluster.job import Job
from sim.engine.cluster.policies.ends import Ends
from sim.engine.cluster.policies.profile import Profile
from sim.engine.cluster.policies.wait_index import WaitIndex

WIDTHS = st.one_of(st.integers(1, 12), st.sampled_from((16, 17, 19, 64, 65, 70, 1000)))
STEPS = st.lists(
    st.tuples(st.sampled_from(("add", "add", "remove", "hide", "first")), WIDTHS, st.integers(0, 20), WIDTHS),
    max_size=120,
)


@given(STEPS)
def test_the_index_finds_what_a_scan_finds(steps: list[tuple[str, int, int, int]]) -> None:
    index, queue, hidden, number = WaitIndex(), [], set(), 0
    for what, width, length, narrow in steps:
        if what == "add":
            number += 1
            job = Job(number, 0.0, width, float(length))
            index.add(job)
            queue.append(job)
        elif what == "remove" and queue:
            job = queue.pop(length % len(queue))
            if job.number in hidden:
                index.show(job)
                hidden.discard(job.number)
            index.remove(job)
        elif what == "hide" and queue:
            job = queue[length % len(queue)]
            if job.number not in hidden:
                index.hide(job)
                hidden.add(job.number)
        scan = (
            job
            for job in queue
            if job.number not in hidden
            and job.devices <= width
            and (job.estimate_s <= length or job.devices <= min(narrow, width))
        )
        assert index.first(width, float(length), min(narrow, width)) is next(scan, None)
        assert index.head is (queue[0] if queue else None)
        assert len(index) == len(queue)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.booleans()), max_size=60), st.integers(1, 60))
def test_ends_say_when_devices_come_free(jobs: list[tuple[int, int, bool]], needed: int) -> None:
    ends, left = Ends(), {}
    for number, (end_s, devices, leaves) in enumerate(jobs):
        ends.add(number, float(end_s), devices)
        left[number] = (float(end_s), devices)
        if leaves:
            assert ends.remove(number) == left.pop(number)[0]
    times = sorted({end_s for end_s, _ in left.values()})
    freed = {time_s: sum(devices for end_s, devices in left.values() if end_s <= time_s) for time_s in times}
    expected = next(((time_s, freed[time_s]) for time_s in times if freed[time_s] >= needed), None)
    found = ends.when(needed)
    assert found == (expected or (math.inf, sum(devices for _, devices in left.values())))


def test_many_ends_are_kept_in_blocks() -> None:
    ends = Ends()
    for number in range(3000):
        ends.add(number, float(number * 7919 % 3001), 1)
    assert ends.when(1500)[1] == 1500
    for number in range(2999):
        ends.remove(number)
    assert ends.when(1) == (float(2999 * 7919 % 3001), 1)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6), st.integers(1, 4)), max_size=12))
def test_the_profile_finds_the_first_gap(jobs: list[tuple[int, int, int]]) -> None:
    profile, free = Profile(4), [4] * 200
    for now, length, devices in jobs:
        begin = next(at for at in range(now, 200) if all(free[at + step] >= devices for step in range(length)))
        assert profile.earliest(float(now), devices, float(length)) == begin
        profile.add(float(begin), float(begin + length), -devices)
        for step in range(length):
            free[begin + step] -= devices
