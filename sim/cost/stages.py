"""How layers spread over pipeline stages when they do not divide evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers


def most_layers(layers: int, stages: Numbers, virtual_stages: Numbers) -> np.ndarray:
    """Give the layers of the fullest stage.

    Each of the p x v chunks gets layers // (p v); what is left over goes to chunks one by one, last stage last.

    Source: our rule; Megatron-Core and Llama 3 (arXiv:2407.21783, section 3.3.2) take layers from the end stages too.

    >>> int(most_layers(126, 16, 8)), int(most_layers(96, 8, 3))
    (8, 12)
    """
    base, extra = _split(layers, stages, virtual_stages)
    return np.asarray(base * virtual_stages + np.ceil(extra / stages))


def last_stage_layers(layers: int, stages: Numbers, virtual_stages: Numbers) -> np.ndarray:
    """Give the layers of the last stage, which also runs the LM head and so takes left-over layers last.

    Source: as ``most_layers``.

    >>> int(last_stage_layers(126, 16, 8)), int(last_stage_layers(96, 8, 3))
    (7, 12)
    """
    base, extra = _split(layers, stages, virtual_stages)
    return np.asarray(base * virtual_stages + np.floor(extra / stages))


def _split(layers: int, stages: Numbers, virtual_stages: Numbers) -> tuple[Numbers, Numbers]:
    chunks = np.asarray(stages) * virtual_stages
    return layers // chunks, layers % chunks
