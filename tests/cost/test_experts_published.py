"""Published steps of models with experts: how far off, on all rows with a given layout; nothing is tuned by row."""

import pytest

from sim.validate.steps import training
from tests.helpers.shared_data import SHARED, shared_rows


@pytest.mark.parametrize(
    ("profile", "median", "p90", "bias"),
    # Operators alone: 33 and 48 %, all of it too fast; the feasibility study got 35 and 39 %.
    [("none", 0.34, 0.50, -0.20), (None, 0.09, 0.30, 0.05)],
)
def test_steps_of_models_with_experts(profile: str | None, median: float, p90: float, bias: float) -> None:
    shared_rows("truth/training.csv")
    score = training(SHARED / "truth" / "training.csv", profile=profile).by("kind")["MoE"]
    assert score.n >= 100
    assert score.median_ape is not None
    assert score.median_ape < median
    assert score.p90_ape is not None
    assert score.p90_ape < p90
    assert score.bias is not None
    assert score.bias < bias
