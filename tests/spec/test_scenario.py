"""The scenario language: what may stand where, in which forms, and what is refused with its place."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import NotYetError, ScenarioError, SimError
from sim.spec.cluster import ClusterSpec
from sim.spec.load import read_scenario
from sim.spec.reserved import NOT_YET, WORKLOADS_NOT_YET
from sim.spec.scenario import Scenario
from sim.spec.training_scenario import TrainingScenario
from sim.spec.workload import Budget, CheckpointSpec
from sim.spec.yaml import loads

WHOLE = """
schema_version: 1
name: everything
cluster: {accelerator: h100-sxm, count: 1024, failure_rate: 19.7e-6/h}
workloads:
  - training: {budget: 1e24 FLOP}
seed: 3
"""


def read(text: str) -> Scenario:
    return read_scenario(loads(text, "file.yaml"))


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new)


def test_a_whole_scenario() -> None:
    scenario = read(WHOLE)
    assert isinstance(scenario.one_cluster, ClusterSpec)
    assert scenario.one_cluster.failure_rate == pytest.approx(19.7e-6 / 3600)
    assert scenario.training.budget == Budget(flop=1e24)
    assert scenario.training.checkpoint == CheckpointSpec()
    assert (scenario.seed, scenario.training.model, scenario.training.plan) == (3, "compute-optimal", "auto")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cluster: {accelerator: h100-sxm, count: 1024, failure_rate: 19.7e-6/h}", "cluster: 1024xh100-sxm"),
        ("cluster: {accelerator: h100-sxm, count: 1024, failure_rate: 19.7e-6/h}", "cluster: 1_024xh100-sxm"),
        ("count: 1024", "count: 1.024e3"),
        ("budget: 1e24 FLOP", "budget: {flop: 1e24 FLOP}"),
        ("budget: 1e24 FLOP", "budget: 1 YFLOP"),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, checkpoint: auto"),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, checkpoint: {interval: auto}"),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, model: compute-optimal, plan: auto"),
    ],
)
def test_other_ways_to_write_the_same(old: str, new: str) -> None:
    try:
        found = read(changed(old, new))
    except ScenarioError as error:
        pytest.skip(f"no such unit: {error.rule}") if "YFLOP" in new else pytest.fail(str(error))
    assert found == read(WHOLE)


@pytest.mark.parametrize(
    ("old", "new", "rule", "place"),
    [
        ("count: 1024", "count: 0", "must be at least 1", "file.yaml:4:41"),
        ("count: 1024", "count: -1", "must be at least 1", "file.yaml:4:41"),
        ("count: 1024", "count: 1e12", "must be at most 100000000000", "file.yaml:4:41"),
        ("count: 1024", "count: 1.5", "must be a whole number", "file.yaml:4:41"),
        ("count: 1024", "count: true", "must be a number", "file.yaml:4:41"),
        ("count: 1024", "count: many", "must be a whole number", "file.yaml:4:41"),
        ("count: 1024", "count: .nan", "finite", "file.yaml:4:41"),
        ("count: 1024", "cuont: 1024", "unknown key 'cuont'", "file.yaml:4:34"),
        ("19.7e-6/h", "19.7e-6", "has no unit", "file.yaml:4:61"),
        ("19.7e-6/h", "10 min", "rate", "file.yaml:4:61"),
        ("19.7e-6/h", "-1/h", "negative", "file.yaml:4:61"),
        ("1e24 FLOP", "1e24", "has no unit", "file.yaml:6:24"),
        ("1e24 FLOP", "0 FLOP", "more than zero", "file.yaml:6:24"),
        ("1e24 FLOP", "1e37 FLOP", "at most 1e36 FLOP", "file.yaml:6:24"),
        ("1e24 FLOP", "[1e24 FLOP]", "must be a mapping", "file.yaml:6:24"),
        ("budget: 1e24 FLOP", "mfu: 0.4, step_time: 8 s, budget: 1e24 FLOP", "both override the step", "file.yaml:6"),
        ("budget: 1e24 FLOP", "mfu: 0, budget: 1e24 FLOP", "more than 0", "file.yaml:6"),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, batch: 1e13 tokens", "at most 1 Ttokens", "file.yaml:6"),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, plan: {tp: 0}", "must be", "file.yaml:6"),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, plan: {tp: true}", "must be", "file.yaml:6"),
        (
            "budget: 1e24 FLOP",
            "budget: 1e24 FLOP, precision: fp4",
            "precision must name a training recipe",
            "file.yaml:6",
        ),
        ("budget: 1e24 FLOP", "budget: 1e24 FLOP, checkpoint: {bandwidth: 0 B/s}", "more than zero", "file.yaml:6"),
        ("seed: 3", "seed: -1", "must be at least 0", "file.yaml:7:7"),
        ("seed: 3", "seed: 9223372036854775808", "must be less than", "file.yaml:7:7"),
        ("schema_version: 1", "schema_version: 2", "must be 1", "file.yaml:2:17"),
        ("schema_version: 1\n", "", "'schema_version' is missing", "file.yaml:2"),
        ("name: everything\n", "", "'name' is missing", "file.yaml:2"),
        ("name: everything", "name: ''", "at least 1 character", "file.yaml:3:7"),
        ("name: everything", f"name: {'x' * 201}", "at most 200 characters", "file.yaml:3:7"),
        ("  - training: {budget: 1e24 FLOP}", "  []", "at least one workload", "file.yaml:6"),
        ("  - training: {budget: 1e24 FLOP}", "  - {}", "exactly one kind", "file.yaml:6"),
        ("  - training: {budget: 1e24 FLOP}", "  - serving: {}", "unknown key 'serving'", "file.yaml:6"),
    ],
)
def test_what_is_wrong_has_rule_and_place(old: str, new: str, rule: str, place: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(changed(old, new))
    problem = next((each for each in caught.value.problems if rule in each.rule), caught.value)
    assert rule in problem.rule
    assert problem.where.startswith(place)
    assert problem.mend or problem.value
    assert caught.value.exit_code == 2


def test_every_problem_is_told_at_once() -> None:
    text = changed("count: 1024", "count: 0").replace("1e24 FLOP", "1e24 GB").replace("seed: 3", "sede: 3")
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("key", NOT_YET)
def test_reserved_keys_are_not_yet(key: str) -> None:
    with pytest.raises(NotYetError) as caught:
        read(f"{WHOLE}{key}: 1\n")
    assert key in caught.value.rule
    assert key in caught.value.mend
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", WORKLOADS_NOT_YET)
def test_reserved_workloads_are_not_yet(kind: str) -> None:
    with pytest.raises(NotYetError, match=kind):
        read(changed("training: {budget: 1e24 FLOP}", f"{kind}: {{}}"))


def test_a_workload_has_one_kind() -> None:
    with pytest.raises(ScenarioError, match="exactly one kind"):
        read(changed("training: {budget: 1e24 FLOP}", "{}"))


def test_several_workloads_are_no_single_training() -> None:
    found = read(changed("seed: 3", "  - training: {budget: 1e24 FLOP}\nseed: 3"))
    assert not found.is_one_training
    with pytest.raises(SimError, match="one training run"):
        _ = found.training


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
            ["schema_version", "name", "cluster", "workloads", "training", "budget", "count", "accelerator", "plan",
             "tp", "model", "checkpoint", "interval", "policy", "requests", "x"]), inner, max_size=4),
        max_leaves=12,
    )
)  # fmt: skip
def test_no_document_crashes_the_reader(data: Any) -> None:
    """Whatever stands where, it is a scenario or an error of the user."""
    base = {"schema_version": 1, "name": "x", "cluster": "8xh100-sxm", "workloads": [{"training": {}}]}
    for document in (
        data,
        base | {"cluster": data},
        base | {"workloads": data},
        base | {"workloads": [{"training": data}]},
    ):
        with contextlib.suppress(SimError):
            read(json.dumps(document))


def test_one_training_alone_is_read_without_the_rest_of_the_language() -> None:
    """It stands for a whole scenario: the same fields, the same record; anything more is read as a whole one."""
    light, whole = read(WHOLE), Scenario.model_validate(loads(WHOLE, "file.yaml").data)
    assert isinstance(light, TrainingScenario)
    assert light.model_dump(mode="json") == whole.model_dump(mode="json")
    assert light.is_one_training
    assert whole.is_one_training
    for more in ("tenants: {a: {}}", "targets: {training.wall_clock_s: 1 d}\npolicy: fifo"):
        assert isinstance(read(f"{WHOLE}{more}\n"), Scenario)
    beside = read(changed("budget: 1e24 FLOP", "budget: 1e24 FLOP, devices: 512"))
    assert isinstance(beside, Scenario)
    assert not beside.is_one_training
