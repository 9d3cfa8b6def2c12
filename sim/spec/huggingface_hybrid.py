"""Layers that keep a state, as configuration files list them: Nemotron-H, Qwen3-Next, Kimi Linear, Jamba."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sim.spec.document import brief
from sim.spec.model import Experts, LinearAttention, StateSpace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.spec.huggingface_file import Config
    from sim.spec.model import FeedForwardType, LayerType

Kind = TypeVar("Kind", bound=str)

BLOCKS: dict[str, tuple[LayerType, FeedForwardType]] = {
    "mamba": ("mamba", "none"),
    "attention": ("full", "none"),
    "mlp": ("none", "dense"),
    "moe": ("none", "experts"),
}
"""What a block of Nemotron-H is: each mixes tokens or feeds forward."""
LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
"""The same blocks in hybrid_override_pattern."""
_DELTA: dict[object, LayerType] = {"linear_attention": "linear", "full_attention": "full"}
_STEP_SHARE = 16
"""mamba_dt_rank: auto is the width over this, rounded up (mamba-ssm)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a shape has of layers that keep a state; nothing for a model of softmax attention alone."""

    layer_types: tuple[LayerType, ...] | None = None
    feed_forward_types: tuple[FeedForwardType, ...] | None = None
    linear: LinearAttention | None = None
    mamba: StateSpace | None = None
    experts: Experts | None = None


def count(config: Config) -> int | None:
    """Count the blocks of a file that lists them; None where it does not.

    Raises:
        ScenarioError: the list has what is no block.

    """
    return len(_blocks(config)) if config.architecture.hybrid == "blocks" else None


def parts(config: Config, layers: int, hidden: int) -> Parts:
    """Read the layers that keep a state.

    Raises:
        ScenarioError: a key is missing or wrong; says which, with its place.

    """
    readers: dict[str, Callable[[Config, int, int], Parts]] = {
        "blocks": _of_blocks,
        "delta": _of_delta,
        "kimi": _of_kimi,
        "jamba": _of_jamba,
    }
    read = readers.get(config.architecture.hybrid)
    return Parts() if read is None else read(config, layers, hidden)


def _blocks(config: Config) -> list[str]:
    key, listed = config.value("layers_block_type", "hybrid_override_pattern")
    if listed is None:
        raise config.missing(("hybrid_override_pattern", "layers_block_type"))
    known = LETTERS if isinstance(listed, str) else {name: name for name in BLOCKS}
    if not isinstance(listed, (str, list)) or not listed:
        raise config.wrong(key, "must list the blocks, such as 'M-M*'")
    for found in listed:
        if found not in known:
            raise config.wrong(key, f"has '{brief(found)}', which is no block", f"known are {', '.join(known)}")
    return [known[found] for found in listed]


def _of_blocks(config: Config, layers: int, hidden: int) -> Parts:  # noqa: ARG001 - all readers take the same
    kinds = [BLOCKS[name] for name in _blocks(config)]
    mixing, feeding = (tuple(pair[at] for pair in kinds) for at in (0, 1))
    mamba = StateSpace(
        heads=config.needed("mamba_num_heads"),
        head_dim=config.needed("mamba_head_dim"),
        state=config.needed("ssm_state_size"),
        groups=config.needed("n_groups"),
        convolution=config.needed("conv_kernel"),
        chunk=config.needed("chunk_size"),
    )
    experts = None
    if "experts" in feeding:
        shared = config.size("n_shared_experts", least=0) or 0
        experts = Experts(
            count=config.needed("n_routed_experts"),
            top_k=config.needed("num_experts_per_tok"),
            ffn_hidden=config.needed("moe_intermediate_size"),
            shared=shared,
            shared_ffn_hidden=config.needed("moe_shared_expert_intermediate_size") if shared else None,
            latent=config.size("moe_latent_size"),
        )
    if "mamba" not in mixing:
        raise config.wrong(config.value("layers_block_type", "hybrid_override_pattern")[0], "has no Mamba block")
    return Parts(shortest_period(mixing), shortest_period(feeding), None, mamba, experts)  # type: ignore[arg-type]


def _of_delta(config: Config, layers: int, hidden: int) -> Parts:  # noqa: ARG001 - all readers take the same
    listed = config.data.get("layer_types")
    if listed is None:
        every = config.needed("full_attention_interval")
        listed = ["linear_attention"] * (every - 1) + ["full_attention"]
    elif not isinstance(listed, list) or len(listed) != layers:
        raise config.wrong("layer_types", f"must list all {layers} layers")
    for found in listed:
        if found not in _DELTA:
            raise config.wrong("layer_types", f"has '{brief(found)}'", f"known are {' and '.join(map(str, _DELTA))}")
    linear = LinearAttention(
        key_heads=config.needed("linear_num_key_heads"),
        value_heads=config.needed("linear_num_value_heads"),
        key_dim=config.needed("linear_key_head_dim"),
        value_dim=config.needed("linear_value_head_dim"),
        convolution=config.needed("linear_conv_kernel_dim"),
    )
    types = shortest_period(tuple(_DELTA[found] for found in listed))
    return Parts(types, linear=linear if "linear" in types else None)


def _of_kimi(config: Config, layers: int, hidden: int) -> Parts:  # noqa: ARG001 - all readers take the same
    key = "linear_attn_config"
    own = config.data.get(key)
    if not isinstance(own, dict):
        raise config.missing((key,))
    full = own.get("full_attn_layers")
    if not isinstance(full, list) or not all(type(at) is int and 1 <= at <= layers for at in full):
        raise config.wrong(key, f"needs full_attn_layers, a list of layers from 1 to {layers}")
    types: tuple[LayerType, ...] = tuple("full" if at + 1 in full else "linear" for at in range(layers))
    if "linear" not in types:
        return Parts()
    heads, width = _inside(config, key, own, "num_heads"), _inside(config, key, own, "head_dim")
    linear = LinearAttention(
        key_heads=heads,
        value_heads=heads,
        key_dim=width,
        value_dim=width,
        convolution=_inside(config, key, own, "short_conv_kernel_size"),
        channel_decay=True,
    )
    return Parts(shortest_period(types), linear=linear)


def _inside(config: Config, key: str, own: dict[str, Any], name: str) -> int:
    found = own.get(name)
    if type(found) is not int or not 1 <= found <= _MOST:
        raise config.wrong(key, f"needs {name}, a whole number from 1 to {_MOST:,}")
    return found


_MOST = 1_000_000


def _of_jamba(config: Config, layers: int, hidden: int) -> Parts:
    attention = _every(config, layers, "attn_layer_period", "attn_layer_offset")
    experts_at = _every(config, layers, "expert_layer_period", "expert_layer_offset")
    rank = config.value("mamba_dt_rank")[1]
    inner = hidden * config.needed("mamba_expand")
    mamba = StateSpace(
        heads=inner,
        head_dim=1,
        state=config.needed("mamba_d_state"),
        convolution=config.needed("mamba_d_conv"),
        step_rank=-(-hidden // _STEP_SHARE) if rank == "auto" else config.needed("mamba_dt_rank"),
        inner_norms=True,
    )
    many = config.needed("num_experts")
    experts = None
    if many > 1:
        top_k, width = config.needed("num_experts_per_tok"), config.needed("intermediate_size")
        experts = Experts(count=many, top_k=top_k, ffn_hidden=width)
    types: tuple[LayerType, ...] = tuple("full" if found else "mamba" for found in attention)
    feeding: tuple[FeedForwardType, ...] = tuple("experts" if found else "dense" for found in experts_at)
    return Parts(
        shortest_period(types),
        shortest_period(feeding) if experts is not None and "experts" in feeding else None,
        None,
        mamba if "mamba" in types else None,
        experts if "experts" in feeding else None,
    )


def _every(config: Config, layers: int, period_key: str, offset_key: str) -> list[bool]:
    period, offset = config.needed(period_key), config.needed(offset_key, least=0)
    return [at % period == offset for at in range(layers)]


def shortest_period(types: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Give the shortest beginning of a sequence whose repetition gives all of it.

    >>> shortest_period(("sliding", "full", "sliding", "full", "sliding"))
    ('sliding', 'full')
    """
    count = len(types)
    period = next(
        size for size in range(1, count + 1) if all(types[at] == types[at - size] for at in range(size, count))
    )
    return types[:period]
