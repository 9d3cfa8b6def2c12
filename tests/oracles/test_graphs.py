"""Solved shares against theory: pass@k, best-of-n with a verifier, majority; critical paths by hand.

Tolerance: 4 standard errors of the simulated share, tasks being independent.
"""

import math

import pytest

from tests.helpers.graphs import Played, play

TASKS = 2000


def share(played: Played) -> float:
    solved = played.recording.tasks.solved
    assert set(solved.tolist()) <= {0, 1}
    return float(solved.mean())


def assert_near(found: float, expected: float, tasks: int = TASKS) -> None:
    error = math.sqrt(max(expected * (1 - expected), 1 / tasks) / tasks)
    assert abs(found - expected) <= 4 * error, f"{found} is not {expected} within 4 x {error:.4f}"


def best_of(copies: int, solves: str, *, right: float = 1.0, wrong: float = 0.0, given: str = "") -> str:
    given = given or "{given_right: 1, given_wrong: 0}"
    return (
        f"  solve:\n    draft: {{call: solver, copies: {copies}, prompt: [task], output: 10, solves: {solves}}}\n"
        f"    check: {{call: checker, for_each: draft, prompt: [task, draft], output: 1,"
        f" accepts: {{right: {right}, wrong: {wrong}}}}}\n"
        f"    pick: {{call: solver, prompt: [draft.accepted], need: 1, output: 1, solves: {given}}}\n"
        "    returns: pick\n"
    )


def majority(copies: int, solves: float, wrong_answers: int = 1) -> str:
    return (
        f"  solve:\n    draft: {{call: solver, copies: {copies}, prompt: [task], output: 10, solves: {solves}}}\n"
        f"    pick: {{vote: {{over: draft, wrong_answers: {wrong_answers}}}}}\n    returns: pick\n"
    )


def beta_moment(mean: float, sd: float, power: int) -> float:
    """E[(1-p)^k] of a beta distribution: B(a, b + k) / B(a, b)."""
    both = mean * (1 - mean) / sd**2 - 1
    a, b = mean * both, (1 - mean) * both
    return math.exp(math.lgamma(b + power) - math.lgamma(a + b + power) - math.lgamma(b) + math.lgamma(a + b))


@pytest.mark.parametrize("copies", [1, 2, 8])
def test_pass_at_k_with_independent_copies(copies: int) -> None:
    assert_near(share(play(best_of(copies, "0.2"), TASKS)), 1 - 0.8**copies)


@pytest.mark.parametrize("copies", [1, 4, 16])
def test_pass_at_k_over_the_difficulty_of_tasks(copies: int) -> None:
    found = share(play(best_of(copies, "{beta: {mean: 0.4, sd: 0.25}}"), TASKS))
    assert_near(found, 1 - beta_moment(0.4, 0.25, copies))


@pytest.mark.parametrize("copies", [1, 4, 8])
def test_best_of_n_is_limited_by_its_verifier(copies: int) -> None:
    """The first accepted draft of n (all run at the same pace, so in order): right with chance p r / (p r + q w)."""
    p, right, wrong = 0.3, 0.8, 0.15
    found = share(play(best_of(copies, str(p), right=right, wrong=wrong), TASKS))
    accepted = p * right + (1 - p) * wrong
    assert_near(found, (1 - (1 - accepted) ** copies) * p * right / accepted)


@pytest.mark.parametrize(("copies", "solves"), [(1, 0.6), (3, 0.6), (3, 0.4), (5, 0.7), (4, 0.5)])
def test_majority_is_binomial(copies: int, solves: float) -> None:
    """Wrong ones agree; a tie is a coin. Below one half more copies make it worse: 0.4 becomes 0.352 with three."""
    chances = [math.comb(copies, k) * solves**k * (1 - solves) ** (copies - k) for k in range(copies + 1)]
    expected = sum(chance for k, chance in enumerate(chances) if 2 * k > copies)
    expected += 0.5 * sum(chance for k, chance in enumerate(chances) if 2 * k == copies)
    if (copies, solves) == (3, 0.4):
        assert expected == pytest.approx(0.352)
    assert_near(share(play(majority(copies, solves), TASKS)), expected)


def test_majority_with_many_wrong_answers() -> None:
    """Three voters, w wrong answers: right where two or three are, and a third of the time where all three differ."""
    p, w = 0.4, 4
    two_or_more = 3 * p**2 * (1 - p) + p**3
    all_differ = 3 * p * (1 - p) ** 2 * (1 - 1 / w)
    assert_near(share(play(majority(3, p, w), TASKS)), two_or_more + all_differ / 3)


