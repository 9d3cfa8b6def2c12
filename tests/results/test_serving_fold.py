"""Latencies, goodput and windows of hand-made requests, against their definitions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.serving.recording import RequestColumns
from sim.engine.serving.request import STATUSES
from sim.engine.workload import ID_BITS
from sim.results import serving_fold
from sim.results.serving_fold import Latencies, Measured, ServiceFold
from sim.spec.requests import Slo

NAMES = tuple(RequestColumns.__dataclass_fields__)


def columns(*rows: dict[str, Any]) -> RequestColumns:
    usual = dict.fromkeys(NAMES, 0) | {
        "first_token_s": 1.0,
        "finish_s": 2.0,
        "prompt_tokens": 10,
        "output_tokens": 11,
        "status": "finished",
    }
    filled = [usual | row for row in rows]
    return RequestColumns(
        *(
            np.array(
                [STATUSES.index(row[name]) if name == "status" else row[name] for row in filled],
                dtype=np.float64 if name.endswith("_s") else np.int64,
            )
            for name in NAMES
        )
    )


def fold(*rows: dict[str, Any], workloads: dict[int, Measured] | None = None) -> ServiceFold:
    folded = ServiceFold(workloads or {0: Measured("chat", 0.0, None)})
    folded(columns(*rows))
    return folded


def test_each_definition_by_hand() -> None:
    whole = fold(
        {"arrival_s": 1.0, "first_token_s": 1.5, "finish_s": 3.5, "output_tokens": 5},
        {"arrival_s": 2.0, "first_token_s": 2.25, "finish_s": 2.25, "output_tokens": 1, "cached_tokens": 5},
        {"arrival_s": 0.5, "first_token_s": np.nan, "finish_s": 9.0, "status": "timed out"},
    ).whole
    assert whole.ttft.describe([0.5]) == (0.375, (0.375,))
    assert whole.tpot.describe([0.5]) == (0.5, (0.5,)), "of one token there is no gap"
    assert whole.e2e.describe([0, 1])[1] == (0.25, 2.5)
    assert whole.normalized.describe([0, 1])[1] == (0.25, 0.5)
    assert (whole.measured, whole.finished) == (3, 2)
    assert (whole.prompt_tokens, whole.output_tokens, whole.cached_tokens) == (20, 6, 5)
    assert whole.span_s == 3.0, "first arrival, whatever became of it, to last answer"


def test_the_warm_up_is_served_and_not_measured() -> None:
    workloads = {0: Measured("a", 5.0, None), 1: Measured("b", 0.0, None)}
    folded = fold({"arrival_s": 4.999}, {"arrival_s": 5.0}, {"id": 1 << ID_BITS, "arrival_s": 1.0}, workloads=workloads)
    assert folded.whole.measured == 2
    assert [group.measured for group in folded.by_workload.values()] == [1, 1]
    rows = folded.rows()
    assert rows is not None
    assert rows.id.tolist() == [0, 0, 1 << ID_BITS]


@pytest.mark.parametrize(
    ("slo", "good"),
    [
        (Slo(ttft=1.0), 2),
        (Slo(ttft=0.999), 1),
        (Slo(tpot=0.1), 2),
        (Slo(tpot=0.0999), 1),
        (Slo(e2e=2.0), 2),
        (Slo(e2e=1.9, ttft=9.0), 1),
    ],
)
def test_a_good_request_meets_every_limit(slo: Slo, good: int) -> None:
    """The first just meets 1 s, 100 ms and 2 s; the second has one token; the others never count."""
    whole = fold(
        {"arrival_s": 0.0, "first_token_s": 1.0, "finish_s": 2.0, "output_tokens": 11},
        {"arrival_s": 0.0, "first_token_s": 0.5, "finish_s": 0.5, "output_tokens": 1},
        {"first_token_s": np.nan, "status": "timed out"},
        {"first_token_s": np.nan, "finish_s": 0.0, "status": "rejected"},
        workloads={0: Measured("chat", 0.0, slo)},
    ).whole
    assert (whole.limited, whole.good) == (4, good)


def test_without_limits_nothing_is_good_or_bad() -> None:
    assert fold({}).whole.limited == 0


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.permutations([0, 1, 2, 3]))
@settings(deadline=None, max_examples=50)
def test_names_of_tenants_change_nothing(tenants: list[int], names: list[int]) -> None:
    rows = [{"id": place, "tenant": tenant, "arrival_s": place * 0.01} for place, tenant in enumerate(tenants)]
    renamed = [row | {"tenant": names[int(row["tenant"])]} for row in rows]
    one, other = fold(*rows), fold(*renamed)
    assert one.whole.ttft.describe([0.5]) == other.whole.ttft.describe([0.5])
    for tenant, group in one.by_tenant.items():
        assert group.e2e.describe([0.1, 0.9]) == other.by_tenant[names[tenant]].e2e.describe([0.1, 0.9])


@given(st.integers(0, 2**32), st.sampled_from([0.25, 2.0, 1024.0]))
@settings(deadline=None, max_examples=30)
def test_twice_the_time_is_twice_each_latency(seed: int, factor: float) -> None:
    drawn = np.random.default_rng(seed)
    arrival = drawn.random(50)
    first = arrival + drawn.random(50)
    rows = columns(*({} for _ in range(50)))
    rows = replace(rows, arrival_s=arrival, first_token_s=first, finish_s=first + drawn.random(50))
    scaled = replace(rows, arrival_s=arrival * factor, first_token_s=first * factor, finish_s=rows.finish_s * factor)
    one, other = (ServiceFold({0: Measured("a", 0.0, None)}) for _ in range(2))
    one(rows)
    other(scaled)
    for name in ("ttft", "tpot", "e2e"):
        mean, quantiles = getattr(one.whole, name).describe([0.5, 0.99])
        assert getattr(other.whole, name).describe([0.5, 0.99]) == (
            pytest.approx(mean * factor, rel=1e-12),
            pytest.approx([each * factor for each in quantiles], rel=1e-12),
        )


def test_chunks_are_the_same_as_one() -> None:
    rows = [
        {"id": place, "arrival_s": place, "first_token_s": place + 1.5, "finish_s": place + 3} for place in range(9)
    ]
    whole, parts = fold(*rows), ServiceFold({0: Measured("a", 0.0, None)})
    for row in rows:
        parts(columns(row))
    assert whole.whole.e2e.describe([0.3]) == parts.whole.e2e.describe([0.3])
    assert whole.whole.span_s == parts.whole.span_s


def test_long_runs_take_flat_memory_and_stay_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_fold, "EXACT_REQUESTS", 1000)
    drawn = np.random.default_rng(0).lognormal(0, 1, 5000)
    latencies = Latencies()
    for part in np.split(drawn, 10):
        latencies.add(part)
    mean, quantiles = latencies.describe([0.5, 0.99])
    assert mean == pytest.approx(drawn.mean(), rel=1e-12)
    assert quantiles == pytest.approx(np.quantile(drawn, [0.5, 0.99]), rel=0.006)
    assert latencies._kept is None


def test_too_many_rows_are_not_kept() -> None:
    folded = ServiceFold({0: Measured("a", 0.0, None)}, keep=2)
    folded(columns({}, {}))
    assert folded.rows() is not None
    folded(columns({}))
    assert folded.rows() is None
    assert folded.whole.measured == 3


def test_nothing_at_all() -> None:
    latencies = Latencies()
    mean, (quantile,) = latencies.describe([0.5])
    assert np.isnan(mean)
    assert np.isnan(quantile)
    assert ServiceFold({}).whole.span_s == 0.0
