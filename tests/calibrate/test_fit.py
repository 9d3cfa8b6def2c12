"""Fits find the constants that made a table, and say what is wrong with a table that cannot be fitted."""

import csv
import sys

import numpy as np
import pytest

from sim.calibrate import attention, collective, fitting, gemm, moe
from sim.cost.attention import AttentionCurve, attention_forward_s
from sim.cost.collectives import CollectiveCurve, collective_s
from sim.cost.grouped import GroupedCurve, routed_feed_forward_s
from sim.cost.roofline import RooflineCurve, gemm_s
from sim.errors import UsageError
from sim.spec import measured_tables as tables

PEAK, BANDWIDTH = 989.4e12, 3.35e12


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def noise(count):
    return np.exp(0.02 * np.random.default_rng(1).standard_normal(count))


def test_gemm_constants_come_back(tmp_path):
    truth = RooflineCurve(0.7, 0.8, 2.0, 5e-6, 6.0)
    shapes = [(m, n, k) for m in (1, 16, 256, 2048, 8192) for n in (1024, 4096, 16384) for k in (512, 4096, 16384)]
    jitter = noise(len(shapes))
    rows = [
        {"m": m, "n": n, "k": k, "latency": 1e3 * gemm_s(m, n, k, 1, PEAK, BANDWIDTH, truth) * j}
        for (m, n, k), j in zip(shapes, jitter, strict=True)
    ]
    curve, judgement = gemm.fit(write(tmp_path / "g.csv", rows), PEAK, BANDWIDTH, 1.0, quantises=True)
    assert curve.compute_efficiency == pytest.approx(0.7, rel=0.05)
    assert curve.memory_efficiency == pytest.approx(0.8, rel=0.05)
    assert curve.overhead_s == pytest.approx(5e-6, rel=0.2)
    assert judgement.held_out_median < 0.03
    assert judgement.points + judgement.held_out_points == len(rows)


def test_gemm_leaves_out_what_stays_in_the_cache(tmp_path):
    rows = [{"m": m, "n": n, "k": 1024, "latency": 0.1} for m in range(1, 11) for n in (1024, 65536)]
    _, judgement = gemm.fit(write(tmp_path / "g.csv", rows), PEAK, BANDWIDTH, 2.0, cache_bytes=50 * 2**20)
    assert judgement.points + judgement.held_out_points == 10


def test_attention_constants_come_back(tmp_path):
    truth = AttentionCurve(0.8, 600.0, 48.0, 15000.0, 0.6, 12e-6)
    shapes = [(b, h, d, s) for b in (1, 4) for h in (4, 32) for d in (64, 128, 256) for s in (256, 1024, 4096, 16384)]
    rows = [
        {
            "batch_size": b, "isl": s, "num_heads": h, "num_key_value_heads": 4, "head_dim": d,
            "latency": 1e3 * attention_forward_s(b, h, 4, d, s, True, PEAK, BANDWIDTH, truth),
        }
        for b, h, d, s in shapes
    ]  # fmt: skip
    curve, judgement = attention.fit(write(tmp_path / "a.csv", rows), PEAK, BANDWIDTH, 2.0)
    assert curve.half_sequence == pytest.approx(600, rel=0.05)
    assert curve.half_head_dim == pytest.approx(48, rel=0.05)
    assert judgement.held_out_p90 < 0.01


def test_collective_constants_come_back_at_each_rank_count(tmp_path):
    rows = [
        {"num_gpus": ranks, "message_size": 2**power, "latency": 1e3 * collective_s(
            "all_gather", 2.0 * 2**power, ranks, 450e9, CollectiveCurve(ranks * 2e-6, 0.8, 1e-5))}
        for ranks in (2, 8) for power in range(8, 30)
    ]  # fmt: skip
    curve, judgement = collective.fit(write(tmp_path / "c.csv", rows), "all_gather", 450e9)
    assert curve.ranks == (2.0, 8.0)
    assert curve.latency_s == pytest.approx((4e-6, 16e-6), rel=0.01)
    assert curve.bandwidth_fraction == pytest.approx((0.8, 0.8), rel=0.01)
    assert judgement.held_out_p90 < 0.01


def test_rows_are_chosen_by_text(tmp_path):
    path = write(tmp_path / "t.csv", [{"system": "a", "x": 1}, {"system": "b", "x": 2}])
    assert tables.read(path, ("x",), {"system": "b"})["x"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("name", "columns", "where", "rule"),
    [
        ("none.csv", ("x",), {}, "must exist"),
        ("t.csv", ("y",), {}, "lacks column y"),
        ("t.csv", ("x",), {"x": "7"}, "no row"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, name, columns, where, rule):
    write(tmp_path / "t.csv", [{"x": 1}])
    with pytest.raises(UsageError, match=rule):
        tables.read(tmp_path / name, columns, where)


def test_parquet_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"(?s)extra 'calibrate'.*pip install 'flopclock\[calibrate\]'"):
        tables.read(tmp_path / "t.parquet", ("x",))


def test_fitting_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(UsageError, match="extra 'calibrate'"):
        fitting.fit(lambda values: np.ones(9) * values[0], np.ones(9), [fitting.Parameter(1.0, 0.0, 2.0)])


def test_too_few_points_are_refused():
    with pytest.raises(UsageError, match="at least 8"):
        fitting.fit(lambda values: np.ones(3), np.ones(3), [])


def test_an_outlier_pulls_little():
    measured = np.full(100, 2.0)
    measured[::10] = 20.0
    (value,), judgement = fitting.fit(
        lambda values: np.full(100, values[0]), measured, [fitting.Parameter(1.0, 0.1, 100.0)]
    )
    assert value == pytest.approx(2.0, rel=0.02)
    assert judgement.held_out_median < 0.02


def test_constants_of_experts_come_back(tmp_path):
    truth = GroupedCurve(0.7, 0.8, 3.0, 30e-6, 60.0, 10.0, 4.0)
    cases = [
        (tokens, hidden, inner, 8, 128, tensor, spread)
        for tokens in (16, 256, 1024, 4096, 16384)
        for hidden, inner in ((2048, 1024), (4096, 1536), (7168, 2048))
        for tensor in (1, 2)
        for spread in (1, 4, 16)
    ]
    names = moe.COLUMNS[:-1]
    rows = []
    for case, jitter in zip(cases, noise(len(cases)), strict=True):
        n, h, i, k, e, tensor, spread = case
        seconds = routed_feed_forward_s(n, n * k / spread, e / spread, h, i / tensor, 2.0, PEAK, BANDWIDTH, truth)
        rows.append(dict(zip(names, case, strict=True)) | {"latency": 1e3 * float(seconds * jitter)})
    curve, judgement = moe.fit(write(tmp_path / "m.csv", rows), PEAK, BANDWIDTH, 2.0)
    assert curve.memory_efficiency == pytest.approx(0.8, rel=0.05)
    assert curve.overhead_s == pytest.approx(30e-6, rel=0.1)
    assert judgement.held_out_median < 0.03
