"""What was assumed: each value with its unit, its source, and who gave it."""

import re
from typing import Any

import pytest

from sim.results.answer import Answer
from sim.spec.defaults import DEFAULTS
from sim.units import DIMENSIONS
from tests.helpers.answers import asked

QUESTION = ("howlong", "1e24 FLOP", "1024xh100-sxm")
NOT_SHIPPED = re.compile(r"\.\./|shared/|findings|training\.csv|feasibility|/work|\btmp\b", re.IGNORECASE)
"""Users have the catalogue and the papers; they do not have our notes."""


def rows(answer: Answer) -> dict[str, Any]:
    return {row.path: row for row in answer.assumptions}


@pytest.fixture(
    params=[
        QUESTION,
        ("howlong", "5e25 FLOP", "humanity"),
        ("howlong", "1e22 FLOP", "1024xv100-sxm2-32gb", "fp16"),
        ("howlong", "1e23 FLOP", "1024xtpu-v5p"),
        ("howlong", "1e23 FLOP", "1024xmi300x"),
        ("howlong", "1e23 FLOP", "512xgb200"),
    ],
    ids=lambda question: question[2],
)
def answer(request: pytest.FixtureRequest) -> Answer:
    question, budget, on, *precision = request.param
    return asked(question, budget, on, **({"precision": precision[0]} if precision else {}))


def test_every_assumption_has_source_unit_and_giver(answer: Answer) -> None:
    for row in answer.to_dict()["assumptions"]:
        assert row["source"].strip(), row["path"]
        assert row["given_by"] in ("default", "user", "catalogue")
        assert isinstance(row["value"], str if not isinstance(row["value"], float) else float), row["path"]
        assert isinstance(row["unit"], str)
        assert not NOT_SHIPPED.search(row["source"]), row


def test_each_is_said_once(answer: Answer) -> None:
    paths = [row.path for row in answer.assumptions]
    assert len(paths) == len(set(paths))


def test_without_options_nothing_is_the_users() -> None:
    assert {row.given_by for row in asked(*QUESTION).assumptions} == {"default", "catalogue"}


def test_defaults_are_those_of_the_table() -> None:
    found = rows(asked(*QUESTION))
    computed = {"training.plan", "training.checkpoint.interval"}  # shown as what auto came to
    checked = 0
    for path, default in DEFAULTS.items():
        if path in found and path not in computed and found[path].given_by == "default":
            assert found[path].value == default.value, path
            assert found[path].source == default.source
            checked += 1
    assert checked >= 10


def test_every_default_that_shapes_this_run_is_said() -> None:
    found = rows(asked(*QUESTION))
    apart = {
        "training.model", "training.law",  # in the source of the parameters
        "cluster.repair", "cluster.node_loss_share",  # with spares only
    }  # fmt: skip
    assert set(DEFAULTS) - apart <= set(found)
    with_spares = rows(asked("howlong", "1e22 FLOP", "272xh100-sxm", spares=2, failure_rate="1e-3/h", repair="2 d"))
    assert {"cluster.repair", "cluster.node_loss_share"} <= set(with_spares)


@pytest.mark.parametrize(
    ("option", "given", "path", "value"),
    [
        ("batch", "4e6 tokens", "training.batch", 4e6),
        ("sequence", 4096, "training.sequence", 4096.0),
        ("precision", "fp8", "training.precision", "fp8"),
        ("mfu", "40 %", "training.mfu", 0.4),
        ("step_time", "20 s", "training.step_time", 20.0),
        ("checkpoint", "1 h", "training.checkpoint.interval", None),
        ("fabric", "infiniband-ndr200", "cluster.fabric", "infiniband-ndr200"),
        ("failure_rate", "1e-4/h", "cluster.failure_rate", 1e-4 / 3600),
        ("restart", "5 min", "cluster.restart", 300.0),
        ("price", "3.6 USD/h", "cluster.price", 1e-3),
        ("model", "llama-3.1-8b", "training.model.parameters", 8_030_261_248.0),
        ("node", "hgx-h200", "cluster.node", "hgx-h200"),
    ],
)
def test_what_the_user_gave_is_said_to_be_the_users(option: str, given: Any, path: str, value: Any) -> None:
    row = rows(asked(*QUESTION, **{option: given}))[path]
    assert row.given_by == "user"
    if value is not None:
        assert row.value == pytest.approx(value) if isinstance(value, float) else row.value == value
    others = [other.path for other in asked(*QUESTION, **{option: given}).assumptions if other.given_by == "user"]
    assert all(other.startswith((path, "training.model", "training.tokens")) for other in others)


def test_given_spares_and_repair_are_the_users() -> None:
    found = rows(asked("howlong", "1e22 FLOP", "272xh100-sxm", spares=2, failure_rate="1e-3/h", repair="2 d"))
    assert (found["cluster.spares"].value, found["cluster.spares"].given_by) == (2.0, "user")
    assert (found["cluster.repair"].value, found["cluster.repair"].given_by) == (172_800.0, "user")
    assert found["cluster.node_loss_share"].given_by == "default"


def test_tokens_of_the_user() -> None:
    for options in ({"tokens": 1e12}, {}):
        budget = () if options else ("1e12 tokens",)
        found = rows(asked("howlong", *(budget or (None,)), "256xh100-sxm", model="llama-3.1-8b", **options))
        row = found["training.tokens"]
        assert (row.value, row.given_by, row.source) == (1e12, "user", "given by you")


def test_a_batch_that_holds_no_whole_sequences_is_said() -> None:
    found = rows(asked(*QUESTION, batch=4e6))
    assert found["training.batch.whole"].value == 488 * 8192


def test_a_catalogue_cluster_names_its_own_fabric() -> None:
    row = rows(asked("howlong", "1e12 tokens", "meta-16k-llama3", model="llama-3.1-8b"))["cluster.fabric"]
    assert row.value != ""
    assert row.given_by in ("catalogue", "user")


def test_values_are_shown_with_their_units() -> None:
    found = rows(asked(*QUESTION))
    shown = {path: found[path].shown for path in ("training.batch", "cluster.restart", "cluster.failure_rate")}
    assert shown == {
        "training.batch": "16.8 Mtokens",
        "cluster.restart": "10 min",
        "cluster.failure_rate": "19.7 per 1e6 device-hours",
    }
    for row in found.values():
        assert row.dimension in DIMENSIONS or row.dimension in ("name", "ratio")
