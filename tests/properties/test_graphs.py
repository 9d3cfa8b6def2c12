"""What holds for every graph: conservation, critical paths, draws that mind their own business."""

import pickle
import re
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.graph.recording import TaskColumns
from tests.helpers.graphs import Played, play

TOOLS = "tools: {quick: {latency: {uniform: [1 s, 5 s]}, concurrency: 3}, broken: {latency: 2 s, fails: 0.4}}\n"
FEW = settings(max_examples=12, deadline=None)


@st.composite
def graphs(draw: st.DrawFn, *, chain: bool = False) -> str:
    """A graph of a few nodes, each of which reads the one before it and perhaps others."""
    lines, families = [], [""]
    count = draw(st.integers(1, 6))
    for place in range(count):
        before = f"n{place - 1}" if place else ""
        kind = draw(st.sampled_from(["call", "tool", "wait"]))
        extra = ""
        if before and not chain and draw(st.booleans()):
            extra += f", for_each: {before}"
            families.append(families[-1])
        else:
            families.append("")
            if not chain and place < count - 1 and draw(st.booleans()):
                extra += f", copies: {draw(st.sampled_from(['3', '{uniform: [1, 4]}']))}"
                families[-1] = "x"
        joins = before and families[-2] and "for_each" not in extra
        if joins:
            extra += f", need: {draw(st.sampled_from(['all', 'any', 'majority', '1']))}"
            extra += f", cancel: {draw(st.sampled_from(['true', 'false']))}"
        if not chain and before and draw(st.integers(0, 4)) == 0:
            extra += ", when: {chance: 0.5}"
        if kind == "call":
            prompt = f"[task, {before}]" if before else "[task]"
            output = draw(st.sampled_from(["20", "{uniform: [1, 60]}", "{exponential: 30 tokens}"]))
            service = draw(st.sampled_from(["solver", "checker"]))
            lines.append(f"n{place}: {{call: {service}, prompt: {prompt}, output: {output}{extra}}}")
        else:
            tool = draw(st.sampled_from(["quick"] if chain else ["quick", "broken"]))
            what = f"tool: {tool}, result: 5" if kind == "tool" else "wait: {uniform: [1 s, 2 s]}"
            lines.append(f"n{place}: {{{what}{f', after: [{before}]' if before else ''}{extra}}}")
    lines.append(f"end: {{wait: 0 s, after: [n{count - 1}]}}")
    return "  solve:\n" + "".join(f"    {line}\n" for line in lines) + "    returns: end\n"


def columns(played: Played, *, but: tuple[str, ...] = ()) -> dict[str, list[float]]:
    """The tasks as plain lists, in the order of their numbers."""
    tasks = played.recording.tasks
    order = tasks.number.argsort()
    return {
        each.name: getattr(tasks, each.name)[order].tolist() for each in fields(TaskColumns) if each.name not in but
    }


@FEW
@given(graphs(), st.integers(0, 2**32), st.sampled_from([1.0, 2.0, 50.0]))
def test_tasks_tokens_and_operations_are_conserved(text: str, seed: int, places: float) -> None:
    played = play(text, 6, seed=seed, gap_s=1.0, tools=TOOLS, places=places, prompt_s=1e-3)
    tasks = played.recording.tasks
    assert sorted(tasks.number.tolist()) == list(range(6))
    requests = [request for service in played.services.values() for request in service.requests]
    assert tasks.calls.sum() == len(requests)
    assert all(request.finish_s is not None for request in requests)
    assert tasks.output_tokens.sum() + tasks.wasted_tokens.sum() == sum(r.generated_tokens for r in requests)
    spent = tasks.prefill_flop.sum() + tasks.decode_flop.sum() + tasks.wasted_flop.sum()
    due = 0.0
    for request in requests:
        if request.generated_tokens:
            contexts = range(request.prompt_tokens + 1, request.prompt_tokens + request.generated_tokens)
            pairs = sum(range(1, request.prompt_tokens + 1)) + sum(contexts)
            due += 2.0 * (request.prompt_tokens + request.generated_tokens - 1)
            due += 0.5 * pairs + 3.0 * request.generated_tokens
    assert spent == pytest.approx(due, rel=1e-9)
    nodes = played.recording.nodes
    assert nodes.runs.sum() == nodes.by_state.sum() == len(played.recording.runs.task)
    assert all(pool.running == 0 for pool in played.player.pools.values())


@FEW
@given(graphs(), st.integers(0, 2**32), st.sampled_from([1.0, 3.0, 50.0]))
def test_wall_clock_is_the_critical_path_and_its_waiting(text: str, seed: int, places: float) -> None:
    tasks = play(text, 4, seed=seed, gap_s=0.5, tools=TOOLS, places=places).recording.tasks
    working_s = tasks.path_model_s + tasks.path_tool_s + tasks.path_other_s
    spent_s = tasks.finish_s - tasks.start_s
    assert (tasks.path_waiting_s >= -1e-9).all()
    assert working_s + tasks.path_waiting_s == pytest.approx(spent_s, rel=1e-9, abs=1e-9)


@FEW
@given(graphs(chain=True), st.integers(0, 2**32))
def test_alone_a_chain_takes_its_unloaded_time(text: str, seed: int) -> None:
    tasks = play(text, 3, seed=seed, tools=TOOLS, prompt_s=1e-3).recording.tasks
    assert tasks.path_waiting_s == pytest.approx([0] * 3, abs=1e-9)


