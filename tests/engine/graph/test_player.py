"""The rules of the graph language, one by one, on services with a fixed time for each token."""

import pytest

from sim.engine.graph.state import STATE_NAMES
from sim.engine.serving.contents import count
from sim.errors import LimitError
from tests.helpers.graphs import Played, play

DRAFTS = (
    "  solve:\n"
    "    draft: {call: solver, copies: 4, prompt: [task], output: {empirical: [10, 20, 40, 80]}, solves: 0.5}\n"
)


def states(played: Played, node: str) -> dict[str, int]:
    """How the started runs of a node ended."""
    index = next(each.index for each in played.plans.nodes if each.label == node)
    counts = played.recording.nodes.by_state[:, index]
    return {name: int(count) for name, count in zip(STATE_NAMES, counts, strict=True) if count}


def test_for_each_starts_when_its_run_ends_without_a_barrier() -> None:
    played = play(
        DRAFTS.replace(", solves: 0.5", "")
        + "    run: {tool: python, for_each: draft}\n    end: {wait: 0 s, after: [run]}\n    returns: end\n"
    )
    drafts, runs = played.ends_s("solve.draft"), played.ends_s("solve.run")
    assert runs == pytest.approx([end + 0.5 for end in drafts])


def test_any_takes_the_first_and_cancels_the_others() -> None:
    graphs = DRAFTS + (
        "    end: {call: checker, prompt: [draft], need: any, output: 5, solves: {given_right: 1, given_wrong: 0}}\n"
        "    returns: end\n"
    )
    played = play(graphs, 20)
    tasks = played.recording.tasks
    counted = states(played, "solve.draft")
    assert counted["ok"] + counted["cancelled"] == 80
    assert counted["ok"] >= 20
    assert (tasks.wasted_tokens > 0).any()
    assert tasks.wasted_flop.sum() > 0
    generated = sum(service.generated for service in played.services.values())
    assert tasks.output_tokens.sum() + tasks.wasted_tokens.sum() == generated


def test_losers_may_be_let_run_on() -> None:
    graphs = DRAFTS + (
        "    end: {call: checker, prompt: [draft], need: any, cancel: false, output: 5,"
        " solves: {given_right: 1, given_wrong: 0}}\n    returns: end\n"
    )
    kept, cancelled = play(graphs, 10), play(graphs.replace("cancel: false, ", ""), 10)
    assert "cancelled" not in states(kept, "solve.draft")
    assert kept.recording.tasks.finish_s.tolist() == cancelled.recording.tasks.finish_s.tolist()
    assert kept.recording.tasks.wasted_tokens.sum() == 0
    assert kept.recording.tasks.output_tokens.sum() > cancelled.recording.tasks.output_tokens.sum()


@pytest.mark.parametrize(("need", "place"), [("any", 0), ("2", 1), ("majority", 2), ("all", 3)])
def test_need_says_how_many_a_join_waits_for(need: str, place: int) -> None:
    graphs = (
        f"  solve:\n    a: {{tool: work, copies: 4}}\n    b: {{wait: 0 s, after: [a], need: {need}}}\n    returns: b\n"
    )
    tools = "tools: {work: {latency: {uniform: [1 s, 9 s]}}}\n"
    every = play(graphs.replace(f"need: {need}", "need: all"), tools=tools).ends_s("solve.a")
    played = play(graphs, tools=tools)
    assert played.recording.tasks.finish_s[0] == sorted(every)[place]


def test_failed_runs_leave_a_join_and_majority_counts_those_that_are_left() -> None:
    tools = "tools: {work: {latency: {uniform: [1 s, 9 s]}, fails: 0.5}}\n"
    graphs = "  solve:\n    a: {tool: work, copies: 9, result: 5}\n    b: {wait: 0 s, after: [a]}\n    returns: b\n"
    played = play(graphs, 50, tools=tools)
    assert states(played, "solve.b") == {"ok": 50}
    counted = states(played, "solve.a")
    assert counted["ok"] + counted["failed"] == 450
    assert counted["failed"] == played.player.pools["work"].failed
    assert 180 < counted["failed"] < 270


