"""Layers with experts: their products, weights and memory traffic; exact counts, no times.

Out of the tensor x context x data-parallel devices ``ep`` groups of ``etp`` hold count / ep experts each ("folding");
the devices of a group share each expert's inner width, and gather one another's tokens (expert tensor parallel).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cost.gemm import Gemm

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec.model import ModelShape

EXPERT_KERNELS = 6
"""Kernels of a layer with experts beside its products: scores, choice, permutation, dispatch, combination and back."""
ROUTER_BYTES_PER_EXPERT = 12.0
"""Of a token: scores in 32 bit, written by the router, read and written once by the choice."""


def expert_share(model: ModelShape) -> float:
    """Give the share of the layers that have experts.

    Source: the shape.
    """
    return 0.0 if model.experts is None else model.expert_layers / model.layers


def expert_gemms(model: ModelShape, shared_by: int = 1) -> tuple[Gemm, ...]:
    """List the products of one routed expert, whose inner width so many devices share; none for a dense model.

    Source: Fedus et al. 2021 (arXiv:2101.03961), section 2: an expert is a feed-forward layer.
    """
    experts = model.experts
    if experts is None:
        return ()
    share, inner = expert_share(model), experts.ffn_hidden // shared_by
    outer = routed_width(model)
    return (
        Gemm("expert in", (2 if model.gated else 1) * inner, outer, share),
        Gemm("expert out", outer, inner, share),
    )


def routed_width(model: ModelShape) -> int:
    """Give the width of a token on its way to routed experts: narrower where they work in a latent space.

    Source: the shape; Nemotron 3 Super (NVIDIA 2026), "LatentMoE".
    """
    experts = model.experts
    return model.hidden if experts is None or experts.latent is None else experts.latent


def whole_token_gemms(model: ModelShape, tensor_parallel: Numbers) -> tuple[Gemm, ...]:
    """List the products of an expert layer that every token goes through: the router and the shared experts.

    Source: Dai et al. 2024 (arXiv:2401.06066), section 3.2, for shared experts.
    """
    experts = model.experts
    if experts is None:
        return ()
    share = expert_share(model)
    always = [Gemm("router", experts.count / tensor_parallel, model.hidden, share, repeated=True)]
    if experts.latent is not None:
        always.append(Gemm("latent down", experts.latent / tensor_parallel, model.hidden, share, repeated=True))
        always.append(Gemm("latent up", model.hidden / tensor_parallel, experts.latent, share, repeated=True))
    if not experts.shared:
        return tuple(always)
    width = experts.shared * (experts.shared_ffn_hidden or experts.ffn_hidden) / tensor_parallel
    gates = 2 if model.gated else 1
    return (
        *always,
        Gemm("shared experts in", gates * width, model.hidden, share),
        Gemm("shared experts out", model.hidden, width, share),
    )


def routed_weights(model: ModelShape, expert_parallel: Numbers) -> Numbers:
    """Count the weights of routed experts that one device holds for the mean layer.

    Source: Lepikhin et al. 2020 (arXiv:2006.16668), section 3.1: experts are spread over devices, each whole.
    """
    if model.experts is None:
        return 0.0
    one = sum(float(gemm.columns) * float(gemm.inner) * gemm.share for gemm in expert_gemms(model))
    return one * model.experts.count / expert_parallel


def expert_vector_elements(model: ModelShape, element_bytes: float = 2.0) -> float:
    """Count the elements that the memory-bound operators of expert layers move forward, per token of the mean layer.

    The activation of shared experts and the scores of the router; what is around the products of routed experts is
    part of their curve.

    Source: our count of operands.
    Valid for: one fused kernel per operator, operands in device memory.
    """
    experts = model.experts
    if experts is None:
        return 0.0
    shared = experts.shared * (experts.shared_ffn_hidden or experts.ffn_hidden)
    moved = (3 if model.gated else 2) * shared
    return expert_share(model) * (moved + experts.count * ROUTER_BYTES_PER_EXPERT / element_bytes)


def kept_elements(model: ModelShape, expert_tensor: int = 1) -> tuple[float, float]:
    """Count what expert layers keep of a token for the backward pass, on average over all layers.

    Returns:
        Elements in all (a copy of the input and the inner activations for each visit, those of shared experts, and
        the router's scores in 32 bit), and those of them that are the activation's output, cheap to make again.

    Source: our count, as Korthikanti et al. 2022 (arXiv:2205.05198) for dense layers.
    """
    experts = model.experts
    if experts is None:
        return 0.0, 0.0
    inner = experts.top_k * experts.ffn_hidden + experts.shared * (experts.shared_ffn_hidden or experts.ffn_hidden)
    share = expert_share(model)
    whole = (
        (3 if model.gated else 2) * inner + experts.top_k * routed_width(model) * expert_tensor + 2.0 * experts.count
    )
    return share * whole, share * inner
