"""Make the record of a calibration file from tables of measurements."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

from sim.calibrate import attention, collective, fitting, gemm, moe
from sim.calibrate.families import MEASURED, OPERATORS, PAIRS, Measured
from sim.errors import UsageError
from sim.spec import measured_tables as tables

if TYPE_CHECKING:
    from pathlib import Path

    from sim.cost.attention import AttentionCurve
    from sim.cost.collectives import RankedCurve

Record: TypeAlias = dict[str, Any]

GEMM_FORMATS = {"bf16": ("bfloat16", 2.0), "fp8": ("fp8", 1.0), "fp8_block": ("fp8_block", 1.0), "fp4": ("nvfp4", 0.5)}
COLLECTIVES = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "all_to_all": "alltoall",
}
EXPERT_KERNEL = "moe_torch_flow_cutlass"
STATIC_OVERHEAD_S = 4e-6
"""Overhead of a product whose activation is quantised already: that of the bf16 product of the same library."""
LEAST_TRANSFER = 2**20
"""Bytes of the smallest transfer between two devices that is fitted: activations of a pipeline are larger."""

NETWORK: Record = {
    "bandwidth_fraction": 0.96,
    "pair_fraction": 0.72,
    "hop_latency_s": 14e-6,
    "ramp_s": 20e-6,
    "fit": {
        "status": "derived",
        "source": "public nccl-tests runs over several nodes (NVIDIA GTC24 S62129; ml-engineering@744d01e network/)",
        "note": (
            "bandwidth_fraction: plateaus of one NIC of 200 Gbit/s (24 of 25 GB/s), one of 400 Gbit/s (48 of 50) and "
            "DGX A100 4x8 (192 of 200); the other runs score it. hop_latency_s: an unnamed cluster of 4 nodes, 77 us "
            "less 20 us inside the node, over the 4 hops of a tree; EFA needs 90 us, which belongs in the fabric. "
            "ramp_s: B200 4x8 on EFA. pair_fraction: vidur@7d47513, H100 send_recv over two nodes, 36 of 50 GB/s."
        ),
    },
}


def measured(name: str, folder: Path) -> Record:
    """Fit every curve of a family to the tables in a folder. Raises UsageError for an unknown family or table."""
    if name not in MEASURED:
        raise UsageError("a family with measurements is needed", name, mend=f"choose one of {', '.join(MEASURED)}")
    family = MEASURED[name]
    record: Record = {"name": name, "title": family.title}
    if family.notes:
        record["notes"] = list(family.notes)
    record["gemm"] = _gemm(family, folder / "aic_gemm.parquet")
    record["attention"] = _attention(family, folder / "aic_attention_prefill.parquet")
    record["experts"] = _experts(family, folder / "aic_moe.parquet")
    record["collectives"] = _collectives(family, folder)
    record["network"] = NETWORK
    record["vector"] = _vector(record["gemm"]["bf16"])
    return record


def _gemm(family: Measured, path: Path) -> Record:
    peaks = {"bf16": family.bf16, "fp8": family.eight_bit, "fp8_block": family.eight_bit, "fp4": family.four_bit}
    found: Record = {}
    for key, (label, element_bytes) in GEMM_FORMATS.items():
        peak = peaks[key]
        if peak is None:
            continue
        curve, judgement = gemm.fit(
            path, peak * 1e12, family.memory * 1e9, element_bytes, family.cache * 2**20,
            quantises=key != "bf16", where={"system": family.system, "framework": "TRTLLM", "gemm_dtype": label},
        )  # fmt: skip
        record = _rounded(dataclasses.asdict(curve))
        if key == "bf16":
            del record["quantisation_bytes"]
        else:
            record["static_overhead_s"] = min(STATIC_OVERHEAD_S, record["overhead_s"])
        note = None if key == "bf16" else "The measured call quantises the activation itself, from 16 bit."
        rows = f"rows system={family.system}, framework=TRTLLM, gemm_dtype={label}, n and k >= {gemm.LEAST_SIDE}"
        found[key] = record | _reference(peak, family.memory) | _fit(path, rows, OPERATORS, judgement, note)
    return found


def _attention(family: Measured, path: Path) -> Record:
    lent = None
    if family.head_dim_of:
        lender = next(each for each in MEASURED.values() if each.system == family.head_dim_of)
        curve, _ = _fit_attention(lender, path, "bfloat16", lender.bf16)
        lent = _rounded({"half_head_dim": curve.half_head_dim})["half_head_dim"]
    found: Record = {}
    for key, label, peak in (("bf16", "bfloat16", family.bf16), ("fp8", "fp8", family.eight_bit)):
        if peak is None or (key == "fp8" and not family.eight_bit_attention):
            continue
        curve, judgement = _fit_attention(family, path, label, peak, lent)
        rows = f"rows system={family.system}, attn_dtype=kv_cache_dtype={label}, window_size=0, isl >= 256"
        note = None if lent is None else f"half_head_dim is that of {family.head_dim_of}."
        record = _rounded(dataclasses.asdict(curve)) | _reference(peak, family.memory)
        found[key] = record | _fit(path, rows, OPERATORS, judgement, note)
    return found


def _fit_attention(
    family: Measured, path: Path, label: str, peak: float, half_head_dim: float | None = None
) -> tuple[AttentionCurve, fitting.Judgement]:
    where = {"system": family.system, "attn_dtype": label, "kv_cache_dtype": label, "window_size": "0"}
    element_bytes = 2.0 if label == "bfloat16" else 1.0
    return attention.fit(
        path, peak * 1e12, family.memory * 1e9, element_bytes, half_head_dim=half_head_dim, where=where
    )


def _experts(family: Measured, path: Path) -> Record:
    """Fit the feed-forward of experts in every format that the table has, experts chosen evenly."""
    lender = next(each for each in MEASURED.values() if each.system == (family.experts_of or family.system))
    peaks = {"bf16": lender.bf16, "fp8": lender.eight_bit, "fp8_block": lender.eight_bit, "fp4": lender.four_bit}
    found: Record = {}
    for key, (label, element_bytes) in GEMM_FORMATS.items():
        peak, kernel = peaks[key], lender.block_kernel if key == "fp8_block" else EXPERT_KERNEL
        if peak is None or not kernel or (family.experts_of and key != "bf16"):
            continue
        where = {"system": lender.system, "framework": "TRTLLM", "moe_dtype": label, "distribution": "balanced"}
        curve, judgement = moe.fit(
            path, peak * 1e12, lender.memory * 1e9, element_bytes, where=where | {"kernel_source": kernel}
        )
        record = _rounded(dataclasses.asdict(curve))
        if family.experts_of:
            source = f"the same fit to {lender.system}: no even choice of experts was measured here"
            found[key] = record | {"fit": {"status": "stand-in", "source": source}}
            continue
        rows = f"rows system={lender.system}, moe_dtype={label}, distribution=balanced, kernel_source={kernel}"
        note = "Whole feed-forward of gated experts, permutation of the tokens included."
        found[key] = record | _reference(peak, lender.memory) | _fit(path, rows, OPERATORS, judgement, note)
    return found


def _collectives(family: Measured, folder: Path) -> Record:
    path = folder / "aic_nccl.parquet"
    found: Record = {}
    for kind, label in COLLECTIVES.items():
        where = {"op_name": label, "nccl_dtype": "half"}
        own = {"system": family.system, "src": f"{family.system}/comm/nccl/{family.nccl}/nccl_perf.parquet"}
        curve, judgement = collective.fit(path, kind, family.link * 1e9, ranks=family.ranks, where=where | own)  # type: ignore[arg-type]
        record, note = _ranked(curve), None
        if family.wider:
            wider = {"system": family.wider, "src": f"{family.wider}/comm/nccl/{family.nccl}/nccl_perf.parquet"}
            more, _ = collective.fit(path, kind, family.link * 1e9, ranks=(8,), where=where | wider)  # type: ignore[arg-type]
            record = {key: [*record[key], *values] for key, values in _ranked(more).items()}
            note = f"8 ranks: the curve of {family.wider} with 8 on one switch."
        rows = f"rows {own['src']}, op_name={label}, nccl_dtype=half"
        link = {"bandwidth_bytes_per_s": family.link * 1e9}
        found[kind] = record | link | _fit(path, rows, OPERATORS, judgement, note)
    found["point_to_point"] = _pair(family, folder, found["all_to_all"])
    return found


def _pair(family: Measured, folder: Path, exchange: Record) -> Record:
    """Fit transfers between two devices of a node, or take the exchange of two ranks, which is the same transfer."""
    if family.pair is None:
        first = {key: exchange[key][:1] for key in ("ranks", "latency_s", "bandwidth_fraction", "ramp_s")}
        fit = {"status": "derived", "source": "all_to_all of this file at 2 ranks, which is one transfer each way"}
        return first | {"bandwidth_bytes_per_s": exchange["bandwidth_bytes_per_s"], "fit": fit}
    path = folder / "vidur_network.csv.gz"
    where = {"sku": family.pair, "collective": "send_recv", "devices_per_node": "2"}
    table = tables.read(path, ("bytes", "median_ms"), where)
    large = table["bytes"] >= LEAST_TRANSFER
    values, judgement = collective.fit_curve(
        "point_to_point", table["bytes"][large], table["median_ms"][large] * 1e-3, 2, family.link * 1e9
    )
    latency_s, fraction, ramp_s = values
    record: Record = {"ranks": [2]}
    record |= _rounded({"latency_s": [latency_s], "bandwidth_fraction": [fraction], "ramp_s": [ramp_s]})
    rows = f"rows sku={family.pair}, collective=send_recv, devices_per_node=2, bytes >= {LEAST_TRANSFER}"
    return record | {"bandwidth_bytes_per_s": family.link * 1e9} | _fit(path, rows, PAIRS, judgement)


def _vector(thin: Record) -> Record:
    """Take the share of bandwidth of thin products, measured beyond the cache; residual additions start in 1 us."""
    source = "memory_efficiency of gemm bf16 in this file; start of vidur@7d47513 vidur_mlp_ops.parquet, column add_ms"
    fit = {"status": "derived", "source": source}
    return {"memory_efficiency": thin["memory_efficiency"], "overhead_s": 1e-6, "fit": fit}


def _ranked(curve: RankedCurve) -> Record:
    record = _rounded({key: list(value) for key, value in dataclasses.asdict(curve).items()})
    return record | {"ranks": [int(count) for count in curve.ranks]}


def _reference(peak: float, memory: float) -> Record:
    return {"peak_flop_per_s": peak * 1e12, "bandwidth_bytes_per_s": memory * 1e9}


def _fit(
    path: Path, rows: str, origin: tuple[str, str, str], judgement: fitting.Judgement, note: str | None = None
) -> Record:
    repository, commit, licence = origin
    record: Record = {
        "status": "fitted",
        "source": f"{repository}: {path.name}, {rows}",
        "commit": commit,
        "licence": licence,
    }
    errors = {key: value for key, value in dataclasses.asdict(judgement).items() if value is not None}
    record |= {key: round(value, 4) for key, value in errors.items()}
    return {"fit": record | ({"note": note} if note else {})}


def _rounded(record: Record) -> Record:
    """Keep four significant digits, more than the measurements hold; what a fit drove to nothing is 0."""
    return {
        key: [_short(key, each) for each in v] if isinstance(v, list) else _short(key, v) for key, v in record.items()
    }


def _short(key: str, value: float) -> float:
    negligible = 1e-9 if key.endswith("_s") else 1e-3
    return float(f"{value:.4g}") if value > negligible else 0.0