def test_a_join_that_can_no_longer_be_satisfied_skips_its_node() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, copies: 3, prompt: [task], output: 10, solves: 0}\n"
        "    check: {call: checker, for_each: a, prompt: [a], output: 1, accepts: {right: 1, wrong: 0}}\n"
        "    end: {call: solver, prompt: [a.accepted], need: 1, output: 5, solves: 1}\n    returns: end\n"
    )
    played = play(graphs, 3)
    assert states(played, "solve.end") == {}
    assert played.recording.tasks.solved.tolist() == [0, 0, 0]


def test_what_nobody_asks_for_any_more_is_cancelled_with_all_that_only_served_it() -> None:
    graphs = (
        DRAFTS.replace("solves: 0.5", "solves: 1")
        + "    run: {tool: slow, for_each: draft}\n"
        + "    check: {call: checker, for_each: draft, prompt: [draft, run], output: 1,"
        " accepts: {right: 1, wrong: 1}}\n" + "    end: {call: solver, prompt: [draft.accepted], need: 1, output: 5,"
        " solves: {given_right: 1, given_wrong: 0}}\n" + "    returns: end\n"
    )
    played = play(graphs, 5, tools="tools: {slow: {latency: {uniform: [1 s, 30 s]}}}\n")
    assert played.recording.tasks.solved.tolist() == [1] * 5
    assert states(played, "solve.check")["ok"] == 5
    assert states(played, "solve.run").get("cancelled", 0) > 0
    pool = played.player.pools["slow"]
    assert pool.running == 0


def test_prompts_hold_their_parts_in_order_and_skipped_ones_give_no_tokens() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, prompt: [task], output: 30}\n"
        "    no: {call: solver, prompt: [task], output: 70, when: {chance: 0}}\n"
        "    run: {tool: python, for_each: a, result: 7}\n"
        "    b: {call: checker, prompt: [task, a, no, run], output: 1}\n    returns: b\n"
    )
    played = play(graphs, input_tokens=100)
    assert [request.prompt_tokens for request in played.services["checker"].requests] == [137]


def test_what_is_read_first_is_what_a_cache_may_hold() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, copies: 2, prompt: [task], output: 32}\n"
        "    b: {call: solver, for_each: a, prompt: [task, a], output: 5}\n"
        "    end: {call: solver, prompt: [b], output: 1}\n    returns: end\n"
    )
    played = play(graphs, 2, caches=True, input_tokens=64)
    first, second = (request for request in played.services["solver"].requests[:2])
    assert first.blocks[0] == second.blocks[0] == (first.blocks[0][0], 4)
    assert count(first.blocks) == 6, "the prompt, and the answer that b goes on from"
    after = [request for request in played.services["solver"].requests if request.prompt_tokens == 96]
    assert sorted(request.blocks[:2] for request in after[:2]) == sorted([first.blocks, second.blocks])
    other = played.services["solver"].requests[5]
    assert set(other.blocks).isdisjoint(first.blocks), "tasks share nothing"


def test_attempts_go_on_with_what_is_carried_until_one_is_accepted() -> None:
    graphs = (
        "  once:\n    a: {call: solver, prompt: [task], output: 50, solves: 0.3}\n"
        "    check: {call: checker, for_each: a, prompt: [a], output: 9, accepts: {right: 1, wrong: 0}}\n"
        "    end: {wait: 0 s, for_each: a, after: [check]}\n    returns: end\n"
        "  solve:\n    try: {graph: once, prompt: [task],"
        " repeat: {until: check.accepted, at_most: 4, carry: [a, check]}}\n"
        "    returns: try\n"
    )
    played = play(graphs, 60, input_tokens=100)
    prompts = {request.prompt_tokens for request in played.services["solver"].requests}
    assert prompts == {100, 159, 218, 277}
    tasks = played.recording.tasks
    assert set(tasks.calls.tolist()) <= {2, 4, 6, 8}
    assert all(calls == 8 for calls, solved in zip(tasks.calls, tasks.solved, strict=True) if not solved)
    spent_s = tasks.finish_s - tasks.arrival_s
    assert tasks.path_model_s == pytest.approx(spent_s), "attempts follow one another on the critical path"


def test_depth_bounds_recursion() -> None:
    graphs = (
        "  solve:\n    say: {call: solver, prompt: [task], output: 10}\n"
        "    more: {graph: solve, copies: 2, prompt: [task, say], depth: 3}\n"
        "    end: {call: checker, prompt: [say, more], output: 10}\n    returns: end\n"
    )
    played = play(graphs)
    assert played.recording.tasks.calls.tolist() == [2 * (1 + 2 + 4)], "the task itself is the first of three"


