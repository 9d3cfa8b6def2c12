"""Recompute that keeps every other product of a layer: what PyTorch's selective checkpointing keeps and does again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cost.recurrent import dense_share, softmax_share

if TYPE_CHECKING:
    from sim.cost.roofline import Numbers
    from sim.spec.model import ModelShape


def products_again(model: ModelShape) -> float:
    """Give the share of a layer's product FLOP that the backward pass does again.

    Of the products in their order (query, key, value, output, gate, up, down) every second one is done again; the
    output of attention is kept.

    Source: PyTorch's torchtitan, selective_ac_option "op": the save list has products, every other one left out,
    and attention.
    Valid for: dense layers with ordinary attention, their share of all layers; none of the others.

    >>> from sim.spec.catalog import load
    >>> round(products_again(load("models", "llama-3.1-8b")), 2)
    0.37
    """
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    feed_forward = model.ffn_hidden
    every = 2 * query + 2 * keys + (3 if model.gated else 2) * feed_forward
    return softmax_share(model) * dense_share(model) * (query + keys + feed_forward) / every


def kept_elements_of_products(model: ModelShape, tensor_parallel: Numbers, width: Numbers) -> Numbers:
    """Count the elements of a token that a layer keeps, on one device: its input, every other product, attention.

    Args:
        model: the shape.
        tensor_parallel: devices that share each product.
        width: elements of the residual stream that one device keeps.

    Source: as ``products_again``.
    Valid for: as ``products_again``.

    >>> from sim.spec.catalog import load
    >>> llama = load("models", "llama-3.1-8b")
    >>> kept_elements_of_products(llama, 1, llama.hidden) == 4 * 4096 + 1024 + 14336
    True
    """
    query, values = model.heads * model.head_dim, model.kv_heads * model.head_dim
    split = 2 * query + values + model.ffn_hidden
    return (2 if model.gated else 1) * width + split / tensor_parallel
