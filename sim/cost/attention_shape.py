"""What a layer of attention looks like, whatever its kind: heads, widths, and how far a token looks back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec.model import ModelShape


def spans(model: ModelShape, sequence: float) -> tuple[tuple[float, float], ...]:
    """Give the kinds of attention: the share of the layers, and the span.

    A span is the length of the causal sequence in which a token looks back on as many others on average: attention
    costs span / 2 scores a token. It is s for full attention. In a window of w tokens, s w - w^2 / 2 of the s^2 / 2
    scores of a sequence are left: the span is 2 w - w^2 / s.

    Args:
        model: the shape.
        sequence: tokens s of one sequence.

    Source: the band of a causal mask, each of its two edges as one half, like the diagonal in the causal half of the
    square; counted in whole scores the band has s w - w (w - 1) / 2 of them.
    Valid for: windows that look back on w tokens, the token itself among them.
    """
    window = min(model.sliding_window or sequence, sequence)
    sliding = model.layers_of("sliding") / model.layers if window < sequence else 0.0
    full = 1.0 - sliding if model.layer_types is None else model.softmax_layers / model.layers - sliding
    kinds = ((full, float(sequence)), (sliding, 2.0 * window - window**2 / sequence))
    return tuple((share, span) for share, span in kinds if share)


def score_width(model: ModelShape) -> float:
    """Give the mean width of a key and a value of one head: both products of attention together are twice as wide.

    Source: Vaswani et al. 2017 (arXiv:1706.03762); DeepSeek-V2 (arXiv:2405.04434), section 2.1, for latent attention,
    whose keys have a part with and one without position.
    """
    if model.mla is None:
        return float(model.head_dim)
    return (model.mla.nope_dim + model.mla.rope_dim + model.mla.value_dim) / 2


def key_value_heads(model: ModelShape, tensor_parallel: Numbers) -> Numbers:
    """Give the key heads of one device; they are repeated where the group is larger than their number.

    Latent attention in training unfolds one key and one value for each query head.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3.
    """
    return np.maximum((model.heads if model.mla else model.kv_heads) / tensor_parallel, 1.0)
