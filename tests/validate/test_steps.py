"""Training rows: what is predicted, what is skipped and why, and that no prediction can see a measurement."""

import ast
import csv
import io
import random
from dataclasses import fields, replace
from pathlib import Path

import pytest

import sim.validate.machines
import sim.validate.shapes
import sim.validate.steps
import sim.validate.training
from sim.errors import CatalogError, ScenarioError, SimError, UsageError
from sim.validate.report import Report
from sim.validate.rows import (
    COLUMNS,
    CONVENTION_COLUMNS,
    METRIC_COLUMNS,
    REQUIRED,
    UNREAD_COLUMNS,
    Configuration,
    Measured,
    configuration,
    measured,
)
from sim.validate.score import Verdict
from sim.validate.steps import NO_METRIC, training
from sim.validate.table import read
from sim.validate.training import Prediction, predict

TABLE = Path(__file__).parent / "tables" / "training.csv"


@pytest.fixture(scope="module")
def report() -> Report:
    return training(TABLE)


def found(report: Report, name: str, metric: str = "step_time_s") -> Verdict:
    (verdict,) = [row for row in report.of(metric) if row.id == name]
    return verdict


def prediction(name: str) -> Prediction:
    rows = {line.text("id"): line for line in read(TABLE, COLUMNS, REQUIRED)}
    return predict(configuration(rows[name]))


def test_each_row_has_one_verdict_for_each_metric(report: Report) -> None:
    assert [row.id for row in report.of()] == [line.text("id") for line in read(TABLE, COLUMNS, REQUIRED)]
    assert [row.id for row in report.of("peak_mem_gib")] == ["own-given"]


def test_a_given_layout_is_taken_and_a_missing_one_searched(report: Report) -> None:
    assert found(report, "own-given").plan == "given"
    assert prediction("own-given").layout["tp"] == 2
    assert found(report, "own-searched").plan == "searched"
    searched = prediction("own-searched").layout
    assert searched["tp"] * searched["pp"] * searched["cp"] * searched["dp"] <= 64  # type: ignore[operator]
    # The search may choose what was run, so it is not slower than that.
    assert prediction("own-searched").step_s <= prediction("own-given").step_s * (1 + 1e-12)


def test_sharding_alone_is_a_layout(report: Report) -> None:
    assert found(report, "own-fsdp").plan == "given"
    layout = prediction("own-fsdp").layout
    assert {key: layout[key] for key in ("tp", "pp", "cp", "dp", "micro_batch", "zero_stage", "recompute")} == {
        "tp": 1,
        "pp": 1,
        "cp": 1,
        "dp": 32,
        "micro_batch": 2,
        "zero_stage": 3,
        "recompute": "full",
    }


def test_expert_parallelism_is_given_or_the_fastest_that_fits(report: Report) -> None:
    assert prediction("own-experts").layout["ep"] == 8
    assert found(report, "own-experts").kind == "MoE"
    assert prediction("own-any-experts").step_s <= prediction("own-experts").step_s


def test_tokens_per_second_become_a_step_time(report: Report) -> None:
    assert found(report, "own-tokens").measured == pytest.approx(128 * 8192 / (7800 * 64))


def test_tflops_become_a_step_time_by_the_stated_convention(report: Report) -> None:
    # Narayanan et al. 2021 (arXiv:2104.04473), section 5.1: 96 B s l h^2 (1 + s/6h + V/16lh), whose head is not
    # recomputed; our rule takes 4/3 of the whole, so the head's term is V/12lh.
    layers, hidden, vocab, sequence, batch = 44, 6144, 51200, 2048, 512
    flop = 96 * batch * sequence * layers * hidden**2
    flop *= 1 + sequence / (6 * hidden) + vocab / (12 * layers * hidden)
    assert found(report, "own-tflops").measured == pytest.approx(flop / (170e12 * 64), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("own-no-convention", "skipped", NO_METRIC),
        ("own-none", "skipped", NO_METRIC),
        ("own-no-shape", "skipped", "layers or hidden is blank, and the catalogue has no model of this name"),
        ("own-no-chip", "skipped", "no accelerator of the catalogue is known for 'Abacus 3000'"),
        ("own-no-batch", "skipped", "global_batch is blank"),
        ("own-too-small", "infeasible", "no legal layout fits into memory"),
        ("own-contradiction", "skipped", "gpus is not tp x pp x cp x dp: the columns contradict each other"),
        ("own-offload", "skipped", "optimizer or parameters offloaded to the host are not modelled"),
        (
            "own-odd-experts",
            "skipped",
            "ep does not divide experts and tp x cp x dp: the columns contradict each other",
        ),
        ("own-no-experts", "skipped", "ep is above 1 for a model without experts: the columns contradict each other"),
        ("own-hybrid", "skipped", "a model of linear attention alone is not modelled"),
    ],
)
def test_what_is_not_predicted_says_why(report: Report, name: str, status: str, reason: str) -> None:
    verdict = found(report, name)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert verdict.predicted is None
    assert verdict.ratio is None


