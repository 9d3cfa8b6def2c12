"""`sim howfast` and `sim howmany --serve`: answers without a file, that agree with each other, and what is refused."""

import json
from typing import Any

import pytest

from sim.study import howmany_serve
from tests.helpers.command import call


def asked(*words: str) -> dict[str, Any]:
    outcome = call(*words, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def figure(answer: dict[str, Any], name: str, point: int = 0) -> float:
    return float(answer["answer"]["points"][point]["values"][name]["value"])


def test_several_loads_where_none_is_asked_for() -> None:
    answer = asked("howfast", "llama-3.1-8b", "h100-sxm")
    assert (answer["answer"]["devices"], answer["answer"]["replicas"]) == (1, 1)
    points = answer["answer"]["points"]
    assert [point["concurrency"] for point in points] == [1, 4, 16, 64, 256]
    rates = [figure(answer, "output_tokens_per_s", place) for place in range(len(points))]
    assert rates == sorted(rates)
    waits = [figure(answer, "tpot_s.p50", place) for place in range(len(points))]
    assert waits == sorted(waits)
    # Alone, a token takes at least as long as reading 16 GB of weights at 3.35 TB/s.
    assert waits[0] > 16e9 / 3.35e12


def test_a_closed_loop_of_equal_requests_obeys_littles_law() -> None:
    answer = asked("howfast", "llama-3.1-8b", "1xh100-sxm", "--concurrency", "32", "--in", "500", "--out", "100")
    users = figure(answer, "e2e_s.mean") * figure(answer, "requests_per_s")
    assert users == pytest.approx(32, rel=0.03), "but for the ends of the run"


def test_a_rate_on_several_replicas() -> None:
    answer = asked("howfast", "llama-3.1-8b", "4xh100-sxm", "--rate", "20/s")
    assert (answer["answer"]["devices"], answer["answer"]["replicas"]) == (4, 4)
    assert figure(answer, "requests_per_s") == pytest.approx(20, rel=0.12)


@pytest.mark.parametrize("flag", [["--precision", "fp8"], ["--tp", "2"]])
def test_faster_with_narrower_weights_or_more_devices(flag: list[str]) -> None:
    usual = asked("howfast", "llama-3.1-8b", "h100-sxm", "--concurrency", "4")
    faster = asked("howfast", "llama-3.1-8b", "h100-sxm", "--concurrency", "4", *flag)
    assert figure(faster, "tpot_s.p50") < figure(usual, "tpot_s.p50")


def test_the_text_says_what_json_says() -> None:
    text = call("howfast", "llama-3.1-8b", "h100-sxm", "--concurrency", "8").stdout
    assert "Llama 3.1 8B on 1 x h100-sxm" in text
    for word in (
        "8 at a time",
        "1,024 tokens in and 256 out",
        "TTFT",
        "TPOT",
        "USD/Mtoken",
        "Next: sim howmany --serve",
    ):
        assert word in text.replace("\n", " "), word


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["no-such-model", "h100-sxm"], 2, "no such name"),
        (["llama-3.1-8b", "no-such-chip"], 2, "no such name"),
        (["llama-3.1-405b", "1xh100-sxm"], 4, "no room"),
        (["llama-3.1-70b", "1xh100-sxm", "--tp", "2", "--precision", "fp8"], 4, "more devices than there are"),
        (["llama-3.1-8b", "h100-sxm", "--rate", "5"], 2, "--rate"),
        (["llama-3.1-8b", "h100-sxm", "--in", "0"], 2, "--in"),
        (["llama-3.1-8b", "h100-sxm", "--in", "1e300"], 2, "--in"),
        (["llama-3.1-8b", "h100-sxm", "--in", ""], 2, "--in"),
        (["llama-3.1-8b", "h100-sxm", "--precision", "fp3"], 2, "fp3"),
        (["llama-3.1-8b", "h100-sxm", "--tp", "3"], 2, "splits evenly"),
        (["llama-3.1-8b", "h100-sxm", "--engine", "x"], 2, "no such name"),
        (["llama-3.1-8b", "h100-sxm", "--rate", "5/s", "--concurrency", "4"], 2, "a concurrency or a rate"),
        (["llama-3.1-8b", "h100-sxm", "--concurrency", "0"], 2, "--concurrency"),
        (["llama-3.1-8b", "l40s", "--in", "90000000"], 2, "takes 131,072 tokens at most"),
        (
            ["llama-3.1-70b", "2xh100-sxm", "--in", "100000", "--precision", "fp8", "--tp", "1"],
            4,
            "longer than the cache",
        ),
        (["llama-3.1-8b", "h100-sxm", "--concurrency", "5000"], 2, "--concurrency"),
    ],
)
def test_refusals(words: list[str], code: int, said: str) -> None:
    outcome = call("howfast", *words)
    assert (outcome.exit_code, outcome.stdout) == (code, ""), outcome.stderr
    assert said in outcome.stderr
    as_json = call("howfast", *words, "--json")
    assert as_json.exit_code == code


