"""The JSON of an answer: every key that contracts.md promises, of the right type, within its bounds."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from sim.results.answer import Answer
from sim.results.answer_schema import ANSWER
from tests.helpers.answers import asked
from tests.helpers.command import printed

KINDS = {
    "object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "boolean": bool,
    "null": type(None),
}  # fmt: skip
PROMISED = {
    "answer": {"wall_clock_s", "device_hours"},
    "utilization": {"allocated", "busy", "ettr", "mfu_step", "mfu_run", "hfu_run"},
    "flop": {"model", "hardware", "executed"},
    "expected_loss": {"value", "p10", "p90"},
    "provenance": {"version", "seed", "scenario_sha256"},
}
ACCOUNTS = {
    "useful compute", "kernel inefficiency", "exposed tensor-parallel communication",
    "exposed context-parallel communication", "exposed expert-parallel communication",
    "exposed pipeline communication", "exposed data-parallel communication", "pipeline bubble", "recompute",
    "optimizer", "host", "checkpoint", "lost work", "restart", "waiting for repair", "waiting for input",
    "allocated idle", "free", "down",
}  # fmt: skip
"""Names of parts, as contracts.md lists them."""

QUESTIONS: dict[str, tuple[Any, ...]] = {
    "howlong": ("howlong", "1e24 FLOP", "1024xh100-sxm"),
    "howmany": ("howmany", "1e24 FLOP", "20 d", "h100-sxm"),
    "howmuch": ("howmuch", "20 d", "1024xh100-sxm"),
    "ideal": ("howlong", "5e25 FLOP", "humanity"),
    "given": ("howlong", "1e24 FLOP", "1024xh100-sxm", {"mfu": 1.0, "failure_rate": "0/h"}),
    "spares": (
        "howlong", "1e22 FLOP", "272xh100-sxm", {"spares": 2, "failure_rate": "1e-3/h", "repair": "2 d"}
    ),
    "fp8": ("howlong", "1e24 FLOP", "1024xh100-sxm", {"precision": "fp8"}),
    "fails often": ("howlong", "1e24 FLOP", "1024xh100-sxm", {"failure_rate": "3e-3/h"}),
}  # fmt: skip


@pytest.fixture(params=QUESTIONS)
def answer(request: pytest.FixtureRequest) -> Answer:
    *question, last = QUESTIONS[request.param]
    return asked(*question, **last) if isinstance(last, dict) else asked(*question, last)


def wrong(value: Any, schema: dict[str, Any], path: str = "answer") -> Iterator[str]:
    """Yield where a value breaks the schema: the part of JSON Schema that ours uses."""
    wanted = schema.get("type", [])
    kinds = tuple(KINDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))
    if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        yield f"{path}: {value!r} is no {wanted}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{path}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if isinstance(value, (int, float)) and not (math.isfinite(value) and least <= value <= most):
        yield f"{path}: {value!r} is out of bounds"
    if isinstance(value, dict):
        yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            yield from wrong(inner, known, f"{path}.{name}")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from wrong(inner, schema.get("items", {}), f"{path}[{index}]")


def test_the_checker_finds_what_is_wrong() -> None:
    data = asked(*QUESTIONS["howlong"]).to_dict()
    data["utilization"]["busy"] = 1.5
    del data["flop"]["model"]["bits16"]
    data["assumptions"][0]["given_by"] = "nobody"
    assert len(list(wrong(data, ANSWER))) == 3


def test_an_answer_keeps_to_its_schema(answer: Answer) -> None:
    assert list(wrong(answer.to_dict(), ANSWER)) == []


def test_every_promised_key_is_there(answer: Answer) -> None:
    data = answer.to_dict()
    for name, keys in PROMISED.items():
        assert keys <= set(data[name])
    for spread in (data["answer"]["wall_clock_s"], data["answer"].get("flop")):
        assert spread is None or set(spread) == {"expected", "p10", "p50", "p90"}
    for weighted in data["flop"].values():
        assert set(weighted) == {"operations", "bits16", "device_time16"}
    assert all(set(lever) == {"name", "from", "to", "wall_clock_s"} for lever in data["levers"])


def test_parts_sum_to_the_expected_time(answer: Answer) -> None:
    data = answer.to_dict()
    expected_s = data["answer"]["wall_clock_s"]["expected"]
    assert math.fsum(part["seconds"] for part in data["parts"]) == pytest.approx(expected_s, rel=1e-9)
    names = [part["name"] for part in data["parts"]]
    assert set(names) <= ACCOUNTS
    assert len(names) == len(set(names))


def test_shares_are_shares_and_in_order(answer: Answer) -> None:
    use = answer.utilization
    for share in (use.allocated, use.busy, use.ettr, use.mfu_step, use.mfu_run, use.hfu_run):
        assert 0 <= share <= 1
    assert use.mfu_run <= use.mfu_step * (1 + 1e-12)
    assert use.mfu_run <= use.hfu_run * (1 + 1e-12)
    assert use.mfu_run <= use.busy * (1 + 1e-12)
    assert use.busy <= use.allocated * (1 + 1e-12)


def test_counts_of_flop_are_in_order(answer: Answer) -> None:
    flop = answer.flop
    for scale in ("operations", "bits16", "device_time16"):
        model, hardware, executed = (getattr(flop[name], scale) for name in ("model", "hardware", "executed"))
        assert model <= hardware * (1 + 1e-12)
        assert hardware <= executed * (1 + 1e-12)


def test_interval_holds_the_middle(answer: Answer) -> None:
    wall = answer.wall_clock_s
    assert wall.p10 <= wall.p50 <= wall.p90
    assert wall.p10 <= wall.expected <= wall.p90
    assert answer.device_hours == pytest.approx(answer.plan["devices"] * wall.expected / 3600)


def test_no_run_is_faster_than_its_arithmetic_at_peak(answer: Answer) -> None:
    parts = dict(answer.parts)
    active = answer.plan["active_devices"] / answer.plan["devices"]
    assert parts["useful compute"] <= answer.wall_clock_s.expected * active * (1 + 1e-12)


def test_loss_has_its_band(answer: Answer) -> None:
    loss = answer.expected_loss
    assert 1.7 < loss.p10 < loss.value < loss.p90 < 5


@pytest.mark.parametrize(
    "command",
    [
        ("howlong", "1e22", "256xh100-sxm", "--seeds", "2"),
        ("howmany", "1e22", "10d", "h100-sxm", "--seeds", "2"),
        ("howmuch", "10d", "256xh100-sxm", "--seeds", "2"),
    ],
)
def test_what_is_printed_is_the_answer(command: tuple[str, ...]) -> None:
    data = printed(*command)
    assert list(wrong(data, ANSWER)) == []
    assert data["question"]["kind"] == command[0]
    if command[0] == "howmany":
        assert data["answer"]["count"] == 8 * data["answer"]["nodes"] == data["plan"]["devices"]
    if command[0] == "howmuch":
        assert data["answer"]["flop"]["expected"] == pytest.approx(data["flop"]["model"]["operations"], rel=1e-9)
