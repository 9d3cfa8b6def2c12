"""Comparing two results: what changed in what was said, what changed in what came out, and which did which."""

import json
from functools import cache
from pathlib import Path

import pytest

from sim.errors import UsageError
from sim.results.compare import compare
from sim.results.quantities import quantities
from sim.results.record import Record
from sim.spec.load import load_document, read_scenario
from sim.study.attribution import attribute
from sim.study.predict import expected_s
from sim.study.scenarios import run_scenario
from tests.helpers.browser import opened
from tests.helpers.command import call

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "scenarios" / "training" / "llama-3.1-405b.yaml"


@cache
def played(*changes: str) -> Record:
    document = load_document(FILE, changes)
    return run_scenario(read_scenario(document), document=document).record


CHECKPOINT = "workloads.0.training.checkpoint=1 h"
BATCH = "workloads.0.training.batch=33554432 tokens"


def test_a_result_is_the_same_as_itself() -> None:
    found = compare(played(), played())
    assert found.inputs == found.outputs == found.parts == ()


def test_inputs_and_outputs_that_changed_are_listed() -> None:
    found = compare(played(), played(CHECKPOINT))
    assert [each.path for each in found.inputs] == ["workloads.0.training.checkpoint.interval"]
    assert (found.inputs[0].before, found.inputs[0].after) == ("auto", "1 h")
    paths = [each.path for each in found.outputs]
    assert "answer.wall_clock_s.expected" in paths
    assert "model.parameters" not in paths
    headlines = [each.effect for each in found.outputs if each.path.startswith(("answer.", "energy_j", "utilization."))]
    assert headlines == sorted(headlines, reverse=True)


def test_the_parts_sum_to_the_difference_of_the_whole() -> None:
    one, two = played(), played(CHECKPOINT)
    found = compare(one, two)
    name = "answer.wall_clock_s.expected"
    difference = quantities(two)[name] - quantities(one)[name]
    assert sum(each.after - each.before for each in found.parts) == pytest.approx(difference, rel=1e-9)
    sizes = [abs(each.after - each.before) for each in found.parts]
    assert sizes == sorted(sizes, reverse=True)


def test_a_single_change_has_the_whole_effect() -> None:
    found = attribute(played(), played(CHECKPOINT))
    assert [each.path for each in found.effects] == ["workloads.0.training.checkpoint.interval"]
    only = found.effects[0]
    assert only.on_first == pytest.approx(found.second - found.first, rel=1e-9)
    assert only.on_second == pytest.approx(found.second - found.first, rel=1e-9)
    assert found.together == pytest.approx(0, abs=1e-6 * found.first)


def test_of_several_changes_each_is_swapped_alone() -> None:
    found = attribute(played(), played(CHECKPOINT, BATCH))
    effects = {each.path: each for each in found.effects}
    assert set(effects) == {"workloads.0.training.checkpoint.interval", "workloads.0.training.batch"}
    alone = read_scenario(load_document(FILE, [BATCH]))
    expected = expected_s(alone.cluster, alone.training) - found.first
    assert effects["workloads.0.training.batch"].on_first == pytest.approx(expected, rel=1e-9)
    whole = sum(each.on_first or 0 for each in found.effects) + found.together
    assert whole == pytest.approx(found.second - found.first, rel=1e-9)


def test_what_cannot_be_attributed_is_refused() -> None:
    bare = Record(played().result)
    with pytest.raises(UsageError, match="no scenario"):
        attribute(bare, bare)
    with pytest.raises(UsageError, match="no such figure"):
        attribute(played(), played(CHECKPOINT), "nothing")


def test_the_command(tmp_path: Path) -> None:
    played().write(tmp_path / "a", tables="none")
    played(CHECKPOINT, BATCH).write(tmp_path / "b", tables="none")
    outcome = call("compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert outcome.exit_code == 0, outcome.stderr
    assert "training.checkpoint.interval: auto -> 1 h" in " ".join(outcome.stdout.split())
    assert "--attribute" in outcome.stdout
    data = json.loads(call("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--attribute", "--json").stdout)
    assert len(data["attribution"]["effects"]) == 2
    assert "Nothing changed" in call("compare", str(tmp_path / "a"), str(tmp_path / "a")).stdout
    assert call("compare", str(tmp_path / "a"), str(tmp_path / "none")).exit_code == 2


def test_both_stand_on_one_page(tmp_path: Path) -> None:
    played().write(tmp_path / "a", tables="csv")
    played(CHECKPOINT).write(tmp_path / "b", tables="csv")
    page = tmp_path / "page.html"
    outcome = call("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--html", str(page))
    assert outcome.exit_code == 0, outcome.stderr
    assert f"page: {page}" in outcome.stderr
    html = page.read_text(encoding="utf-8")
    assert [html.index(f'<section id="{name}"') for name in ("inputs", "changes", "time", "figures")]
    assert "workloads.0.training.checkpoint.interval" in html
    assert "A: Where the device time goes" in html
    assert "B: Where the device time goes" in html
    assert call("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--html", str(page)).exit_code == 2
    with opened(page, tmp_path / "profile", width=390) as tab:
        assert tab.problems == []
        assert tab.value("document.documentElement.scrollWidth") <= 390


def test_what_the_sentence_says_comes_before_the_many_other_figures() -> None:
    def service(name: str, p99_s: float, iterations: float) -> Record:
        values = {
            "chat.ttft_s.p99": {"value": p99_s, "unit": "s"},
            "chat.iterations": {"value": iterations, "unit": ""},
            "chat.retries": {"value": iterations - 1, "unit": ""},
        }
        return Record({"kind": "run", "name": name, "sentence": "", "values": values})

    found = compare(service("a", 1.0, 2.0), service("b", 1.1, 1.0))
    assert [each.path for each in found.outputs] == ["chat.ttft_s.p99", "chat.retries", "chat.iterations"]
    assert [each.shown for each in found.outputs] == ["+10.0%", "-100.0%", "-50.0%"]
