"""Collectives of a table: bus bandwidth as nccl-tests defines it, from the calibration of the chip."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from sim.validate.collectives import METRIC, CollectiveRow, chip_name, collectives, line_rate_gbytes, predict

TABLE = Path(__file__).parent / "tables" / "collectives.csv"
ROW = CollectiveRow("a", "H100-SXM", "1", 8, "all_reduce", "", 2.0**33, "NVLink4", "")


def test_rows_are_predicted_or_say_why() -> None:
    rows = collectives(TABLE).of()
    assert [row.status for row in rows] == ["ok", "ok", "ok", "skipped", "skipped", "skipped", "skipped"]
    assert [row.reason for row in rows[3:]] == [
        "no curve for the collective broadcast",
        "no accelerator of the catalogue is known for 'Abacus 3000'",
        "ranks or nodes is blank, or no number",
        "busbw_GBps is blank",
    ]
    for row in rows[:3]:
        assert row.ratio == pytest.approx(1.0, abs=0.15)


def test_a_row_holds_no_bandwidth_that_was_reached() -> None:
    assert METRIC not in {field.name for field in fields(CollectiveRow)}


def test_more_bytes_and_faster_links_are_not_slower() -> None:
    sizes = [predict(replace(ROW, size_bytes=size)).gbytes_per_s for size in (2.0**16, 2.0**20, 2.0**26, 2.0**33)]
    assert sizes == sorted(sizes)
    across = replace(ROW, nodes="4", ranks=32)
    slow = predict(replace(across, inter_link="8x200Gb RoCE")).gbytes_per_s
    fast = predict(replace(across, inter_link="8x400Gb RoCE")).gbytes_per_s
    assert slow < fast < predict(ROW).gbytes_per_s


def test_a_blank_size_is_the_plateau() -> None:
    assert predict(replace(ROW, size_bytes=None)) == predict(replace(ROW, size_bytes=2.0**33))


@pytest.mark.parametrize(
    ("words", "per_node", "rate"),
    [
        ("8x50 GB/s EFAv4", 8, 50.0),
        ("4x400Gb/node RoCEv2", 4, 50.0),
        ("400 GB/s/node EFAv3", 8, 50.0),
        ("3.2 Tb/s IB/node", 8, 50.0),
        ("100GbE sockets", 1, 12.5),
        ("8x400Gb SHARP", 8, 50.0),
        ("", 8, 0.0),
    ],
)
def test_links_of_a_node_become_the_rate_of_a_rank(words: str, per_node: int, rate: float) -> None:
    assert line_rate_gbytes(words, per_node) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("GB200 (OCI) 1 GPU/node", "GB200"),
        ("GB200 NVL72", "GB200"),
        ("DGX A100", "A100"),
        ("H100-SXM 1 NIC", "H100-SXM"),
    ],
)
def test_chips_are_named_without_what_a_table_adds(written: str, name: str) -> None:
    assert chip_name(written) == name