def test_the_row_that_a_predictor_gets_has_no_metric() -> None:
    """Structure, not good will: the columns of a measurement are not among the fields of what is predicted."""
    # Of the notes a release at their beginning is read, and nothing else.
    told = {field.name for field in fields(Configuration)} - {"release"}
    hidden = {*METRIC_COLUMNS, *CONVENTION_COLUMNS, *UNREAD_COLUMNS}
    assert not told & hidden
    assert {field.name for field in fields(Measured)} <= hidden
    assert told | hidden == set(COLUMNS)
    assert predict.__annotations__["row"] == "Configuration"


@pytest.mark.parametrize("module", [sim.validate.training, sim.validate.machines, sim.validate.shapes])
def test_predictors_import_nothing_that_reads_measurements(module: object) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not {name for name in imported if name.startswith(("sim.validate.table", "sim.validate.steps"))}
    assert not imported & {"sim.validate.rows.Measured", "sim.validate.rows.measured"}


def test_other_measurements_give_the_same_predictions(report: Report, tmp_path: Path) -> None:
    """Change every measured value: predictions, states and reasons stay to the last bit."""
    draw = random.Random(7)
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in (*METRIC_COLUMNS, "notes"):
            if row.get(column):
                row[column] = f"{draw.uniform(0.001, 1000):.4f}"
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    changed_table = tmp_path / "changed.csv"
    changed_table.write_text(text.getvalue(), encoding="utf-8")
    changed = training(changed_table)
    for before, after in zip(report.verdicts, changed.verdicts, strict=True):
        assert (before.predicted, before.status, before.reason, before.plan) == (
            after.predicted,
            after.status,
            after.reason,
            after.plan,
        )
        assert before.measured is None or before.measured != after.measured


def test_none_is_operators_alone_and_faster_than_any_profile(report: Report) -> None:
    alone = training(TABLE, profile="none")
    assert found(alone, "own-given").predicted < found(report, "own-given").predicted  # type: ignore[operator]
    assert {row.profile for row in alone.of() if row.status == "ok"} == {"none"}
    one = training(TABLE, profile="fsdp")
    assert {row.profile for row in one.of() if row.status == "ok"} == {"fsdp"}


def test_a_group_is_kept_and_an_unknown_one_refused() -> None:
    assert len(training(TABLE, "own").of()) == 18
    with pytest.raises(UsageError, match="no rows of this group") as refused:
        training(TABLE, "owm")
    assert "'own'" in refused.value.mend
    with pytest.raises(CatalogError) as unknown:
        training(TABLE, profile="megatron-1999")
    assert "none" in unknown.value.mend


def test_given_layouts_that_seem_too_big_are_counted(report: Report) -> None:
    assert report.called_too_big is not None
    too_big, of = report.called_too_big
    assert (too_big, of) == (0, 8)


def test_measured_zeros_are_blanks(tmp_path: Path) -> None:
    table = tmp_path / "zero.csv"
    table.write_text("id,model,gpu,gpus,step_time_s\na,Llama-3.1-8B,H100,8,0\n", encoding="utf-8")
    (line,) = read(table, COLUMNS, REQUIRED)
    assert measured(line).step_time_s is None


def test_a_wrong_catalogue_file_is_an_error_and_no_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(row: Configuration, profile: str | None) -> Prediction:
        raise ScenarioError("unknown key", profile or row.model, "profiles/own.yaml:3:1")

    monkeypatch.setattr(sim.validate.steps, "predict", broken)
    sim.validate.steps._predicted.cache_clear()
    with pytest.raises(ScenarioError):
        training(TABLE)


def scheduled(schedule: str, **more: str) -> str:
    """Give the verdict of the given row under a pipeline of four stages, run by a schedule."""
    (line,) = (line for line in read(TABLE, COLUMNS, REQUIRED) if line.text("id") == "own-given")
    row = replace(configuration(line), pp=4, dp=None, micro_batch=1, global_batch=64, vpp=None, schedule=schedule)
    try:
        return str(predict(replace(row, **more)).layout.get("schedule", "1f1b"))
    except SimError as error:
        return error.rule


def test_pipeline_schedules_are_those_of_the_cost_model() -> None:
    assert [scheduled(name) for name in ("", "1F1B", "GPipe", "zero-bubble", "ZBV", "DualPipe")] == [
        "1f1b", "1f1b", "gpipe", "zb-h1", "zb-v", "dualpipe",
    ]  # fmt: skip
    assert scheduled("V-half") == "the pipeline schedule V-half is not modelled"
    assert "2 p - 1 micro-batches" in scheduled("ZBV", micro_batch=2)