@FEW
@given(graphs(), st.integers(0, 2**32))
def test_more_load_never_shortens_the_critical_path_of_unloaded_times(text: str, seed: int) -> None:
    """Makespan is at least the longest chain of unloaded times: that of the same tasks with room for everything."""
    text = re.sub("need: (any|majority|1)", "need: all", text)  # which run comes first depends on the load
    empty = _spent_s(play(text, 4, seed=seed, tools=TOOLS.replace(", concurrency: 3", ""), gap_s=0.0))
    loaded = _spent_s(play(text, 4, seed=seed, tools=TOOLS, places=1.0, gap_s=0.0))
    assert all(after >= before - 1e-9 for before, after in zip(empty, loaded, strict=True))


def _spent_s(played: Played) -> list[float]:
    rows = columns(played)
    return [finish - start for start, finish in zip(rows["start_s"], rows["finish_s"], strict=True)]


@FEW
@given(graphs(), st.integers(0, 2**32))
def test_a_node_that_costs_nothing_changes_nothing(text: str, seed: int) -> None:
    more = text.replace("    end: {wait: 0 s, after: [", "    zero: {wait: 0 s}\n    end: {wait: 0 s, after: [zero, ")
    assert columns(play(more, 4, seed=seed, tools=TOOLS)) == columns(play(text, 4, seed=seed, tools=TOOLS))


@FEW
@given(graphs(), st.integers(0, 2**32))
def test_a_dead_branch_changes_nothing(text: str, seed: int) -> None:
    dead = (
        "    dead: {call: solver, copies: 4, prompt: [task], output: 500, when: {chance: 0}}\n"
        "    worse: {tool: quick, for_each: dead}\n    end: {wait: 0 s, after: [worse, "
    )
    more = text.replace("    end: {wait: 0 s, after: [", dead)
    assert columns(play(more, 4, seed=seed, tools=TOOLS)) == columns(play(text, 4, seed=seed, tools=TOOLS))


@FEW
@given(graphs(), st.integers(0, 2**32), st.integers(1, 5))
def test_another_task_changes_no_draw_of_this_one(text: str, seed: int, others: int) -> None:
    alone = play(text, 1, seed=seed, tools=TOOLS, first=others)
    among = play(text, others + 1, seed=seed, tools=TOOLS)
    assert _spent_s(alone) == pytest.approx(_spent_s(among)[-1:])
    after = columns(among)
    for name, values in columns(alone, but=("serial", "arrival_s", "start_s", "finish_s")).items():
        if name.endswith("_s"):  # the same, but for rounding: they are differences of later times
            assert values == pytest.approx(after[name][-1:], rel=1e-6, abs=1e-6), name
        else:
            assert values == after[name][-1:], name


@FEW
@given(graphs(), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_bytes(text: str, seed: int) -> None:
    first, second = (play(text, 5, seed=seed, gap_s=2.0, tools=TOOLS, places=2.0).recording for _ in range(2))
    assert pickle.dumps(first) == pickle.dumps(second)


BEST = (
    "  solve:\n    draft: {{call: solver, copies: {copies}, prompt: [task], output: {{uniform: [10, 90]}},"
    " solves: {{beta: {{mean: 0.3, sd: 0.2}}}}}}\n"
    "    check: {{call: checker, for_each: draft, prompt: [draft], output: 1, accepts: {{right: 1, wrong: 0}}}}\n"
    "    pick: {{call: solver, prompt: [draft.accepted], need: any, cancel: {cancel}, output: 1,"
    " solves: {{given_right: 1, given_wrong: 0}}}}\n    returns: pick\n"
)


@FEW
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_more_copies_never_lower_the_solved_share_of_a_perfect_checker(copies: int, more: int, seed: int) -> None:
    few = columns(play(BEST.format(copies=copies, cancel="true"), 30, seed=seed))
    many = columns(play(BEST.format(copies=copies + more, cancel="true"), 30, seed=seed))
    assert all(after >= before for before, after in zip(few["solved"], many["solved"], strict=True))


@FEW
@given(st.integers(2, 8), st.integers(0, 2**32), st.sampled_from([2.0, 4.0, 100.0]))
def test_cancelling_losers_never_delays_the_winner(copies: int, seed: int, places: float) -> None:
    drop = columns(play(BEST.format(copies=copies, cancel="true"), 5, seed=seed, places=places))
    keep = columns(play(BEST.format(copies=copies, cancel="false"), 5, seed=seed, places=places))
    assert drop["solved"] == keep["solved"]
    assert all(first <= second + 1e-9 for first, second in zip(drop["finish_s"], keep["finish_s"], strict=True))
    assert sum(drop["prefill_flop"]) <= sum(keep["prefill_flop"])


@FEW
@given(graphs(), st.integers(0, 2**32))
def test_with_room_for_all_cancelling_changes_no_time_of_any_graph(text: str, seed: int) -> None:
    room = TOOLS.replace(", concurrency: 3", "")
    drop = columns(play(text.replace("cancel: false", "cancel: true"), 3, seed=seed, tools=room))
    keep = columns(play(text.replace("cancel: true", "cancel: false"), 3, seed=seed, tools=room))
    assert drop["finish_s"] == keep["finish_s"]
