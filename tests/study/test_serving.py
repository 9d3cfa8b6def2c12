"""Scenarios of services and requests, played whole: what must hold of any run, and what must be refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InfeasibleError, ScenarioError, SimError, UsageError
from sim.results.run_report import RunReport
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.scenarios import run_scenario
from sim.study.serving import play_serving
from tests.helpers.command import call

LOAD = "arrivals: 8/s, input: {uniform: [50 tokens, 900 tokens]}, output: {uniform: [1 tokens, 120 tokens]}, count: 150"
CHAT = "chat: {model: llama-3.1-8b}"
TRACE = "arrived_at,num_prefill_tokens,num_decode_tokens\n"


def play(
    workloads: str = f"{{requests: {{service: chat, {LOAD}}}}}",
    services: str = CHAT,
    cluster: str = "4xh100-sxm",
    more: str = "",
) -> RunReport:
    text = f"schema_version: 1\nname: x\ncluster: {cluster}\nservices: {{{services}}}\nworkloads: [{workloads}]\n{more}"
    return play_serving(read_scenario(loads(text, "a.yaml")))


def value(report: RunReport, name: str) -> float:
    return report.values[name].value


def rows(report: RunReport) -> dict[str, Any]:
    return report.tables["requests"]


def test_what_holds_of_any_run() -> None:
    report = play(more="seed: 5")
    table = rows(report)
    assert len(table["id"]) == value(report, "chat.requests") == value(report, "chat.finished") == 150
    assert (table["first_token_s"] >= table["arrival_s"]).all()
    assert (table["finish_s"] >= table["first_token_s"]).all()
    assert (table["generated_tokens"] == table["output_tokens"]).all()
    assert sum(seconds for _, seconds in report.parts) == pytest.approx(report.wall_clock_s, rel=1e-9)
    assert dict(report.parts)["free"] == pytest.approx(0.75 * report.wall_clock_s, rel=1e-9)
    assert report.tokens["delivered"] == table["output_tokens"].sum()
    assert report.tokens["prefill"] + report.tokens.get("cached", 0) == table["prompt_tokens"].sum()
    assert 0 < value(report, "chat.mfu") <= value(report, "chat.mfu_busy") < 1
    assert 0 < value(report, "chat.bandwidth_utilization") < 1
    assert value(report, "chat.ttft_s.p50") <= value(report, "chat.ttft_s.p99")
    assert value(report, "chat.flop_per_s.peak_1s") >= value(report, "chat.flop_per_s.p99_1s")
    executed = sum(weighted.operations for weighted in report.flop.values())
    assert value(report, "chat.flop_per_s.peak_1h") * 3600 == pytest.approx(executed, rel=1e-6)
    json.dumps(report.to_dict(), allow_nan=False)


def test_figures_follow_from_the_table() -> None:
    """The definitions once more, from the rows of the requests."""
    report = play()
    table = rows(report)
    ttft = table["first_token_s"] - table["arrival_s"]
    several = table["output_tokens"] > 1
    tpot = ((table["finish_s"] - table["first_token_s"]) / np.maximum(table["output_tokens"] - 1, 1))[several]
    assert value(report, "chat.ttft_s.p99") == pytest.approx(np.quantile(ttft, 0.99), rel=1e-12)
    assert value(report, "chat.tpot_s.mean") == pytest.approx(tpot.mean(), rel=1e-12)
    span = table["finish_s"].max() - table["arrival_s"].min()
    assert value(report, "chat.output_tokens_per_s") == pytest.approx(table["output_tokens"].sum() / span, rel=1e-12)
    pooled = (table["finish_s"] - table["first_token_s"]).sum() / (table["output_tokens"] - 1).sum()
    assert value(report, "chat.tpot_s.pooled") == pytest.approx(pooled, rel=1e-12)
    assert value(report, "chat.itl_s.mean") == pytest.approx(pooled, rel=1e-6), "every gap is one token"
    cost = value(report, "chat.cost_usd")
    assert value(report, "chat.usd_per_output_token") == pytest.approx(cost / table["output_tokens"].sum(), rel=1e-12)


def test_littles_law_on_the_sample_path() -> None:
    """Users = throughput x (answer + thinking time), with thinking of 2 s each, up to the ends of the run."""
    load = "arrivals: {closed: {users: 12, think: 2 s}}, input: 300 tokens, output: 40 tokens, count: 600"
    table = rows(play(f"{{requests: {{service: chat, {load}}}}}"))
    end_s = table["arrival_s"].max()
    answering = (np.minimum(table["finish_s"], end_s) - table["arrival_s"]).sum()
    thoughts = np.concatenate([np.zeros(12), table["finish_s"][table["finish_s"] < end_s]])
    thinking = np.minimum(end_s - thoughts, 2.0).sum()
    assert answering + thinking == pytest.approx(12 * end_s, rel=1e-9)


def test_another_service_moves_nothing() -> None:
    """Two services in one scenario are two scenarios: their replicas and their draws are their own."""
    other = "other: {model: llama-3.1-8b, replicas: 2}"
    alone = play()
    both = play(
        f"{{requests: {{service: chat, {LOAD}}}}}, {{requests: {{service: other, {LOAD}}}}}", f"{CHAT}, {other}"
    )
    mine = rows(both)["service"] == "chat"
    for name in ("arrival_s", "first_token_s", "finish_s", "output_tokens"):
        assert rows(both)[name][mine].tolist() == rows(alone)[name].tolist()
    for name in ("ttft_s.p99", "itl_s.p99", "output_tokens_per_s", "batch.mean", "flop_per_s.peak_1s"):
        assert value(both, f"chat.{name}") == value(alone, f"chat.{name}")
    assert dict(both.parts).get("free", 0.0) == pytest.approx(0.25 * both.wall_clock_s, rel=1e-9)


@given(st.permutations(["a", "b", "c"]))
@settings(deadline=None, max_examples=4)
def test_names_of_tenants_change_no_time(names: list[str]) -> None:
    def of(names: list[str]) -> RunReport:
        each = (
            f"{{requests: {{service: chat, name: w{place}, tenant: {name}, {LOAD}}}}}"
            for place, name in enumerate(names)
        )
        return play(", ".join(each))

    one, other = of(["a", "b", "c"]), of(names)
    assert rows(one)["finish_s"].tolist() == rows(other)["finish_s"].tolist()
    for old, new in zip("abc", names, strict=True):
        assert value(one, f"chat.tenants.{old}.ttft_s.p99") == value(other, f"chat.tenants.{new}.ttft_s.p99")


def test_priority_goes_first() -> None:
    load = "arrivals: {at_once: 200}, input: 4000 tokens, output: 8 tokens"
    low = f"{{requests: {{service: chat, name: low, {load}}}}}"
    high = f"{{requests: {{service: chat, name: high, priority: 5, {load}}}}}"
    report = play(f"{low}, {high}")
    assert value(report, "chat.high.ttft_s.mean") < 0.6 * value(report, "chat.low.ttft_s.mean")


def test_time_outs_count_as_missed_and_stay_out_of_latencies() -> None:
    load = "arrivals: {at_once: 300}, input: 4000 tokens, output: 200 tokens, slo: {ttft: 100 s}"
    report = play(f"{{requests: {{service: chat, {load}, time_out: 3 s}}}}")
    finished, late = value(report, "chat.finished"), value(report, "chat.timed_out")
    assert finished + late == 300
    assert late > 0
    assert value(report, "chat.slo_met") == finished / 300
    assert "wasted" in report.flop
    if finished:
        assert value(report, "chat.e2e_s.p99") <= 3.0


def test_the_time_out_of_the_service_holds_where_the_workload_has_none() -> None:
    load = "arrivals: {at_once: 300}, input: 4000 tokens, output: 200 tokens"
    report = play(f"{{requests: {{service: chat, {load}}}}}", "chat: {model: llama-3.1-8b, time_out: 3 s}")
    assert value(report, "chat.timed_out") > 0


def test_a_trace_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE + "".join(f"{second},300,20\n" for second in range(50)))
    (tmp_path / "a.yaml").write_text(
        "schema_version: 1\nname: x\ncluster: 1xh100-sxm\nservices: {chat: {model: llama-3.1-8b}}\n"
        "workloads: [{requests: {service: chat, trace: {file: t.csv, speed: 2}, count: 40, at: 3 s}}]\n"
    )
    outcome = call("run", str(tmp_path / "a.yaml"), "--json")
    assert outcome.exit_code == 0, outcome.stderr
    values = json.loads(outcome.stdout)["values"]
    assert values["chat.requests"]["value"] == 40
    (tmp_path / "t.csv").write_text(TRACE + "0,300,20\n1,x,20\n")
    outcome = call("run", str(tmp_path / "a.yaml"))
    assert outcome.exit_code == 2
    assert "t.csv:3" in outcome.stderr
    (tmp_path / "t.csv").unlink()
    outcome = call("run", str(tmp_path / "a.yaml"))
    assert outcome.exit_code == 2
    assert "No such file" in outcome.stderr


def test_requests_that_wait_for_others(tmp_path: Path) -> None:
    first = {"request_id": "a", "timestamp": 1000, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}
    second = {"request_id": "b", "input_length": 600, "output_length": 5, "hash_ids": [1, 3], "tool_wait_ms": 500}
    lines = [json.dumps(first | {"wait_for": []}), json.dumps(second | {"wait_for": ["a"]})]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(lines))
    table = rows(play(f"{{requests: {{service: chat, trace: {path}}}}}"))
    assert table["arrival_s"].tolist() == pytest.approx([1.0, table["finish_s"][0] + 0.5])
    assert table["cached_tokens"].tolist() == [0, 512]
    for wrong, said in (
        (lines[1].replace('["a"]', '["c"]'), "of the same trace"),
        (lines[1].replace('"b"', '"a"'), "different ids"),
        (lines[1].replace('["a"]', '["b"]'), "in a circle"),
    ):
        path.write_text(f"{lines[0]}\n{wrong}\n")
        with pytest.raises(ScenarioError, match=said) as raised:
            play(f"{{requests: {{service: chat, trace: {path}}}}}")
        assert raised.value.where == f"{path}:2"


def test_targets_decide_the_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = (
        "schema_version: 1\nname: x\ncluster: 1xh100-sxm\nservices: {chat: {model: llama-3.1-8b}}\n"
        f"workloads: [{{requests: {{service: chat, {LOAD}}}}}]\ntargets: {{chat.ttft_s.p99: LIMIT}}\n"
    )
    for limit, code in (("10 s", 0), ("1 ms", 3), ("10 tokens", 2)):
        path.write_text(text.replace("LIMIT", limit))
        assert call("run", str(path)).exit_code == code


@pytest.mark.parametrize(
    ("services", "cluster", "error", "said"),
    [
        ("chat: {model: llama-3.1-8b, replicas: 5}", "4xh100-sxm", InfeasibleError, "more devices than the cluster"),
        ("chat: {model: llama-3.1-405b, plan: {tp: 1}}", "4xh100-sxm", InfeasibleError, "no room"),
        ("chat: {model: llama-3.1-8b, plan: {tp: 3}}", "4xh100-sxm", UsageError, "splits evenly"),
        (
            "chat: {model: llama-3.1-8b, plan: {tp: 8}}",
            "{accelerator: h100-sxm, count: 4}",
            InfeasibleError,
            "more devices",
        ),
        ("chat: {model: no-such-model}", "4xh100-sxm", SimError, "no such name"),
        ("chat: {model: llama-3.1-8b, engine: vllm-9}", "4xh100-sxm", SimError, "no such name"),
        ("chat: {model: llama-3.1-8b, precision: fp4}", "4xh100-sxm", UsageError, "fp4"),
        (
            "chat: {model: llama-3.1-8b, precision: {weights: int4, compute: fp8}}",
            "4xh100-sxm",
            UsageError,
            "multiplied in bf16",
        ),
        ("other: {model: llama-3.1-8b}", "4xh100-sxm", ScenarioError, "name a service"),
    ],
)
def test_what_cannot_be_served(services: str, cluster: str, error: type[SimError], said: str) -> None:
    with pytest.raises(error) as raised:
        play(services=services, cluster=cluster)
    assert said in str(raised.value)
    assert raised.value.mend


def test_replicas_that_do_not_lie_together() -> None:
    """Three replicas of 4 on two nodes of 6 devices: 12 are free, and the third would straddle the nodes."""
    links = "scale_up_domain_devices: 6, scale_up_bandwidth_bytes_per_s: 450 GB/s, scale_up_kind: x"
    node = f"{{name: six, accelerator: h100-sxm, devices: 6, {links}}}"
    cluster = f"{{accelerator: h100-sxm, count: 12, node: {node}}}"
    with pytest.raises(InfeasibleError, match="lie together"):
        play(services="chat: {model: llama-3.1-8b, plan: {tp: 4}, replicas: 3}", cluster=cluster)


def test_two_workloads_have_two_names() -> None:
    one = f"{{requests: {{service: chat, {LOAD}}}}}"
    with pytest.raises(ScenarioError, match="different names"):
        play(f"{one}, {one}")


def test_a_tenant_is_one_of_the_scenario() -> None:
    with pytest.raises(ScenarioError, match="one of the scenario's"):
        play(f"{{requests: {{service: chat, tenant: nobody, {LOAD}}}}}", more="tenants: {prod: {priority: 1}}")


def test_several_seeds_differ_and_one_repeats() -> None:
    head = f"schema_version: 1\nname: x\ncluster: 1xh100-sxm\nservices: {{{CHAT}}}"
    text = f"{head}\nworkloads: [{{requests: {{service: chat, {LOAD}}}}}]"
    report = run_scenario(read_scenario(loads(text)), seeds=3)
    assert isinstance(report, RunReport)
    spread = report.over_seeds["chat.ttft_s.p99"]
    assert len(set(spread)) == 3
    again = run_scenario(read_scenario(loads(text)))
    assert isinstance(again, RunReport)
    assert value(again, "chat.ttft_s.p99") == spread[0]


def test_nothing_that_ends_has_no_latency() -> None:
    load = "arrivals: {at_once: 3}, input: 4000 tokens, output: 200 tokens, time_out: 1 ms, slo: {ttft: 1 s}"
    report = play(f"{{requests: {{service: chat, {load}}}}}")
    assert value(report, "chat.timed_out") == 3
    assert value(report, "chat.slo_met") == 0
    assert "chat.ttft_s.p99" not in report.values
    assert all(math.isfinite(each.value) for each in report.values.values())
    assert report.sentence


def test_where_the_warm_up_takes_all_limits_are_unmeasured_and_a_target_on_them_is_missed() -> None:
    load = "arrivals: 5/s, input: 400 tokens, output: 20 tokens, duration: 4 s, warm_up: 4 s, slo: {ttft: 1 s}"
    report = play(f"{{requests: {{service: chat, {load}}}}}")
    assert "chat.slo_met" not in report.values
    assert {"chat.slo_met", "chat.goodput_per_s", "chat.ttft_s.p99"} <= set(report.unmeasured)


@pytest.mark.parametrize(
    ("features", "shown"),
    [
        ("disaggregation: {prefill: 1, decode: 2}", "chat.finished"),
        ("speculative: {tokens: 3, acceptance: 0.7}", "chat.finished"),
        ("speculative: {tokens: 2, acceptance: 0.7, model: llama-3.2-1b}", "chat.finished"),
        ("replicas: {min: 1, max: 4, target: 2, every: 2 s, keep: 5 s}, cold_start: 3 s", "chat.replicas"),
        ("replicas: 4, failure_rate: 400/h, repair: 2 s", "chat.failures"),
        ("replicas: 2, kv_offload: 100 GB, engine: {kv_blocks: 200}", "chat.preemptions"),
        ("replicas: 2, engine: {preemption: swap, kv_blocks: 200}, kv_offload: 100 GB", "chat.preemptions"),
        ("engine: {batching: static, max_sequences: 16}", "chat.finished"),
        ("replicas: 4, router: shared-queue", "chat.finished"),
        ("replicas: 4, router: power-of-two, engine: sglang", "chat.finished"),
        ("plan: {tp: 2}, precision: {weights: fp8, kv: fp8}", "chat.finished"),
    ],
)
def test_each_feature_of_a_service_is_played(features: str, shown: str) -> None:
    """What the scenario says reaches the engine, every request is answered, and nothing is lost on the way."""
    load = LOAD.replace("8/s", "20/s")
    report = play(f"{{requests: {{service: chat, {load}}}}}", f"chat: {{model: llama-3.1-8b, {features}}}")
    assert value(report, "chat.finished") == 150
    assert value(report, shown) > 0
    assert sum(seconds for _, seconds in report.parts) == pytest.approx(report.wall_clock_s, rel=1e-9)
    assert report.tokens["delivered"] == rows(report)["output_tokens"].sum()


def test_speculation_is_faster_alone_and_costs_operations() -> None:
    load = "arrivals: {deterministic: 0.5/s}, input: 100 tokens, output: 200 tokens, count: 10"
    usual = play(f"{{requests: {{service: chat, {load}}}}}")
    drafted = play(
        f"{{requests: {{service: chat, {load}}}}}",
        "chat: {model: llama-3.1-8b, speculative: {tokens: 3, acceptance: 0.8}}",
    )
    # 1 + 0.8 + 0.64 + 0.512 tokens of each iteration, which is longer by three heads of one layer in 32.
    gain = value(usual, "chat.tpot_s.mean") / value(drafted, "chat.tpot_s.mean")
    assert gain == pytest.approx(2.952 / (1 + 3 / 32), rel=0.1)
    assert drafted.flop["speculative waste"].operations > 0


def test_a_full_queue_turns_away() -> None:
    load = "arrivals: {at_once: 400}, input: 900 tokens, output: 90 tokens"
    report = play(
        f"{{requests: {{service: chat, {load}}}}}",
        "chat: {model: llama-3.1-8b, max_queue: 3, engine: {max_sequences: 8}}",
    )
    assert value(report, "chat.rejected") == 400 - 8 - 3
    assert value(report, "chat.finished") == 11


def test_replicas_that_come_load_their_weights_first() -> None:
    """The start of a replica takes the weights of a device over the storage."""
    load = "arrivals: {at_once: 200}, input: 900 tokens, output: 200 tokens"
    scaled = "chat: {model: llama-3.1-8b, replicas: {min: 1, max: 2, target: 4, every: 1 s}, storage: RATE}"
    slow, fast = (
        play(f"{{requests: {{service: chat, {load}}}}}", scaled.replace("RATE", rate)) for rate in ("4 GB/s", "16 GB/s")
    )
    restart = [dict(each.parts)["restart"] * 4 for each in (slow, fast)]
    assert restart[0] == pytest.approx(4 * restart[1], rel=1e-6)
    assert restart[1] == pytest.approx(16e9 / 16e9, rel=0.02)


def test_the_cache_goes_over_the_fabric_between_nodes() -> None:
    load = "arrivals: {deterministic: 0.1/s}, input: 30000 tokens, output: 2 tokens, count: 5"
    service = "chat: {model: llama-3.1-8b, disaggregation: {prefill: 4, decode: 8}}"
    near = play(f"{{requests: {{service: chat, {load}}}}}", service.replace("4, decode: 8", "1, decode: 1"))
    far = play(f"{{requests: {{service: chat, {load}}}}}", service, "16xh100-sxm")
    # 30,000 tokens of 131,072 B: 3.9 GB at 450 GB/s or at 50 GB/s.
    more = value(far, "chat.e2e_s.mean") - value(near, "chat.e2e_s.mean")
    assert more == pytest.approx(30_000 * 131_072 * (1 / 50e9 - 1 / 450e9), rel=0.4)


def test_requests_beyond_the_window_of_the_model_are_told() -> None:
    """The trained window is no limit of an engine's memory, so they are served, and said."""
    long = "arrivals: {at_once: 2}, input: 7900 tokens, output: 500 tokens"
    report = play(f"{{requests: {{service: chat, {long}}}}}", "chat: {model: llama-3-8b}")
    assert any("longer than the 8,192 tokens" in each for each in report.missing)
    assert not play().missing


def test_a_trace_of_hashes_shares_its_heads(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = {"timestamp": 0, "input_length": 1536, "output_length": 4, "hash_ids": [1, 2, 3]}
    rows_of = [row | {"timestamp": 1000 * place, "hash_ids": [1, 2, 10 + place]} for place in range(5)]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in rows_of))
    table = rows(play(f"{{requests: {{service: chat, trace: {path}}}}}"))
    assert table["cached_tokens"].tolist() == [0, 1024, 1024, 1024, 1024]
