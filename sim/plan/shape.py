"""A dense transformer of a wanted size, with the proportions that published models have."""

from __future__ import annotations

from functools import lru_cache

from sim.cost.parameters import count
from sim.errors import UsageError
from sim.spec.model import ModelShape

ASPECT = 128.0
"""Hidden width over layers: median of the 73 dense shapes of the catalogue, also of those above 20e9 parameters."""
FEED_FORWARD_RATIO = 3.5
"""Width of a gated feed-forward over hidden width: median of the catalogue's gated dense shapes."""
HEAD_DIM = 128
KV_HEADS = 8
"""Commonest of the catalogue's dense shapes above 20e9 parameters."""
LARGE_VOCABULARY, SMALL_VOCABULARY = 128_256, 32_000
"""Llama 3 and Llama 2; the small one below 1e9 parameters, where a large table would be most of the model."""
LEAST_PARAMETERS = 3e7
TOLERANCE = 0.02
"""By which the count may miss the wanted one; small models are mostly table, and take a narrower one for it."""
LARGE_MODEL = 1e9
"""Parameters from which the large vocabulary is taken."""
WIDE, MIDDLING = 8192, 1024
"""Hidden widths from which widths come in coarser steps, as published ones do."""
DEEP, DEEP_STEP = 32, 4
"""Layers above which a depth is a multiple of the step, so that pipeline stages divide it."""


@lru_cache(maxsize=256)
def of_size(parameters: float, name: str = "compute-optimal") -> ModelShape:
    """Design a dense transformer of about this many parameters.

    Hidden width is the multiple of its step whose depth comes nearest to ``ASPECT``; the feed-forward width then
    takes up what rounding left, in multiples of 256.

    Args:
        parameters: wanted number, embeddings included.
        name: name of the shape.

    Returns:
        A shape whose own count is within 2 % of the wanted one.

    Raises:
        UsageError: fewer than ``LEAST_PARAMETERS``.

    """
    if parameters < LEAST_PARAMETERS:
        raise UsageError(
            f"a transformer of the usual proportions has at least {LEAST_PARAMETERS:g} parameters",
            value=f"{parameters:.4g} parameters",
            where="training.budget",
            mend="name a model or a shape of your own, or ask for a larger budget",
        )
    vocabulary = LARGE_VOCABULARY if parameters >= LARGE_MODEL else SMALL_VOCABULARY
    return min(
        (_shape(parameters, hidden, vocabulary, name) for hidden in _hidden_widths(parameters)),
        key=lambda shape: (abs(total_parameters(shape) / parameters - 1) > TOLERANCE, abs(_aspect(shape) - 1)),
    )


def _aspect(shape: ModelShape) -> float:
    ratio = shape.hidden / shape.layers / ASPECT
    return max(ratio, 1 / ratio)


def _hidden_widths(parameters: float) -> list[int]:
    """List the widths around the one that the aspect asks for: N is about 13 h^3 / 128."""
    middle = (parameters * ASPECT / 13) ** (1 / 3)
    step = 1024 if middle >= 0.75 * WIDE else 256 if middle >= MIDDLING else 128
    nearest = max(round(middle / step), 1)
    return [multiple * step for multiple in range(max(nearest - 4, 1), nearest + 3)]


def _shape(parameters: float, hidden: int, vocabulary: int, name: str) -> ModelShape:
    heads = hidden // HEAD_DIM
    kv_heads = KV_HEADS if heads % KV_HEADS == 0 else 1
    embeddings = 2 * vocabulary * hidden
    attention = 2 * hidden * (heads + kv_heads) * HEAD_DIM
    layer = attention + 3 * FEED_FORWARD_RATIO * hidden**2
    layers = max(round((parameters - embeddings) / layer), 2)
    if layers > DEEP:
        layers = DEEP_STEP * round(layers / DEEP_STEP)
    feed_forward = ((parameters - embeddings) / layers - attention) / (3 * hidden)
    grain = 1024 if hidden >= WIDE else 256
    return ModelShape(
        name=name,
        title=f"dense, {parameters:.4g} parameters",
        family="compute-optimal",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=HEAD_DIM,
        ffn_hidden=max(round(feed_forward / grain), 1) * grain,
        gated=True,
        vocab=vocabulary,
        tied_embeddings=False,
        source="proportions of the catalogue's dense models",
    )


def total_parameters(model: ModelShape) -> int:
    """Count the parameters of a shape, embeddings included."""
    return count(model).total
