"""Tables of load tests: what is read, what is predicted, and by which rules."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.plan.serving import Changes, replica_plan
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.validate.serving import serving
from sim.validate.serving_flow import Load, replay
from sim.validate.serving_names import serving_names
from sim.validate.serving_rows import COLUMNS, REQUIRED, row_of
from sim.validate.serving_times import fastest_plan, outcome_of
from sim.validate.table import read

TABLE = Path(__file__).parent / "tables" / "serving.csv"


@pytest.fixture(scope="module")
def verdicts() -> dict[str, object]:
    return {each.verdict.id: each.verdict for each in serving(TABLE).verdicts}


def test_every_row_is_predicted_or_says_why(verdicts) -> None:
    predicted = {name for name, verdict in verdicts.items() if verdict.status == "ok"}
    assert predicted == {"first", "batch", "most", "together-a", "together-b", "rate", "alone", "searched"}
    assert verdicts["too-large"].status == "infeasible"
    assert all(verdict.reason for verdict in verdicts.values() if verdict.status != "ok")


def test_every_kind_has_its_rules(verdicts) -> None:
    kinds = {verdict.kind for verdict in verdicts.values() if verdict.kind}
    assert kinds == {
        "first token", "static batch", "single stream", "maximum throughput", "fixed concurrency", "request rate",
    }  # fmt: skip
    assert verdicts["searched"].plan == "searched"
    assert verdicts["most"].plan == "given"


def test_predictions_are_of_the_right_size(verdicts) -> None:
    for verdict in verdicts.values():
        if verdict.status == "ok":
            assert 0.4 < verdict.ratio < 2.5, verdict.id


def test_the_measured_value_changes_no_prediction(tmp_path: Path) -> None:
    lines = TABLE.read_text().splitlines()
    at = lines[0].split(",").index("value")
    changed = [lines[0]]
    for line in lines[1:]:
        fields = line.split(",")
        fields[at] = "1" if fields[at] else ""
        changed.append(",".join(fields))
    other = tmp_path / "serving.csv"
    other.write_text("\n".join(changed))
    assert [each.verdict.predicted for each in serving(other).verdicts] == [
        each.verdict.predicted for each in serving(TABLE).verdicts
    ]


def test_names_stand_in_the_catalogue() -> None:
    known = serving_names()
    for chip in known.accelerators.values():
        catalog.load("accelerators", chip.accelerator)
    for rule in known.models:
        catalog.load("models", rule.model)
    for rule in known.engines:
        catalog.load("engines", rule.profile)


def test_a_summary_has_every_dimension() -> None:
    summary = serving(TABLE).to_dict()["summary"]
    assert summary["n"] == 8
    assert {"by_gpu", "by_precision", "by_shape", "by_degree", "by_trust", "by_group"} <= set(summary)
    assert sum(part["n"] for part in summary["by_gpu"].values()) == 8


@pytest.fixture(scope="module")
def plan():
    chip = ClusterSpec(accelerator="h100-sxm", count=1)
    return replica_plan(catalog.load("models", "llama-3.1-8b"), chip, changes=Changes(kv_blocks=4000))


def test_one_request_alone_is_its_prompt_and_its_tokens(plan) -> None:
    result = replay(plan, Load([300], [50], 1))
    first_s = plan.cost.mixed_s(0, 0, 300, 300 * 301 // 2, 1)
    tokens_s = float(np.sum(plan.cost.decode_s(1, 300 + np.arange(1, 50))))
    assert result.first_s[0] == pytest.approx(first_s, rel=1e-12)
    assert result.finish_s[0] == pytest.approx(first_s + tokens_s, rel=1e-12)


def test_iterations_one_by_one_give_the_same(plan) -> None:
    """A request that arrives in the middle of a long decode cuts it at the end of the running iteration."""
    result = replay(plan, Load([300, 200], [50, 10], 2, arrivals_s=[0.0, 0.1]))
    time_s = plan.cost.mixed_s(0, 0, 300, 300 * 301 // 2, 1)
    context = 300
    while time_s < 0.1:
        context += 1
        time_s += plan.cost.mixed_s(1, context, 0, 0, 0)
    time_s += plan.cost.mixed_s(1, context + 1, 200, 200 * 201 // 2, 1)
    assert result.first_s[1] == pytest.approx(time_s, rel=1e-9)


def test_a_full_cache_makes_requests_wait(plan) -> None:
    wide = replay(plan, Load([1000] * 80, [200] * 80, 80))
    assert wide.first_s.max() > wide.finish_s.min()


def test_concurrency_is_kept(plan) -> None:
    result = replay(plan, Load([64] * 30, [20] * 30, 3))
    marks = sorted([(start, 1) for start in result.arrival_s] + [(end, -1) for end in result.finish_s])
    running = np.cumsum([change for _, change in sorted(marks, key=lambda mark: (mark[0], mark[1]))])
    assert running.max() == 3


def test_what_a_client_adds_is_seen_by_the_client_alone(plan) -> None:
    bare, seen = (replay(plan, Load([300], [50], 1, client_s=client)) for client in (0.0, 0.1))
    assert seen.time_to_first_s == pytest.approx(bare.time_to_first_s + 0.1)
    assert seen.time_per_token_s == pytest.approx(bare.time_per_token_s)


def test_throughput_counts_from_first_arrival_to_last_finish(plan) -> None:
    result = replay(plan, Load([64] * 4, [20] * 4, 4))
    assert result.span_s == result.finish_s.max() - result.arrival_s.min()
    assert math.isfinite(result.end_to_end_s)


def test_a_scheduler_that_looks_seldom_lets_requests_wait(plan) -> None:
    """Every eighth decode iteration: the second request waits for the look, then its prompt runs beside the first."""
    often, seldom = (
        replay(plan, Load([300, 200], [400, 10], 2, arrivals_s=[0.0, 0.5], receive_steps=each)) for each in (1, 8)
    )
    step_s = float(plan.cost.mixed_s(1, 400, 0, 0, 0))
    waited_s = seldom.first_s[1] - often.first_s[1]
    assert 0.0 <= waited_s <= 8.01 * step_s
    assert seldom.first_s[0] == often.first_s[0]


def test_beams_decode_side_by_side(plan) -> None:
    """One request with four beams is its prompt once, and iterations of four sequences."""
    result = replay(plan, Load([300], [50], 1, beams=4))
    first_s = plan.cost.mixed_s(0, 0, 300, 300 * 301 // 2, 1)
    tokens_s = float(np.sum(plan.cost.decode_s(4, 4 * (300 + np.arange(1, 50)))))
    assert result.finish_s[0] == pytest.approx(first_s + tokens_s, rel=1e-12)


def test_settings_of_a_harness_replace_defaults_field_by_field() -> None:
    known = serving_names()
    found = known.settings_of("aic", "InferenceX dashboard", "vLLM 0.19", "minimax-m2.5", "B200-SXM-180GB", "fp4")
    assert (found.cache, found.budget_prompts, found.token_budget) == ("fp8", 2, None)
    plain = known.settings_of("own", "", "vLLM 0.19", "minimax-m2.5", "B200-SXM-180GB", "fp4")
    assert plain == type(plain)()


def test_a_layout_that_is_not_stated_is_the_fastest(verdicts) -> None:
    """Nobody shows a throughput of a layout that another one beats."""
    lines = {line.text("id"): line for line in read(TABLE, COLUMNS, REQUIRED)}
    test = replace(row_of(lines["rate"]).test, gpus=4, tensor=None, pipeline=None, data=None, concurrency=None)
    best = fastest_plan(test)
    rates = [
        outcome_of(replace(test, tensor=tensor, rate_per_s=math.inf, requests=8000)).requests_per_s
        for tensor in (1, 2, 4)
    ]
    chosen = outcome_of(replace(test, tensor=best.layout.tensor_parallel, rate_per_s=math.inf, requests=8000))
    assert chosen.requests_per_s == max(rates)
