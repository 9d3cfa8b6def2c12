"""From document to model: every wrong place at once, in the order of the file, with what to write instead."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator, model_validator

from sim.errors import CatalogError, ScenarioError, SimError
from sim.spec.quantity import Budget, FrozenModel, PositiveCount, Seconds, SourcedBytes
from sim.spec.schema import about, models_at
from sim.spec.yaml import apply_override, loads, validate


class Cluster(FrozenModel):
    """A cluster."""

    accelerator: Annotated[str, Field(pattern="^[a-z0-9-]+$", max_length=20)]
    """Name of the accelerator in the catalogue."""
    count: PositiveCount
    """How many accelerators."""
    memory: SourcedBytes | None = None
    """Memory of each."""


class Layout(FrozenModel):
    """A layout."""

    tp: Annotated[int, Field(ge=1, le=8)] = 1
    """Tensor parallel degree."""
    zero: bool = False
    """Whether replicas share the optimizer."""


class Training(FrozenModel):
    """A training."""

    name: str
    """Name."""
    budget: Budget
    """How much."""
    plan: Literal["auto", "fixed"] | Layout = "auto"
    """How it is laid out."""
    scale: Annotated[float, Field(gt=0, lt=3)] = 1.0
    """A factor."""

    @field_validator("name")
    @classmethod
    def _no_spaces(cls, name: str) -> str:
        if " " in name:
            raise ValueError("a name has no spaces")
        return name


class Workload(FrozenModel):
    """A workload."""

    training: Training | None = None
    """Training."""
    at: Seconds = 0.0
    """Start."""


class Scenario(FrozenModel):
    """A scenario."""

    schema_version: Literal[1] = 1
    """Version."""
    cluster: str | Cluster
    """Cluster."""
    workloads: tuple[Workload, ...] = Field(default=(), max_length=5)
    """Work."""
    targets: dict[str, Seconds] = Field(default_factory=dict)
    """Targets."""

    @model_validator(mode="after")
    def _known(self) -> "Scenario":
        if self.cluster == "unknown":
            raise CatalogError("no such cluster", "unknown", mend="sim list clusters")
        return self


CLUSTER = "cluster: {accelerator: h100-sxm, count: 8}\n"


def problems(text, *assignments, model=Scenario):
    document = loads(text, "a.yaml")
    for assignment in assignments:
        document = apply_override(document, assignment)
    with pytest.raises(ScenarioError) as caught:
        validate(model, document)
    assert caught.value.rule == caught.value.problems[0].rule
    return [(problem.where, problem.rule, problem.mend) for problem in caught.value.problems]


def test_builds_the_model_in_si():
    read = validate(
        Scenario,
        loads(CLUSTER + "workloads:\n  - training: {name: f, budget: 1e26 FLOP, plan: {tp: 8}}\n    at: 3 d\n"),
    )
    assert read.workloads[0].at == 259_200.0
    assert read.workloads[0].training.budget.value == 1e26
    assert read.workloads[0].training.plan == Layout(tp=8)


def test_builds_a_part_of_a_document():
    document = loads("all:\n  - accelerator: a\n    count: 0\n", "a.yaml")
    with pytest.raises(ScenarioError) as caught:
        validate(Cluster, document, at=("all", 0))
    assert caught.value.where == "a.yaml:3:12"
    assert caught.value.rule.startswith("count: '0' is not a whole number")


@pytest.mark.parametrize(
    ("text", "where", "rule", "mend"),
    [
        (
            "cluster: {acelerator: x, count: 8}",
            "a.yaml:1:11",
            "unknown key 'acelerator' in cluster",
            "did you mean 'accelerator'?",
        ),
        (CLUSTER + "zzz: 1", "a.yaml:2:1", "unknown key 'zzz'", "keys here: schema_version, cluster, workloads"),
        (
            "cluster: {accelerator: x}",
            "a.yaml:1:10",
            "'count' is missing in cluster",
            "add 'count': How many accelerators.",
        ),
        ("targets: {}", "a.yaml:1:1", "'cluster' is missing", "add 'cluster': Cluster."),
        (
            "cluster: {accelerator: x, \u0441ount: 8}",
            "a.yaml:1:27",
            "unknown key '\u0441ount' in cluster",
            "did you mean 'count'? it holds U+0441 CYRILLIC SMALL LETTER ES, which is not a letter of any key",
        ),
        ("cluster: {accelerator: H100, count: 8}", "a.yaml:1:24", "cluster.accelerator: must have the form", ""),
        ("cluster: {accelerator: 100, count: 8}", "a.yaml:1:24", "cluster.accelerator: must be text", "quotes: '100'"),
        (
            "cluster: {accelerator: " + "x" * 21 + ", count: 8}",
            "a.yaml:1:24",
            "cluster.accelerator: must have at most 20 characters",
            "Name of the accelerator in the catalogue.",
        ),
        (
            "cluster: {accelerator: x, count: 5 GB}",
            "a.yaml:1:34",
            "cluster.count: '5 GB' is an amount of data",
            "24576",
        ),
        (
            "cluster: {accelerator: x, count: 5, memory: {value: 3 d, source: x, status: read}}",
            "a.yaml:1:53",
            "cluster.memory.value: '3 d' is a time; an amount of data is needed here",
            "80 GB",
        ),
        ("cluster: 5", "a.yaml:1:10", "cluster: must be text or must be a mapping (key: value)", "quotes: '5'"),
        (CLUSTER + "schema_version: 2", "a.yaml:2:17", "schema_version: must be 1", ""),
        (CLUSTER + "workloads: {a: 1}", "a.yaml:2:12", "workloads: must be a list", ""),
        (CLUSTER + "workloads: [1]", "a.yaml:2:13", "workloads.0: must be a mapping (key: value)", ""),
        (CLUSTER + "workloads: [{}, {}, {}, {}, {}, {}]", "a.yaml:2:12", "workloads: must have at most 5 entries", ""),
        (CLUSTER + "workloads: [{at: 12 GB}]", "a.yaml:2:18", "workloads.0.at: '12 GB' is an amount of data", "3 d"),
        (CLUSTER + "targets: {chat: 5}", "a.yaml:2:17", "targets.chat: '5' has no unit", "3 d"),
        (CLUSTER + "targets: [5]", "a.yaml:2:10", "targets: must be a mapping (key: value)", ""),
        ("[]", "a.yaml:1:1", "must be a mapping (key: value)", ""),
        ("text", "a.yaml:1:1", "must be a mapping (key: value)", ""),
        ("~", "a.yaml:1:1", "must be a mapping (key: value)", ""),
    ],
)
def test_one_wrong_place(text, where, rule, mend):
    [problem] = problems(text)
    assert problem[0] == where
    assert rule in problem[1]
    assert mend in problem[2]


@pytest.mark.parametrize(
    ("fields", "rule", "mend"),
    [
        ("plan: aut", "plan: must be 'auto' or 'fixed'", "did you mean 'auto'?"),
        ("plan: 5", "plan: must be 'auto' or 'fixed'", ""),
        ("plan: {zeroo: 8}", "unknown key 'zeroo' in workloads.0.training.plan", "did you mean 'zero'?"),
        ("plan: {tq: 8}", "unknown key 'tq' in workloads.0.training.plan", "keys here: tp, zero"),
        ("plan: {tp: 9}", "plan.tp: must be at most 8", "Tensor parallel degree."),
        ("plan: {tp: 0}", "plan.tp: must be at least 1", "Tensor parallel degree."),
        ("plan: {tp: x}", "plan.tp: must be a whole number", "Tensor parallel degree."),
        ("plan: {tp: 1.5}", "plan.tp: must be a whole number", "Tensor parallel degree."),
        ("plan: {zero: maybe}", "plan.zero: must be true or false", "Whether replicas share the optimizer."),
        ("scale: 0", "scale: must be more than 0", "A factor."),
        ("scale: 3", "scale: must be less than 3", "A factor."),
        ("scale: nan", "scale: must be a finite number", "A factor."),
        ("scale: [1]", "scale: must be a number", "A factor."),
        ("name: a b", "name: a name has no spaces", "Name."),
    ],
)
def test_one_wrong_field(fields, rule, mend):
    training = {"name": "f", "budget": "1 FLOP"} | dict([fields.split(": ", 1)])
    text = CLUSTER + "workloads:\n- training:\n" + "".join(f"    {key}: {value}\n" for key, value in training.items())
    [problem] = problems(text)
    assert rule in problem[1]
    assert mend in problem[2]


def test_all_wrong_places_come_at_once_in_the_order_of_the_file():
    text = "workloads:\n- at: 12 GB\n- training: {budget: 1e26}\ncluster: {count: -1}\nextra: 1\n"
    found = problems(text)
    assert [where for where, _, _ in found] == [
        "a.yaml:2:7",
        "a.yaml:3:13",
        "a.yaml:3:22",
        "a.yaml:4:10",
        "a.yaml:4:18",
        "a.yaml:5:1",
    ]


def test_the_message_shows_the_line_with_a_caret():
    with pytest.raises(ScenarioError) as caught:
        validate(Scenario, loads("cluster: {accelerator: x, count: 5 GB}", "a.yaml"))
    assert str(caught.value) == (
        "a.yaml:1:34: cluster.count: '5 GB' is an amount of data; a number without a unit is needed here\n"
        "    1 | cluster: {accelerator: x, count: 5 GB}\n"
        "      |                                  ^\n"
        "  mend:  write it like '24576'"
    )


def test_a_wrong_override_names_the_argument():
    assert problems(CLUSTER, "cluster.count=5 GB") == [
        (
            "--set cluster.count",
            "'5 GB' is an amount of data; a number without a unit is needed here",
            "write it like '24576'",
        )
    ]
    assert problems(CLUSTER, "cluster.coutn=5") == [
        ("--set cluster.coutn", "unknown key 'coutn' in cluster", "did you mean 'count'?")
    ]
    assert problems(CLUSTER, "clutser.count=5") == [
        ("--set clutser.count", "unknown key 'clutser'", "did you mean 'cluster'?")
    ]


def test_a_long_list_of_problems_is_cut():
    found = problems(CLUSTER + "\n".join(f"key{index}: 1" for index in range(500)))
    assert len(found) == 21
    assert found[-1] == ("a.yaml", "480 more problems are not listed", "")


def test_an_error_of_ours_from_a_validator_gets_its_place():
    with pytest.raises(CatalogError) as caught:
        validate(Scenario, loads("cluster: unknown", "a.yaml"))
    assert caught.value.where == "a.yaml:1:1"
    assert caught.value.mend == "sim list clusters"


def test_the_schema_is_found_through_unions_lists_and_mappings():
    location = ("workloads", 3, "training", "plan", "Layout", "tp")
    assert models_at(Scenario, location[:-1]) == [Layout]
    assert about(Scenario, location) == "Tensor parallel degree."
    assert about(Scenario, ("workloads", 3)) == ""
    assert about(Scenario, ()) == ""
    assert models_at(Scenario, ("cluster",)) == [Cluster]
    assert models_at(Scenario, ("targets", "x")) == []
    assert about(Scenario, ("workloads", "zzz", "at", "at")) == ""


class Ring(FrozenModel):
    """A ring."""

    kind: Literal["ring"]
    """Kind."""


class Tree(FrozenModel):
    """A tree."""

    kind: Literal["tree"]
    """Kind."""
    fan: int
    """Fan."""


class Network(FrozenModel):
    """A choice told apart by a key."""

    shape: Annotated[Ring | Tree, Field(discriminator="kind")]
    """Shape."""


@pytest.mark.parametrize(
    ("text", "where", "rule"),
    [
        ("shape: {kind: star}", "a.yaml:1:8", "shape: must be one of 'ring', 'tree'"),
        ("shape: {kind: tree, fan: x}", "a.yaml:1:26", "shape.fan: must be a whole number"),
        ("shape: {kind: tree, fan: 1, fam: 2}", "a.yaml:1:29", "unknown key 'fam' in shape"),
        ("shape: {kind: ring, fan: 2}", "a.yaml:1:21", "unknown key 'fan' in shape"),
    ],
)
def test_a_choice_told_apart_by_a_key(text, where, rule):
    [problem] = problems(text, model=Network)
    assert problem[:2] == (where, rule)


def test_an_error_of_ours_that_knows_its_place_keeps_it():
    class Placed(FrozenModel):
        """A model whose validator knows the place."""

        a: int
        """A number."""

        @model_validator(mode="after")
        def _refuse(self) -> "Placed":
            raise CatalogError("no such name", "x", "b.yaml:7:1")

    with pytest.raises(CatalogError) as caught:
        validate(Placed, loads("a: 1", "a.yaml"))
    assert caught.value.where == "b.yaml:7:1"


PARTS: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("1e26 FLOP")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["cluster", "workloads", "training", "at", "plan", "tp", "name", "budget", "targets", "x"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=15,
)


@given(data=PARTS)
def test_any_data_is_a_model_or_an_error_of_ours_with_places(data):
    import json

    problem = None
    try:
        validate(Scenario, loads(json.dumps(data).replace("NaN", ".nan").replace("Infinity", ".inf"), "a.yaml"))
    except SimError as error:
        problem = error
    for part in getattr(problem, "problems", ()):
        assert part.where.startswith("a.yaml:")
        assert part.rule