def test_synthesis_after_accepted_drafts() -> None:
    p, right, wrong, given_right, given_wrong = 0.3, 0.9, 0.1, 0.95, 0.02
    given = f"{{given_right: {given_right}, given_wrong: {given_wrong}}}"
    found = share(play(best_of(4, str(p), right=right, wrong=wrong, given=given), TASKS))
    accepted = p * right + (1 - p) * wrong
    hit = p * right / accepted
    assert_near(found, (1 - (1 - accepted) ** 4) * (hit * given_right + (1 - hit) * given_wrong))


def test_verify_and_retry() -> None:
    """Up to three attempts at one draft each: accepted at last, and then right with the odds of the verifier."""
    graphs = (
        "  once:\n    draft: {call: solver, prompt: [task], output: 10, solves: 0.3}\n"
        "    check: {call: checker, for_each: draft, prompt: [draft], output: 1, accepts: {right: 0.9, wrong: 0.2}}\n"
        "    end: {call: solver, prompt: [draft, check], output: 1, solves: {given_right: 1, given_wrong: 0}}\n"
        "    returns: end\n"
        "  solve:\n    try: {graph: once, prompt: [task],"
        " repeat: {until: check.accepted, at_most: 3, carry: [check]}}\n    returns: try\n"
    )
    played = play(graphs, TASKS)
    accepted = 0.3 * 0.9 + 0.7 * 0.2
    assert_near(share(played), (1 - (1 - accepted) ** 3) * 0.27 / accepted)
    attempts = played.recording.tasks.calls / 3
    expected = 1 + (1 - accepted) + (1 - accepted) ** 2
    assert float(attempts.mean()) == pytest.approx(expected, abs=4 / math.sqrt(TASKS))


def test_a_chance_branches_so_often() -> None:
    graphs = (
        "  solve:\n    more: {call: solver, prompt: [task], output: 10, when: {chance: 0.3}}\n"
        "    end: {call: solver, prompt: [task, more], output: 1}\n    returns: end\n"
    )
    assert_near(float((play(graphs, TASKS).recording.tasks.calls == 2).mean()), 0.3)


def test_the_last_of_many_tools_is_that_of_order_statistics() -> None:
    """The longest of n exponential times has mean H_n; the shortest 1 / n."""
    tools = "tools: {work: {latency: {exponential: 1 s}}}\n"
    for need, expected in (("all", sum(1 / k for k in range(1, 9))), ("any", 1 / 8)):
        graphs = (
            f"  solve:\n    a: {{tool: work, copies: 8}}\n    b: {{wait: 0 s, after: [a], need: {need}}}\n"
            "    returns: b\n"
        )
        tasks = play(graphs, TASKS, tools=tools).recording.tasks
        spent_s = tasks.finish_s - tasks.arrival_s
        assert float(spent_s.mean()) == pytest.approx(expected, abs=4 * float(spent_s.std()) / math.sqrt(TASKS))


def test_a_chain_of_width_one_takes_its_critical_path() -> None:
    graphs = (
        "  solve:\n    a: {call: solver, prompt: [task], output: 100}\n    b: {tool: python, after: [a], result: 50}\n"
        "    c: {call: checker, prompt: [a, b], output: 10}\n    returns: c\n"
    )
    tasks = play(graphs, 3, prompt_s=0.001).recording.tasks
    expected = (100 * 0.001 + 1.0) + 0.5 + (150 * 0.001 + 0.1)
    assert tasks.finish_s - tasks.arrival_s == pytest.approx([expected] * 3)
    assert tasks.path_waiting_s == pytest.approx([0] * 3)
    assert tasks.path_model_s == pytest.approx([expected - 0.5] * 3)


def test_tools_beyond_their_limit_wait_in_turn() -> None:
    tools = "tools: {work: {latency: 1 s, concurrency: 2}}\n"
    graphs = "  solve:\n    a: {tool: work, copies: 5}\n    b: {wait: 0 s, after: [a]}\n    returns: b\n"
    played = play(graphs, 1, tools=tools)
    assert played.ends_s("solve.a") == pytest.approx([1, 1, 2, 2, 3])
    tasks = played.recording.tasks
    assert (tasks.path_waiting_s.tolist(), tasks.path_tool_s.tolist()) == ([2.0], [1.0])
    assert played.player.pools["work"].busy_s == pytest.approx(5)
