"""Fit the kernels of inference to tables of operators: the files of hardware_specs/kernels.

python -m sim.calibrate.kernels h100-sxm --data ../shared/data/ops
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.calibrate import collective, fitting, gemm, moe
from sim.calibrate.build import _fit as _origin
from sim.calibrate.build import _ranked, _reference, _rounded
from sim.calibrate.families import BORROWED, MEASURED, OPERATORS
from sim.calibrate.write import _lines, _with_units
from sim.cost.collectives import RankedCurve
from sim.cost.decode_attention import DecodeCurve, LatentCurve, decode_attention_s, latent_decode_s
from sim.errors import UsageError
from sim.spec import catalog
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.calibrate.build import Record
    from sim.calibrate.families import Measured

SHORTEST_CONTEXT = 16
MOST_GROUPED = 16
"""Query heads to a key head that models have at most; beyond, the tables take another kernel."""
MOST_POINTS = 8000
TINY_CACHE_BYTES = 4e6
"""Keys and values below which start-up is all there is."""
LARGE_CACHE = 1e8
"""Numbers in a cache from which errors are stated apart."""
LATENT_RANK, LATENT_ROPE = 512, 64
BORROWERS = {"generic": ("h100-sxm", "a100-sxm"), "rtx-4090": ("l40s", "a100-sxm")}
"""Families that borrow: who lends all, and who lends products with narrow weights."""
MEMORY = {name: family.memory[0] for name, family in BORROWED.items() if family.memory is not None}
"""Share of memory bandwidth over that of the lender."""
LENDERS = {"b300_sxm": "b200-sxm", "gb300": "gb200"}
"""Systems whose table lacks the fp4 experts of low latency, and the family that lends its shares."""
SOUND_ON_PCIE = "0.5.12"
"""Version whose table at 4 and 8 ranks was not measured on the badly routed host of the L40S."""
CACHES = (("bf16", "bfloat16", 2.0), ("fp8", "fp8", 1.0))
LIBRARIES = {
    "trtllm": ("TRTLLM", ("1.3.0rc20", "1.0.0")),
    "vllm": ("vLLM", ("0.24.0", "0.14.0")),
    "vllm-0.19": ("vLLM", ("0.19.0",)),
    "sglang": ("SGLang", ("0.5.12", "0.5.14", "0.5.10")),
}
"""By name here: framework and versions in the table, the first that is there."""


def kernels(name: str, folder: Path) -> Record:
    """Fit every kernel of a family to the tables of a folder. Raises UsageError for an unknown family or table."""
    if name not in MEASURED:
        raise UsageError("a family with measurements is needed", name, mend=f"choose one of {', '.join(MEASURED)}")
    family = MEASURED[name]
    chips = family.title.partition(";")[0]
    record: Record = {
        "name": name,
        "title": f"{chips}; TensorRT-LLM kernels under CUDA graphs, all-reduce of each engine",
        "decode_attention": _decode_attention(family, folder / "aic_attention_decode.parquet"),
        "latent_decode": _latent_decode(family, folder / "aic_mla_decode.parquet"),
        "narrow": _narrow(family, folder / "aic_gemm.parquet"),
        "experts": _experts(family, folder / "aic_moe.parquet"),
        "all_reduce": _all_reduce(family, folder / "aic_custom_allreduce.parquet"),
    }
    return {key: value for key, value in record.items() if value}


def _decode_attention(family: Measured, path: Path) -> Record:
    found: Record = {}
    names = ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim", "latency")
    for key, label, element_bytes in CACHES:
        where = {"system": family.system, "kv_cache_dtype": label, "window_size": "0"}
        try:
            table = tables.read(path, names, where)
        except UsageError:
            continue
        groups, context = table["num_heads"] / table["num_key_value_heads"], table["isl"] + table["step"]
        keep = (groups <= MOST_GROUPED) & (context >= SHORTEST_CONTEXT)
        if family.system == "a100_sxm":
            # Grouped heads of this table exceed the bandwidth of memory at any size: its caches were not its own.
            keep &= groups == 1
        cached = 2 * element_bytes * context * table["batch_size"] * table["num_key_value_heads"] * table["head_dim"]
        # The collector reads the same cache again and again: what fits in the last-level cache is no measure of memory.
        keep &= (cached < TINY_CACHE_BYTES) | (cached > 2 * family.cache * 2**20)
        keep = _sample(keep)
        b, c, h, g, d = (
            each[keep]
            for each in (
                table["batch_size"],
                context,
                table["num_heads"],
                table["num_key_value_heads"],
                table["head_dim"],
            )
        )

        def predict(values: Sequence[float]) -> fitting.Array:
            seconds = decode_attention_s(b, b * c, h, g, d, element_bytes, family.memory * 1e9, DecodeCurve(*values))  # noqa: B023
            return np.asarray(seconds)

        parameters = [
            fitting.Parameter(0.85, 0.1, 1.2),
            fitting.Parameter(1e-5, 1e-6, 1e-4),
            fitting.Parameter(1e-7, 0.0, 1e-5),
            fitting.Parameter(1e-7, 0.0, 1e-5),
            fitting.Parameter(1e-5, 0.0, 1e-4),
            fitting.Parameter(1e-5, 1e-7, 1e-3),
            fitting.Parameter(0.1, 0.0, 0.1 if family.system == "a100_sxm" else 5.0),
            fitting.Parameter(0.1, -0.5, 2.0),
        ]
        if family.system == "a100_sxm":
            parameters[-1] = fitting.Parameter(1e-4, 0.0, 1e-3)
        values, judgement = fitting.fit(
            predict, table["latency"][keep] * 1e-3, parameters, 2 * b * c * g * d > LARGE_CACHE
        )
        rows = f"rows system={family.system}, kv_cache_dtype={label}, window_size=0"
        rows += f", at most {MOST_GROUPED} query heads to a key"
        found[key] = _rounded(dataclasses.asdict(DecodeCurve(*values))) | _origin(path, rows, OPERATORS, judgement)
    return found


def _latent_decode(family: Measured, path: Path) -> Record:
    found: Record = {}
    for key, label, element_bytes in CACHES:
        names = ("batch_size", "isl", "step", "num_heads", "latency")
        table = tables.read(path, names, {"system": family.system, "kv_cache_dtype": label})
        b, c, h = table["batch_size"], table["isl"] + table["step"], table["num_heads"]

        def predict(values: Sequence[float]) -> fitting.Array:
            curve = LatentCurve(*values)
            peak, rate = family.bf16 * 1e12, family.memory * 1e9
            return np.asarray(
                latent_decode_s(b, b * c, h, LATENT_RANK, LATENT_ROPE, element_bytes, peak, rate, curve)  # noqa: B023
            )

        parameters = [
            fitting.Parameter(0.7, 0.02, 1.2),
            fitting.Parameter(0.7, 0.02, 2.0),
            fitting.Parameter(1.5, 1.0, 8.0),
            fitting.Parameter(1.2e-5, 1e-6, 1e-4),
            fitting.Parameter(1e-7, 0.0, 1e-5),
        ]
        values, judgement = fitting.fit(predict, table["latency"] * 1e-3, parameters)
        rows = f"rows system={family.system}, kv_cache_dtype={label}"
        found[key] = _rounded(dataclasses.asdict(LatentCurve(*values))) | _origin(path, rows, OPERATORS, judgement)
    return found


def _narrow(family: Measured, path: Path) -> Record:
    """Fit products of 16-bit activations with narrower weights; only the table of the A100 has them."""
    found: Record = {}
    for key, label, element_bytes in (("int8", "int8_wo", 1.0), ("int4", "int4_wo", 0.5)):
        where = {"system": family.system, "framework": "TRTLLM", "gemm_dtype": label}
        try:
            curve, judgement = gemm.fit(
                path, family.bf16 * 1e12, family.memory * 1e9, element_bytes, family.cache * 2**20, quantises=False,
                where=where,
            )  # fmt: skip
        except UsageError:
            continue
        record = _rounded(dataclasses.asdict(curve))
        del record["quantisation_bytes"]
        rows = f"rows system={family.system}, framework=TRTLLM, gemm_dtype={label}"
        found[key] = record | _reference(family.bf16, family.memory) | _origin(path, rows, OPERATORS, judgement)
    return found


def _experts(family: Measured, path: Path) -> Record:
    """Fit experts with 4-bit weights: those of low latency in fp4, and mxfp4 as each generation multiplies it."""
    blackwell = family.four_bit is not None
    wide = family.eight_bit if blackwell and family.eight_bit is not None else family.bf16
    mixed = {"moe_dtype": "w4a8_mxfp4_mxfp8" if blackwell else "w4a16_mxfp4"}
    fast = {"moe_dtype": "nvfp4", "kernel_source": "moe_torch_flow_min_latency"}
    found: Record = {}
    for key, where, peak, element_bytes in (("fp4", fast, family.four_bit, 0.5), ("mxfp4", mixed, wide, 0.53125)):
        chosen = {"system": family.system, "distribution": "balanced", "framework": "TRTLLM"} | where
        if peak is None:
            continue
        try:
            curve, judgement = moe.fit(path, peak * 1e12, family.memory * 1e9, element_bytes, where=chosen)
        except UsageError:
            continue
        rows = "rows " + ", ".join(f"{column}={value}" for column, value in chosen.items())
        record = _rounded(dataclasses.asdict(curve)) | _reference(peak, family.memory)
        found[key] = record | _origin(path, rows, OPERATORS, judgement)
    lender = LENDERS.get(family.system)
    if lender is not None and "fp4" not in found:
        lent = catalog.load("kernels", lender).experts["fp4"].model_dump(mode="json", exclude_none=True)
        shares = {key: value for key, value in lent.items() if not key.endswith("per_s") and key != "fit"}
        found["fp4"] = shares | {"fit": {"status": "stand-in", "source": f"hardware_specs/kernels/{lender}.yaml"}}
    return found


def _all_reduce(family: Measured, path: Path) -> Record:
    found: Record = {}
    names = ("num_gpus", "message_size", "latency", "version")
    for key, (framework, versions) in LIBRARIES.items():
        try:
            table = tables.read(path, names, {"system": family.system, "framework": framework})
        except UsageError:
            continue
        known = [version for version in versions if (table["version"] == version).any()]
        if not known:
            continue
        chosen = table["version"] == known[0]
        ranks = sorted({int(count) for count in table["num_gpus"][chosen]})
        if known[0] != SOUND_ON_PCIE:
            ranks = [count for count in ranks if count in family.ranks]
        curves, judged = [], None
        for count in ranks:
            of_count = chosen & (table["num_gpus"] == count)
            size, latency = _fastest(table["message_size"][of_count] * 2.0, table["latency"][of_count] * 1e-3)
            values, judged = collective.fit_curve("all_reduce", size, latency, count, family.link * 1e9)
            curves.append(values)
        assert judged is not None
        latencies, fractions, ramps = zip(*curves, strict=True)
        curve = RankedCurve(tuple(float(count) for count in ranks), latencies, fractions, ramps)
        rows = f"rows system={family.system}, framework={framework}, version={known[0]}; the faster of graph and eager"
        link = {"bandwidth_bytes_per_s": family.link * 1e9}
        found[key] = _ranked(curve) | link | _origin(path, rows, OPERATORS, judged)
    return found


def _fastest(size: fitting.Array, latency: fitting.Array) -> tuple[fitting.Array, fitting.Array]:
    sizes = np.unique(size)
    return sizes, np.array([latency[size == each].min() for each in sizes])


def _sample(keep: fitting.Array) -> fitting.Array:
    """Give the places that are kept, thinned evenly to what a fit needs."""
    places = np.flatnonzero(keep)
    chosen: fitting.Array = places[np.linspace(0, len(places) - 1, min(len(places), MOST_POINTS)).astype(int)]
    return chosen


def lent(name: str) -> Record:
    """Give the kernels of a family that borrows: shares of those that lend, without their peaks."""
    base, narrow = BORROWERS[name]
    record = _loaded(base)
    scale = MEMORY.get(name, 1.0)
    title = BORROWED[name].title
    made: Record = {"name": name, "title": title}
    for key in ("decode_attention", "latent_decode", "all_reduce"):
        made[key] = {
            kind: _share(curve, base, scale if key == "decode_attention" else 1.0)
            for kind, curve in record[key].items()
        }
    made["narrow"] = {kind: _share(curve, narrow, 1.0) for kind, curve in _loaded(narrow)["narrow"].items()}
    return made


def _loaded(name: str) -> Record:
    return catalog.load("kernels", name).model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def _share(curve: Record, base: str, scale: float) -> Record:
    kept = {key: value for key, value in curve.items() if not key.endswith("per_s") and key != "fit"}
    if scale != 1.0:
        kept["memory_efficiency"] = float(f"{kept['memory_efficiency'] * scale:.4g}")
    return kept | {"fit": {"status": "stand-in", "source": f"hardware_specs/kernels/{base}.yaml"}}


def regenerate(name: str, data: Path) -> str:
    """Give the text of the file of a family; ``data`` is the folder of tables that it is fitted to, if it is."""
    measured = name in MEASURED
    command = f"python -m sim.calibrate.kernels {name}" + (f" --data {data.as_posix()}" if measured else "")
    record = kernels(name, data) if measured else lent(name)
    return "\n".join([f"# Made by: {command}", *_lines(_with_units(record)), ""])


def main() -> None:
    """Write the files of the named families."""
    parser = argparse.ArgumentParser(description="Fit the kernels of inference")
    parser.add_argument("names", nargs="+", choices=sorted([*MEASURED, *BORROWERS]))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ops"))
    chosen = parser.parse_args()
    for name in chosen.names:
        text = regenerate(name, chosen.data)
        target = catalog.root() / "kernels" / f"{name}.yaml"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
