"""Read a layer profile of one model on one chip: measured layers that iterations are made of instead of curves.

A folder holds dense.csv (layer, tokens, time_us), per_sequence.csv (layer, sequences, time_us), attention.csv
(prefill_chunk, kv_prefill, n_decode, kv_decode, time_us) and, for models with experts, moe.csv (tokens,
activated_experts, time_us): the format of LLMServingSim's profiles of vLLM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.serving_tables import ONCE, PER_LAYER, LayerTables
from sim.errors import UsageError
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MICRO = 1e-6
AXES = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")


def read(folder: Path) -> LayerTables:
    """Read the profile of a folder.

    Raises:
        UsageError: a file or a column is missing, or the grid of attention is not complete enough to fill.

    """
    if not folder.is_dir():
        raise UsageError("a layer profile is a folder", str(folder), "engine.layers", "check the path")
    tokens, layer_s, once_s = _dense(folder / "dense.csv")
    sequences, output_s = _outputs(folder / "per_sequence.csv")
    axes, attention_s = _attention(folder / "attention.csv")
    chunk, before, decoding, context = axes
    measured = LayerTables(tokens, layer_s, once_s, sequences, output_s, chunk, before, decoding, context, attention_s)
    if not (folder / "moe.csv").is_file():
        return measured
    expert_tokens, experts, expert_s = _experts(folder / "moe.csv")
    return replace(measured, expert_tokens=expert_tokens, experts=experts, expert_s=expert_s)


def _dense(path: Path) -> tuple[Floats, Floats, Floats]:
    table = tables.read(path, ("layer", "tokens", "time_us"))
    tokens = np.unique(table["tokens"])
    layer_s, once_s = np.zeros(len(tokens)), np.zeros(len(tokens))
    for name in np.unique(table["layer"]):
        of_layer = table["layer"] == name
        order = np.argsort(table["tokens"][of_layer])
        times = np.interp(tokens, table["tokens"][of_layer][order], table["time_us"][of_layer][order]) * MICRO
        if str(name) in ONCE:
            once_s += times
        else:
            layer_s += times * PER_LAYER.get(str(name), 1)
    return tokens, layer_s, once_s


def _outputs(path: Path) -> tuple[Floats, Floats]:
    table = tables.read(path, ("layer", "sequences", "time_us"))
    sequences = np.unique(table["sequences"])
    seconds = np.zeros(len(sequences))
    for name in np.unique(table["layer"]):
        of_layer = table["layer"] == name
        order = np.argsort(table["sequences"][of_layer])
        known, times = table["sequences"][of_layer][order], table["time_us"][of_layer][order]
        seconds += np.interp(sequences, known, times) * MICRO
    return sequences, seconds


def _attention(path: Path) -> tuple[tuple[Floats, ...], Floats]:
    """Fill the grid of powers of two; what was not measured goes on along decoding sequences, or context."""
    table = tables.read(path, (*AXES, "time_us"))
    regular = np.ones(len(table["time_us"]), dtype=bool)
    for name in AXES:
        value = table[name].astype(np.int64)
        regular &= (value & (value - 1)) == 0
    axes = tuple(np.unique(table[name][regular]) for name in AXES)
    grid = np.full([len(axis) for axis in axes], np.nan)
    places = tuple(np.searchsorted(axis, table[name][regular]) for axis, name in zip(axes, AXES, strict=True))
    grid[places] = table["time_us"][regular] * MICRO
    _fill(grid, axes)
    if np.isnan(grid).any():
        raise UsageError(
            "a profile of attention covers a grid of powers of two",
            f"{int(np.isnan(grid).sum())} of {grid.size} points are missing",
            str(path),
            "profile every combination, sequences above the last count apart",
        )
    return axes, grid


def _fill(grid: Floats, axes: tuple[Floats, ...]) -> None:
    grid[0, 0, 0, :] = 0.0
    grid[0, 1:] = grid[0, :1]
    # No decoding sequence has no context, and no context is that of no sequence.
    grid[1:, :, 0, 1:] = grid[1:, :, 0, :1]
    grid[:, :, 1:, 0] = np.where(np.isnan(grid[:, :, 1:, 0]), grid[:, :, 1:, 1], grid[:, :, 1:, 0])
    decoding = axes[2]
    for at in range(2, len(decoding)):
        before, last = grid[:, :, at - 2], grid[:, :, at - 1]
        slope = (last - before) / (decoding[at - 1] - decoding[at - 2])
        guess = last + slope * (decoding[at] - decoding[at - 1])
        grid[:, :, at] = np.where(np.isnan(grid[:, :, at]), guess, grid[:, :, at])


def _experts(path: Path) -> tuple[Floats, Floats, Floats]:
    table = tables.read(path, ("tokens", "activated_experts", "time_us"))
    tokens, experts = np.unique(table["tokens"]), np.unique(table["activated_experts"])
    grid = np.full((len(tokens), len(experts)), np.nan)
    places = np.searchsorted(tokens, table["tokens"]), np.searchsorted(experts, table["activated_experts"])
    grid[places] = table["time_us"] * MICRO
    for row in range(len(tokens)):
        known = ~np.isnan(grid[row])
        # More experts than a few tokens can visit: as many tokens more would have visited them.
        grid[row] = np.where(known, grid[row], np.interp(experts, experts[known], grid[row][known]))
    return tokens, experts, grid
