"""`sim show scaling`."""

from __future__ import annotations

import json

import pytest

from tests.helpers.command import call


def test_laws_and_budgets_agree_with_their_anchors() -> None:
    """At its anchor each law gives the published pair back, and D = C / 6N everywhere."""
    shown = json.loads(call("show", "scaling", "--json").stdout)
    anchors = {law["name"]: law for law in shown["laws"]}
    for row in shown["budgets"]:
        law = anchors[row["law"]]
        scaled = law["anchor_tokens"] * (row["flop"] / law["anchor_flop"]) ** law["exponent"]
        assert row["tokens"] == pytest.approx(scaled)
        assert 6 * row["parameters"] * row["tokens"] == pytest.approx(row["flop"])
        assert row["loss"]["p10"] < row["loss"]["value"] < row["loss"]["p90"]
    assert anchors["llama3"]["anchor_tokens"] == 16.55e12


def test_text_names_sources_and_extrapolation() -> None:
    """People see which law, from where, and where it is beyond its data."""
    text = call("show", "scaling").stdout
    assert "arXiv:2407.21783" in text
    assert "arXiv:2203.15556" in text
    assert "beyond fit" in text
    assert max(len(line) for line in text.splitlines()) <= 82
