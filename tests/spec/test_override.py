"""--set path=value: what it changes, what it adds, what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ScenarioError, SimError, UsageError
from sim.spec.yaml import apply_override, loads

TEXT = """\
name: x
cluster: {count: 8, fabric: null}
workloads:
  - training: {name: frontier, budget: 1e26 FLOP}
  - name: chat
targets: {chat.ttft_s.p99: 1 s}
"""


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("cluster.count=4096", ("cluster", "count"), 4096),
        (" cluster.count = 4096 ", ("cluster", "count"), 4096),
        ("cluster.count=4e3", ("cluster", "count"), 4000.0),
        ("workloads.0.training.budget=15e12 tokens", ("workloads", 0, "training", "budget"), "15e12 tokens"),
        ("seed=7", ("seed",), 7),
        ("policy.name=fifo", ("policy", "name"), "fifo"),
        ("cluster.fabric.name=x", ("cluster", "fabric", "name"), "x"),
        ("targets.chat.ttft_s.p99=2 s", ("targets", "chat.ttft_s.p99"), "2 s"),
        ("cluster={count: 5}", ("cluster",), {"count": 5}),
        ("workloads=[]", ("workloads",), []),
        ("name=a=b", ("name",), "a=b"),
        ("name=null", ("name",), None),
        ("name=no", ("name",), "no"),
    ],
)
def test_sets(assignment, path, value):
    before = loads(TEXT, "a.yaml")
    after = apply_override(before, assignment)
    found = after.data
    for step in path:
        found = found[step]
    assert found == value
    assert str(after.position(path)) == f"--set {assignment.split('=')[0].strip()}"
    assert after.snippet(path) == ""
    assert before.data == loads(TEXT).data
    # What was not touched keeps its place.
    assert str(after.position(("name",))) == ("a.yaml:1:7" if path != ("name",) else "--set name")


def test_sets_one_after_the_other():
    read = loads(TEXT, "a.yaml")
    for assignment in ("cluster.count=1", "cluster.nodes=2", "cluster.count=3"):
        read = apply_override(read, assignment)
    assert read.data["cluster"] == {"count": 3, "fabric": None, "nodes": 2}
    assert str(read.position(("cluster", "nodes"))) == "--set cluster.nodes"
    assert str(read.position(("cluster", "nodes"), key=True)) == "--set cluster.nodes"


@pytest.mark.parametrize("assignment", ["", "a", "=5", "a..b=5", ".a=5", "a.=5", "a=" + "x" * 10_001])
def test_needs_path_and_value(assignment):
    with pytest.raises(UsageError, match="--set takes path=value"):
        apply_override(loads(TEXT), assignment)


@pytest.mark.parametrize(
    ("assignment", "rule", "mend"),
    [
        ("name.first=x", "the value that should hold 'first' has no parts", "set the whole value"),
        ("workloads.2.name=x", "the list here has 2 entries", "count from 0 to 1"),
        ("workloads.-1.name=x", "the list here has 2 entries", "count from 0 to 1"),
        ("workloads.²=x", "the list here has 2 entries", "count from 0 to 1"),
        ("workloads.chat.name=x", "the list here has 2 entries", "for 'chat' write 0"),
        ("cluster={a", "not closed", "close it"),
        ("cluster=", "there is nothing in it", ""),
        ("cluster=.nan", "a number is finite", ""),
    ],
)
def test_refuses(assignment, rule, mend):
    with pytest.raises(ScenarioError) as caught:
        apply_override(loads(TEXT), assignment)
    assert rule in caught.value.rule
    assert mend in caught.value.mend
    assert caught.value.where == f"--set {assignment.split('=')[0]}"


@given(path=st.text(alphabet="abcount.0123lusterwoka=", max_size=40), value=st.text(max_size=40))
def test_any_assignment_is_a_document_or_an_error_of_ours(path, value):
    given_text, problem = f"{path}={value}", None
    try:
        assert isinstance(apply_override(loads(TEXT), given_text).data, dict)
    except SimError as error:
        problem = error
    assert problem is None or problem.where.startswith("--set")
