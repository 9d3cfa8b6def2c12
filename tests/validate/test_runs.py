"""Whole runs of a table: device-hours as `sim howlong` has them."""

from dataclasses import fields
from pathlib import Path

import pytest

import sim
from sim.validate.runs import METRIC_COLUMNS, RunRow, predict, runs

TABLE = Path(__file__).parent / "tables" / "runs.csv"


def test_rows_are_predicted_or_say_why() -> None:
    rows = runs(TABLE).of()
    assert [row.status for row in rows] == ["ok", "ok", "ok", "skipped", "ok", "skipped", "skipped"]
    assert rows[1].measured == pytest.approx(80 * 24 * 16384)
    assert rows[3].reason.startswith("neither a model of the catalogue")
    assert rows[5].reason == "no accelerator of the catalogue is known for 'Abacus 3000'"
    assert rows[6].reason == "neither gpu_hours, nor days with gpus"


def test_a_row_holds_neither_time_nor_utilization() -> None:
    assert not {field.name for field in fields(RunRow)} & {*METRIC_COLUMNS, "hours"}


def test_a_run_is_what_howlong_answers() -> None:
    row = RunRow("Llama-2-7B", 6.74e9, 2e12, None, "A100-80GB", 1024)
    answer = sim.howlong(
        on="1024xa100-80gb-sxm", model="llama-2-7b", tokens=2e12, sequence=4096, batch=2048 * 4096, seeds=1
    )
    assert predict(row, "megatron-core") == pytest.approx(answer.device_hours, rel=1e-9)
    # Its own software is of another year: slower, and named in the table of names.
    assert predict(row) > answer.device_hours


def test_flop_stand_for_tokens_that_a_table_does_not_know() -> None:
    by_flop = predict(RunRow("Llama-2-7B", None, None, 8.09e22, "A100-80GB", 1024))
    by_tokens = predict(RunRow("Llama-2-7B", None, 2e12, None, "A100-80GB", 1024))
    assert by_flop == pytest.approx(by_tokens, rel=0.1)
