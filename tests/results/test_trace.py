"""The timeline, read with Perfetto's own schema and held against the ledger of the run."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.results import tidy
from sim.results import trace as module
from sim.results.record import Record
from sim.results.trace import trace
from sim.spec.load import load_document, read_scenario
from sim.study.scenarios import run_scenario
from tests.helpers.command import call
from tests.helpers.protobuf import Slice, slices
from tests.helpers.records import SCENARIO, everything, training_record

ROOT = Path(__file__).resolve().parents[2]


class Read:
    """A timeline as Perfetto's schema reads it."""

    def __init__(self, content: bytes) -> None:
        schema: Any = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
        packets = schema.Trace()
        packets.ParseFromString(content)
        assert packets.ByteSize() == len(content), "every byte is known to the schema"
        event = schema.TrackEvent
        self.tracks: dict[int, Any] = {}
        self.slices: list[tuple[int, str, int, int]] = []
        self.instants: list[str] = []
        self.counters: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self.flows: dict[int, int] = defaultdict(int)
        stack: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for packet in packets.packet:
            if packet.HasField("track_descriptor"):
                descriptor = packet.track_descriptor
                assert descriptor.uuid not in self.tracks
                assert not descriptor.HasField("parent_uuid") or descriptor.parent_uuid in self.tracks
                self.tracks[descriptor.uuid] = descriptor
                continue
            found = packet.track_event
            assert found.track_uuid in self.tracks
            if found.type == event.TYPE_SLICE_BEGIN:
                stack[found.track_uuid].append((found.name, packet.timestamp))
                for flow in found.flow_ids:
                    self.flows[flow] += 1
            elif found.type == event.TYPE_SLICE_END:
                name, start = stack[found.track_uuid].pop()
                assert packet.timestamp >= start
                self.slices.append((found.track_uuid, name, start, packet.timestamp))
            elif found.type == event.TYPE_INSTANT:
                self.instants.append(found.name)
            else:
                assert found.type == event.TYPE_COUNTER
                self.counters[found.track_uuid].append((packet.timestamp, found.double_counter_value))
        assert not any(stack.values()), "every slice ends"

    def seconds(self, name: str) -> float:
        return sum(end - start for _, each, start, end in self.slices if each == name) / 1e9


def test_slices_of_a_training_run_agree_with_its_ledger() -> None:
    record = training_record()
    read = Read(trace(record).content)
    first = record.result["simulated"]["first_seed"]
    wall_clock_s = first["wall_clock_s"]
    assert sum(end - start for _, _, start, end in read.slices) / 1e9 == pytest.approx(wall_clock_s, rel=1e-9)
    active = record.result["plan"]["active_devices"]
    lost_s = first["device_seconds"]["lost work"] / active
    stopped_s = first["device_seconds"]["restart"] / active
    assert "waiting for repair" not in first["device_seconds"], "this seed never waits"
    assert read.seconds("lost work") == pytest.approx(lost_s, rel=1e-6)
    assert read.seconds("restart and waiting") == pytest.approx(stopped_s, rel=1e-6)
    assert read.instants.count("interruption") == record.result["simulated"]["interruptions"]


def test_everything_has_its_track() -> None:
    record = everything(40)
    made = trace(record)
    read = Read(made.content)
    assert made.remark == ""
    names = [descriptor.name for descriptor in read.tracks.values()]
    for expected in ("requests", "jobs", "tasks", "events", "counters"):
        assert expected in names
    table = record.tables["requests"]
    assert read.seconds("decode") == pytest.approx(float((table["finish_s"] - table["first_token_s"]).sum()), abs=1e-6)
    assert sum(1 for _, name, *_ in read.slices if name == "wait and prefill") == 40
    assert sorted(read.flows.values()) == [2, 3]  # plan -> solve and search, solve -> check
    points = len(record.tables["series"]["time_s"]) + len(record.tables["heat"]["time_s"])
    assert sum(len(each) for each in read.counters.values()) == points
    # Two slices of one track never overlap.
    by_track: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for track, _, start, end in read.slices:
        by_track[track].append((start, end))
    for stretches in by_track.values():
        stretches.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(stretches))


def played(name: str, *changes: str) -> Record:
    document = load_document(ROOT / "scenarios" / f"{name}.yaml", list(changes))
    return run_scenario(read_scenario(document), document=document).record


