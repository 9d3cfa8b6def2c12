"""Waits and makespans of a synthetic batch trace that others published, to the last digit."""

import pytest

from sim.engine.cluster.policies.easy import Easy
from sim.engine.cluster.policies.fifo import Fifo
from sim.engine.cluster.policies.shortest import Shortest
from sim.engine.cluster.policy import Policy
from tests.helpers.cluster import lublin, makespan_s, mean_wait_s, play

FIGURES = [
    (Fifo, 1_000, 158_270.95, 1_519_735),
    (Shortest, 1_000, 19_212.42, 1_291_198),
    (Easy, 1_000, 11_045.20, 1_156_731),
    (Fifo, 10_000, 2_388_443.76, 12_482_549),
    (Shortest, 10_000, 275_304.22, 11_359_058),
    (Easy, 10_000, 97_155.99, 8_730_698),
]


@pytest.mark.parametrize(("policy", "count", "wait_s", "span_s"), FIGURES)
def test_lublin(policy: type[Policy], count: int, wait_s: float, span_s: float) -> None:
    recording = play(lublin(count), policy(), devices=256)
    assert mean_wait_s(recording) == pytest.approx(wait_s, abs=0.0051)
    assert makespan_s(recording) == span_s
