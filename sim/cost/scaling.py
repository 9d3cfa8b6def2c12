"""Scaling laws: which model and how many tokens a budget buys, and what loss to expect."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenLaw:
    """Compute-optimal tokens D = anchor_tokens x (C / anchor_flop) ^ exponent; parameters follow as C / 6D."""

    name: str
    anchor_flop: float
    anchor_tokens: float
    exponent: float
    least_flop: float
    most_flop: float
    """Budgets that the fit saw; beyond them it is an extrapolation."""
    source: str

    def tokens(self, flop: float) -> float:
        """Give the compute-optimal number of training tokens for a budget in FLOP (6ND convention).

        Source: the law's own ``source``.
        Valid for: budgets from ``least_flop`` to ``most_flop``.

        >>> round(LAWS["llama3"].tokens(3.8e25) / 1e12, 2)
        16.55
        """
        return self.anchor_tokens * math.pow(flop / self.anchor_flop, self.exponent)

    def parameters(self, flop: float) -> float:
        """Give the compute-optimal number of parameters: C / (6 D).

        Source: Kaplan et al. 2020 (arXiv:2001.08361), C = 6ND.
        Valid for: dense transformers whose attention is a small share of the FLOP.

        >>> round(LAWS["llama3"].parameters(3.8e25) / 1e9)
        383
        """
        return flop / (6.0 * self.tokens(flop))


LAWS: dict[str, TokenLaw] = {
    law.name: law
    for law in (
        TokenLaw(
            "llama3",
            anchor_flop=3.8e25,
            anchor_tokens=16.55e12,
            exponent=0.53,
            least_flop=6e18,
            most_flop=1e22,
            source=(
                "Llama 3 (arXiv:2407.21783) section 3.2.1: exponent 0.53, anchored on its published optimum of "
                "16.55e12 tokens at 3.8e25 FLOP (the rounded pair 0.29, 0.53 would give 10.5e12)"
            ),
        ),
        TokenLaw(
            "chinchilla",
            anchor_flop=5.76e23,
            anchor_tokens=1.4e12,
            exponent=0.5,
            least_flop=6e18,
            most_flop=3e21,
            source=(
                "Hoffmann et al. 2022 (arXiv:2203.15556): approach 1, N and D both grow as C^0.5, anchored on "
                "Chinchilla's 70e9 parameters and 1.4e12 tokens at 5.76e23 FLOP"
            ),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class LossEstimate:
    """Pre-training loss in nats per token, with an 80 % band from the uncertainty of the fit."""

    value: float
    p10: float
    p90: float
    in_range: bool
    """Whether parameters and tokens lie inside the runs that were fitted."""
    source: str


_IRREDUCIBLE = (1.8172, 0.03)
_PARAMETERS = (482.01, 124.58, 0.3478, 0.02)
_TOKENS = (2085.43, 1293.23, 0.3658, 0.02)
LOSS_SOURCE = (
    "Besiroglu et al. 2024 (arXiv:2404.10102), refit of Hoffmann et al. 2022 approach 3: "
    "L = 1.8172 + 482.01/N^0.3478 + 2085.43/D^0.3658, standard errors as printed there; on Chinchilla's data set"
)
_MOST_PARAMETERS, _MOST_TOKENS = 16e9, 5e11


def expected_loss(parameters: float, tokens: float) -> LossEstimate:
    """Estimate the pre-training loss in nats per token.

    L(N, D) = E + A / N^alpha + B / D^beta. The band takes the standard error of E, and that of alpha and beta with
    A and B moved along (they are strongly correlated: the fit is pinned near the middle of its data).

    Source: Besiroglu et al. 2024 (arXiv:2404.10102), table 1.
    Valid for: up to 16e9 parameters and 5e11 tokens on Chinchilla's data; beyond that an extrapolation.

    >>> round(expected_loss(70e9, 1.4e12).value, 3)
    1.974
    """
    middle_parameters, middle_tokens = 1e9, 2e10

    def term(size: float, middle: float, scale: float, exponent: float, shift: float) -> float:
        pinned = scale / math.pow(middle, exponent)
        # A steeper exponent lowers the term above the middle and raises it below.
        distance = math.log(size / middle)
        return pinned * math.exp(-exponent * distance + shift * abs(distance))

    def loss(sign: float) -> float:
        by_parameters = term(parameters, middle_parameters, _PARAMETERS[0], _PARAMETERS[2], sign * _PARAMETERS[3])
        by_tokens = term(tokens, middle_tokens, _TOKENS[0], _TOKENS[2], sign * _TOKENS[3])
        return _IRREDUCIBLE[0] + sign * _IRREDUCIBLE[1] + by_parameters + by_tokens

    decile = 1.2816
    return LossEstimate(
        value=loss(0.0),
        p10=loss(-decile),
        p90=loss(decile),
        in_range=parameters <= _MOST_PARAMETERS and tokens <= _MOST_TOKENS,
        source=LOSS_SOURCE,
    )