def on(content: bytes, head: str) -> list[Slice]:
    return [each for each in slices(content) if each.track.startswith(f"{head} / ")]


def test_what_jobs_hold_in_the_timeline_is_what_the_ledger_has() -> None:
    """Preempted jobs too: a job is drawn as often as it got its devices."""
    record = played("clusters/tenants")
    every = on(trace(record).content, "jobs")
    held = sum(each.seconds * float(each.notes["devices"]) for each in every if each.name == "running")
    accounts = dict(zip(*record.tables["accounts"].values(), strict=True))
    whole = record.result["devices"] * record.result["wall_clock_s"]
    assert held == pytest.approx(whole - accounts["free"], rel=1e-9)
    waited = sum(each.seconds for each in every if each.name == "waiting")
    jobs, stretches = record.tables["jobs"], record.tables["allocations"]
    there = float((jobs["finish_s"] - jobs["arrival_s"]).sum())
    assert waited == pytest.approx(there - float((stretches["end_s"] - stretches["start_s"]).sum()), rel=1e-6)


def test_requests_tasks_and_tools_in_the_timeline_are_those_of_the_tables() -> None:
    record = played("graphs/generate-check-synthesize", "workloads.0.tasks.count=12")
    made = trace(record)
    assert made.remark == ""
    requests, calls = record.tables["requests"], record.tables["calls"]
    known = np.isfinite(requests["first_token_s"]) & np.isfinite(requests["finish_s"])
    decode = [each for each in on(made.content, "requests") if each.name == "decode"]
    assert len(decode) == int(known.sum())
    whole_s = float((requests["finish_s"] - requests["first_token_s"])[known].sum())
    assert sum(each.seconds for each in decode) == pytest.approx(whole_s, abs=1e-6)
    tools = on(made.content, "tools")
    of_tools = calls["kind"] == "tool"
    assert len(tools) == int(of_tools.sum())
    assert {each.track.split(" / ")[1] for each in tools} == {"python"}
    assert sum(each.seconds for each in tools) == pytest.approx(
        float((calls["end_s"] - calls["ready_s"])[of_tools].sum()), abs=1e-6
    )
    of_tasks = on(made.content, "tasks")
    assert len(of_tasks) == len(calls["task"])
    assert len({each.track.split(" / ")[1] for each in of_tasks}) == 12


def test_how_full_each_part_was_is_a_counter() -> None:
    record = played("clusters/two-trainings-one-spine")
    read = Read(trace(record).content)
    parts = [each.name for each in read.tracks.values() if each.name.startswith(f"{module.HELD}: ")]
    assert len(parts) == len(set(record.tables["heat"]["row"].tolist())) > 1


def test_it_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SLICES", 300)
    monkeypatch.setattr(module, "MOST_POINTS", 200)
    made = trace(everything(5000))
    read = Read(made.content)
    assert "100 of 5,000 finished requests are drawn" in made.remark
    assert "points of counters" in made.remark
    assert any("100 of 5,000, at equal distances" in each.name for each in read.tracks.values())
    assert sum(len(points) for points in read.counters.values()) <= 2 * 200
    assert len(trace(Record({"name": "empty", "kind": "run"})).content) > 0


def test_a_hundred_thousand_requests_stay_small() -> None:
    assert len(trace(everything(100_000)).content) < 20_000_000


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outcome = call("run", SCENARIO, "--trace", str(tmp_path / "run.pftrace"))
    assert outcome.exit_code == 0, outcome.stderr
    assert "perfetto" in outcome.stderr
    assert Read((tmp_path / "run.pftrace").read_bytes()).slices


def test_what_a_call_waited_for_follows_from_its_times() -> None:
    """Where a table of calls says only when each was ready and ended, path and arrows follow from that."""
    table = {
        "task": [0, 0, 0, 0, 0],
        "node": ["solve", "draft", "draft", "check", "check"],
        "kind": ["graph", "model", "model", "tool", "tool"],
        "ready_s": [0.0, 0.0, 0.0, 5.0, 5.0],
        "end_s": [9.0, 5.0, 3.0, 9.0, 9.0],
        "state": ["ok", "ok", "ok", "cancelled", "ok"],
    }
    found = tidy.calls(Record({"name": "x", "kind": "run"}, {"calls": table}))
    assert found is not None
    assert found["parent"].tolist() == [-1, -1, -1, 1, 1]
    assert found["on_critical_path"].tolist() == [False, True, False, False, True]
