"""The model of a row: its own columns first, then the catalogue's entry of that name, then what its family does."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sim.errors import NotYetError
from sim.spec import catalog
from sim.spec.model import Experts, ModelShape
from sim.validate.names import names
from sim.validate.rows import MissingError

if TYPE_CHECKING:
    from sim.validate.rows import Configuration

HEAD_DIM = 128
"""Width of a head where a row names none: what published models above 5e9 parameters have."""
FEED_FORWARD_RATIO = 4
"""Feed-forward over hidden width where neither row nor catalogue has one."""
SHAPE_NAME = "table-row"
"""Name of every shape that is put together here."""


def model_of(row: Configuration) -> ModelShape:
    """Give the shape of the model that a row ran.

    The catalogue fills blanks only where its entry has the row's hidden width: else it is another model.

    Raises:
        MissingError: neither row nor catalogue says layers and hidden width.
        NotYetError: no cost function describes the model.

    """
    reason = names().unmodelled_reason(row.model)
    if reason is not None:
        raise NotYetError(reason)
    own = (row.layers, row.hidden, row.heads, row.kv_heads, row.ffn_hidden, row.vocab)
    experts = (row.experts, row.topk, row.moe_ffn_hidden, row.shared_experts)
    return _model(row.model, own, experts)


@lru_cache(maxsize=4096)
def _model(name: str, own: tuple[int | None, ...], mixture: tuple[int | None, ...]) -> ModelShape:
    layers, hidden, heads, kv_heads, ffn_hidden, vocab = own
    values = _known(name, hidden)
    found_layers = values.get("layers")
    for key, value in (("layers", layers), ("hidden", hidden), ("ffn_hidden", ffn_hidden), ("vocab", vocab)):
        if value:
            values[key] = value
    if not values.get("layers") or not values.get("hidden"):
        raise MissingError("layers or hidden is blank, and the catalogue has no model of this name")
    _heads(values, heads, kv_heads)
    family = names().family(name)
    moe = mixture[2] if mixture[0] and mixture[0] > 1 else None
    values.setdefault("ffn_hidden", moe or FEED_FORWARD_RATIO * values["hidden"])
    values.setdefault("vocab", family.vocab)
    values.setdefault("gated", family.gated)
    values.setdefault("tied_embeddings", family.tied)
    _experts(values, mixture, found_layers)
    try:
        return ModelShape(**values | {"name": SHAPE_NAME})
    except ValueError as error:
        raise MissingError(f"the columns of a model contradict each other: {_first(error)}", name) from None


def _known(name: str, hidden: int | None) -> dict[str, Any]:
    """Give what is known of a model by its name, unless the row has another width."""
    found = names().catalogue_model(name)
    if found is not None:
        entry = catalog.load("models", found)
        if hidden in (None, 0, entry.hidden):
            return {key: getattr(entry, key) for key in ModelShape.model_fields}
    shape = names().shape(name)
    if shape is not None and hidden in (None, 0, shape.hidden):
        return shape.model_dump(exclude={"pattern", "source"})
    return {}


def _heads(values: dict[str, Any], heads: int | None, kv_heads: int | None) -> None:
    """Fill heads, key heads and their width."""
    hidden = values["hidden"]
    own_heads = heads or values.get("heads") or max(1, hidden // HEAD_DIM)
    if own_heads != values.get("heads") or "head_dim" not in values:
        values["head_dim"] = max(1, hidden // own_heads)
        values.pop("kv_heads", None)
    values["heads"] = own_heads
    values["kv_heads"] = kv_heads or values.get("kv_heads") or own_heads


def _experts(values: dict[str, Any], mixture: tuple[int | None, ...], whole: int | None) -> None:
    """Put the row's experts over the catalogue's; a model cut short keeps its share of dense layers, rounded up."""
    count, top_k, width, shared = mixture
    known = values.get("experts")
    if not count or count == 1:
        return
    changes = {"count": count, "top_k": top_k, "ffn_hidden": width, "shared": shared}
    given = {key: value for key, value in changes.items() if value is not None}
    base = known.model_dump() if isinstance(known, Experts) else {}
    if whole and base.get("dense_layers") and values["layers"] != whole:
        base["dense_layers"] = -(-base["dense_layers"] * values["layers"] // whole)
    if not {"top_k", "ffn_hidden"} <= (base | given).keys():
        raise MissingError("topk or moe_ffn_hidden is blank, and the catalogue has no model of this name")
    values["experts"] = Experts(**base | given)


def _first(error: ValueError) -> str:
    """Give the first line of what pydantic found."""
    found = getattr(error, "errors", lambda: [{"msg": str(error)}])()
    return str(found[0]["msg"])
