"""Curves of chunked recurrences, for one family of chips: hardware_specs/scans."""

from typing import Annotated

from pydantic import Field

from sim.spec.calibration import Fit, Share
from sim.spec.hardware import Slug
from sim.spec.quantity import FrozenModel, Seconds


class Scan(FrozenModel):
    """t = F (1 + h'/h) / (ec P) + t0, forward: F operations in chunks, h heads of the whole call (batch x heads)."""

    compute_efficiency: Share
    """ec: share of the dense 16-bit peak."""
    half_heads: Annotated[float, Field(ge=0)]
    """h': heads at which filling the chip alone halves the rate."""
    overhead_s: Seconds
    """t0: a call with nothing to do."""
    fit: Fit


class Scans(FrozenModel):
    """Recurrences of layers that keep a state, on one family of chips."""

    name: Slug
    """Name in the catalogue: that of the calibration family."""
    title: str
    """Chips and software that the measurements stand for."""
    gated_delta: Scan
    """Gated delta rule: one decay for each head."""
    channel_delta: Scan
    """Kimi Delta Attention: one decay for each channel of a key."""
    state_space: Scan
    """Mamba-2."""