def test_sub_graphs_read_what_their_caller_says_and_give_what_they_return() -> None:
    graphs = (
        "  inner:\n    x: {call: solver, prompt: [task], output: 40}\n    y: {call: solver, prompt: [x], output: 4}\n"
        "    returns: y\n"
        "  solve:\n    a: {call: solver, prompt: [task], output: 10}\n    g: {graph: inner, prompt: [task, a]}\n"
        "    end: {call: checker, prompt: [g], output: 1}\n    returns: end\n"
    )
    played = play(graphs, input_tokens=100)
    assert [request.prompt_tokens for request in played.services["solver"].requests] == [100, 110, 40]
    assert [request.prompt_tokens for request in played.services["checker"].requests] == [4]


def test_thought_takes_time_and_is_read_by_nobody() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, prompt: [task], output: 10, thinks: {uniform: [50, 150]},"
        " budget: 100, solves: 1}\n"
        "    end: {call: checker, prompt: [a], output: 1, solves: {given_right: 1, given_wrong: 0}}\n    returns: end\n"
    )
    played = play(graphs, 200)
    lengths = [request.output_tokens for request in played.services["solver"].requests]
    assert max(lengths) == 110
    assert {request.prompt_tokens for request in played.services["checker"].requests} == {10}
    cut = sum(length == 110 for length in lengths)
    wrong = int((played.recording.tasks.solved == 0).sum())
    assert cut - 10 <= wrong <= cut, "a thought that was cut gives a wrong answer"


def test_a_prompt_beyond_the_window_fails_the_task_or_is_made_short() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, prompt: [task], output: 50, solves: 1}\n"
        "    end: {call: checker, prompt: [task, a], output: 10, solves: 1}\n    returns: end\n"
    )
    failed = play(graphs, input_tokens=100, window_tokens=155).recording
    assert failed.tasks.solved.tolist() == [0]
    assert failed.reasons == ("", "solve.end: prompt and answer beyond the window of checker")
    short = play(
        graphs.replace("output: 10", "output: 10, context: compact(20 tokens)"), input_tokens=100, window_tokens=155
    )
    assert short.recording.tasks.solved.tolist() == [1]
    asked = [(each.prompt_tokens, each.output_tokens) for each in short.services["checker"].requests]
    assert asked == [(135, 20), (20, 10)]
    assert short.recording.tasks.path_waiting_s.tolist() == pytest.approx([0.0]), "the summary is work, not waiting"


def test_time_outs_of_calls_tools_graphs_and_tasks() -> None:
    call = "  solve:\n    a: {call: solver, prompt: [task], output: 100, time_out: 500 ms, solves: 1}\n    returns: a\n"
    played = play(call)
    assert (played.recording.tasks.finish_s.tolist(), played.recording.tasks.solved.tolist()) == ([0.5], [0])
    assert played.recording.tasks.wasted_tokens.tolist() == [50]
    tool = "  solve:\n    a: {tool: work, copies: 2, time_out: 1500 ms}\n    b: {wait: 0 s, for_each: a}\n"
    tool += "    c: {wait: 1 s, after: [b]}\n    returns: c\n"
    played = play(tool, tools="tools: {work: {latency: 1 s, concurrency: 1}}\n")
    assert states(played, "solve.a") == {"ok": 1, "failed": 1}
    assert played.recording.tasks.finish_s.tolist() == [2.5]
    graph = "  inner:\n    a: {call: solver, prompt: [task], output: 100, solves: 1}\n    returns: a\n"
    graph += "  solve:\n    g: {graph: inner, prompt: [task], time_out: 300 ms}\n"
    graph += "    end: {call: checker, prompt: [task, g], output: 10, solves: {given_right: 1, given_wrong: 0}}\n"
    played = play(graph + "    returns: end\n")
    assert played.recording.tasks.finish_s.tolist() == pytest.approx([0.4])
    assert played.recording.tasks.solved.tolist() == [0]
    played = play(call.replace("time_out: 500 ms, ", ""), time_out_s=0.25)
    assert played.recording.tasks.finish_s.tolist() == [0.25]
    assert played.recording.reasons == ("", "timed out")