def test_a_request_longer_than_the_cache() -> None:
    outcome = call("howfast", "llama-3.1-8b", "rtx-4090", "--in", "100000", "--out", "9")
    assert outcome.exit_code == 4
    assert "longer than the cache" in outcome.stderr


def test_an_overload_is_said() -> None:
    words = ["howfast", "llama-3.1-8b", "h100-sxm", "--in", "2000", "--out", "100", "--rate"]
    assert asked(*words, "1e4/s")["notes"]
    assert not asked(*words, "2/s")["notes"]


def test_one_token_has_no_next() -> None:
    text = call("howfast", "llama-3.1-8b", "h100-sxm", "--out", "1", "--concurrency", "2").stdout
    assert "then one every" not in text


SERVE = [
    "howmany",
    "--serve",
    "llama-3.1-8b",
    "--rate",
    "40/s",
    "--ttft-p99",
    "500ms",
    "--tpot-p99",
    "20ms",
    "h100-sxm",
]


def test_the_fewest_devices_that_meet_the_limits() -> None:
    answer = asked(*SERVE)
    count = answer["answer"]["count"]
    assert count == answer["answer"]["replicas"] * answer["answer"]["replica_devices"]
    assert figure(answer, "ttft_s.p99") <= 0.5
    assert figure(answer, "tpot_s.p99") <= 0.02
    best = [each for each in answer["candidates"] if each["devices"] == count]
    assert len(best) == 1
    assert "limit" in best[0]["reason"], "why one replica less does not do"
    # One device fewer, asked on its own, misses a limit.
    fewer = asked("howfast", "llama-3.1-8b", f"{count - 1}xh100-sxm", "--rate", "40/s")
    assert figure(fewer, "ttft_s.p99") > 0.5 or figure(fewer, "tpot_s.p99") > 0.02


@pytest.mark.parametrize(
    "words",
    [
        ["llama-3.1-70b", "--rate", "12/s", "--ttft-p99", "500ms", "--tpot-p99", "30ms"],
        ["mixtral-8x7b", "--rate", "20/s", "--ttft-p99", "1s", "--tpot-p99", "25ms"],
    ],
)
def test_layouts_that_are_not_played_are_no_better(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    screened = asked("howmany", "--serve", *words, "h100-sxm")
    monkeypatch.setattr(howmany_serve, "MARGIN", 0.0)
    every = asked("howmany", "--serve", *words, "h100-sxm")
    assert screened["answer"]["count"] == every["answer"]["count"]
    assert sum(each["played"] for each in screened["candidates"]) < sum(each["played"] for each in every["candidates"])
    assert any("pp2" in each["layout"] for each in every["candidates"])


def test_experts_are_spread_where_that_takes_fewer_devices() -> None:
    words = ["--serve", "mixtral-8x7b", "--rate", "20/s", "--ttft-p99", "1s", "--tpot-p99", "25ms", "h100-sxm"]
    answer = asked("howmany", *words)
    layouts = {each["layout"] for each in answer["candidates"]}
    assert {"tp2", "tp2 ep2", "tp2 ep4 dp2"} <= layouts
    given = asked("howmany", *words, "--tp", "4", "--ep", "1")
    assert [each["layout"] for each in given["candidates"]] == ["tp4"]
    assert answer["answer"]["count"] <= given["answer"]["count"]


def test_more_requests_need_no_fewer_devices() -> None:
    counts = [
        asked(*(word if word != "40/s" else f"{rate}/s" for word in SERVE), "--tp", "1")["answer"]["count"]
        for rate in (10, 40, 1000)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--serve", "llama-3.1-8b", "h100-sxm"], 2, "needs a rate"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "h100-sxm"], 2, "needs a limit"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "--ttft-p99", "1s"], 2, "missing argument"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "--ttft-p99", "1s", "a", "b"], 2, "takes one accelerator"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "--ttft-p99", "1s", "8xh100-sxm"], 2, "looks for the count"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "--ttft-p99", "5", "h100-sxm"], 2, "--ttft-p99"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "--ttft-p99", "1s", "--law", "llama3", "h100-sxm"], 2, "--law"),
        (["--serve", "llama-3.1-8b", "--rate", "5/s", "--tpot-p99", "1us", "h100-sxm"], 4, "within these limits"),
        (["1e26", "90d", "h100-sxm", "--rate", "5/s"], 2, "add --serve"),
        (["1e26", "h100-sxm"], 2, "a budget, a time and an accelerator"),
    ],
)
def test_refusals_of_howmany(words: list[str], code: int, said: str) -> None:
    outcome = call("howmany", *words)
    assert (outcome.exit_code, outcome.stdout) == (code, ""), outcome.stderr
    assert said in outcome.stderr