def test_tasks_beyond_the_limit_wait_for_room() -> None:
    graphs = "  solve:\n    a: {call: solver, prompt: [task], output: 100}\n    returns: a\n"
    tasks = play(graphs, 4, gap_s=0.0, concurrency=2).recording.tasks
    assert tasks.start_s.tolist() == [0, 0, 1, 1]
    assert tasks.arrival_s.tolist() == [0, 0, 0, 0]


def test_many_tasks_that_wait_for_room_are_given_up_when_their_time_is_over() -> None:
    graphs = "  solve:\n    a: {call: solver, prompt: [task], output: 100, solves: 1}\n    returns: a\n"
    tasks = play(graphs, 3000, gap_s=0.0, concurrency=1, time_out_s=2.5).recording.tasks
    assert sorted(tasks.finish_s.tolist()) == [1.0, 2.0] + [2.5] * 2998
    assert (tasks.solved.sum(), tasks.calls.sum()) == (2, 3)


@pytest.mark.parametrize(("late", "need", "spent_s"), [("", "any", 1.0), (", time_out: 1200 ms", "all", 1.2)])
def test_calls_of_a_tool_that_wait_for_their_turn_take_none_of_its_time(late: str, need: str, spent_s: float) -> None:
    graphs = f"  solve:\n    a: {{tool: work, copies: 3{late}}}\n    b: {{wait: 0 s, after: [a], need: {need}}}\n"
    played = play(graphs + "    returns: b\n", tools="tools: {work: {latency: 1 s, concurrency: 1}}\n")
    assert played.recording.tasks.tool_s.tolist() == pytest.approx([spent_s])
    assert played.player.pools["work"].busy_s == pytest.approx(spent_s)


def test_copies_that_vary_are_drawn_for_each_task() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, copies: {uniform: [3, 8]}, prompt: [task], output: 10}\n"
        "    end: {call: checker, prompt: [a], output: 1}\n    returns: end\n"
    )
    calls = play(graphs, 300).recording.tasks.calls - 1
    assert set(calls.tolist()) == {3, 4, 5, 6, 7, 8}


def test_conditions_on_acceptance_branch() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, prompt: [task], output: 10, solves: 0.5}\n"
        "    check: {call: checker, for_each: a, prompt: [a], output: 1, accepts: {right: 1, wrong: 0}}\n"
        "    polish: {call: solver, prompt: [a], output: 20, when: {accepted: check}}\n"
        "    end: {call: checker, prompt: [a, polish], output: 1, solves: {given_right: 1, given_wrong: 0}}\n"
        "    returns: end\n"
    )
    tasks = play(graphs, 100).recording.tasks
    assert all(calls == 3 + solved for calls, solved in zip(tasks.calls, tasks.solved, strict=True))
    assert 20 < tasks.solved.sum() < 80


def test_long_chains_are_no_deep_calls() -> None:
    nodes = "".join(f"    n{i}: {{wait: 0 s, after: [n{i - 1}]}}\n" for i in range(1, 3000))
    graphs = f"  solve:\n    n0: {{wait: 1 s, when: {{chance: 0}}}}\n{nodes}    returns: n2999\n"
    assert play(graphs).recording.tasks.finish_s.tolist() == [0.0]


def test_more_runs_than_a_graph_may_have_are_a_limit() -> None:
    graphs = (
        "  solve:\n    a: {wait: 1 s, copies: 1000}\n    b: {wait: 1 s, for_each: a, copies: 1000}\n"
        "    c: {wait: 1 s, after: [b]}\n    returns: c\n"
    )
    with pytest.raises(LimitError, match="limit of runs"):
        play(graphs)


def test_what_would_be_carried_on_is_dropped_once_an_attempt_is_accepted() -> None:
    graphs = (
        "  once:\n    a: {call: solver, copies: 4, prompt: [task], output: {empirical: [5, 50, 500]}, solves: 1}\n"
        "    check: {call: checker, for_each: a, prompt: [a], output: 9, accepts: {right: 1, wrong: 0}}\n"
        "    end: {call: solver, prompt: [a.accepted], need: 1, output: 1, solves: {given_right: 1, given_wrong: 0}}\n"
        "    returns: end\n"
        "  solve:\n    try: {graph: once, prompt: [task],"
        " repeat: {until: check.accepted, at_most: 4, carry: [check]}}\n    returns: try\n"
    )
    played = play(graphs, 30)
    assert states(played, "once.a").get("cancelled", 0) > 0
    assert played.recording.tasks.wasted_tokens.sum() > 0
